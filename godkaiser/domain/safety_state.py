"""The emergency stop as a state machine: pure, latched, the strictest scope wins.

NORMAL -> ACTIVE -> CLEARING -> RESUMING -> NORMAL, for everything, a zone or one device. A stop is
possible from everywhere and goes back to ACTIVE; ACTIVE to NORMAL directly does not exist. Nothing
in here energises anything: a reset never restarts a machine (ISO 13850).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from godkaiser.errors import ClearLockedOut, InvalidTransition, NoEmergencyStop

CLEAR_LOCKOUT_S = 5.0
"""Devices refuse a clear in the first seconds after a stop (contract, 11.5)."""


class StopState(StrEnum):
    NORMAL = "normal"
    ACTIVE = "active"
    CLEARING = "clearing"
    RESUMING = "resuming"


_STRICTNESS = {
    StopState.NORMAL: 0,
    StopState.RESUMING: 1,
    StopState.CLEARING: 2,
    StopState.ACTIVE: 3,
}


class ScopeKind(StrEnum):
    GLOBAL = "global"
    ZONE = "zone"
    DEVICE = "device"


class Scope(msgspec.Struct, frozen=True, order=True):
    kind: ScopeKind
    name: str = ""

    def covers(self, device_id: str, zone_id: str) -> bool:
        match self.kind:
            case ScopeKind.GLOBAL:
                return True
            case ScopeKind.ZONE:
                return bool(zone_id) and self.name == zone_id
            case ScopeKind.DEVICE:
                return self.name == device_id

    def __str__(self) -> str:
        return (
            self.kind.value if self.kind is ScopeKind.GLOBAL else f"{self.kind.value} {self.name}"
        )


GLOBAL = Scope(ScopeKind.GLOBAL)


class StopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stop. `since` is the first stop, `last_stop` the newest (the lock-out counts from it).

    `stopped` have confirmed the stop, `stopping` have not yet. `clearing` have been told to clear
    and have not confirmed; `accepted` never did, and `accepted_by` has answered for that.
    `told_at` and `confirmed_at` say since when, for each device; both speak of the stop while it
    is ACTIVE and of the clear from then on. A stop with `resume_requires_operator` stays in
    RESUMING until an operator has resumed it (`resumed_by`).
    """

    scope: Scope
    state: StopState
    since: float
    last_stop: float
    by: str
    reason: str
    stopped: frozenset[str] = frozenset()
    stopping: frozenset[str] = frozenset()
    clearing: frozenset[str] = frozenset()
    cleared_by: str = ""
    cleared_at: float | None = None
    told_at: Mapping[str, float] = {}
    confirmed_at: Mapping[str, float] = {}
    accepted: frozenset[str] = frozenset()
    accepted_by: str = ""
    accepted_at: float | None = None
    resume_requires_operator: bool = False
    resumed_by: str = ""
    resumed_at: float | None = None


class SafetyState(msgspec.Struct, frozen=True):
    """All stops that are not over; none means NORMAL everywhere.

    In the scopes `held`, a stop is over but rules and schedules may not energise yet: a machine
    must not start because somebody cleared a stop, so an operator lets them go on separately.
    """

    records: tuple[StopRecord, ...] = ()
    held: tuple[Scope, ...] = ()

    def holds_automation(self, device_id: str, zone_id: str) -> bool:
        return any(scope.covers(device_id, zone_id) for scope in self.held)

    def find(self, scope: Scope) -> StopRecord | None:
        for record in self.records:
            if record.scope == scope:
                return record
        return None

    def covering(self, device_id: str, zone_id: str) -> StopRecord | None:
        """The strictest stop that holds this device, if any."""
        held = [record for record in self.records if record.scope.covers(device_id, zone_id)]
        return max(held, key=lambda record: _STRICTNESS[record.state], default=None)

    def effective(self, device_id: str, zone_id: str) -> StopState:
        record = self.covering(device_id, zone_id)
        return StopState.NORMAL if record is None else record.state

    @property
    def strictest(self) -> StopState:
        states = (record.state for record in self.records)
        return max(states, key=_STRICTNESS.__getitem__, default=StopState.NORMAL)


def _replace(state: SafetyState, record: StopRecord) -> SafetyState:
    others = tuple(other for other in state.records if other.scope != record.scope)
    return SafetyState((*others, record), state.held)


