"""Helper processes of the demo: the embedded broker and the simulated devices.

A child ends when its standard input closes. So it notices every end of the gateway, even by
`kill -9`, and a second start finds its port free.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

STOP_TIMEOUT_S = 5.0
LOOK_S = 60.0


class ChildProcess:
    """`python -m godkaiser ARGS`, in a session of its own, so that only the gateway receives a
    Ctrl-C.
    """

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
    """An event that is set by SIGTERM, SIGINT, SIGHUP (closed terminal) and optionally by the end
    of the parent.
    """
    stop = threading.Event()
    signals = Signals(hangup_stops=True)

    def watch() -> None:
        while not signals.stop_asked:
            signals.wait(LOOK_S)
        stop.set()

    # By a thread: a handler that sets the event would wait for a lock that the main thread holds in `wait`.
    threading.Thread(target=watch, name="signal-watch", daemon=True).start()
    if follow_parent:
        when_parent_ends(stop.set)
    return stop


class Signals:
    """Handles signals: SIGTERM and SIGINT request an ordered stop, SIGHUP a reload or, with
    `hangup_stops`, a stop.

    A handler only writes into a pipe: a lock that the main thread holds at that moment could not be waited
    for. Made by the main thread; one thread waits.
    """

    def __init__(self, *, hangup_stops: bool) -> None:
        self.stop_asked = ""
        """The signal that requested a stop; "" while there was none."""
        self._reload_asked = False
        self._hangup_stops = hangup_stops
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP and not self._hangup_stops:
            self._reload_asked = True
        else:
            self.stop_asked = signal.Signals(number).name
        # A full pipe also wakes the reader.
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def wait(self, timeout_s: float) -> None:
        """Wait for a signal, at most `timeout_s`."""
        if self.stop_asked or self._reload_asked:
            return
        if select.select([self._reader], [], [], timeout_s)[0]:
            os.read(self._reader, 4096)

    def take_reload(self) -> bool:
        """Whether a reload was requested since the last call."""
        asked, self._reload_asked = self._reload_asked, False
        return asked
