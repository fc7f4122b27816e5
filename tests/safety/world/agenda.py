"""What is due in the world around the gateway, in the time of that world (seconds, never set)."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Deed = Callable[[], None]
ROUNDING_S = 1e-6
"""The clock of the world and that of the machine differ by a sum."""


class Agenda:
    """Deeds by due time; those of the same instant in the order in which they were noted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._heap: list[tuple[float, int, Deed]] = []
        self._order = itertools.count()
        self.on_earlier: Callable[[float], None] = lambda _due: None

    def at(self, due: float, deed: Deed) -> None:
        entry = (due, next(self._order), deed)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self.on_earlier(due)

    def after(self, delay_s: float, deed: Deed) -> None:
        self.at(self.now() + delay_s, deed)

    @property
    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        heap = self._heap
        while heap and heap[0][0] <= self.now() + ROUNDING_S:
            heapq.heappop(heap)[2]()


class Line:
    """One direction of one TCP connection: late is late for all that follows, and an end is an end."""

    def __init__(self, agenda: Agenda, delay_s: Callable[[], float]) -> None:
        self._agenda = agenda
        self._delay_s = delay_s
        self._not_before = 0.0
        self._is_cut = False
        self.under_way = 0

    def send(self, arrive: Deed, lost: Deed | None = None) -> None:
        """`lost` is called instead of `arrive` when the line was cut before."""
        at = max(self._agenda.now() + self._delay_s(), self._not_before)
        self._not_before = at
        self.under_way += 1

        def end() -> None:
            self.under_way -= 1
            if not self._is_cut:
                arrive()
            elif lost is not None:
                lost()

        self._agenda.at(at, end)

    def cut(self) -> None:
        """What is under way never arrives."""
        self._is_cut = True