def stop(
    state: SafetyState,
    scope: Scope,
    *,
    by: str,
    reason: str,
    now: float,
    devices: Iterable[str],
    resume_requires_operator: bool = False,
) -> SafetyState:
    """Stop; always possible. `devices` are those of the scope, all to be confirmed (again).

    A second stop never makes the first one easier to leave.
    """
    present = state.find(scope)
    stopping = frozenset(devices)
    record = StopRecord(
        scope=scope,
        state=StopState.ACTIVE,
        since=now if present is None else present.since,
        last_stop=now,
        by=by if present is None else present.by,
        reason=reason if present is None else present.reason,
        stopping=stopping,
        told_at=dict.fromkeys(stopping, now),
        resume_requires_operator=resume_requires_operator
        or (present is not None and present.resume_requires_operator),
    )
    return _replace(state, record)


def device_to_be_stopped(
    state: SafetyState, device_id: str, zone_id: str, *, now: float | None = None
) -> SafetyState:
    """A device came back, or is new, during a stop: it has not confirmed.

    Without `now` it counts as unconfirmed since the stop.
    """
    records = tuple(
        msgspec.structs.replace(
            record,
            stopping=record.stopping | {device_id},
            stopped=record.stopped - {device_id},
            told_at={**record.told_at, device_id: record.last_stop if now is None else now},
            confirmed_at=_without(record.confirmed_at, device_id),
        )
        if record.state is StopState.ACTIVE and record.scope.covers(device_id, zone_id)
        else record
        for record in state.records
    )
    return SafetyState(records, state.held)


def confirm_stop(state: SafetyState, device_id: str, *, now: float | None = None) -> SafetyState:
    """The device has shown that it is stopped; `now` is kept as the time of it."""
    records = tuple(
        msgspec.structs.replace(
            record,
            stopping=record.stopping - {device_id},
            stopped=record.stopped | {device_id},
            confirmed_at=_confirmed(record, device_id, now)
            if record.state is StopState.ACTIVE
            else record.confirmed_at,
        )
        if device_id in record.stopping
        else record
        for record in state.records
    )
    return SafetyState(records, state.held)


def begin_clear(
    state: SafetyState, scope: Scope, *, by: str, now: float, reachable: Iterable[str]
) -> SafetyState:
    """An operator clears: each of `reachable` is to confirm. None at all goes on to RESUMING.

    A device that another stop still holds must not be among them (`held_by_another`): on the wire
    a clear ends every stop of the device.

    Raises:
        NoEmergencyStop: the scope is not stopped.
        ClearLockedOut: the devices would refuse yet.
        InvalidTransition: it is being cleared already.
    """
    record = state.find(scope)
    if record is None:
        raise NoEmergencyStop(scope=str(scope))
    if record.state is not StopState.ACTIVE:
        reason = f"The stop of {scope} is {record.state.value} already."
        raise InvalidTransition(reason=reason)
    age_s = now - record.last_stop
    if not age_s >= CLEAR_LOCKOUT_S:  # a clock that jumped back counts as too early, too
        raise ClearLockedOut(age_s=max(age_s, 0.0), lockout_s=CLEAR_LOCKOUT_S)
    clearing = frozenset(reachable)
    cleared = msgspec.structs.replace(
        record,
        state=StopState.CLEARING,
        clearing=clearing,
        cleared_by=by,
        cleared_at=now,
        told_at=dict.fromkeys(clearing, now),
        confirmed_at={},
    )
    return _settle_clearing(_replace(state, cleared))


def confirm_clear(state: SafetyState, device_id: str, *, now: float | None = None) -> SafetyState:
    """The device has confirmed that its stop is cleared; `now` is kept as the time of it."""
    records = tuple(
        msgspec.structs.replace(
            record,
            clearing=record.clearing - {device_id},
            confirmed_at=_confirmed(record, device_id, now),
        )
        if record.state is StopState.CLEARING and device_id in record.clearing
        else record
        for record in state.records
    )
    return _settle_clearing(SafetyState(records, state.held))


def accept_unconfirmed(
    state: SafetyState, scope: Scope, *, by: str = "", now: float | None = None
) -> SafetyState:
    """An operator takes it on himself that some devices have not confirmed the clear.

    Raises:
        NoEmergencyStop, InvalidTransition: the scope is not being cleared.
    """
    record = state.find(scope)
    if record is None:
        raise NoEmergencyStop(scope=str(scope))
    if record.state is not StopState.CLEARING:
        reason = f"The stop of {scope} is {record.state.value}; clear it first."
        raise InvalidTransition(reason=reason)
    settled = msgspec.structs.replace(
        record,
        clearing=frozenset(),
        accepted=record.clearing,
        accepted_by=by,
        accepted_at=now,
    )
    return _settle_clearing(_replace(state, settled))


