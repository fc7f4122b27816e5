"""Timers: each sends a message to its own actor later."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Hashable

logger = logging.getLogger("godkaiser.supervision")

SWEEP_FROM = 1024
"""Length of the queue from which on cancelled timers are removed."""
LONGEST_WAIT_S = 30.0
"""A thread's wait does not count the time of a suspended machine, but the timers' clock does; so
wake often.
"""


class Timer:
    """One pending message; `cancelled` also stops a message that is already in the mailbox.

    `due` is in monotonic seconds.
    """

    __slots__ = ("cancelled", "due", "fire", "key")

    def __init__(self, due: float, key: Hashable | None, fire: Callable[[Timer], object]) -> None:
        self.due = due
        self.key = key
        self.fire = fire
        self.cancelled = False


class TimerQueue:
    """Timers by due time. Not thread-safe by itself; the owner provides the lock and the clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._sweep_at = SWEEP_FROM

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, timer: Timer) -> None:
        if len(self._heap) >= self._sweep_at:
            self._sweep()
        heapq.heappush(self._heap, (timer.due, next(self._order), timer))

    def _sweep(self) -> None:
        """Drop cancelled timers: a timeout that each message renews would fill the memory."""
        self._heap = [entry for entry in self._heap if not entry[2].cancelled]
        heapq.heapify(self._heap)
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._heap))

    def next_due(self) -> float | None:
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[Timer]:
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if not timer.cancelled:
                due.append(timer)
        return due


class TimerThread:
    """Fires timers of a monotonic clock in one daemon thread; `fire` must not block."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queue = TimerQueue()
        self._changed = threading.Condition()
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._changed:
            if self._running:
                return
            self._running = True
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        with self._changed:
            self._running = False
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def add(self, timer: Timer) -> None:
        with self._changed:
            self._queue.add(timer)
            if self._queue.next_due() == timer.due:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    return
                due_at = self._queue.next_due()
                if due_at is None:
                    self._changed.wait()
                    continue
                wait_s = due_at - self._clock()
                if wait_s > 0:
                    self._changed.wait(min(wait_s, LONGEST_WAIT_S))
                    continue
                due = self._queue.pop_due(self._clock())
            for timer in due:
                try:
                    timer.fire(timer)
                except Exception:
                    # A failure of one timer must not stop all others.
                    logger.exception("a timer failed")
