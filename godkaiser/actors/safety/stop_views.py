"""Makes the view of one stop: its scope, its progress, and the devices that have confirmed it."""

from __future__ import annotations

import msgspec

from godkaiser.actors.safety.messages import StopView
from godkaiser.actors.safety.stop_progress import StopProgress
from godkaiser.domain.safety.stop_state import StopRecord, StopState


def stop_view(
    record: StopRecord, progress: StopProgress, set_by: float, *, in_force: bool
) -> StopView:
    """`set_by` is wall clock minus monotonic clock. A stop that is not in force is only previewed."""
    if record.state is not StopState.ACTIVE:
        told = progress.clearing.get(record.scope, dict.fromkeys(record.clearing))
        cleared = progress.clear_confirmed.get(record.scope, {})
        return msgspec.structs.replace(
            _bare(record),
            confirmed=tuple(sorted(cleared)),
            clearing=tuple(sorted(told)),
            told_at={d: at + set_by for d, at in told.items() if at is not None},
            confirmed_at={d: at + set_by for d, at in cleared.items()},
        )
    covered = progress.plant.covered(record.scope)
    if not in_force:
        # All devices would have to confirm.
        return msgspec.structs.replace(_bare(record), unconfirmed=tuple(sorted(covered)))
    confirmed = {d: progress.confirmed[d] for d in covered if d in progress.confirmed}
    waiting = {d: progress.waiting[d] for d in covered if d in progress.waiting}
    found = {d: progress.confirmation(d, told) for d, told in waiting.items()}
    return msgspec.structs.replace(
        _bare(record),
        confirmed=tuple(sorted(confirmed)),
        unconfirmed=tuple(sorted(waiting)),
        unconfirmed_actuators=tuple(
            sorted(str(state) for one in found.values() for state in one.open)
        ),
        cannot_confirm={d: one.cannot for d, one in found.items() if one.cannot},
        told_at={
            **{d: told.at + set_by for d, told in waiting.items()},
            **{d: told_at + set_by for d, (told_at, _) in confirmed.items()},
        },
        confirmed_at={d: at + set_by for d, (_, at) in confirmed.items()},
    )


def _bare(record: StopRecord) -> StopView:
    return StopView(
        scope=str(record.scope),
        state=record.state.value,
        since=record.since,
        by=record.by,
        reason=record.reason,
    )
