"""Commands for the operator at the gateway box: look at the tree, restart an actor, stop it all.

They talk to the running gateway over its API, with a token of a minute that whoever may read the
gateway's key file makes for himself. `estop` also works when the API is down: over the broker.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from godkaiser.config import Config, ConfigError, load, split_address

app = typer.Typer()

API_TIMEOUT_S = 5.0
EXIT_UNREACHABLE = 69
"""EX_UNAVAILABLE."""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration of the running gateway.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Its data folder (the demo's: var).")
]
HttpOption = Annotated[str, typer.Option("--http", help="Where its API listens.")]
MqttOption = Annotated[str, typer.Option("--mqtt", help="Where its broker listens.")]


@app.command()
def tree(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second.")] = False,
) -> None:
    """Show every actor: state, restarts, mailbox, messages handled, last error."""
    link = _Link(_settings(config, data, http))
    while True:
        actors = link.get("/system/tree?limit=20000")["data"]
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
    _Link(_settings(config, data, http)).post("/system/actors/restart", {"path": path})
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
    link = _Link(_settings(config, data, http))
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
    settings = _settings(config, data, http, mqtt)
    trouble = _broadcast_stop(settings, reason)
    typer.echo(
        f"the broker has the stop ({time.strftime('%H:%M:%S')})"
        if not trouble
        else f"the broker could not be told: {trouble}"
    )
    link = _Link(settings, patient=False)
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
    payload = outbound.broadcast_stop(reason, _who(), uuid.uuid4().hex, time.time())
    try:
        told = connection.publish_and_wait(
            topics.BROADCAST_EMERGENCY, payload, qos=1, retain=False, timeout_s=API_TIMEOUT_S
        )
    finally:
        connection.close()
    return "" if told else "it did not acknowledge in time"


def _await_latched(link: _Link) -> Any:
    deadline = time.monotonic() + API_TIMEOUT_S
    while True:
        view = link.get("/safety/status")
        if view["state"] == "active" or time.monotonic() > deadline:
            return view
        time.sleep(0.05)


def _settings(config: Path | None, data: Path | None, http: str, mqtt: str = "") -> Config:
    try:
        settings = load(config, os.environ)
        if data is not None:
            gateway = msgspec.structs.replace(settings.gateway, data_dir=str(data))
            settings = msgspec.structs.replace(settings, gateway=gateway)
        if http:
            split_address(http)
            listen = msgspec.structs.replace(settings.http, listen=http)
            settings = msgspec.structs.replace(settings, http=listen)
        if mqtt:
            host, port = split_address(mqtt)
            broker = msgspec.structs.replace(settings.mqtt, host=host, port=port)
            settings = msgspec.structs.replace(settings, mqtt=broker)
    except (ConfigError, ValueError) as error:
        typer.echo(f"godkaiser: {error}", err=True)
        raise typer.Exit(78) from error
    return settings


def _who() -> str:
    return f"cli:{getpass.getuser()}"


class _Link:
    """The running gateway's API; ends the command with a line when it does not answer."""

    def __init__(self, settings: Config, *, patient: bool = True) -> None:
        self._settings = settings
        self._quiet = not patient

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, msgspec.json.encode(body))

    def _call(self, method: str, path: str, body: bytes | None) -> Any:
        import http.client

        host, port = self._settings.http.host, self._settings.http.port
        # 0.0.0.0 is where it listens, not where it is.
        host = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104
        link = http.client.HTTPConnection(host, port, timeout=API_TIMEOUT_S)
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json",
        }
        try:
            link.request(method, f"/api/v1{path}", body, headers)
            answer = link.getresponse()
            content = msgspec.json.decode(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            self._end(f"no gateway answers on {host}:{port} ({error or type(error).__name__})")
        finally:
            link.close()
        if answer.status >= 400:  # noqa: PLR2004
            self._end(content["error"]["message"])
        return content

    def _token(self) -> str:
        from godkaiser.http.tokens import local_token

        key_file = self._settings.data_dir / "jwt.key"
        try:
            secret = self._settings.jwt_secret or key_file.read_text().strip()
        except OSError as error:
            self._end(
                f"{key_file}: {error.strerror}. Give the gateway's --config or --data, and run this"
                " as a user who may read its key."
            )
        return local_token(secret, self._settings.gateway.kaiser_id, _who(), time.time())

    def _end(self, text: str) -> Any:
        if not self._quiet:
            typer.echo(f"godkaiser: {text}", err=True)
        raise typer.Exit(EXIT_UNREACHABLE)


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
