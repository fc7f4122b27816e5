"""waitress, set up on purpose: bounded in every direction, and bound before anything starts."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import falcon
from waitress import wasyncore
from waitress.adjustments import Adjustments

from godkaiser.errors.process import startup_failure
from godkaiser.http.access.trusted_proxy import behind
from godkaiser.http.channels import BODY_BYTES, CONNECTIONS, HEADER_BYTES, Server
from godkaiser.live.door import LiveDoor

THREADS = 8
CHANNEL_TIMEOUT_S = 60
CLEANUP_S = 2
UNSENT_BYTES = 1024 * 1024
"""Of a streamed answer whose client reads slowly: beyond that its thread waits."""


def bind(host: str, port: int, key: str = "[http] listen or --http") -> socket.socket:
    """The listening socket; kept over restarts of the API, so that nobody else takes the port.

    Raises:
        StartupFailed: the port is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        reason = (
            f"cannot listen on {host}:{port}: {error.strerror}. Is another gateway running?"
            f" Choose another address with {key}."
        )
        raise startup_failure(reason, error) from error
    return listener


class ApiServer:
    """Serves an application on a listening socket, in threads of its own."""

    def __init__(
        self,
        app: falcon.App[Any, Any],
        listener: socket.socket,
        trusted_proxy: str = "",
        live_door: LiveDoor | None = None,
    ) -> None:
        """Requests for the live socket go through `live_door` while that is open."""
        # waitress warns each time that a request waits for a thread; the metrics tell that better.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        # A duplicate: waitress closes what it is given, the gateway keeps the port.
        own = listener.dup()
        self._server: Any = Server(
            behind(app, trusted_proxy) if trusted_proxy else app,
            {},
            True,
            own,
            sockinfo=(own.family, own.type, own.proto, own.getsockname()),
            bind_socket=False,
            live_door=live_door or LiveDoor(),
            adj=Adjustments(
                sockets=[own],
                threads=THREADS,
                # Not believed from others, but kept: it shows that they are not local programs.
                clear_untrusted_proxy_headers=False,
                # Room for those that are closed when their place is needed; see `Server.make_room`.
                connection_limit=CONNECTIONS + 100,
                channel_timeout=CHANNEL_TIMEOUT_S,
                cleanup_interval=CLEANUP_S,
                # With select, the 1,025th open file of the process ends the server.
                asyncore_use_poll=True,
                max_request_header_size=HEADER_BYTES,
                max_request_body_size=BODY_BYTES,
                outbuf_high_watermark=UNSENT_BYTES,
                ident=None,
            ),
        )
        self._thread = threading.Thread(target=self._server.run, name="waitress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Accept nothing more, let running requests end, and return."""
        self._server.stop_dispatcher.shutdown(cancel_pending=True, timeout=timeout_s)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout_s)
        # In the server's own thread, for its map of sockets belongs to that: when the map is
        # empty, its loop ends.
        self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._server._map))
        self._thread.join(timeout_s)
