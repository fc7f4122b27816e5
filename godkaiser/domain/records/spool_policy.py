"""What the spool does as it fills: when it raises the alarm, and what goes first when it is full.

Only readings go, and of those the ones of the series that has most of them waiting: all series wait
for the same time, so that is the one which measures most often and loses least by a thinner record.
Entries of the journal (audit trail, commands, safety) never go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

ALARM_LEVELS = (95, 80, 50)
"""Percent of the allowed size, the highest first."""
ALARM_HYSTERESIS = 5
"""A level is left only this many percent below it, so that an alarm does not flutter."""
VICTIM_SHARE = 0.1
"""How much of all that waits may be made thinner in one go."""

Series = TypeVar("Series")


def alarm_level(percent: float, before: int) -> int:
    """The alarm level (0, 50, 80 or 95) of a spool that is `percent` full and was at `before`."""
    reached = next((level for level in ALARM_LEVELS if percent >= level), 0)
    if reached >= before:
        return reached
    return before if percent > before - ALARM_HYSTERESIS else reached


def choose_victims(waiting: Mapping[Series, int]) -> frozenset[Series]:
    """The series whose oldest readings go first, from the number of readings that wait of each:
    the fewest that hold VICTIM_SHARE of all. Empty only when nothing waits.
    """
    wanted = sum(waiting.values()) * VICTIM_SHARE
    chosen: set[Series] = set()
    # A stable order, so that the same spool is always made thinner in the same way.
    for series, count in sorted(waiting.items(), key=lambda item: (-item[1], repr(item[0]))):
        if count <= 0:
            break
        chosen.add(series)
        wanted -= count
        if wanted <= 0:
            break
    return frozenset(chosen)
