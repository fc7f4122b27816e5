"""Decides whether the wall clock is plausible; pure.

A Raspberry Pi has no clock that runs without power: until NTP has set it, it may show the time of its last
shutdown, or 1970.
"""

from __future__ import annotations

MADE_AT = 1_764_547_200.0
"""2025-12-01, unix seconds: an earlier clock is wrong. Update this with each release."""


def is_believable(wall: float, *records: float) -> bool:
    """Whether `wall` is not before this program's date, nor before any of our own `records` (unix
    seconds).
    """
    return wall >= max((MADE_AT, *records))
