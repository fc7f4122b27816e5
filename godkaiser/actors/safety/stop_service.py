"""Stops, clears and resumptions as they are asked for: checked, carried out, repeated, ended and audited.

Used by the safety actor only.
"""

from __future__ import annotations

import structlog

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.safety.emergency_stops import EmergencyStops
from godkaiser.actors.safety.messages import ClearStop, ResumeAutomation, SafetyView, StopAll
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.entities import Issuer
from godkaiser.domain.safety import stop_state as safety_state
from godkaiser.domain.safety.actuator_state import is_unanswered_on
from godkaiser.domain.safety.stop_state import (
    SafetyState,
    Scope,
    ScopeKind,
    StopState,
    held_by_another,
    scope_of,
)
from godkaiser.errors.base import ServiceUnavailable, ValidationFailed
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import StopInputPressed
from godkaiser.storage.audit.trail import entry_by
from godkaiser.supervision import ActorContext, Backoff, Handle
from godkaiser.supervision.strategy import backoff_delay

REPEAT = Backoff(base_s=2.0, factor=2.0, max_s=60.0, jitter=0.1)
ALARM_SLACK_S = 0.5

log = structlog.get_logger("godkaiser.safety")


class Repeat(Message, frozen=True, kw_only=True):
    """To /control/safety/guard, by itself: what is not confirmed is told again."""


