"""Helper processes of the demo: the embedded broker and the simulated devices.

A child ends when its standard input closes. That is how it notices the end of the gateway whatever
ended it, `kill -9` included, and a second start finds its port free.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

STOP_TIMEOUT_S = 5.0


class ChildProcess:
    """`python -m godkaiser ARGS`, in a session of its own: a Ctrl-C is for the gateway alone."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "godkaiser", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def when_parent_ends(act: Callable[[], None]) -> None:
    """In the child: call `act` once standard input has closed."""

    def watch() -> None:
        while os.read(0, 4096):
            continue
        act()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def stop_event_of_process(*, follow_parent: bool) -> threading.Event:
    """Set by SIGTERM, by SIGINT and, if wanted, by the end of the parent."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if follow_parent:
        when_parent_ends(stop.set)
    return stop
