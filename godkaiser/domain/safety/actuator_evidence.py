"""Decides what the messages of a device prove about an actuator: which command is answered, what is
older than what is known, whether it is stopped, whether it is off; pure. `now` is monotonic
seconds.
"""

from __future__ import annotations

from collections import deque

import msgspec

from godkaiser.domain.safety.actuator_events import Answered, Reported
from godkaiser.domain.safety.actuator_state import (
    HOUR_S,
    MOST_SWITCHES,
    REPORTS_THAT_PROVE,
    ActuatorState,
    Sent,
    is_settled,
)

REORDERED = 64
"""A counter that is lower by more than this was reset: the device has rebooted."""

_replace = msgspec.structs.replace


def answered_one(state: ActuatorState, event: Answered) -> tuple[Sent | None, tuple[Sent, ...]]:
    """The command that is answered, and the commands that are still unanswered."""
    if event.correlation_id:
        found = next((s for s in state.sent if s.correlation_id == event.correlation_id), None)
        if found is None:
            return None, state.sent
        return found, tuple(s for s in state.sent if s.generation > found.generation)
    # Firmware without ids answers in the order of the commands, one answer for each.
    if not state.sent or state.uncounted or event.redelivered:
        return None, state.sent
    return state.sent[0], state.sent[1:]


def is_older(state: ActuatorState, event: Reported) -> bool:
    """Whether a report is too old to prove 'off'; a report of 'on' is always believed."""
    if event.level > 0.0 or event.seq is None or state.seq is None:
        return event.level == 0.0 and event.redelivered and event.seq is None
    return 0 < state.seq - event.seq <= REORDERED or (event.redelivered and event.seq == state.seq)


def newest(known: int | None, seq: int | None) -> int | None:
    if seq is None or known is None:
        return known if seq is None else seq
    return seq if seq > known or known - seq > REORDERED else known


def is_newer_than_answer(state: ActuatorState, event: Reported) -> bool:
    if event.seq is None or state.answered_seq is None:
        return True
    return event.seq > state.answered_seq or state.answered_seq - event.seq > REORDERED


def evidence_of_stop(state: ActuatorState, event: Reported) -> ActuatorState:
    if event.emergency == "active" and event.level == 0.0:
        return shown_stopped(state, event.heard_at, redelivered=event.redelivered)
    locked = state.limit_locked and event.emergency != "normal"
    return _replace(state, shown_stopped_at=None, limit_locked=locked)


def shown_stopped(state: ActuatorState, heard_at: float, *, redelivered: bool) -> ActuatorState:
    """Record that the actuator shows a stop; a message from before the newest stop is about an
    older one.
    """
    if redelivered or (state.stopped_at is not None and heard_at < state.stopped_at):
        return state
    return _replace(state, shown_stopped_at=heard_at)


def settled(state: ActuatorState, now: float, report: Reported | None = None) -> ActuatorState:
    """Conclude from an answer or a report what is on its way, and whether the actuator is known
    off.
    """
    if not is_settled(state):
        return state
    if state.desired > 0.0 and state.reported and state.runs_since is None:
        # Only after its command is answered: an earlier report may belong to an earlier on-period.
        return _replace(state, runs_since=now)
    if state.desired > 0.0 or state.reported != 0.0:
        return state
    proven = state.off_proven or state.answered_off or state.quiet >= REPORTS_THAT_PROVE
    if not proven and report is not None:
        proven = report.seq is not None and is_newer_than_answer(state, report)
    if not proven:
        return state
    state = _replace(state, off_proven=True, repeat_at=None, attempts=0)
    if state.on_since is None:
        return state
    switches = switched(state.switches, now, on=False)
    return _replace(
        state, on_since=None, started_at=None, runs_since=None, off_since=now, switches=switches
    )


def switched(
    switches: tuple[tuple[float, bool], ...], at: float, *, on: bool
) -> tuple[tuple[float, bool], ...]:
    """The switchings of the last hour, plus the newest older one, which gives the state at its
    start.
    """
    kept = deque(switches, maxlen=MOST_SWITCHES - 1)
    while len(kept) > 1 and at - kept[1][0] > HOUR_S:
        kept.popleft()
    return (*kept, (at, on))