def begin_resume(state: SafetyState, scope: Scope, *, by: str, now: float) -> SafetyState:
    """An operator resumes a stop that asks for it; it ends when the states are read back.

    Raises:
        NoEmergencyStop, InvalidTransition: the scope is not resuming, or is resumed already.
    """
    record = _resuming(state, scope)
    if record.resumed_by:
        reason = f"The stop of {scope} is resumed by {record.resumed_by} already."
        raise InvalidTransition(reason=reason)
    return _replace(state, msgspec.structs.replace(record, resumed_by=by, resumed_at=now))


def finish_resume(state: SafetyState, scope: Scope) -> SafetyState:
    """The states of the actuators have been read back: normal operation.

    Raises:
        NoEmergencyStop, InvalidTransition: the scope is not resuming, or an operator has yet to
            resume it.
    """
    record = _resuming(state, scope)
    if record.resume_requires_operator and not record.resumed_by:
        reason = f"The stop of {scope} is cleared; an operator has to resume it."
        raise InvalidTransition(reason=reason)
    records = tuple(other for other in state.records if other.scope != scope)
    return SafetyState(records, tuple(sorted({*state.held, scope})))


def resume_automation(state: SafetyState, scope: Scope) -> SafetyState:
    """An operator lets rules and schedules act again; GLOBAL does so everywhere.

    Raises:
        InvalidTransition: nothing is held there, or the stop is not over.
    """
    if state.find(scope) is not None:
        reason = f"The stop of {scope} is not over; clear it first."
        raise InvalidTransition(reason=reason)
    left = () if scope == GLOBAL else tuple(held for held in state.held if held != scope)
    if left == state.held:
        reason = f"Rules are not held back for {scope}."
        raise InvalidTransition(reason=reason)
    return SafetyState(state.records, left)


def shifted(state: SafetyState, seconds: float) -> SafetyState:
    """The same stops after the wall clock was set: every time in them moves with it."""

    def moved(at: float | None) -> float | None:
        return None if at is None else at + seconds

    records = tuple(
        msgspec.structs.replace(
            record,
            since=record.since + seconds,
            last_stop=record.last_stop + seconds,
            cleared_at=moved(record.cleared_at),
            told_at={device: at + seconds for device, at in record.told_at.items()},
            confirmed_at={device: at + seconds for device, at in record.confirmed_at.items()},
            accepted_at=moved(record.accepted_at),
            resumed_at=moved(record.resumed_at),
        )
        for record in state.records
    )
    return SafetyState(records, state.held)


def not_in_the_future(state: SafetyState, now: float) -> SafetyState:
    """The clock was set back while nobody looked: the newest event counts as of now."""
    times = [
        at
        for record in state.records
        for at in (record.last_stop, record.cleared_at, record.resumed_at)
        if at is not None
    ]
    newest = max(times, default=now)
    return shifted(state, now - newest) if newest > now else state


def _settle_clearing(state: SafetyState) -> SafetyState:
    records = tuple(
        msgspec.structs.replace(record, state=StopState.RESUMING)
        if record.state is StopState.CLEARING and not record.clearing
        else record
        for record in state.records
    )
    return SafetyState(records, state.held)


def held_by_another(state: SafetyState, scope: Scope, device_id: str, zone_id: str) -> bool:
    """Whether a stop other than that of `scope` holds the device and is not being cleared."""
    return any(
        record.scope != scope
        and record.state is StopState.ACTIVE
        and record.scope.covers(device_id, zone_id)
        for record in state.records
    )


def _resuming(state: SafetyState, scope: Scope) -> StopRecord:
    record = state.find(scope)
    if record is None:
        raise NoEmergencyStop(scope=str(scope))
    if record.state is not StopState.RESUMING:
        reason = f"The stop of {scope} is {record.state.value}; only RESUMING ends in NORMAL."
        raise InvalidTransition(reason=reason)
    return record


def _confirmed(record: StopRecord, device_id: str, now: float | None) -> Mapping[str, float]:
    return record.confirmed_at if now is None else {**record.confirmed_at, device_id: now}


def _without(times: Mapping[str, float], device_id: str) -> Mapping[str, float]:
    return {known: at for known, at in times.items() if known != device_id}
