"""Decides whether a device has confirmed a stop, by each of its actuators, or why it cannot.

An acknowledgement shows only that a device has received the stop. That an actuator is off, its own
report shows: `emergency: active` with level 0, or the alert for its pin (contract, 11.4).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser.domain.safety.actuator_state import ActuatorState, is_unanswered_on

PATIENCE = 3
"""Number of repetitions of the stop before a device counts as unable to confirm."""
CLEAR_TAKES_S = 1.5
"""A device waits about 2 s before it lifts its stop (contract, 11.5), so no earlier report can show
that.
"""
LATE_ANSWER_S = 60.0
"""The answer to a clear may arrive this long after it."""


class Confirmation(msgspec.Struct, frozen=True):
    """`open` are the actuators that have not reported the stop; `cannot` says why this device
    cannot confirm, empty while it may still.
    """

    confirmed: bool
    open: tuple[ActuatorState, ...] = ()
    cannot: str = ""


def confirmation_of(
    states: Sequence[ActuatorState],
    *,
    heard: bool,
    approved: bool,
    online: bool,
    attempts: int,
) -> Confirmation:
    """`states` are the actuators of the device; `heard`: it has shown since the stop that it
    received it. `attempts` counts how often the stop was sent.
    """
    missing = tuple(state for state in states if state.shown_stopped_at is None)
    if not missing and (states or heard):
        return Confirmation(confirmed=True)
    return Confirmation(
        confirmed=False, open=missing, cannot=_obstacle(missing, heard, approved, online, attempts)
    )


def _obstacle(
    missing: Sequence[ActuatorState], heard: bool, approved: bool, online: bool, attempts: int
) -> str:
    if not online:
        return "offline; the stop is sent again when it returns"
    if not approved:
        return "not approved, so it does not report its actuators"
    silent = [state.config.gpio for state in missing if state.reported is None]
    if heard and silent and len(silent) == len(missing) and attempts > PATIENCE:
        pins = ", ".join(f"GPIO {gpio}" for gpio in silent)
        return f"received the stop, but does not report {pins}; it may not know the pin"
    return ""


def may_be_cleared(states: Sequence[ActuatorState]) -> bool:
    """The condition for a clear: no energising command may still be on its way to this device."""
    return not any(is_unanswered_on(state) for state in states)


def answer_confirms_clear(
    *, stop_at: float, shown_at: float | None, cleared_before: float | None, heard_at: float
) -> bool:
    """Whether an answer to a clear, received at `heard_at`, answers the clear of the stop of
    `stop_at`. A device's messages keep their order, so a message after one that shows this stop is
    younger than the stop. Without such a message it may be a late answer to the clear
    `cleared_before` the stop.
    """
    if shown_at is not None and shown_at >= stop_at:
        return True
    return cleared_before is None or heard_at - cleared_before > LATE_ANSWER_S


def reports_confirm_clear(
    states: Sequence[ActuatorState], *, stop_at: float, shown_at: float | None, told_at: float
) -> bool:
    """Whether reports alone show that the device was cleared: each actuator has reported since the
    earliest possible clear, and the device had shown the stop. A report from before the stop also
    says 'normal', and may arrive after the clear if the broker was slow.
    """
    if shown_at is None or shown_at < stop_at or not states:
        return False
    return all(
        state.emergency == "normal" and state.reported_at >= told_at + CLEAR_TAKES_S
        for state in states
    )


def is_own_limit(states: Sequence[ActuatorState], now: float, recent_s: float) -> bool:
    """Whether 'active' on some pins comes from the device's runtime limit instead of its stop:
    a stop holds all of its actuators, a limit holds one (contract, 10.6).
    """
    recent = [state for state in states if now - state.reported_at <= recent_s]
    active = [state for state in recent if state.emergency == "active"]
    free = [state for state in recent if state.emergency == "normal"]
    return all(state.limit_locked for state in active) or bool(free)