class StopService:
    def __init__(
        self, context: ActorContext, plant: Plant, stops: EmergencyStops, journal: Handle
    ) -> None:
        self._context = context
        self._plant = plant
        self._stops = stops
        self._journal = journal
        self._repeats = 0

    def stop(self, message: StopAll) -> SafetyView:
        """Raises UnknownDevice, ValidationFailed: it would stop nothing."""
        self._check_stop(message)
        if message.dry_run:
            return self._would_stop(message)
        self.carry_out(message)
        return self._stops.view()

    def carry_out(self, message: StopAll) -> None:
        """Unchecked. A crash in the midst of it is mended by `finish_unfinished`."""
        scope = scope_of(message.esp_id, message.zone_id)
        self._context.publish("stopping", message)
        covered = self._plant.covered(scope)
        self._stops.stop(scope, message.issuer, message.reason, covered)
        self.repeat_soon()
        self._context.withdraw("stopping")
        self._audit(message.issuer, f"emergency_stop {scope}", message.reason)

    def finish_unfinished(self) -> None:
        """After a crash in the midst of a stop."""
        unfinished = self._context.recall("stopping")
        if unfinished is not None:
            self.carry_out(unfinished)

    def stop_again(self) -> None:
        """A stop may have come between a crash and now; saying it again moves nothing."""
        for record in self._stops.state.records:
            if record.state is StopState.ACTIVE:
                for device_id in self._plant.covered(record.scope):
                    self._stops.stop_returned(device_id, self._plant.zone_of(device_id))
        self.repeat_soon()

    def clear(self, message: ClearStop) -> SafetyView:
        """Raises StopInputPressed, and as `EmergencyStops.begin_clear`, `EmergencyStops.accept_unconfirmed`
        and `EmergencyStops.free_device`.
        """
        self._check_clear(message)
        if message.dry_run:
            return self._would_clear(message)
        if self._begin_clear(message):
            self.repeat_soon()
        scope = scope_of(message.esp_id, message.zone_id)
        self._audit(message.issuer, f"clear_emergency {scope}", message.reason)
        self.finish_resumed()
        return self._stops.view()

    def resume_automation(self, message: ResumeAutomation) -> SafetyView:
        """Raises as `EmergencyStops.resume_automation`."""
        if message.dry_run:
            return self._would_resume(message)
        scope = scope_of(message.esp_id, message.zone_id)
        self._stops.resume_automation(scope)
        self._audit(message.issuer, f"resume automation {scope}", "")
        return self._stops.view()

    # ---- again and again, until it is confirmed

    def repeat(self) -> None:
        try:
            anything_open = self._stops.repeat()
        except ServiceUnavailable as error:
            anything_open = True
            log.error("safety_record_not_written", reason=error.message)
        if anything_open:
            self._repeats += 1
            self._schedule_repeat()
        self.finish_resumed()

    def repeat_now(self) -> None:
        """The link is back."""
        self._repeats = 0
        self.repeat()

    def repeat_soon(self) -> None:
        """Something new is to be confirmed."""
        self._repeats = 1
        self._schedule_repeat()

    def _schedule_repeat(self) -> None:
        delay_s = backoff_delay(REPEAT, self._repeats + 1, self._context.random())
        # The alarm of one stop must not wait for the less frequent repetition of another.
        delay_s = min(delay_s, self._stops.next_alarm_in_s() + ALARM_SLACK_S)
        self._context.schedule(delay_s, Repeat(), key="repeat")

    def finish_resumed(self) -> None:
        """Resuming ends when every actuator has reported its state since the stop."""
        for record in self._stops.resumable():
            try:
                self._stops.finish_resume(record.scope)
            except ServiceUnavailable as error:
                # The stop stays until its end is written to disk; each report tries again.
                log.error("safety_record_not_written", reason=error.message)
                return
            self._audit(record.cleared_by, f"resumed {record.scope}", record.reason)

    def forget(self, device_id: str) -> None:
        """It is removed: no stop and no clear waits for it."""
        try:
            self._stops.forget(device_id)
        except ServiceUnavailable as error:
            # Each repetition tries again.
            log.error("safety_record_not_written", reason=error.message)
        self.finish_resumed()

    # ---- whether it may be, and what it would lead to

    def _check_stop(self, message: StopAll) -> None:
        """Raises UnknownDevice, ValidationFailed: it would stop nothing."""
        scope = scope_of(message.esp_id, message.zone_id)
        if scope.kind is ScopeKind.DEVICE and self._plant.device(scope.name) is None:
            raise UnknownDevice(device_id=scope.name)
        if scope.kind is ScopeKind.ZONE and not self._plant.covered(scope):
            # A mistyped zone must not look like a stop that worked.
            reason = (
                f"No device is in zone '{scope.name}', so nothing was stopped. Stop everything?"
            )
            raise ValidationFailed(reason=reason)

    def _would_stop(self, message: StopAll) -> SafetyView:
        scope = scope_of(message.esp_id, message.zone_id)
        return self._stops.preview(
            safety_state.stop(
                self._stops.state, scope, by=str(message.issuer), reason=message.reason,
                now=self._context.now(),
            )
        )  # fmt: skip

    def _check_clear(self, message: ClearStop) -> None:
        """Raises StopInputPressed."""
        demands = self._context.look(paths.STOP_INPUTS, "demands") or {}
        pressed = demands.get(scope_of(message.esp_id, message.zone_id))
        if pressed is not None:
            raise StopInputPressed(reason=pressed.reason)

    def _would_clear(self, message: ClearStop) -> SafetyView:
        """Preview a clear. Raises as the clear does."""
        return self._stops.preview(self._cleared(message))

    def _begin_clear(self, message: ClearStop) -> bool:
        """Clear; returns whether devices must confirm it. Raises as `EmergencyStops.begin_clear`,
        `EmergencyStops.accept_unconfirmed` and `EmergencyStops.free_device`.
        """
        scope = scope_of(message.esp_id, message.zone_id)
        if message.accept_unconfirmed:
            self._stops.accept_unconfirmed(scope, message.issuer)
            return False
        if self._is_only_limited(scope):
            self._stops.free_device(scope.name, message.reason)
            return False
        self._stops.begin_clear(scope, message.issuer, self._to_be_cleared(scope))
        return True

    def _would_resume(self, message: ResumeAutomation) -> SafetyView:
        scope = scope_of(message.esp_id, message.zone_id)
        return self._stops.preview(safety_state.resume_automation(self._stops.state, scope))

    def _to_be_cleared(self, scope: Scope) -> list[str]:
        return [
            device_id
            for device_id in self._plant.covered(scope)
            if (self._plant.is_online(device_id) or self._may_run(device_id))
            # A clear on the wire ends every stop of a device.
            and not held_by_another(
                self._stops.state, scope, device_id, self._plant.zone_of(device_id)
            )
        ]

    def _may_run(self, device_id: str) -> bool:
        """Whether something may still run on an offline device: then it must confirm when it
        returns, or an operator takes responsibility.
        """
        states = self._plant.of_device(device_id)
        return any(state.on_since is not None or is_unanswered_on(state) for state in states)

    def _cleared(self, message: ClearStop) -> SafetyState:
        scope = scope_of(message.esp_id, message.zone_id)
        if message.accept_unconfirmed:
            return self._stops.accepted(scope, message.issuer)
        return self._stops.cleared(scope, message.issuer, self._to_be_cleared(scope))

    def _is_only_limited(self, scope: Scope) -> bool:
        """Whether the scope is a device that no stop covers, with an actuator that its own runtime
        limit has locked.
        """
        return (
            scope.kind is ScopeKind.DEVICE
            and self._stops.state.covering(scope.name, self._plant.zone_of(scope.name)) is None
            and any(state.limit_locked for state in self._plant.of_device(scope.name))
        )

    def _audit(self, by: Issuer | str, what: str, details: str) -> None:
        self._journal.tell(
            RecordAudit(entry=entry_by(by, at=self._context.now(), what=what, details=details))
        )
