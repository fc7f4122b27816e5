"""waitress, made to last among hostile clients: who is slow loses the connection, and nobody else anything.

waitress itself closes idle connections only. Here a request has to arrive in time and an answer to be taken
in time, the last free place goes to who comes, and a stop has threads of its own: nobody can hold those.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections import Counter
from typing import Any

import msgspec
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

from godkaiser.domain.addresses import unmapped
from godkaiser.host.boot_clock import boot_time
from godkaiser.http.access.permissions import API
from godkaiser.http.problem import problem
from godkaiser.http.stalls import ACCEPTED_AT, STALLS, StallWatch
from godkaiser.live.door import LiveDoor, is_for_live, may_be_for_live

STOP_PATH = f"{API}/actuators/emergency_stop"
STOP_THREADS = 2
CONNECTIONS = 1000
HEADER_BYTES = 32 * 1024
BODY_BYTES = 2 * 1024 * 1024
REQUEST_S = 20.0
"""From the first byte of a request to its last."""
TAKE_S = 10.0
TAKE_BYTES = 64 * 1024
"""So much of an answer that waits has to be taken in `TAKE_S`: a link of 50 kbit/s does that."""
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
_ADVICE = {
    413: f"The request body is larger than {BODY_BYTES} bytes. Send less at once.",
    431: f"The head of the request is larger than {HEADER_BYTES} bytes. Send fewer or shorter headers.",
    500: "Something failed that should not. Try again; if it stays, look into the gateway's log.",
}


class EnvelopeErrorTask(ErrorTask):  # type: ignore[misc] # waitress has no types
    """What waitress refuses by itself (no HTTP, or too much of it) has the shape of all our errors."""

    def execute(self) -> None:
        error = self.request.error
        code = error.reason.upper().replace(" ", "_").replace("-", "_")
        # What the client sent stays out of it: the text of the error may quote that.
        message = _ADVICE.get(error.code, "The request is no proper HTTP.")
        body = msgspec.json.encode(
            problem(code, error.code, message, {}, request_id=uuid.uuid4().hex, path="")
        )
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), *SECURITY_HEADERS]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class TimedRequest(HTTPRequestParser):  # type: ignore[misc] # likewise
    """A request that knows when its first byte was read."""

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.accepted_at = boot_time()


class TimedTask(WSGITask):  # type: ignore[misc] # likewise
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[ACCEPTED_AT] = self.request.accepted_at
        environ[STALLS] = self.channel.server.stalls
        return environ


class Channel(HTTPChannel):  # type: ignore[misc] # likewise
    """One connection."""

    error_task_class = EnvelopeErrorTask
    parser_class = TimedRequest
    task_class = TimedTask

    def __init__(
        self, server: Server, sock: socket.socket, addr: tuple[Any, ...], *args: Any, **named: Any
    ) -> None:
        self.request_began = 0.0
        self._opening = b""
        """The first bytes of a request that may be one for the live socket."""
        self._taken = 0
        self._mark = (0, time.monotonic())
        # Listening on [::], IPv4 arrives as ::ffff:192.0.2.1: the trusted proxy is compared with this.
        plain = (unmapped(str(addr[0])), *addr[1:])
        super().__init__(server, sock, plain, *args, **named)
        server.make_room()

    def received(self, data: bytes) -> bool:
        self.server.stalls.come_round(boot_time())
        if self.request is None and not self._opening:
            self.request_began = time.monotonic()
        if self.request is None and not self.requests and self.server.live_door.is_open:
            data, self._opening = self._opening + data, b""
            if is_for_live(data):
                self._leave_for_live(data)
                return True
            if may_be_for_live(data):
                self._opening = data
                return True
        data, self._opening = self._opening + data, b""
        return bool(super().received(data))

    def _leave_for_live(self, data: bytes) -> None:
        """The live server goes on with this connection; waitress forgets it without closing it."""
        own = self.socket
        handed = socket.socket(own.family, own.type, own.proto, fileno=own.detach())
        self.del_channel()
        self.connected = False
        self.server.live_door.hand_over(handed, data)

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT002 -- as waitress calls it
        sent = int(super().send(data, do_close))
        self._taken += sent
        return sent

    def is_late(self, now: float) -> bool:
        """`now` is monotonic. True when its request does not come to an end, or its answer is not taken."""
        if self.requests:
            # Meanwhile nothing is read.
            self.request_began = now
        elif (self.request is not None or self._opening) and now - self.request_began > REQUEST_S:
            return True
        taken, since = self._mark
        if self.total_outbufs_len == 0 or self._taken >= taken + TAKE_BYTES:
            self._mark = (self._taken, now)
            return False
        return now - since > TAKE_S

    def _flush_outbufs_below_high_watermark(self) -> None:
        """A thread waits here until an answer before this part has been taken; not for ever."""
        if self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            return
        with self.outbuf_lock:
            taken, since = self._taken, time.monotonic()
            while self.connected and self.total_outbufs_len > self.adj.outbuf_high_watermark:
                self.server.pull_trigger()
                self.outbuf_lock.wait(1.0)
                if self._taken >= taken + TAKE_BYTES:
                    taken, since = self._taken, time.monotonic()
                elif time.monotonic() - since > TAKE_S:
                    # In the server's own thread: its sockets belong to that. It ends this loop, too.
                    self.server.trigger.pull_trigger(self.handle_close)
                    since = time.monotonic()


class Server(TcpWSGIServer):  # type: ignore[misc] # likewise
    channel_class = Channel

    def __init__(self, *args: Any, live_door: LiveDoor, **named: Any) -> None:
        self.live_door = live_door
        self.stalls = StallWatch()
        self.stop_dispatcher = ThreadedTaskDispatcher()
        self.stop_dispatcher.set_thread_count(STOP_THREADS)
        super().__init__(*args, **named)

    def add_task(self, task: Any) -> None:
        # What is no HTTP has no path.
        if getattr(task.requests[0], "path", "") == STOP_PATH:
            self.stop_dispatcher.add_task(task)
        else:
            super().add_task(task)

    def readable(self) -> bool:
        # Asked at the beginning of each turn of the loop, which waits for a second at most.
        self.stalls.come_round(boot_time())
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        moment = time.monotonic()
        for channel in list(self.active_channels.values()):
            # It may never become writable, and waitress closes only what is.
            if channel.will_close or channel.is_late(moment):
                channel.handle_close()

    def make_room(self) -> None:
        """At the limit, whoever has the most connections loses the one that has been silent the longest."""
        if len(self.active_channels) < CONNECTIONS:
            return
        idle = [channel for channel in self.active_channels.values() if not channel.requests]
        if not idle:
            return
        counts = Counter(channel.addr[0] for channel in idle)
        greediest, _ = counts.most_common(1)[0]
        chosen = [channel for channel in idle if channel.addr[0] == greediest]
        min(chosen, key=lambda channel: channel.last_activity).handle_close()
