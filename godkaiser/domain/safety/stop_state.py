"""The emergency stop as a state machine: pure, latched, the strictest scope wins.

NORMAL -> ACTIVE -> CLEARING -> RESUMING -> NORMAL, for everything, a zone or one device. A stop is
possible in every state and leads back to ACTIVE; ACTIVE to NORMAL directly does not exist. Nothing
here energises anything: a reset never restarts a machine (ISO 13850).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.safety import ClearLockedOut, NoEmergencyStop

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


def scope_of(esp_id: str | None, zone_id: str | None) -> Scope:
    """The scope of a device, else of a zone, else of everything."""
    if esp_id is not None:
        return Scope(ScopeKind.DEVICE, esp_id)
    return GLOBAL if zone_id is None else Scope(ScopeKind.ZONE, zone_id)


class StopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stop. `since` is the first stop, `last_stop` the newest, both in unix seconds, for
    display.

    `clearing` are the devices that must confirm the clear; `accepted` never confirmed it, and
    `accepted_by` took responsibility for them.
    """

    scope: Scope
    state: StopState
    since: float
    last_stop: float
    by: str
    reason: str
    clearing: frozenset[str] = frozenset()
    cleared_by: str = ""
    cleared_at: float | None = None
    accepted: frozenset[str] = frozenset()
    accepted_by: str = ""
    accepted_at: float | None = None


class SafetyState(msgspec.Struct, frozen=True):
    """All stops that have not ended; none means NORMAL everywhere.

    In the scopes `held`, a stop has ended but rules and schedules may not energise yet: a machine
    must not start because somebody cleared a stop, so an operator resumes them separately.
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
        """The strictest stop that covers this device, if any."""
        held = [record for record in self.records if record.scope.covers(device_id, zone_id)]
        return max(held, key=lambda record: _STRICTNESS[record.state], default=None)

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
) -> SafetyState:
    """Stop; always possible. A second stop never makes the first one easier to clear."""
    present = state.find(scope)
    record = StopRecord(
        scope=scope,
        state=StopState.ACTIVE,
        since=now if present is None else present.since,
        last_stop=now,
        by=by if present is None else present.by,
        reason=reason if present is None else present.reason,
    )
    return _replace(state, record)


def begin_clear(
    state: SafetyState,
    scope: Scope,
    *,
    by: str,
    now: float,
    age_s: float,
    reachable: Iterable[str],
) -> SafetyState:
    """An operator clears: each device of `reachable` must confirm. Without any it goes on to
    RESUMING.

    `now` is unix seconds, for display; `age_s` is monotonic, since the newest stop of the scope. A
    device that another stop still covers must not be among them (`held_by_another`): on the wire a
    clear ends every stop of the device.

    Raises:
        NoEmergencyStop: the scope is not stopped.
        ClearLockedOut: the devices would still refuse.
        InvalidTransition: it is already being cleared.
    """
    record = state.find(scope)
    if record is None:
        raise NoEmergencyStop(scope=str(scope))
    if record.state is not StopState.ACTIVE:
        reason = f"The stop of {scope} is already {record.state.value}."
        raise InvalidTransition(reason=reason)
    if not age_s >= CLEAR_LOCKOUT_S:
        raise ClearLockedOut(age_s=max(age_s, 0.0), lockout_s=CLEAR_LOCKOUT_S)
    clearing = frozenset(reachable)
    cleared = msgspec.structs.replace(
        record,
        state=StopState.CLEARING if clearing else StopState.RESUMING,
        clearing=clearing,
        cleared_by=by,
        cleared_at=now,
    )
    return _replace(state, cleared)


def without(state: SafetyState, scope: Scope, device_id: str) -> SafetyState:
    """The clear of the scope no longer waits for this device; others are still to confirm it."""
    record = state.find(scope)
    if record is None or record.clearing <= {device_id}:
        return state
    return _replace(state, msgspec.structs.replace(record, clearing=record.clearing - {device_id}))


def cleared(state: SafetyState, scope: Scope) -> SafetyState:
    """Every device that had to confirm the clear has done so."""
    record = state.find(scope)
    if record is None or record.state is not StopState.CLEARING:
        return state
    return _replace(
        state,
        msgspec.structs.replace(record, state=StopState.RESUMING, clearing=frozenset()),
    )


def accept_unconfirmed(
    state: SafetyState,
    scope: Scope,
    *,
    by: str = "",
    now: float | None = None,
    unconfirmed: Iterable[str] = (),
) -> SafetyState:
    """An operator takes responsibility for the devices that have not confirmed the clear.

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
        state=StopState.RESUMING,
        clearing=frozenset(),
        accepted=frozenset(unconfirmed),
        accepted_by=by,
        accepted_at=now,
    )
    return _replace(state, settled)


def finish_resume(state: SafetyState, scope: Scope) -> SafetyState:
    """The states of the actuators have been read back: return to normal operation.

    Raises:
        NoEmergencyStop, InvalidTransition: the scope is not resuming.
    """
    _resuming(state, scope)
    records = tuple(other for other in state.records if other.scope != scope)
    return SafetyState(records, tuple(sorted({*state.held, scope})))


def resume_automation(state: SafetyState, scope: Scope) -> SafetyState:
    """An operator lets rules and schedules act again; GLOBAL applies everywhere.

    Raises:
        InvalidTransition: nothing is held there, or the stop has not ended.
    """
    record = state.find(scope)
    if record is not None:
        raise InvalidTransition(reason=_why_not_over(record))
    left = () if scope == GLOBAL else tuple(held for held in state.held if held != scope)
    if left == state.held:
        reason = f"Rules are not held for {scope}."
        raise InvalidTransition(reason=reason)
    return SafetyState(state.records, left)


def _why_not_over(record: StopRecord) -> str:
    if record.state is StopState.ACTIVE:
        return f"The stop of {record.scope} is not over; clear it first."
    return (
        f"The stop of {record.scope} is being cleared already, and waits until each device has confirmed that:"
        " GET /api/v1/safety/status names those that have not (unconfirmed). Resume after that."
    )


def held_by_another(state: SafetyState, scope: Scope, device_id: str, zone_id: str) -> bool:
    """Whether a stop other than that of `scope` covers the device and is not being cleared."""
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
        reason = f"The stop of {scope} is {record.state.value}; only RESUMING can end in NORMAL."
        raise InvalidTransition(reason=reason)
    return record
