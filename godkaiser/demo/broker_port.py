"""The port of the embedded broker: free before it starts, answered after."""

from __future__ import annotations

import socket
import threading
import time

from godkaiser.errors.process import PassingCondition, StartupFailed

READY_TIMEOUT_S = 15.0
POLL_S = 0.02


def check_free(host: str, port: int) -> None:
    """Raises PassingCondition if a program already listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (
                f"the embedded broker cannot listen on {host}:{port}: {error.strerror}. Choose"
                " another address with --mqtt, or stop the program that listens there."
            )
            raise PassingCondition(reason=reason) from error


def await_listening(host: str, port: int, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Wait until the port accepts connections. Raises StartupFailed if it does not."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                reason = f"the embedded broker did not start on {host}:{port}: {error}"
                raise StartupFailed(reason=reason) from error
            threading.Event().wait(POLL_S)
        else:
            return
