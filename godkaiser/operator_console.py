"""Commands for the operator at the gateway box: what is there, and what to do with it. Tables for people,
`--json` for programs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from godkaiser.gateway_link import ConfigOption, DataOption, HttpOption, Link, settings_of

app = typer.Typer()

JsonOption = Annotated[bool, typer.Option("--json", help="As the API answers it, for programs.")]
Column = tuple[str, Callable[[dict[str, Any]], Any]]
LONGEST_CELL = 40


def link_to(config: Path | None, data: Path | None, http: str) -> Link:
    return Link(settings_of(config, data, http))


def echo_json(answer: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def show(answer: Any, columns: Sequence[Column], *, as_json: bool) -> None:
    if as_json:
        echo_json(answer)
        return
    rows = [[_cell(value(row)) for _, value in columns] for row in answer["data"]]
    widths = [max(map(len, (name, *column))) for (name, _), column in zip(
        columns, zip(*rows, strict=True) if rows else ((),) * len(columns), strict=True)]  # fmt: skip
    for row in ([name for name, _ in columns], *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
    if not rows:
        typer.echo("(none)")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def of(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def value(row: dict[str, Any]) -> Any:
        found: Any = row
        for key in keys:
            found = None if found is None else found.get(key)
        return found

    return value


def at(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def value(row: dict[str, Any]) -> Any:
        at = of(*keys)(row)
        return None if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

    return value


@app.command()
def status(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show whether all is well; exit code 1 when it is not."""
    link = link_to(config, data, http)
    health, safety = link.get("/health"), link.get("/safety/status")
    if as_json:
        show({"health": health, "safety": safety}, (), as_json=True)
    else:
        database, devices = health["database"], health["devices"]
        broker = "connected" if health["broker"]["connected"] else health["broker"]["error"]
        typer.echo(
            f"gateway   {health['status']}, version {health['version']}, up {health['uptime_s']:.0f} s"
        )
        typer.echo(f"broker    {health['broker']['address']} {broker}")
        typer.echo(f"database  {'good' if database['ok'] else database['error']}, breaker"
                   f" {database['breaker']}, spool {database['spool']['percent']:g} %")  # fmt: skip
        typer.echo(f"devices   {devices['online']} of {devices['total']} online")
        typer.echo(f"safety    {safety['state']}")
        for stop in safety["stops"]:
            waiting = (
                f", not confirmed: {', '.join(stop['unconfirmed'])}" if stop["unconfirmed"] else ""
            )
            typer.echo(f"          {stop['scope']} by {stop['by']}: {stop['reason']}{waiting}")
        for warning in health["warnings"]:
            typer.echo(f"warning   {warning}")
    if health["status"] != "healthy":
        raise typer.Exit(1)


