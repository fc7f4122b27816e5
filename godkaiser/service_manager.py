"""What systemd wants to hear: ready, stopping, still alive."""

from __future__ import annotations

import os
import socket


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

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

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
