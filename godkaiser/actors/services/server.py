"""Runs a server (the API, the live socket) under supervision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from godkaiser.supervision import Actor

STOP_TIMEOUT_S = 3.0


class Server(Protocol):
    def start(self) -> None: ...
    def stop(self, timeout_s: float) -> None: ...


class ServerActor(Actor):
    waits_for = (OSError,)

    def __init__(self, make_server: Callable[[], Server]) -> None:
        super().__init__()
        self._make_server = make_server
        self._server: Server | None = None

    def on_start(self) -> None:
        self._server = self._make_server()
        self._server.start()

    def on_stop(self) -> None:
        if self._server is not None:
            self._server.stop(STOP_TIMEOUT_S)

    def on_failure(self, *_exc_info: object) -> None:
        self.on_stop()
