"""Deadlines of database connections, kept by the client: a server that answers nothing tells nobody so.

A thread that waits for a server waits in C, where nothing can be raised. So a watchdog shuts the socket of a
connection that is late, and the wait ends with an error.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Protocol

from godkaiser.storage.engine import driver

LOOK_EVERY_S = 0.05
IDLE_S = 5.0
HURRIED_S = 1.0


class Connection(Protocol):
    """Of psycopg2."""

    def fileno(self) -> int: ...


class Wait:
    """One use of a connection. `is_late` once its socket was shut."""

    __slots__ = ("connection", "deadline", "is_late")

    def __init__(self, connection: Connection, deadline: float) -> None:
        self.connection = connection
        self.deadline = deadline
        self.is_late = False


class Deadlines:
    """Safe from any thread; its own thread runs while something is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: set[Wait] = set()
        self._is_running = False
        self._hurried = False

    def begin(self, connection: Connection, within_s: float) -> Wait:
        """Watch the connection until `end`; only its own thread may close it meanwhile."""
        if self._hurried:
            within_s = min(within_s, HURRIED_S)
        wait = Wait(connection, time.monotonic() + within_s)
        with self._lock:
            self._waits.add(wait)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._watch, name="database-deadlines", daemon=True).start()
        return wait

    def end(self, wait: Wait) -> None:
        with self._lock:
            self._waits.discard(wait)

    def hurry(self) -> None:
        """The process stops: whoever waits, and will wait, has a second."""
        latest = time.monotonic() + HURRIED_S
        with self._lock:
            self._hurried = True
            for wait in self._waits:
                wait.deadline = min(wait.deadline, latest)

    def _watch(self) -> None:
        idle_since = time.monotonic()
        while True:
            # Not woken by each use: that would cost more than to look now and then.
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            with self._lock:
                if self._waits:
                    idle_since = now
                elif now - idle_since > IDLE_S:
                    self._is_running = False
                    return
                for wait in self._waits:
                    if now >= wait.deadline and not wait.is_late:
                        wait.is_late = True
                        _shut(wait.connection)


def _shut(connection: Connection) -> None:
    # Closed already: then nobody waits for it.
    # A copy of the descriptor: the connection closes its own.
    with (
        suppress(OSError, *driver.errors("Error")),
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)
