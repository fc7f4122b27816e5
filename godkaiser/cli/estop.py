"""`godkaiser estop`: stops everything, whatever else is broken.

The stop is published on the broker before anything else is looked at, with what can be read of the
configuration: a mistake elsewhere in it, a gateway that is down, or a user who may not read its key
delays nothing.
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
    Unanswered,
    printable,
    who,
)
from godkaiser.config.salvage import salvage
from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import STOP_ACCOUNT, Config
from godkaiser.config.values import split_address
from godkaiser.mqtt.connection import BrokerAddress
from godkaiser.mqtt.one_shot import NotTaken, publish_once
from godkaiser.protocol import outbound, topics

app = Console()

INSTALLED = Path("/etc/godkaiser/godkaiser.toml")
PASSWORD_BESIDE = "estop.password"  # noqa: S105 -- the name of a file
BROKER_TIMEOUT_S = 5.0


@app.command()
def estop(
    reason: Annotated[str, typer.Option(help="Why; it is shown and kept.")] = "stopped by CLI",
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    mqtt: Annotated[str, typer.Option("--mqtt", help="HOST or HOST:PORT of its broker.")] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop every device at once: over the broker, also when the gateway is down."""
    if config is None and data is None and INSTALLED.exists():
        config = INSTALLED
    settings, remarks = _usable(config, data, http, mqtt)
    trouble = _publish(settings, config, printable(reason))
    state, silence = _state_of_gateway(settings, printable(reason), at_broker=not trouble)
    if as_json:
        told = {"broker": trouble or "told", "gateway": state or silence, "passed_over": remarks}
        echo_line(told)
    else:
        _tell(trouble, state, silence, remarks)
    if state == "active":
        raise typer.Exit(0)
    if state:
        raise typer.Exit(EXIT_NOT_GOOD)
    raise typer.Exit(EXIT_UNREACHABLE if trouble else 0)


def _tell(trouble: str, state: str, silence: str, remarks: list[str]) -> None:
    for remark in remarks:
        typer.echo(f"godkaiser: passed over: {remark}", err=True)
    at = time.strftime("%H:%M:%S")
    typer.echo(
        f"the broker could not be told: {trouble}" if trouble else f"the broker has the stop ({at})"
    )
    if state:
        typer.echo(f"the gateway says: {state}")
    else:
        typer.echo(f"{silence}; it latches the stop only when it runs", err=True)


def _usable(
    config: Path | None, data: Path | None, http: str, mqtt: str
) -> tuple[Config, list[str]]:
    """What can be used of the configuration and of the options, and what was passed over."""
    settings, mistakes = salvage(config, os.environ)
    remarks = [str(mistake) for mistake in mistakes]
    if data is not None:
        gateway = msgspec.structs.replace(settings.gateway, data_dir=str(data))
        settings = msgspec.structs.replace(settings, gateway=gateway)
    if http:
        try:
            split_address(http)
            listen = msgspec.structs.replace(settings.http, listen=http)
            settings = msgspec.structs.replace(settings, http=listen)
        except ValueError as error:
            remarks.append(f"--http: {error}")
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
    """What went wrong; "" when the broker has acknowledged."""
    mqtt, token = settings.mqtt, _secret(settings.safety.broadcast_token_file)
    payload = outbound.broadcast_stop(
        reason, printable(who()), uuid.uuid4().hex, time.time(), token
    )
    trouble = ""
    for username, password in _accounts(settings, config):
        address = BrokerAddress(
            host=mqtt.host, port=mqtt.port, username=username, password=password, tls=mqtt.tls,
            ca_cert=mqtt.ca_cert, client_cert=mqtt.client_cert, client_key=mqtt.client_key,
        )  # fmt: skip
        client_id = f"{STOP_ACCOUNT}-{uuid.uuid4().hex[:8]}"
        try:
            publish_once(address, client_id, topics.BROADCAST_EMERGENCY, payload, BROKER_TIMEOUT_S)
        except NotTaken as error:
            trouble = f"{address} ({username or 'without an account'}): {error}"
            if not error.refused:
                return trouble
        else:
            return ""
    return trouble


def _accounts(settings: Config, config: Path | None) -> Iterator[tuple[str, str]]:
    """Those that can be tried: the one that may only stop, the gateway's own, none."""
    beside = None if config is None else config.parent / PASSWORD_BESIDE
    for file in (settings.mqtt.stop_password_file, "" if beside is None else str(beside)):
        password = _secret(file)
        if password:
            yield STOP_ACCOUNT, password
            break
    if settings.mqtt.username:
        yield settings.mqtt.username, _secret(settings.mqtt.password_file)
    yield "", ""


def _secret(file: str) -> str:
    """The secret in a file; "" where there is none that this user may read."""
    try:
        return first_line(Path(file)) if file else ""
    except (OSError, ValueError):
        return ""


def _state_of_gateway(settings: Config, reason: str, *, at_broker: bool) -> tuple[str, str]:
    """What the running gateway says of its safety, "" when it does not answer; and why it does not."""
    link = Link(settings)
    try:
        if not at_broker:
            link.call("POST", "/actuators/emergency_stop", {"reason": reason})
        return _await_latched(link), ""
    except Unanswered as error:
        return "", str(error)


def _await_latched(link: Link) -> str:
    deadline = time.monotonic() + API_TIMEOUT_S
    while True:
        # Health needs no token, and so no right to read the gateway's key.
        health: Any = link.call("GET", "/health", token=False)
        state = str(health["safety"])
        if state == "active" or time.monotonic() > deadline:
            return state
        time.sleep(0.05)
