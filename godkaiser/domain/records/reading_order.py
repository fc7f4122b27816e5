"""Decides which of two readings of one series is newer; pure.

A reading is ordered by the time of its measurement, not by its arrival: a redelivered reading, or
one that a device kept while it was offline, is old. Its age is subtracted from the arrival on the
monotonic clock; two times of the device's own clock are also compared with each other. A reading is
old only if neither comparison shows it to be newer, so that setting a clock never makes a new
reading look old.
"""

from __future__ import annotations

from godkaiser.domain.entities import Reading


def measured_at(reading: Reading) -> float:
    """The time of the measurement on the clock of `heard_at`."""
    return reading.heard_at - reading.age_s


def is_newer(reading: Reading, known: Reading | None) -> bool:
    """Whether `reading` may replace `known`, the newest reading of its series."""
    if known is None:
        return True
    is_later = measured_at(reading) > measured_at(known)
    both_dated = reading.dated and known.dated
    if reading.redelivered:
        # Without a timestamp nothing proves that the reading is new.
        return reading.dated and is_later and (reading.at > known.at or not known.dated)
    return is_later or (both_dated and reading.at >= known.at)
