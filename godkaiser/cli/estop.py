"""`godkaiser estop`: stops everything, whatever else is broken.

The stop is published on the broker first, with the readable part of the configuration. So it is not
delayed by a mistake elsewhere in the configuration, by a gateway that is down, or by a key that the
user may not read.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_line
from godkaiser.cli.exits import EXIT_NOT_GOOD, EXIT_UNREACHABLE
from godkaiser.cli.gateway_link import (
    API_TIMEOUT_S,
    ConfigOption,
    DataOption,
    HttpOption,
    Link,
    NoGateway,
    Unanswered,
    printable,
    who,
    with_options,
)
from godkaiser.config.salvage import salvage
from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import STOP_ACCOUNT, Config
from godkaiser.config.values import split_address
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.one_shot import NotTaken, publish_once
from godkaiser.protocol import outbound, topics

app = Console()

INSTALLED = Path("/etc/godkaiser/godkaiser.toml")
PASSWORD_BESIDE = "estop.password"  # noqa: S105 -- the name of a file
BROKER_TIMEOUT_S = 5.0


@app.command()
def estop(
    reason: Annotated[
        str, typer.Option(help="The reason; it is shown and stored.")
    ] = "stopped by CLI",
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    mqtt: Annotated[
        str, typer.Option("--mqtt", help="HOST or HOST:PORT of the gateway's broker.")
    ] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop every device at once, over the broker, even when the gateway is down."""
    if config is None and data is None and INSTALLED.exists():
        config = INSTALLED
    settings, remarks = _usable(config, data, http, mqtt)
    trouble = _publish(settings, config, printable(reason))
    gateway = _ask_gateway(settings, printable(reason), at_broker=not trouble)
    if as_json:
        told = {"broker": trouble or "told", "gateway": gateway.state or gateway.silence,
                "latched": gateway.is_latched, "passed_over": remarks}  # fmt: skip
        echo_line(told)
    else:
        _tell(trouble, gateway, remarks)
    if gateway.is_latched:
        raise typer.Exit(0)
    if gateway.state:
        raise typer.Exit(EXIT_NOT_GOOD)
    raise typer.Exit(EXIT_UNREACHABLE if trouble else 0)


class _Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The safety state of the running gateway; `silence` is the reason if it does not answer."""

    state: str = ""
    is_on_disk: bool = False
    alarm: str = ""
    silence: str = ""

    @property
    def is_latched(self) -> bool:
        return self.state == "active" and self.is_on_disk


def _tell(trouble: str, gateway: _Gateway, remarks: list[str]) -> None:
    for remark in remarks:
        typer.echo(f"godkaiser: ignored: {remark}", err=True)
    if trouble:
        typer.echo(f"the broker did not get the stop: {trouble}", err=True)
    else:
        typer.echo(f"the broker has the stop ({time.strftime('%H:%M:%S')})")
    if gateway.silence:
        typer.echo(gateway.silence, err=True)
    elif gateway.is_latched:
        typer.echo("the gateway says: active")
    elif gateway.state == "active":
        typer.echo(
            "the gateway says: active, but the stop is not on its disk yet and would not survive a"
            f" restart{': ' if gateway.alarm else ''}{gateway.alarm}",
            err=True,
        )
    else:
        typer.echo(f"the gateway says: {gateway.state}: it has not received the stop", err=True)


def _usable(
    config: Path | None, data: Path | None, http: str, mqtt: str
) -> tuple[Config, list[str]]:
    """The usable part of the configuration and the options, and remarks about ignored parts."""
    settings, mistakes = salvage(config, os.environ)
    remarks = [str(mistake) for mistake in mistakes]
    if http:
        try:
            split_address(http)
        except ValueError as error:
            remarks.append(f"--http: {error}")
            http = ""
    settings = with_options(settings, data, http)
    if mqtt:
        try:
            host, port = split_address(mqtt if _has_port(mqtt) else f"{mqtt}:{settings.mqtt.port}")
            broker = msgspec.structs.replace(settings.mqtt, host=host, port=port)
            settings = msgspec.structs.replace(settings, mqtt=broker)
        except ValueError as error:
            remarks.append(f"--mqtt: {error}")
    return settings, remarks


def _has_port(text: str) -> bool:
    return ":" in text.rpartition("]")[2]


def _publish(settings: Config, config: Path | None, reason: str) -> str:
    """Publish the stop; returns the problem, or "" if the broker has acknowledged."""
    mqtt, token = settings.mqtt, _secret(settings.safety.broadcast_token_file)
    payload = outbound.broadcast_stop(
        reason, printable(who()), uuid.uuid4().hex, time.time(), token
    )
    refusals: list[str] = []
    for username, password, remark in _accounts(settings, config):
        address = BrokerAddress(
            host=mqtt.host, port=mqtt.port, username=username, password=password, tls=mqtt.tls,
            ca_cert=mqtt.ca_cert, client_cert=mqtt.client_cert, client_key=mqtt.client_key,
        )  # fmt: skip
        client_id = f"{STOP_ACCOUNT}-{uuid.uuid4().hex[:8]}"
        try:
            publish_once(address, client_id, topics.BROADCAST_EMERGENCY, payload, BROKER_TIMEOUT_S)
        except NotTaken as error:
            who_asks = f"as {username}{remark}" if username else "without an account"
            refusals.append(f"{who_asks}: {error}")
            if not error.refused:
                break
        else:
            return ""
    return f"{mqtt.host}:{mqtt.port}, {'; '.join(refusals)}"


def _accounts(settings: Config, config: Path | None) -> Iterator[tuple[str, str, str]]:
    """The accounts to try (the account for stops, the gateway's own, none), each with its password
    and a remark about it.
    """
    beside = None if config is None else config.parent / PASSWORD_BESIDE
    for file in (settings.mqtt.stop_password_file, "" if beside is None else str(beside)):
        password = _secret(file)
        if password:
            yield STOP_ACCOUNT, password, ""
            break
    if settings.mqtt.username:
        password = _secret(settings.mqtt.password_file)
        yield settings.mqtt.username, password, "" if password else " (without a password)"
    yield "", "", ""


def _secret(file: str) -> str:
    """The secret in a file; "" if this user cannot read it."""
    try:
        return first_line(Path(file)) if file else ""
    except (OSError, ValueError):
        return ""


def _ask_gateway(settings: Config, reason: str, *, at_broker: bool) -> _Gateway:
    link = Link(settings)
    try:
        if not at_broker:
            link.call("POST", "/actuators/emergency_stop", {"reason": reason})
        return _await_latched(link)
    except NoGateway as error:
        return _Gateway(silence=f"{error}; a gateway latches the stop only while it runs")
    except Unanswered as error:
        return _Gateway(silence=f"the gateway did not get the stop: {error}")


def _await_latched(link: Link) -> _Gateway:
    deadline = time.monotonic() + API_TIMEOUT_S
    while True:
        # Health needs no token, so the user need not be able to read the gateway's key.
        health: Any = link.call("GET", "/health", token=False)
        found = _Gateway(
            state=health["safety"],
            is_on_disk=health["safety_on_disk"],
            alarm=health["safety_alarm"],
        )
        if found.is_latched or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
