"""The time for retention: a wall clock that is wrong for an hour must not delete years of data;
pure.

Retention's own time advances with the boot-time clock. When the wall clock is ahead of it, it
follows: at once over a gap that a weekend without power explains, and at most twice as fast as real
time over a larger gap. So after a month without power data is kept some weeks too long; after a
clock that jumped a month forward no young data is deleted.
"""

from __future__ import annotations

import msgspec

PLAUSIBLE_S = 3 * 86_400.0
CATCH_UP = 2.0


class Belief(msgspec.Struct, frozen=True):
    """Retention's time was `at` (unix seconds) when the boot-time clock of boot `boot_id` showed
    `mark`.
    """

    at: float
    mark: float
    boot_id: str


def believed(before: Belief | None, wall: float, mark: float, boot_id: str) -> Belief:
    """Retention's time now."""
    if before is None or wall <= before.at:
        # The clock was set back: data is kept longer, which does no harm.
        return Belief(wall, mark, boot_id)
    passed = max(0.0, mark - before.mark) if boot_id == before.boot_id else 0.0
    ahead = wall - before.at - passed
    if ahead <= PLAUSIBLE_S:
        return Belief(wall, mark, boot_id)
    return Belief(min(wall, before.at + CATCH_UP * passed), mark, boot_id)


def doubt(belief: Belief, wall: float) -> str:
    """A warning about the wall clock; "" while it is trusted."""
    days = (wall - belief.at) / 86_400.0
    if days <= 0.0:
        return ""
    return (
        f"the clock is {days:.1f} days ahead of the time that has passed by the records: until this gap has"
        " closed, retention uses the time of the records. Check the clock"
    )
