"""Deadlines of database connections, enforced by the client: a server that does not answer cannot
enforce them.

A thread that waits for a server waits in C, where no exception can be raised. So a watchdog shuts
down the socket of a late connection, and the wait ends with an error.
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
    """A connection of psycopg2."""

    def fileno(self) -> int: ...


class Wait:
    """One use of a connection. `is_late` after its socket was shut down."""

    __slots__ = ("connection", "deadline", "is_late")

    def __init__(self, connection: Connection, deadline: float) -> None:
        self.connection = connection
        self.deadline = deadline
        self.is_late = False


class Deadlines:
    """The watchdog. Safe from any thread; its own thread runs while it watches a connection."""

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
        """The process stops: present and future waits end within a second."""
        latest = time.monotonic() + HURRIED_S
        with self._lock:
            self._hurried = True
            for wait in self._waits:
                wait.deadline = min(wait.deadline, latest)

    def _watch(self) -> None:
        idle_since = time.monotonic()
        while True:
            # Polling costs less than a wake at each use.
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
    # If it is closed already, nobody waits for it.
    # Use a copy of the descriptor: the connection closes its own.
    with (
        suppress(OSError, *driver.errors("Error")),
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)
