"""Whether the wall clock can be right; pure.

A Raspberry Pi has no clock that runs without power: until NTP has set it, it may show the time of its last
shutdown, or 1970.
"""

from __future__ import annotations

MADE_AT = 1_764_547_200.0
"""2025-12-01, unix seconds: no clock that is earlier can be right. Set it anew with each release."""


def is_believable(wall: float, *records: float) -> bool:
    """Not older than this program, nor than any of our own `records` (unix seconds)."""
    return wall >= max((MADE_AT, *records))
