"""The state when the record of the stops cannot be trusted."""

from __future__ import annotations

from godkaiser.domain.safety.stop_state import GLOBAL, SafetyState, StopRecord, StopState


def stopped_in_doubt(reason: str, now: float) -> SafetyState:
    """The state when the record cannot be read: everything is stopped."""
    record = StopRecord(
        scope=GLOBAL,
        state=StopState.ACTIVE,
        since=now,
        last_stop=now,
        by="system:latch",
        reason=f"the safety record (the latch) cannot be read: {reason}",
    )
    return SafetyState((record,))
