"""Injected faults, the same for the same seed: a bad line, and brown-outs."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

REORDERED_S = 0.2
"""How long an overtaken message is delayed."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are per message, 0.0 to 1.0, in both directions; times in seconds.

    `brown_out` is the chance that the power fails while a message is handled. `offline` keeps the
    device away from the broker. `clock_error_s` applies from the next boot on; None: the clock is
    not set until the gateway sends its time.
    """

    drop: float = 0.0
    delay_s: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    brown_out: float = 0.0
    offline: bool = False
    clock_error_s: float | None = 0.0
    skip_seq: float = 0.0


NONE = Faults()


class Line(Generic[Item]):
    """One direction of a connection. An item comes out when it is due, or is lost."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._held: list[tuple[float, int, Item]] = []
        self._not_before = 0.0
        self.faults = NONE

    def put(self, items: list[Item], now: float) -> list[Item]:
        """Put items in; returns those that may pass at once."""
        if self.faults is NONE and not self._held:
            return items
        faults = self.faults
        for item in items:
            if self._random.random() < faults.drop:
                continue
            copies = 1 + (self._random.random() < faults.duplicate)
            for _ in range(copies):
                self._hold(item, now, overtaken=self._random.random() < faults.reorder)
        return self.due(now)

    def due(self, now: float) -> list[Item]:
        found = []
        while self._held and self._held[0][0] <= now:
            found.append(heapq.heappop(self._held)[2])
        return found

    def clear(self) -> None:
        """Drop all items: the connection is lost."""
        self._held.clear()
        self._not_before = 0.0

    def _hold(self, item: Item, now: float, *, overtaken: bool) -> None:
        at = now + self.faults.delay_s
        if overtaken:
            at += REORDERED_S
        else:
            # A delay also delays the following items: MQTT keeps the order of a connection.
            self._not_before = at = max(at, self._not_before)
        heapq.heappush(self._held, (at, next(self._order), item))


class Power:
    """Decides when the power fails, and after how many of a message's publications."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fails(self, chance: float) -> bool:
        return chance > 0.0 and self._random.random() < chance

    def survivors(self, publications: int) -> int:
        """How many of a message's publications are still sent: 0 to all but one."""
        return self._random.randrange(publications) if publications else 0
