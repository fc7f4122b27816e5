"""The state of an actuator, the only truth about it: desired, reported, and what may be on its way.

Frozen data and queries on it. `actuator_machine.step` makes the next state; only the safety actor
holds it. Times are seconds of the monotonic clock, unless the name says otherwise.
"""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.domain.entities import ActuatorConfig, Issuer
from godkaiser.domain.safety.facts import ActuatorFacts, Hold
from godkaiser.domain.safety.interlocks import OtherActuator

HOUR_S = 3600.0
MOST_SWITCHES = 1000
"""Maximum number of stored switchings, for the limits per hour; REST allows limits up to 3,600,
which count as 1,000 here.
"""
REPORTS_THAT_PROVE = 2
"""Number of equal reports in a row that prove the state if answers do not name their command."""
LONG_AGO = float("-inf")
START = Issuer("system", "start")


class Wish(msgspec.Struct, frozen=True):
    """The desired level of the actuator, who wants it, and until when."""

    level: float = 0.0
    owner: Issuer = START
    lease_until: float | None = None
    lease_reason: str = ""


class Sent(msgspec.Struct, frozen=True):
    """A command that may still be on its way to the device.

    `delivered`: the broker has confirmed it (PUBCOMP), so it cannot outlive the device's session.
    `began`: it started an on-period. `before` is the desired level that it replaced. Both are
    undone if the command proves lost.
    """

    correlation_id: str
    generation: int
    level: float
    sent_at: float
    delivered: bool = False
    began: bool = False
    before: Wish | None = None


class Pending(msgspec.Struct, frozen=True):
    """The command that waits for its outcome, until `deadline`."""

    correlation_id: str
    level: float
    sent_at: float
    deadline: float


class ActuatorState(msgspec.Struct, frozen=True, kw_only=True):
    """`generation` counts the decisions about this actuator; only the newest may be sent.

    `desired` and `reported` are levels from 0.0 to 1.0; `reported` None: unknown now. `seq` is the
    device's counter in the newest status, `answered_seq` that in the newest answer; None if the
    firmware has no counter. `answered_off`: the last answer was a success of an OFF. `quiet` counts
    statuses in a row, since the last command, that report the desired level.

    `sent` are the unanswered commands, oldest first; `uncounted`: some were dropped, so that an
    answer without a correlation id can no longer be matched. `anonymous`: the device's answers name
    no command.

    `off_proven`: since the last command nothing is on its way and the device has shown that it is off.
    `on_since` is the start of the present on-period for limits; it ends when the actuator is known
    off. `off_since` is the end of the last one.
    `started_at` is the newest start, which may follow an unconfirmed OFF; `runs_since` is when that
    start was answered and reported. `clean_start`: the actuator was known off at that start.

    `shown_stopped_at`: the actuator has reported that its device's own stop holds it.
    `limit_locked`: the device's own runtime limit holds it. `pin_user` is another user of one of
    its pins. `outcome` is that of its last command (a CommandOutcome).
    """

    config: ActuatorConfig
    pin_user: str = ""
    online: bool = False
    generation: int = 0
    desired: float = 0.0
    owner: Issuer = START
    lease_until: float | None = None
    lease_reason: str = ""
    pending: Pending | None = None
    sent: tuple[Sent, ...] = ()
    uncounted: bool = False
    anonymous: bool = False
    attempts: int = 0
    repeat_at: float | None = None
    reported: float | None = None
    reported_at: float = LONG_AGO
    emergency: str = "unknown"
    seq: int | None = None
    answered_seq: int | None = None
    answered_off: bool = False
    quiet: int = 0
    off_proven: bool = True
    on_since: float | None = None
    started_at: float | None = None
    runs_since: float | None = None
    clean_start: bool = False
    off_since: float | None = None
    switches: tuple[tuple[float, bool], ...] = ()
    hold: Hold | None = None
    stopped_at: float | None = None
    shown_stopped_at: float | None = None
    limit_locked: bool = False
    outcome: Any = None

    def __str__(self) -> str:
        return f"{self.config.esp_id}/{self.config.gpio}"


def is_known_off(state: ActuatorState) -> bool:
    """Whether OFF is desired, nothing is on its way, and off was reported after the last answer."""
    return state.desired == 0.0 and is_settled(state) and state.off_proven and state.reported == 0.0


def defies_off(state: ActuatorState) -> bool:
    """It can be heard, and reports that it is on although it is wanted off."""
    return state.online and state.desired == 0.0 and bool(state.reported)


def is_settled(state: ActuatorState) -> bool:
    """Whether every command is answered; or, for firmware whose answers name no command, whether
    two reports in a row show the desired level.
    """
    nameless = state.anonymous or state.seq is None
    return not state.sent or (nameless and state.quiet >= REPORTS_THAT_PROVE)


def is_unanswered_on(state: ActuatorState) -> bool:
    """Whether an energising command to it is unanswered."""
    return any(sent.level > 0.0 for sent in state.sent)


def is_coming(state: ActuatorState) -> bool:
    """Whether an energising command may be on its way to it, judged by answers and reports."""
    return is_unanswered_on(state) and not is_settled(state)


def is_energised(state: ActuatorState) -> bool:
    """Whether it is desired on, reports on, or an ON may be on its way to it."""
    return state.desired > 0.0 or bool(state.reported) or is_coming(state)


def wake_at(state: ActuatorState) -> float | None:
    """When time alone changes its state: end of lease, overdue answer, repetition."""
    times = (
        state.lease_until if state.desired > 0.0 else None,
        None if state.pending is None else state.pending.deadline,
        state.repeat_at,
    )
    return min((at for at in times if at is not None), default=None)


def facts_of(state: ActuatorState, now: float) -> ActuatorFacts:
    """The facts by which a command to it is judged."""
    config = state.config
    limit_s, limit_switches = config.max_on_s_per_hour, config.max_switches_per_hour
    return ActuatorFacts(
        config=config,
        desired=state.desired,
        reported=state.reported,
        on_since=state.on_since,
        off_since=state.off_since,
        # Counting costs more than the whole verdict, so it is done only if there is a limit.
        on_seconds_last_hour=_on_seconds(state, now) if limit_s else 0.0,
        switches_last_hour=sum(1 for at, on in state.switches if on and now - at <= HOUR_S)
        if limit_switches
        else 0,
        hold=state.hold,
        owner_kind=state.owner.kind,
        owner_name=state.owner.name,
        owner_priority=state.owner.priority,
        coming=is_coming(state),
        limit_locked=state.limit_locked,
    )


def as_other(state: ActuatorState) -> OtherActuator:
    """The view of it for an interlock of another actuator."""
    return OtherActuator(
        desired=state.desired,
        reported=state.reported,
        on_since=state.started_at,
        runs_since=state.runs_since,
        online=state.online,
        in_flight=not is_settled(state) or not state.off_proven,
        coming=is_coming(state),
        # It was sent OFF, has not answered in time, and still reports on.
        stuck=state.desired == 0.0 and state.pending is None and bool(state.reported),
    )


def _on_seconds(state: ActuatorState, now: float) -> float:
    total = 0.0
    since: float | None = None
    for at, on in state.switches:
        if on:
            since = at if since is None else since
        elif since is not None:
            total += max(0.0, at - max(since, now - HOUR_S))
            since = None
    began = since if since is not None else state.on_since
    if state.on_since is not None and began is not None:
        total += now - max(began, now - HOUR_S)
    return total
