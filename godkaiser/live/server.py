"""The WebSocket server of /ws: a thread and a loop of its own, bounded in every direction."""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from godkaiser.errors.base import GatewayError
from godkaiser.errors.process import StartupFailed
from godkaiser.http.access.trusted_proxy import client_address
from godkaiser.live.client import LiveClient
from godkaiser.live.door import PATH, LiveDoor
from godkaiser.live.hub import LiveHub

MOST_CLIENTS = 2000
MOST_OPENING = 500
"""Maximum number of handed-over connections that are not clients yet; each has `TOKEN_S` for that."""
MESSAGE_BYTES = 64 * 1024
TOKEN_S = 5.0
"""Time for a client's first message, the token."""
CHECK_S = 10.0
"""How often a client's token is checked again, because it may have been revoked."""
WISHES_A_SECOND = 5.0
PATIENCE: dict[str, Any] = {
    "max_queue": 4, "close_timeout": 2.0, "ping_interval": 20.0, "ping_timeout": 20.0,
}  # fmt: skip
"""Options of each connection, on either port."""
UNKNOWN, EXPIRED, BUSY = 4401, 4403, 4429

Hears = Callable[[str, str], frozenset[str]]
"""Returns the types of events that a token or key, used from an address, may receive. Raises
GatewayError.
"""


class Introduction(msgspec.Struct, frozen=True):
    """The first message of a client that sends no header."""

    token: str


class HandedOver(ServerConnection):
    """A connection that the API accepted; `first` are the bytes that the API has read."""

    first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Before the loop reads more, so that the order of the bytes stays.
        self.data_received(self.first)


