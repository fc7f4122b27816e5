"""Converts the times in a rule's memory after a restart of the gateway or of the machine; pure.

Within one boot of the machine its times stay valid. After another boot the wall clock tells how
long ago they were, if it is plausible: not before the time of writing, not before this program was
built, and not more than a year later. Otherwise the safe side: the rule has just fired, a pause
begins again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.domain.clock_belief import is_believable
from godkaiser.domain.rules.facts import ClockStamp, RuleMemory, Undo

LONGEST_AWAY_S = 366 * 86_400.0


def read_back(memory: RuleMemory, now: ClockStamp) -> RuleMemory:
    """The memory with times of this boot; none of them is in the future."""
    shift = _shift(memory.clock, now)

    def moment(at: float) -> float:
        return now.steady if shift is None else min(at + shift, now.steady)

    def firings(of: RuleMemory | Undo) -> dict[str, Any]:
        fired = of.fired_at
        if fired is None and of.last_fired is not None:
            # Written by a version that stored only the wall clock.
            fired = now.steady
        return {
            "last_fired": None if of.last_fired is None else min(of.last_fired, now.wall),
            "fired_at": None if fired is None else moment(fired),
            "recent": tuple(map(moment, of.recent)),
            "reversals": tuple(map(moment, of.reversals)),
        }

    attempt = memory.attempt
    if attempt is not None:
        # The state to restore after a refusal is also from the previous boot.
        before = msgspec.structs.replace(attempt.before, **firings(attempt.before))
        attempt = msgspec.structs.replace(attempt, since=moment(attempt.since), before=before)
    progress = memory.progress
    if progress is not None:
        progress = msgspec.structs.replace(
            progress, since=moment(progress.since), resumed=now.steady
        )
    return msgspec.structs.replace(
        memory,
        # A condition that held until the machine went down may not have held since.
        since=memory.since if shift == 0.0 else {},
        seen={path: at for path, at in memory.seen.items() if at <= now.wall},
        **firings(memory),
        refused=None,
        attempt=attempt,
        progress=progress,
        clock=now,
    )


def _shift(then: ClockStamp | None, now: ClockStamp) -> float | None:
    """Seconds to add to times of `then`; None: unknown."""
    if then is None:
        return None
    if then.boot == now.boot and then.steady <= now.steady:
        return 0.0
    away_s = now.wall - then.wall
    if not 0.0 <= away_s <= LONGEST_AWAY_S or not is_believable(now.wall):
        return None
    return now.steady - away_s - then.steady
