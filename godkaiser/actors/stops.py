"""The stops, as the safety actor holds them: state, latch, wire and confirmation in one place.

The order of a stop is fixed: clearances revoked, message on the wire, latch on disk, everything else.
The order of a clear is the other way round: latch on disk first, then the wire.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import structlog

from godkaiser.domain import latch, safety_state
from godkaiser.domain.checked_record import RecordUnreadable
from godkaiser.domain.entities import Issuer
from godkaiser.domain.safety_state import SafetyState, Scope, ScopeKind, StopRecord, StopState
from godkaiser.errors import ServiceUnavailable
from godkaiser.messages import SafetyView, StopView
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import CommandGate
from godkaiser.mqtt.ports import StopPort
from godkaiser.protocol import outbound
from godkaiser.storage.record_file import RecordFile

UNCONFIRMED_ALARM_S = 30.0
NAMED_IN_ALARM = 5

log = structlog.get_logger("godkaiser.safety")


@dataclass(slots=True)
class StopTokens:
    """What devices with an emergency token ask for (contract, 11.6); empty: none is set.

    Not frozen: an admin may replace the tokens while the gateway runs, and a safety actor that starts
    again must not go back to those of before.
    """

    device: str = ""
    broadcast: str = ""


class Stops:
    """Used by the safety actor only. Devices are named with the zone that they are in."""

    def __init__(
        self,
        port: StopPort,
        gate: CommandGate,
        latch_file: RecordFile[SafetyState],
        changed: Callable[[SafetyView, bool], None],
        *,
        kaiser_id: str,
        tokens: StopTokens,
    ) -> None:
        self._port = port
        self._gate = gate
        self._latch = latch_file
        self._changed = changed
        self._shown: object = None
        self._tokens = tokens
        self._mark = f"{kaiser_id[:20]}:"
        self._disk_alarm = ""
        self._silence_alarm = ""
        self.state = SafetyState()

    @property
    def is_recorded(self) -> bool:
        """Whether the latch on disk says what holds."""
        return not self._disk_alarm

    def restore(self, now: float, *, mirror_exists: bool) -> None:
        """Read the latch. What cannot be read, or was there and is gone, is a stop."""
        try:
            state = self._latch.read()
        except RecordUnreadable as error:
            state = latch.stopped_in_doubt(str(error), now)
            self._write_or_alarm(state)
        if state is None:
            state = SafetyState()
            if mirror_exists:
                state = latch.stopped_in_doubt("the latch file is gone", now)
            self._write_or_alarm(state)
        self._set(safety_state.not_in_the_future(state, now))

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so much."""
        self._set(safety_state.shifted(self.state, seconds))

    # ---- stopping

    def stop(
        self, scope: Scope, issuer: Issuer, reason: str, now: float, devices: Iterable[str]
    ) -> None:
        covered = tuple(devices)
        if scope.kind is ScopeKind.GLOBAL:
            self._gate.revoke_all()
            self._broadcast(reason, issuer, now)
        else:
            for device_id in covered:
                self._gate.revoke(device_id)
            for device_id in covered:
                self._stop_device(device_id, reason)
        state = safety_state.stop(
            self.state, scope, by=str(issuer), reason=reason, now=now, devices=covered
        )
        # In force before it is on disk: a full disk must not keep a stop from holding.
        self.state = state
        self._write_or_alarm(state)
        self._set(state)

    def stop_returned(self, device_id: str, zone_id: str, now: float) -> None:
        """A device came back, or is new: if it is under a stop it is stopped at once."""
        record = self.state.covering(device_id, zone_id)
        if record is None or record.state is not StopState.ACTIVE:
            return
        self._stop_device(device_id, record.reason)
        self._set(safety_state.device_to_be_stopped(self.state, device_id, zone_id, now=now))

    def repeat(self, now: float) -> bool:
        """Send stops and clears again to who has not confirmed; whether there was anybody."""
        anybody = False
        for record in self.state.records:
            if record.state is StopState.ACTIVE and record.stopping:
                anybody = True
                if record.scope.kind is ScopeKind.GLOBAL and not record.stopped:
                    self._broadcast(record.reason, Issuer("system", "repeat"), now)
                for device_id in sorted(record.stopping):
                    self._stop_device(device_id, record.reason)
            elif record.state is StopState.CLEARING and record.clearing:
                anybody = True
                for device_id in sorted(record.clearing):
                    self._clear_device(device_id, "repeated")
        self._raise_alarm(now)
        return anybody

    def confirm_stop(self, device_id: str, now: float) -> None:
        if any(device_id in record.stopping for record in self.state.records):
            self._set(safety_state.confirm_stop(self.state, device_id, now=now))

    def is_own_broadcast(self, correlation_id: str) -> bool:
        """Also one that this gateway sent before it was restarted and hears of only now."""
        return correlation_id.startswith(self._mark)

    def clear_retained_broadcast(self) -> None:
        try:
            self._port.clear_retained_broadcast()
        except NotConnected:
            return

    # ---- clearing

    def begin_clear(
        self, scope: Scope, issuer: Issuer, reason: str, now: float, reachable: Iterable[str]
    ) -> None:
        targets = tuple(reachable)
        state = safety_state.begin_clear(
            self.state, scope, by=str(issuer), now=now, reachable=targets
        )
        self._write(state)
        self._set(state)
        for device_id in targets:
            self._clear_device(device_id, reason or "cleared")

    def accept_unconfirmed(self, scope: Scope, issuer: Issuer, now: float) -> None:
        state = safety_state.accept_unconfirmed(self.state, scope, by=str(issuer), now=now)
        self._write(state)
        self._set(state)

    def confirm_clear(self, device_id: str, now: float) -> None:
        if any(device_id in record.clearing for record in self.state.records):
            state = safety_state.confirm_clear(self.state, device_id, now=now)
            # Who is told to clear twice does nothing the second time: only the last one is an event
            # that the disk has to know.
            if _outline(state) != _outline(self.state):
                self._write(state)
            self._set(state)

    def resuming(self) -> list[StopRecord]:
        return [r for r in self.state.records if r.state is StopState.RESUMING]

    def finish_resume(self, scope: Scope) -> None:
        state = safety_state.finish_resume(self.state, scope)
        self._write(state)
        self._set(state)

    def resume_automation(self, scope: Scope) -> None:
        state = safety_state.resume_automation(self.state, scope)
        self._write(state)
        self._set(state)

    # ---- showing

    def view(self) -> SafetyView:
        return self._view(self.state)

    def preview(self, state: SafetyState) -> SafetyView:
        """What would be shown in `state`, which is not entered."""
        return msgspec.structs.replace(self._view(state), dry_run=True)

    def _view(self, state: SafetyState) -> SafetyView:
        return SafetyView(
            state=state.strictest.value,
            alarm="; ".join(filter(None, (self._disk_alarm, self._silence_alarm))),
            automation_held=tuple(str(scope) for scope in state.held),
            stops=tuple(
                StopView(
                    scope=str(record.scope),
                    state=record.state.value,
                    since=record.since,
                    by=record.by,
                    reason=record.reason,
                    confirmed=tuple(
                        sorted(
                            record.stopped
                            if record.state is StopState.ACTIVE
                            else record.confirmed_at
                        )
                    ),
                    unconfirmed=tuple(sorted(record.stopping)),
                    clearing=tuple(sorted(record.clearing)),
                    told_at=record.told_at,
                    confirmed_at=record.confirmed_at,
                )
                for record in state.records
            ),
        )

    def _set(self, state: SafetyState) -> None:
        is_event = _outline(state) != self._shown
        self.state = state
        self._shown = _outline(state)
        if self._silence_alarm and not _waiting(state):
            self._silence_alarm = ""
        self._changed(self.view(), is_event)

    def _raise_alarm(self, now: float) -> None:
        overdue = sorted(
            device_id
            for device_id, told_at in _waiting(self.state).items()
            if now - told_at >= UNCONFIRMED_ALARM_S
        )
        before = self._silence_alarm
        self._silence_alarm = ""
        if overdue:
            named = ", ".join(overdue[:NAMED_IN_ALARM])
            more = len(overdue) - NAMED_IN_ALARM
            self._silence_alarm = (
                f"not confirmed for more than {UNCONFIRMED_ALARM_S:g} s by {named}"
                f"{f' and {more} more' if more > 0 else ''}: look at the machines themselves"
            )
        if self._silence_alarm != before:
            if overdue:
                log.critical("not_confirmed", devices=overdue)
            self._changed(self.view(), True)

    def _write(self, state: SafetyState) -> None:
        try:
            self._latch.write(state)
        except OSError as error:
            self._disk_alarm = f"the safety record cannot be written: {error}"
            reason = f"{self._disk_alarm}. The stop stays. Free the disk and try again."
            raise ServiceUnavailable(reason=reason) from error
        self._disk_alarm = ""

    def _write_or_alarm(self, state: SafetyState) -> None:
        try:
            self._write(state)
        except ServiceUnavailable as error:
            log.critical("stop_not_latched", reason=error.message)

    def _broadcast(self, reason: str, issuer: Issuer, now: float) -> None:
        correlation_id = f"{self._mark}{uuid.uuid4()}"
        try:
            self._port.broadcast(
                outbound.broadcast_stop(
                    reason, str(issuer), correlation_id, now, self._tokens.broadcast
                )
            )
        except NotConnected:
            # Sent again when the link is back; without their server the devices stop themselves.
            log.error("stop_not_sent", scope="global", reason="the broker is not connected")

    def _stop_device(self, device_id: str, reason: str) -> None:
        self._emergency(device_id, "emergency_stop", reason)

    def _clear_device(self, device_id: str, reason: str) -> None:
        self._emergency(device_id, "clear_emergency", reason)

    def _emergency(self, device_id: str, command: str, reason: str) -> None:
        try:
            payload = outbound.device_emergency(
                command, reason, str(uuid.uuid4()), self._tokens.device
            )
            self._port.to_device(device_id, payload)
        except NotConnected:
            log.error(f"{command}_not_sent", device=device_id, reason="broker not connected")


def _outline(state: SafetyState) -> object:
    """What an operator would call an event: which stops there are, and how far each one is."""
    return state.held, tuple((r.scope, r.state, r.last_stop, r.resumed_by) for r in state.records)


def _waiting(state: SafetyState) -> dict[str, float]:
    """Who has been told to stop or to clear, has not confirmed it, and since when."""
    return {
        device_id: record.told_at.get(device_id, record.last_stop)
        for record in state.records
        for device_id in (record.stopping if record.state is StopState.ACTIVE else record.clearing)
    }