class LiveServer:
    def __init__(
        self,
        hub: LiveHub,
        listener: socket.socket,
        hears: Hears,
        door: LiveDoor,
        trusted_proxy: str = "",
    ) -> None:
        """It opens `door` while it runs: connections arrive on its own port and on that of the API."""
        self._hub = hub
        self._listener = listener
        self._hears = hears
        self._door = door
        self._trusted_proxy = trusted_proxy
        self._server: Server | None = None
        self._entering: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        logging.getLogger("websockets").setLevel(logging.ERROR)

    def start(self) -> None:
        """Raises StartupFailed."""
        self._thread.start()
        if not self._started.wait(10.0) or self._failure is not None:
            reason = f"the live socket did not start: {self._failure or 'no answer in 10 s'}"
            raise StartupFailed(reason=reason)

    def stop(self, timeout_s: float) -> None:
        self._door.close()
        self._hub.detach()
        if self._loop is not None and self._ended is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # A duplicate, because the server closes its socket and the gateway keeps the port.
        server: Server = await serve(
            self._attend,
            sock=self._listener.dup(),
            process_request=self._look_at,
            compression=None,
            max_size=MESSAGE_BYTES,
            open_timeout=TOKEN_S,
            **PATIENCE,
        )
        self._server = server
        self._hub.attach(self._loop)
        self._door.open(self._enter)
        self._started.set()
        await self._ended.wait()
        self._door.close()
        server.close(close_connections=True)
        await asyncio.wait_for(server.wait_closed(), 2.5)

    def _enter(self, connection: socket.socket, data: bytes) -> bool:
        """Called in the thread of the API. Returns False if the connection is not accepted."""
        loop, server = self._loop, self._server
        if loop is None or server is None:
            return False
        if len(server.handlers) + len(self._entering) >= MOST_CLIENTS + MOST_OPENING:
            return False
        try:
            loop.call_soon_threadsafe(self._begin_entering, connection, data)
        except RuntimeError:
            # The loop was closed just now.
            return False
        return True

    def _begin_entering(self, connection: socket.socket, data: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._adopt(connection, data))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _adopt(self, connection: socket.socket, data: bytes) -> None:
        def made() -> HandedOver:
            assert self._server is not None
            protocol = ServerProtocol(max_size=MESSAGE_BYTES)
            found = HandedOver(protocol, self._server, **PATIENCE)
            found.first = data
            return found

        try:
            await asyncio.get_running_loop().connect_accepted_socket(made, connection)
        except OSError:
            connection.close()

    def _address_of(self, connection: ServerConnection) -> str:
        remote, request = connection.remote_address, connection.request
        if not remote:
            return ""
        hops = [] if request is None else request.headers.get_all("X-Forwarded-For")
        return client_address(str(remote[0]), ",".join(hops), self._trusted_proxy)

    def _look_at(self, connection: ServerConnection, request: Request) -> Response | None:
        """Check before the handshake: path, number of clients, and the token if it is in a header."""
        if request.path.partition("?")[0] != PATH:
            return _refused(http.HTTPStatus.NOT_FOUND, f"The live socket is at {PATH}.\n")
        if self._hub.counts().clients >= MOST_CLIENTS:
            text = f"{MOST_CLIENTS} clients are connected, the maximum.\n"
            return _refused(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            try:
                if scheme.lower() != "bearer":
                    text = "Authorization: send Bearer and an access token.\n"
                    return _refused(http.HTTPStatus.UNAUTHORIZED, text)
                self._hears(token.strip(), self._address_of(connection))
            except GatewayError as error:
                return _refused(http.HTTPStatus(error.status), f"{error.message}\n")
        return None

    async def _attend(self, connection: ServerConnection) -> None:
        self._hub.count_clients(+1)
        try:
            token = await self._token_of(connection)
            if token is not None:
                await self._serve_client(connection, token)
        except ConnectionClosed:
            pass
        finally:
            self._hub.count_clients(-1)

    async def _serve_client(self, connection: ServerConnection, token: str) -> None:
        try:
            may_hear = self._hears(token, self._address_of(connection))
        except GatewayError as error:
            await connection.close(UNKNOWN, error.message[:100])
            return
        client = LiveClient(connection, self._hub, may_hear)
        try:
            await self._converse(connection, client, token, may_hear)
        finally:
            client.leave()

    async def _token_of(self, connection: ServerConnection) -> str | None:
        request = connection.request
        header = None if request is None else request.headers.get("Authorization")
        if header is not None:
            return header.partition(" ")[2].strip()
        try:
            async with asyncio.timeout(TOKEN_S):
                first = await connection.recv()
            return msgspec.json.decode(first, type=Introduction).token
        except TimeoutError:
            await connection.close(UNKNOWN, 'send {"token": ...} first')
        except (msgspec.DecodeError, UnicodeDecodeError):
            await connection.close(UNKNOWN, 'the first message must be {"token": ...}')
        return None

    async def _converse(
        self,
        connection: ServerConnection,
        client: LiveClient,
        token: str,
        may_hear: frozenset[str],
    ) -> None:
        assert self._loop is not None
        next_check = 0.0
        allowance, counted_at = WISHES_A_SECOND, self._loop.time()
        while True:
            if self._loop.time() >= next_check:
                next_check = self._loop.time() + CHECK_S
                if not self._still_hears(connection, token, may_hear):
                    await connection.close(EXPIRED, "the token has expired or is revoked")
                    return
            try:
                async with asyncio.timeout(next_check - self._loop.time()):
                    text = await connection.recv()
            except TimeoutError:
                continue
            now = self._loop.time()
            allowance = min(WISHES_A_SECOND, allowance + (now - counted_at) * WISHES_A_SECOND)
            counted_at = now
            if allowance < 1.0:
                await connection.close(BUSY, f"at most {WISHES_A_SECOND:g} messages a second")
                return
            allowance -= 1.0
            await connection.send(client.request(text))

    def _still_hears(
        self, connection: ServerConnection, token: str, may_hear: frozenset[str]
    ) -> bool:
        try:
            return self._hears(token, self._address_of(connection)) == may_hear
        except GatewayError:
            return False


def _refused(status: http.HTTPStatus, text: str) -> Response:
    body = text.encode()
    headers = Headers(
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    )
    return Response(status.value, status.phrase, headers, body)
