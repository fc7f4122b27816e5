"""How a command reaches the running gateway: over its API, with a token of a minute that whoever may read
the gateway's key file makes for himself.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from godkaiser.config import Config, ConfigError, load, split_address

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


def settings_of(config: Path | None, data: Path | None, http: str, mqtt: str = "") -> Config:
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


def who() -> str:
    return f"cli:{getpass.getuser()}"


class Link:
    """The running gateway's API; ends the command with a line when it does not answer."""

    def __init__(self, settings: Config, *, patient: bool = True) -> None:
        self._settings = settings
        self._quiet = not patient

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, msgspec.json.encode(body))

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, msgspec.json.encode(body))

    def delete(self, path: str) -> None:
        self._call("DELETE", path, None)

    def live(self) -> Iterator[dict[str, Any]]:
        """The events of the live socket, for as long as the gateway is there."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        found = self.get("/system/live")["live"]
        if found is None:
            self._end('the live socket is off: set [live] listen to something else than "off"')
        address = self._settings.live_address
        host = _reachable(address[0] if address is not None else self._settings.http.host)
        shown = f"[{host}]" if ":" in host else host
        try:
            with connect(
                f"ws://{shown}:{found['port']}/ws",
                additional_headers={"Authorization": f"Bearer {self._token()}"},
                open_timeout=API_TIMEOUT_S,
                compression=None,
            ) as link:
                link.send('{"filters": [{}]}')
                for text in link:
                    yield from msgspec.json.decode(text).get("events", ())
        except (OSError, WebSocketException) as error:
            self._end(f"the live socket has ended ({error})")

    def _call(self, method: str, path: str, body: bytes | None) -> Any:
        import http.client

        host, port = self._settings.http.host, self._settings.http.port
        host = _reachable(host)
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
        from godkaiser.http.signing_keys import KEY_FILE, SigningKey, parse
        from godkaiser.http.tokens import local_token

        key_file = self._settings.data_dir / KEY_FILE
        given = self._settings.jwt_secret
        try:
            key = SigningKey(given) if given else parse(key_file.read_text())[0]
        except (OSError, ValueError) as error:
            self._end(
                f"{key_file}: {getattr(error, 'strerror', None) or error}. Give the gateway's --config or --data, and run this"
                " as a user who may read its key."
            )
        return local_token(key, self._settings.gateway.kaiser_id, who(), time.time())

    def _end(self, text: str) -> Any:
        if not self._quiet:
            typer.echo(f"godkaiser: {text}", err=True)
        raise typer.Exit(EXIT_UNREACHABLE)


def _reachable(host: str) -> str:
    """0.0.0.0 is where it listens, not where it is."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104
