"""Detects that readings arrive late because the gateway cannot store them fast enough; pure.

The age of a reading at its arrival is the difference of two clocks, so one value says little. But
when ages grow above the lowest age of the last minutes, readings wait in the broker, whose full
queue drops them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LATE_S = 5.0
BACK_S = 2.0
SUSTAINED_S = 5.0
"""The delay must last this long; a restarted gateway catches up faster."""
WINDOW_S = 600.0


class ArrivalWatch(msgspec.Struct, frozen=True):
    """`lowest` is the lowest age of this window, `before` that of the previous one; monotonic
    times.
    """

    lowest: float = float("inf")
    before: float = float("inf")
    since: float = 0.0
    behind_s: float = 0.0
    late_since: float | None = None
    is_late: bool = False


def observe(watch: ArrivalWatch, ages: Sequence[float], now: float) -> ArrivalWatch:
    """`ages` are those of readings that arrived together with a timestamp; may be empty."""
    if not ages:
        return watch
    age = min(ages)
    if watch.late_since is None and now - watch.since >= WINDOW_S:
        watch = msgspec.structs.replace(watch, lowest=float("inf"), before=watch.lowest, since=now)
    lowest = min(watch.lowest, age)
    behind_s = age - min(lowest, watch.before)
    late_since = watch.late_since
    if behind_s >= LATE_S:
        late_since = now if late_since is None else late_since
    elif behind_s < BACK_S:
        late_since = None
    is_late = late_since is not None and (watch.is_late or now - late_since >= SUSTAINED_S)
    return msgspec.structs.replace(
        watch, lowest=lowest, behind_s=behind_s, late_since=late_since, is_late=is_late
    )
