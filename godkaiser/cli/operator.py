"""Commands for the operator at the gateway box: lists, commands, users, keys, logs. Tables for
people, `--json` for programs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_json
from godkaiser.cli.exits import EXIT_NOT_GOOD, EXIT_USAGE, fail
from godkaiser.cli.gateway_link import (
    ConfigOption,
    DataOption,
    HttpOption,
    Link,
    settings_of,
)
from godkaiser.errors.base import ValidationFailed

app = Console()

Column = tuple[str, Callable[[dict[str, Any]], Any]]
LONGEST_CELL = 40
ROLE_WORDS = ("viewer", "operator", "admin")
EXIT_STOPPED, EXIT_SUSPENDED = 3, 4
"""Exit codes of `status`: a stop is active or rules are held; a rule is suspended."""


def link_to(config: Path | None, data: Path | None, http: str) -> Link:
    return Link(settings_of(config, data, http))


def printable_line(text: str) -> str:
    """Escape line ends and terminal codes, which a device could send in a name or an error."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


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
    text = f"{value:g}" if isinstance(value, float) else printable_line(str(value))
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


def _all(link: Link, path: str) -> list[dict[str, Any]]:
    """Every entry of a list, from all its pages."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = link.get(f"{path}?limit=1000{cursor}")
        found += answer["data"]
        if not answer.get("next"):
            return found
        cursor = f"&cursor={quote(answer['next'], safe='')}"


@app.command()
def status(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show whether all is well. Ends with 3 while a stop is active or rules are held until resume, 1 when
    the gateway is degraded, 4 when a rule is suspended.
    """
    link = link_to(config, data, http)
    health, safety = link.get("/health"), link.get("/safety/status")
    suspended = [rule for rule in _all(link, "/logic/rules") if rule["state"]["suspended"]]
    if as_json:
        echo_json({"health": health, "safety": safety, "suspended_rules": suspended})
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
        if safety["alarm"]:
            typer.echo(f"alarm     {printable_line(safety['alarm'])}")
        if safety["automation_held"]:
            typer.echo(f"held      rules of {', '.join(safety['automation_held'])}, until resume")
        for rule in suspended:
            why = printable_line(f"{rule['name']}: {rule['state']['suspended']}")
            typer.echo(f"suspended rule {rule['id']} {why}")
        for warning in health["warnings"]:
            typer.echo(f"warning   {warning}")
    raise typer.Exit(_code_of_status(health, safety, suspended))


def _code_of_status(health: Any, safety: Any, suspended: Sequence[Any]) -> int:
    if safety["state"] != "normal" or safety["alarm"] or safety["automation_held"]:
        return EXIT_STOPPED
    if health["status"] != "healthy":
        return EXIT_NOT_GOOD
    return EXIT_SUSPENDED if suspended else 0


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
    """List the rules, whether each holds, and its last result."""
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
    """Command an actuator and wait for its answer; exit code 1 if it did not confirm."""
    esp_id, gpio = point_of(actuator)
    body: dict[str, Any] = {"command": verb.upper()}
    body |= {} if value is None else {"value": value}
    body |= {} if duration is None else {"duration": duration}
    path = f"/actuators/{quote(esp_id, safe='')}/{gpio}/command?wait=3"
    answer = link_to(config, data, http).post(path, body)
    outcome = answer.get("outcome") or {"state": "no answer yet", "message": ""}
    if as_json:
        show(answer, (), as_json=True)
    else:
        typer.echo(f"{actuator} {verb.upper()}: {outcome['state']} {outcome['message']}".rstrip())
    if outcome["state"] != "confirmed":
        raise typer.Exit(EXIT_NOT_GOOD)


@app.command()
def users(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
    add: Annotated[str, typer.Option(help="Add this user; asks for the password.")] = "",
    role: Annotated[str, typer.Option(help="viewer, operator or admin; default for a new user: viewer.")] = "",
    password: Annotated[str, typer.Option(help="Set a new password for this user.")] = "",
    disable: Annotated[str, typer.Option(help="Disable this user.")] = "",
    delete: Annotated[str, typer.Option(help="Delete this user.")] = "",
    change: Annotated[str, typer.Option(help="Set the role of this user to --role.")] = "",
) -> None:  # fmt: skip
    """List the users, or change them."""
    link = link_to(config, data, http)
    if bool(change) > bool(role):
        fail("--change needs --role", EXIT_USAGE)
    if role not in {"", *ROLE_WORDS}:
        fail(f"--role {role}: use {', '.join(ROLE_WORDS)}", EXIT_USAGE)
    if add:
        _refuse_new_user(link, add)
        body = {"username": add, "role": role or "viewer", "password": _new_password()}
        link.post("/users", body)
    if change:
        link.patch(f"/users/{quote(change, safe='')}", {"role": role})
    if password:
        # Before it is asked for: one that nobody has is no use.
        link.get(f"/users/{quote(password, safe='')}")
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
    add: Annotated[str, typer.Option(help="Create a key with this name; its secret is shown once.")] = "",
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    area: Annotated[list[str] | None, typer.Option(help="An area that it may use; repeat for more.")] = None,
    days: Annotated[float, typer.Option(help="How many days the key is valid.")] = 365.0,
    rotate: Annotated[int | None, typer.Option(help="Replace the key with this id by a new one.")] = None,
    delete: Annotated[int | None, typer.Option(help="Delete the key with this id.")] = None,
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


def point_of(text: str) -> tuple[str, int]:
    """Parse DEVICE/GPIO; ends the command if it is malformed."""
    esp_id, separator, gpio = text.rpartition("/")
    if not separator or not esp_id or not gpio.isascii() or not gpio.isdecimal():
        fail(f"{text}: write DEVICE/GPIO, such as ESP_4F3A9C/25", EXIT_USAGE)
    return esp_id, int(gpio)


def _refuse_new_user(link: Link, name: str) -> None:
    """End the command before a password is asked for in vain."""
    from godkaiser.domain.person_names import prepared_name

    try:
        wanted = prepared_name(name)
    except ValidationFailed as error:
        fail(error.message, EXIT_USAGE)
    if any(user["username"] == wanted for user in link.get("/users")["data"]):
        fail(f"there is a user {wanted} already", EXIT_USAGE)


def _new_password() -> str:
    """Asked for at a terminal; from a pipe its first line."""
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        fail(
            "no password: type it at a terminal, or give it as the first line of the input",
            EXIT_USAGE,
        )
    return given
