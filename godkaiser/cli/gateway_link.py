"""Connects a command with the running gateway, over its API. A user who may read the gateway's key
file makes a token for himself, valid for a minute.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from godkaiser.cli.exits import EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE, fail, settings_from
from godkaiser.config.settings import Config, GatewayConfig
from godkaiser.config.values import split_address

API_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
TOKEN_ENDED = 4403
"""The close code of the live socket for a token that has expired."""

ConfigOption = Annotated[
    Path | None,
    # `config` reports an unreadable file; `estop` must go on without it.
    typer.Option("--config", readable=False, help="The configuration of the running gateway."),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The gateway's data folder (the demo's: var).")
]
HttpOption = Annotated[str, typer.Option("--http", help="HOST:PORT of the gateway's API.")]


def settings_of(config: Path | None, data: Path | None, http: str = "") -> Config:
    settings = settings_from(config)
    if http:
        address_of(http, "--http")
    return with_options(settings, data, http)


def with_options(settings: Config, data: Path | None, http: str) -> Config:
    """Apply `--data` and `--http` to the configuration."""
    if data is not None:
        gateway = msgspec.structs.replace(settings.gateway, data_dir=str(data))
        settings = msgspec.structs.replace(settings, gateway=gateway)
    if http:
        listen = msgspec.structs.replace(settings.http, listen=http)
        settings = msgspec.structs.replace(settings, http=listen)
    return settings


def address_of(text: str, option: str) -> tuple[str, int]:
    """Parse HOST:PORT of an option; ends the command if it is malformed."""
    try:
        return split_address(text)
    except ValueError:
        fail(f"{option} {text}: use HOST:PORT, for example 127.0.0.1:8000", EXIT_USAGE)


def who() -> str:
    """The name of the local user, even if the user id has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid-{os.getuid()}"


class Unanswered(Exception):
    """The gateway did not carry out the request; the text says why."""

    code = ""
    exit_code = EXIT_UNREACHABLE


class NoGateway(Unanswered):
    """Nothing answers at the address of its API."""


class NoKey(Unanswered):
    """The key that signs a token cannot be read: no request was sent."""


class Refused(Unanswered):
    """The gateway refuses the request; `code` is the code of its error."""

    exit_code = EXIT_REFUSED

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


