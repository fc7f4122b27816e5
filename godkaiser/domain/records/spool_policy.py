"""The spool's policy as it fills: when it raises an alarm, and what it drops when it is full.

Only readings are dropped, first those of the series with most waiting readings: all series wait for
the same time, so this is the one that measures most often and loses least by gaps.
Entries of the journal (audit trail, commands, safety) are never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

ALARM_LEVELS = (95, 80, 50)
"""Percent of the allowed size, the highest first."""
ALARM_HYSTERESIS = 5
"""An alarm level ends only this many percent below it, so that the alarm does not flap."""
VICTIM_SHARE = 0.1
"""The share of all waiting readings in the series that one step thins out."""

Series = TypeVar("Series")


def alarm_level(percent: float, before: int) -> int:
    """The alarm level (0, 50, 80 or 95) of a spool that is `percent` full and was at `before`."""
    reached = next((level for level in ALARM_LEVELS if percent >= level), 0)
    if reached >= before:
        return reached
    return before if percent > before - ALARM_HYSTERESIS else reached


def choose_victims(waiting: Mapping[Series, int]) -> frozenset[Series]:
    """The series whose oldest readings are dropped first, chosen by their numbers of waiting
    readings: the fewest series that hold VICTIM_SHARE of all. Empty only when no reading waits.
    """
    wanted = sum(waiting.values()) * VICTIM_SHARE
    chosen: set[Series] = set()
    # A stable order, so that the same spool is always thinned out in the same way.
    for series, count in sorted(waiting.items(), key=lambda item: (-item[1], repr(item[0]))):
        if count <= 0:
            break
        chosen.add(series)
        wanted -= count
        if wanted <= 0:
            break
    return frozenset(chosen)
