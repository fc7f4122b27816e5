"""Notifies systemd: ready, stopping, still alive."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXTENDED_S = 60.0


class ServiceManager:
    """Speaks the sd_notify protocol to the socket in NOTIFY_SOCKET; silent where there is none."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watchdog_us = int(environ.get("WATCHDOG_USEC", "0") or "0")
        self.watchdog_interval_s: float | None = watchdog_us / 2e6 if watchdog_us else None
        """How often `alive` is due: half of what systemd allows; None when it does not watch."""

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """While this lasts, the time limit of the start is moved on; `what` is shown by systemctl status."""
        is_over = threading.Event()

        def extend() -> None:
            while True:
                self._send(f"EXTEND_TIMEOUT_USEC={int(EXTENDED_S * 1e6)}\nSTATUS={what}")
                if is_over.wait(EXTENDED_S / 4):
                    return

        extending = threading.Thread(target=extend, name="extend-timeout", daemon=True)
        extending.start()
        try:
            yield
        finally:
            is_over.set()
            extending.join(EXTENDED_S)
            self._send("STATUS=")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL byte of an abstract socket.
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            try:
                channel.sendto(state.encode(), os.fsencode(address))
            except OSError:
                # systemd went away or closed the socket: nothing that a gateway should die of.
                return