class Link:
    """The running gateway's API. Except for `call`, its methods end the command with a line of text
    if the gateway refuses or does not answer.
    """

    def __init__(self, settings: Config) -> None:
        self._settings = settings

    def get(self, path: str) -> Any:
        return self._demand("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._demand("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._demand("PATCH", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self._demand("PUT", path, body)

    def delete(self, path: str) -> None:
        self._demand("DELETE", path)

    def live(self, wanted: dict[str, Any], note: Callable[[str], None]) -> Iterator[dict[str, Any]]:
        """The events of the live socket that pass the filter `wanted`, for ever: across the end of
        a token and a restart of the gateway. `note` is called with a text when events may be
        missing.
        """
        from websockets.exceptions import ConnectionClosed, WebSocketException
        from websockets.sync.client import connect

        newest, pause_s = "", FIRST_PAUSE_S
        while True:
            try:
                # Read each time: after a restart the port may be another one.
                url = self._live_url()
                headers = {"Authorization": f"Bearer {self._token()}"}
                with connect(
                    url, additional_headers=headers, open_timeout=API_TIMEOUT_S, compression=None
                ) as link:
                    wish = {"filter": wanted} | ({"resume": newest} if newest else {})
                    link.send(msgspec.json.encode(wish).decode())
                    for text in link:
                        told = msgspec.json.decode(text)
                        if told["type"] == "error":
                            fail(told["message"], EXIT_USAGE)
                        if told.get("missed"):
                            note(told["missed"])
                        newest = newest or told.get("newest", "")
                        pause_s = FIRST_PAUSE_S
                        for event in told.get("events", ()):
                            newest = event["id"]
                            yield event
            except ConnectionClosed as error:
                if error.rcvd is not None and error.rcvd.code == TOKEN_ENDED:
                    continue
                reason = str(error)
            except (OSError, WebSocketException, Unanswered) as error:
                if not newest:
                    fail(f"the live socket does not answer ({error})", EXIT_UNREACHABLE)
                reason = str(error)
            if pause_s == FIRST_PAUSE_S:
                note(f"the live socket was closed ({reason}); connecting again")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _live_url(self) -> str:
        found = self.call("GET", "/system/live")["live"]
        if found is None:
            fail(
                "the live socket is off: set [live] listen to an address",
                EXIT_UNREACHABLE,
            )
        address = self._settings.live_address
        host = _reachable(address[0] if address is not None else self._settings.http.host)
        shown = f"[{host}]" if ":" in host else host
        return f"ws://{shown}:{found['port']}/ws"

    def _demand(self, method: str, path: str, body: Any = None) -> Any:
        try:
            return self.call(method, path, body)
        except Unanswered as error:
            fail(str(error), error.exit_code)

    def call(
        self, method: str, path: str, body: Any = None, *, token: bool = True,
        timeout_s: float = API_TIMEOUT_S,
    ) -> Any:  # fmt: skip
        """Send a request; returns the answer. `body` None: no body; `token` False: no token.

        Raises:
            NoGateway: nothing answers at the address.
            NoKey: no token could be made.
            Refused: the gateway refuses.
        """
        import http
        import http.client

        host, port = _reachable(self._settings.http.host), self._settings.http.port
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {self._token()}"
        content = None if body is None else msgspec.json.encode(body)
        link = http.client.HTTPConnection(host, port, timeout=timeout_s)
        try:
            link.request(method, f"/api/v1{path}", content, headers)
            answer = link.getresponse()
            found = msgspec.json.decode(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            reason = f"no gateway answers on {host}:{port} ({error or type(error).__name__})"
            raise NoGateway(reason) from error
        finally:
            link.close()
        if answer.status < http.HTTPStatus.BAD_REQUEST:
            return found
        if "error" not in found:
            reason = f"the server on {host}:{port} is not a gateway (it answers {answer.status})"
            raise NoGateway(reason)
        if token and answer.status == http.HTTPStatus.UNAUTHORIZED:
            self._compare_ids(f"{host}:{port}")
        raise Refused(found["error"]["message"], found["error"]["code"])

    def _compare_ids(self, address: str) -> None:
        """Raise Refused if the configuration has another kaiser_id than the running gateway."""
        running = self.call("GET", "/health", token=False)["kaiser_id"]
        given = self._settings.gateway.kaiser_id
        if running != given:
            reason = (
                f"the gateway on {address} runs as '{running}', and this configuration says '{given}'. A new"
                " [gateway] kaiser_id needs a restart (systemctl restart godkaiser). If you"
                " meant another gateway, use its --config."
            )
            raise Refused(reason, "KAISER_ID_DIFFERS")

    def _token(self) -> str:
        from godkaiser.domain.signing_keys import SigningKey
        from godkaiser.http.access.signed_tokens import local_token
        from godkaiser.storage.files.signing_key_file import KEY_FILE, read

        key_file = self._settings.data_dir / KEY_FILE
        given = self._settings.jwt_secret
        try:
            key = SigningKey(given) if given else read(key_file)[0]
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or error
            raise NoKey(f"{key_file}: {what}. {self._advice(error)}") from error
        return local_token(key, self._settings.gateway.kaiser_id, who(), time.time())

    def _advice(self, error: Exception) -> str:
        if isinstance(error, PermissionError):
            return "Run this as a user who may read the gateway's key, such as its own."
        if self._settings.gateway.data_dir == GatewayConfig().data_dir:
            return "Use --config or --data of the gateway."
        return "Is this the data folder of the running gateway? The gateway creates the key at its first start."


def printable(text: str) -> str:
    """A text from the command line that can be sent: invalid bytes are replaced."""
    return text.encode("utf-8", "replace").decode()


def _reachable(host: str) -> str:
    """The address to connect to: 0.0.0.0 is only for listening."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104
