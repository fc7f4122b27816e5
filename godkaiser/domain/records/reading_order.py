"""Which of two readings of one series is the newer; pure.

A reading counts by its own time, not by when it arrived: one that is delivered again, or that a device kept
while it was offline, is old news. Its age is subtracted from the receipt on the clock that nobody can set; two
times of the device's own clock are compared with each other as well. A reading is old only when neither
shows it to be newer, so that no clock that is set makes the present look old.
"""

from __future__ import annotations

from godkaiser.domain.entities import Reading


def measured_at(reading: Reading) -> float:
    """On the clock of `heard_at`."""
    return reading.heard_at - reading.age_s


def is_newer(reading: Reading, known: Reading | None) -> bool:
    """Whether `reading` may take the place of the newest that is `known` of its series."""
    if known is None:
        return True
    is_later = measured_at(reading) > measured_at(known)
    both_dated = reading.dated and known.dated
    if reading.redelivered:
        # Without a time of its own nothing shows that it is not the past.
        return reading.dated and is_later and (reading.at > known.at or not known.dated)
    return is_later or (both_dated and reading.at >= known.at)
