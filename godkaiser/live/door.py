"""Passes connections from the port of the API to the live server.

waitress cannot upgrade a connection, and a web page may only connect to its own origin.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

PATH = "/ws"
OPENINGS = (f"GET {PATH} ".encode(), f"GET {PATH}?".encode())
"""The first bytes of a request for the live socket."""

Enter = Callable[[socket.socket, bytes], bool]


def is_for_live(data: bytes) -> bool:
    """Whether a request that begins with `data` is for the live socket."""
    return data.startswith(OPENINGS)


def may_be_for_live(data: bytes) -> bool:
    """Whether `data` is too short to decide."""
    return any(opening.startswith(data) for opening in OPENINGS)


class LiveDoor:
    """Open while the live server runs. Safe from any thread: one reference is read or replaced."""

    def __init__(self) -> None:
        self._enter: Enter | None = None

    @property
    def is_open(self) -> bool:
        return self._enter is not None

    def open(self, enter: Enter) -> None:
        self._enter = enter

    def close(self) -> None:
        self._enter = None

    def hand_over(self, connection: socket.socket, data: bytes) -> None:
        """Pass a connection and its first bytes to the live server; without a server it is closed."""
        enter = self._enter
        if enter is None or not enter(connection, data):
            connection.close()
