"""Which of two readings of one series is the newer; pure.

A reading counts by its own time, not by when it arrived: one that is delivered again, or that a device kept
while it was offline, is old news. Its own time is compared with the last one's, and as an age by the clock
that nobody can set; a reading is old only when neither shows it to be newer, so that no clock that is set
makes the present look old.
"""

from __future__ import annotations

from godkaiser.domain.entities import Reading


def measured_at(reading: Reading) -> float:
    """On the clock of `heard_at`: when it arrived, less the age that it had by its own time."""
    if not reading.dated:
        return reading.heard_at
    return reading.heard_at - max(0.0, reading.received_at - reading.at)


def is_newer(reading: Reading, known: Reading | None) -> bool:
    """Whether `reading` may take the place of the newest that is `known` of its series."""
    if known is None:
        return True
    is_later = measured_at(reading) > measured_at(known)
    if reading.redelivered:
        # Without a time of its own nothing shows that it is not the past.
        return reading.dated and reading.at > known.at and is_later
    return is_later or reading.at >= known.at
