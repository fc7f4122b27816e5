"""Commands for the operator at the gateway box: look at the tree, restart an actor, stop it all.

They talk to the running gateway over its API, with a token of a minute that whoever may read the
gateway's key file makes for himself. `estop` also works when the API is down: over the broker.
"""

from __future__ import annotations

import socket
import time
import uuid
from typing import Annotated, Any

import typer

from godkaiser.config import Config
from godkaiser.gateway_link import (
    API_TIMEOUT_S,
    EXIT_UNREACHABLE,
    ConfigOption,
    DataOption,
    HttpOption,
    Link,
    MqttOption,
    settings_of,
    who,
)

app = typer.Typer()


@app.command()
def tree(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second.")] = False,
) -> None:
    """Show every actor: state, restarts, mailbox, messages handled, last error."""
    link = Link(settings_of(config, data, http))
    while True:
        actors = link.get("/system/tree")["data"]
        if watch:
            typer.echo("\x1b[2J\x1b[H", nl=False)
        typer.echo("\n".join(_lines(actors)))
        if not watch:
            return
        time.sleep(1.0)


@app.command()
def restart(
    path: Annotated[str, typer.Argument(help="The actor's path, as `tree` shows it.")],
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
) -> None:
    """Stop an actor in order and start it again; its mailbox waits."""
    Link(settings_of(config, data, http)).post("/system/actors/restart", {"path": path})
    typer.echo(f"{path} is being restarted")


@app.command("dead-letters")
def dead_letters(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    resend: Annotated[int | None, typer.Option(help="Send this one again.")] = None,
) -> None:
    """Show messages that nobody handled, newest first, or send one again."""
    link = Link(settings_of(config, data, http))
    if resend is not None:
        link.post(f"/system/dead-letters/{resend}/resend", {})
        typer.echo(f"{resend} was sent again")
        return
    answer = link.get(f"/system/dead-letters?limit={limit}")
    for letter in answer["data"]:
        at = time.strftime("%H:%M:%S", time.localtime(letter["at"]))
        typer.echo(f"{letter['id']:>6}  {at}  {letter['reason']:<10} {letter['path']}")
        typer.echo(f"        {letter['detail']}")
    typer.echo(f"in all: {answer['totals'] or 'none'}")


@app.command()
def estop(
    reason: Annotated[str, typer.Option(help="Why; it is shown and kept.")] = "stopped by CLI",
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    mqtt: MqttOption = "",
) -> None:
    """Stop every device at once: over the broker, also when the gateway is down."""
    settings = settings_of(config, data, http, mqtt)
    trouble = _broadcast_stop(settings, reason)
    typer.echo(
        f"the broker has the stop ({time.strftime('%H:%M:%S')})"
        if not trouble
        else f"the broker could not be told: {trouble}"
    )
    link = Link(settings, patient=False)
    try:
        if trouble:
            link.post("/actuators/emergency_stop", {"reason": reason})
        view = _await_latched(link)
    except typer.Exit:
        typer.echo("the gateway does not answer; it latches the stop only when it runs", err=True)
        raise typer.Exit(EXIT_UNREACHABLE if trouble else 0) from None
    typer.echo(f"the gateway says: {view['state']}")
    raise typer.Exit(0 if view["state"] == "active" else 1)


def _broadcast_stop(settings: Config, reason: str) -> str:
    """What went wrong; "" when the broker has acknowledged."""
    from godkaiser.gateway import broker_address
    from godkaiser.mqtt.connection import Connection, NotConnected
    from godkaiser.protocol import outbound, topics

    name = f"godkaiser-estop-{uuid.uuid4().hex[:8]}"
    connection = Connection(broker_address(settings), name, 1, on_lost=lambda *_lost: None)
    try:
        connection.open()
    except NotConnected as error:
        return str(error)
    payload = outbound.broadcast_stop(reason, who(), uuid.uuid4().hex, time.time())
    try:
        told = connection.publish_and_wait(
            topics.BROADCAST_EMERGENCY, payload, qos=1, retain=False, timeout_s=API_TIMEOUT_S
        )
    finally:
        connection.close()
    return "" if told else "it did not acknowledge in time"


def _await_latched(link: Link) -> Any:
    deadline = time.monotonic() + API_TIMEOUT_S
    while True:
        view = link.get("/safety/status")
        if view["state"] == "active" or time.monotonic() > deadline:
            return view
        time.sleep(0.05)


_MARK = {"running": " ", "stopped": "-", "down": "!", "starting": "+", "stopping": "-"}


def _lines(actors: list[dict[str, Any]]) -> list[str]:
    """The tree, indented; a line for each actor."""
    lines = [
        f"{'actor':<46} {'state':<9} {'restarts':>8} {'waiting':>8} {'handled':>10}  last error"
    ]
    for actor in actors:
        path = actor["path"]
        depth = 0 if path == "/" else path.count("/")
        name = f"{'  ' * depth}{path if path == '/' else path.rpartition('/')[2]}"
        error = (actor["last_error"] or "").splitlines()
        lines.append(
            f"{_MARK.get(actor['state'], '?')}{name:<45} {actor['state']:<9}"
            f" {actor['restarts']:>8} {actor['mailbox_depth']:>8}"
            f" {actor['messages_handled']:>10}  {error[0][:60] if error else ''}".rstrip()
        )
    running = sum(actor["state"] == "running" for actor in actors)
    lines.append(f"{len(actors)} actors, {running} running, on {socket.gethostname()}")
    return lines
