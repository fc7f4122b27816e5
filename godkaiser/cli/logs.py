"""`godkaiser logs`: who changed what, and what happens from now on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_line
from godkaiser.cli.event_lines import line_of
from godkaiser.cli.gateway_link import ConfigOption, DataOption, HttpOption, Link, Unanswered
from godkaiser.cli.operator import at, link_to, printable_line

app = Console()

AUDIT = "audit"
LOOK_EVERY_S, LATEST_S = 1.0, 30.0
"""How often the audit trail is looked at, and how late an entry may be written."""
EVENT_TYPES = ("actuator", "device", "rule", "safety", "system")
"""Without --type. Readings come by the second: only those who ask for them get them."""


@app.command()
def logs(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="How many of the past.")] = 20,
    kind: Annotated[list[str] | None, typer.Option(
        "--type", help="Of what happens: audit (who changed what), safety, system, device, actuator, rule or"
        " reading; again for more. Without it all but readings.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Only of this device; again for more.")] = None,
) -> None:  # fmt: skip
    """Show the newest entries of the audit trail and, with --follow, what happens from now on."""
    link = link_to(config, data, http)
    trail = _Trail(link, device or (), as_json=as_json)
    trail.show_past(limit)
    if not follow:
        return
    if kind is None or AUDIT in kind:
        trail.follow()
    kind = [one for one in kind if one != AUDIT] if kind else kind
    wanted: dict[str, Any] = {"types": kind or EVENT_TYPES}
    if device:
        wanted["esp_ids"] = device
    for event in link.live(wanted, _note):
        if as_json:
            echo_line(event)
        else:
            typer.echo(f"{at('at')(event)}  {printable_line(line_of(event))}")


def _note(text: str) -> None:
    typer.echo(f"godkaiser: {text}", err=True)


class _Trail:
    """The audit trail, each entry once: who changed what, from where, and why."""

    def __init__(self, link: Link, devices: Sequence[str], *, as_json: bool) -> None:
        self._link = link
        self._devices = devices
        self._as_json = as_json
        self._since = 0.0
        self._shown: deque[tuple[Any, ...]] = deque(maxlen=1000)
        """Entries have no number here, and what was written late has a time from before."""

    def show_past(self, limit: int) -> None:
        entries = self._link.get("/audit/log?limit=1000")["data"]
        self._note(entries[limit:])
        self._show(entries[:limit])

    def follow(self) -> None:
        """In a thread that ends with the command; what comes by the live socket does not wait for it."""
        threading.Thread(target=self._go_on, name="trail", daemon=True).start()

    def _go_on(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                path = f"/audit/log?limit=1000&start={self._since - LATEST_S}"
                self._show(self._link.call("GET", path)["data"])
            except Unanswered:
                # The live socket tells that, and when the gateway is back.
                continue

    def _show(self, entries: Sequence[dict[str, Any]]) -> None:
        for entry in self._note(entries):
            text = f"{entry['what']} {entry['details']}"
            if not self._devices or any(name in text for name in self._devices):
                _show_entry(entry, as_json=self._as_json)

    def _note(self, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that are new, oldest first."""
        known = set(self._shown)
        new = [entry for entry in reversed(entries) if tuple(entry.values()) not in known]
        self._shown.extend(tuple(entry.values()) for entry in new)
        self._since = max((self._since, *(entry["at"] for entry in new)))
        return new


def _show_entry(entry: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_line(entry)
    else:
        details = printable_line(f"{entry['what']}: {entry['result']} {entry['details']}".rstrip())
        source = f" (from {entry['source']})" if entry["source"] else ""
        typer.echo(f"{at('at')(entry)}  {entry['who']:<16} {details}{printable_line(source)}")
