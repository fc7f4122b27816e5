"""What time it is for forgetting. A wall clock that is wrong for an hour must not delete what years have gathered; pure.

The time that retention goes by moves on as fast as time passes (by the boot-time clock). When the wall clock is
ahead of it, it follows: at once over what a weekend without power explains, and no faster than twice the pace of
time over more. So after a month without power things are kept some weeks too long; after a clock that jumped a
month forward nothing is deleted that is young by its own records.
"""

from __future__ import annotations

import msgspec

PLAUSIBLE_S = 3 * 86_400.0
CATCH_UP = 2.0


class Belief(msgspec.Struct, frozen=True):
    """It was `at` (unix seconds) when the boot-time clock of the boot `boot_id` said `mark`."""

    at: float
    mark: float
    boot_id: str


def believed(before: Belief | None, wall: float, mark: float, boot_id: str) -> Belief:
    """What to believe now."""
    if before is None or wall <= before.at:
        # Set back: things are kept longer, which harms nothing.
        return Belief(wall, mark, boot_id)
    passed = max(0.0, mark - before.mark) if boot_id == before.boot_id else 0.0
    ahead = wall - before.at - passed
    if ahead <= PLAUSIBLE_S:
        return Belief(wall, mark, boot_id)
    return Belief(min(wall, before.at + CATCH_UP * passed), mark, boot_id)


def doubt(belief: Belief, wall: float) -> str:
    """What to tell; "" when the wall clock is believed."""
    days = (wall - belief.at) / 86_400.0
    if days <= 0.0:
        return ""
    return (
        f"the clock is {days:.1f} days ahead of what time has passed by the records: until that is explained"
        " away, retention goes by the records. Check the clock"
    )