@app.command()
def devices(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List the devices."""
    columns = (
        ("device", of("device_id")), ("name", of("name")), ("state", of("status")),
        ("online", of("online")), ("zone", of("zone_id")), ("config", of("config_sync")),
        ("health", of("health")), ("last seen", at("last_seen")),
    )  # fmt: skip
    show(link_to(config, data, http).get("/esp/devices"), columns, as_json=as_json)


@app.command()
def sensors(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List the sensors with their newest readings."""
    columns = (
        ("device", of("esp_id")), ("gpio", of("gpio")), ("type", of("sensor_type")),
        ("value", of("latest", "value")), ("unit", of("latest", "unit")),
        ("quality", of("latest", "quality")), ("at", at("latest", "timestamp")),
    )  # fmt: skip
    show(link_to(config, data, http).get("/sensors"), columns, as_json=as_json)


@app.command()
def rules(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List the rules: whether each holds, and what it did last."""
    columns = (
        ("rule", of("id")), ("name", of("name")), ("enabled", of("enabled")),
        ("priority", of("priority")), ("holds", of("state", "truth")),
        ("fired", of("state", "fired_count")), ("last fired", at("state", "last_fired")),
        ("last result", of("state", "last_result")), ("suspended", of("state", "suspended")),
    )  # fmt: skip
    show(link_to(config, data, http).get("/logic/rules"), columns, as_json=as_json)


@app.command()
def command(
    actuator: Annotated[str, typer.Argument(help="DEVICE/GPIO, such as ESP_4F3A9C/25.")],
    verb: Annotated[str, typer.Argument(help="ON, OFF, TOGGLE or PWM.")],
    value: Annotated[float | None, typer.Option(help="0.0 to 1.0, for PWM.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds.")] = None,
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Command an actuator, and wait for its answer; exit code 1 when it did not confirm."""
    esp_id, separator, gpio = actuator.rpartition("/")
    if not separator or not gpio.isascii() or not gpio.isdecimal():
        typer.echo(f"godkaiser: {actuator}: write DEVICE/GPIO, such as ESP_4F3A9C/25", err=True)
        raise typer.Exit(2)
    body: dict[str, Any] = {"command": verb.upper()}
    body |= {} if value is None else {"value": value}
    body |= {} if duration is None else {"duration": duration}
    path = f"/actuators/{quote(esp_id, safe='')}/{int(gpio)}/command?wait=3"
    answer = link_to(config, data, http).post(path, body)
    outcome = answer.get("outcome") or {"state": "no answer yet", "message": ""}
    if as_json:
        show(answer, (), as_json=True)
    else:
        typer.echo(f"{actuator} {verb.upper()}: {outcome['state']} {outcome['message']}".rstrip())
    if outcome["state"] != "confirmed":
        raise typer.Exit(1)


@app.command()
def users(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
    add: Annotated[str, typer.Option(help="Add this user; the password is asked for.")] = "",
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    password: Annotated[str, typer.Option(help="Set the password of this user anew.")] = "",
    disable: Annotated[str, typer.Option(help="Let this user in no more.")] = "",
    delete: Annotated[str, typer.Option(help="Delete this user.")] = "",
) -> None:  # fmt: skip
    """List who may log in, or change that."""
    link = link_to(config, data, http)
    if add:
        link.post("/users", {"username": add, "role": role, "password": _new_password()})
    if password:
        link.patch(f"/users/{quote(password, safe='')}", {"password": _new_password()})
    if disable:
        link.patch(f"/users/{quote(disable, safe='')}", {"disabled": True})
    if delete:
        link.delete(f"/users/{quote(delete, safe='')}")
    columns = (
        ("user", of("username")), ("role", of("role")), ("disabled", of("disabled")),
        ("since", at("created_at")),
    )  # fmt: skip
    show(link.get("/users"), columns, as_json=as_json)


@app.command()
def keys(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
    add: Annotated[str, typer.Option(help="Make a key of this name; its secret is shown once.")] = "",
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    area: Annotated[list[str] | None, typer.Option(help="What it may use; again for more.")] = None,
    days: Annotated[float, typer.Option(help="For how long.")] = 365.0,
    rotate: Annotated[int | None, typer.Option(help="Make this key anew.")] = None,
    delete: Annotated[int | None, typer.Option(help="Delete this key.")] = None,
) -> None:  # fmt: skip
    """List the API keys, or change them."""
    link = link_to(config, data, http)
    made = None
    if add:
        body = {"name": add, "role": role, "areas": area or [], "expires_in_days": days}
        made = link.post("/auth/keys", body)
    if rotate is not None:
        made = link.post(f"/auth/keys/{rotate}/rotate", {})
    if delete is not None:
        link.delete(f"/auth/keys/{delete}")
    if made is not None and as_json:
        show(made, (), as_json=True)
        return
    if made is not None:
        typer.echo(f"secret of key {made['id']}, shown once: {made['secret']}")
    columns = (
        ("key", of("id")), ("name", of("name")), ("role", of("role")),
        ("areas", lambda row: ", ".join(row["areas"]) or "all"), ("by", of("created_by")),
        ("until", at("expires_at")), ("last used", at("last_used_at")),
    )  # fmt: skip
    show(link.get("/auth/keys"), columns, as_json=as_json)


@app.command()
def logs(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the past.")] = 20,
) -> None:  # fmt: skip
    """Show the newest entries of the audit trail and, with --follow, what happens from now on."""
    link = link_to(config, data, http)
    for entry in reversed(link.get(f"/audit/log?limit={limit}")["data"]):
        if as_json:
            typer.echo(msgspec.json.encode(entry).decode())
        else:
            typer.echo(f"{at('at')(entry)}  {entry['who']:<16} {entry['what']}: {entry['result']}"
                       f" {entry['details']}".rstrip())  # fmt: skip
    for event in link.live() if follow else ():
        if as_json:
            typer.echo(msgspec.json.encode(event).decode())
        else:
            shown = " ".join(f"{key}={_cell(value)}" for key, value in event["data"].items()
                             if value not in (None, "", []))  # fmt: skip
            typer.echo(f"{at('at')(event)}  {event['topic']}  {shown}")


def _new_password() -> str:
    return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
