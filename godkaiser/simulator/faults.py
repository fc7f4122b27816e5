"""Faults on demand, the same ones for the same seed: a bad line, and brown-outs."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

REORDERED_S = 0.2
"""How long a message that is overtaken is held back."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are of each message, 0.0 to 1.0, in both directions; times in seconds.

    `brown_out` is the chance that the power fails in the midst of handling a message. `offline`
    keeps the device away from the broker. `clock_error_s` holds from the next boot on, None: the
    clock is not set until the gateway tells the time.
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
    """One direction of a connection. What is put in comes out when it is due, or never."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._order = itertools.count()
        self._held: list[tuple[float, int, Item]] = []
        self._not_before = 0.0
        self.faults = NONE

    def put(self, items: list[Item], now: float) -> list[Item]:
        """Take items in; those that may pass at once come out again."""
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
        """The connection is gone, and what was under way with it."""
        self._held.clear()
        self._not_before = 0.0

    def _hold(self, item: Item, now: float, *, overtaken: bool) -> None:
        at = now + self.faults.delay_s
        if overtaken:
            at += REORDERED_S
        else:
            # Late is late for what follows, too: MQTT keeps the order of a connection.
            self._not_before = at = max(at, self._not_before)
        heapq.heappush(self._held, (at, next(self._order), item))


class Power:
    """Decides when it fails, and after how many of a message's publications."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fails(self, chance: float) -> bool:
        return chance > 0.0 and self._random.random() < chance

    def survivors(self, publications: int) -> int:
        """How many of a message's publications still left: 0 to all but one."""
        return self._random.randrange(publications) if publications else 0
