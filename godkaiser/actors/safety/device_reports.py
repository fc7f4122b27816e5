"""Handles devices' reports about actuators and stops; used by the safety actor only."""

from __future__ import annotations

import json

import msgspec
import structlog

from godkaiser.actors.devices.messages import DevicePresence, DeviceReport
from godkaiser.actors.link.router import BroadcastSeen
from godkaiser.actors.message import Message
from godkaiser.actors.safety.device_events import event_of
from godkaiser.actors.safety.emergency_stops import HEARD, EmergencyStops
from godkaiser.actors.safety.messages import StopAll
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.safety.standing_orders import StandingOrders
from godkaiser.actors.safety.stop_service import StopService
from godkaiser.actors.safety.stop_wire import StopWire
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.entities import ActuatorKey, Issuer
from godkaiser.domain.safety import actuator_events as events
from godkaiser.domain.safety.stop_confirmation import LATE_ANSWER_S, is_own_limit
from godkaiser.domain.safety.stop_state import GLOBAL, StopState
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.protocol import evidence, inbound
from godkaiser.protocol.evidence import Evidence
from godkaiser.storage.audit.trail import entry_by
from godkaiser.supervision import ActorContext, Handle

CLEAR_GRACE_S = 3.0
"""For this time after a clear, statuses built before it still say `active` and are not a new stop.
An alert is a new stop: it is sent once, and a device's messages keep their order.
"""
LIMIT_S = 60.0
"""All actuators report a device's own stop within this time, because they report every 30 s."""

log = structlog.get_logger("godkaiser.safety")


class LookForStop(Message, frozen=True, kw_only=True):
    """To /control/safety/guard, by itself: what a device said right after a clear may have been of before,
    or a stop of its own.
    """

    device_id: str


class DeviceReports:
    def __init__(
        self,
        context: ActorContext,
        plant: Plant,
        wire: StopWire,
        stops: EmergencyStops,
        service: StopService,
        standing: StandingOrders,
        journal: Handle,
    ) -> None:
        self._context = context
        self._plant = plant
        self._wire = wire
        self._stops = stops
        self._service = service
        self._standing = standing
        self._journal = journal

    def broadcast(self, message: BroadcastSeen) -> None:
        try:
            body = msgspec.json.decode(message.payload)
        except msgspec.DecodeError:
            body = None
        fields = body if isinstance(body, dict) else {}
        if message.retained:
            self._wire.clear_retained_broadcast()
            entry = entry_by(
                "device:broadcast",
                at=self._context.now(),
                what="retained broadcast cleared",
                details=json.dumps(fields)[:200],
            )
            self._journal.tell(RecordAudit(entry=entry))
            return
        if self._wire.is_own_broadcast(str(fields.get("correlation_id", ""))):
            return
        verb = fields.get("command", fields.get("action"))
        # A verb that is not text also makes devices stop (contract, 11.2).
        if verb in ("stop_all", "emergency_stop") or not isinstance(verb, str | None):
            record = self._stops.state.find(GLOBAL)
            if record is not None and record.state is StopState.ACTIVE:
                # Another gateway's answer to ours, or a repetition: the stop is already in force.
                return
            # The devices have already received it; here it is latched and confirmed.
            self._service.carry_out(
                StopAll(
                    issuer=Issuer(HEARD, str(fields.get("issued_by", "unknown"))[:40]),
                    reason=str(fields.get("reason", "stop on the broadcast topic"))[:100],
                )
            )

    def apply(self, key: ActuatorKey, event: events.ActuatorEvent) -> None:
        """Step an actuator, and check what that means for the stops."""
        self._plant.apply(key, event)
        self._stops.look_at(key.esp_id)

    def report(self, report: DeviceReport) -> None:
        device_id, heard_at = report.device_id, report.heard_at
        event = None if report.gpio is None else event_of(report)
        if event is not None and report.gpio is not None:
            key = ActuatorKey(device_id, report.gpio)
            self.apply(key, event)
            if isinstance(event, events.Reported):
                self._stops.read_back(key)
        match evidence.of(report.payload):
            case Evidence.STOPPED | Evidence.TOLD as found:
                self._stops.heard(device_id, heard_at, redelivered=report.redelivered)
                if found is Evidence.STOPPED:
                    self._reports_stop(report)
            case Evidence.CLEARED if not report.redelivered:
                self._confirm_clear(device_id, report.payload, heard_at)
            case _:
                pass
        if isinstance(report.payload, inbound.ActuatorStatus):
            self._service.finish_resumed()

    def _reports_stop(self, report: DeviceReport) -> None:
        """The device reports a stop: ours, or one of its own."""
        device_id = report.device_id
        presence = self._plant.device(device_id)
        if presence is None or report.redelivered:
            return
        if self._stops.state.covering(device_id, presence.zone_id) is not None:
            return
        if self._stops.owes_clear(device_id):
            self._stops.clear_what_is_owed(device_id)
            return
        if report.gpio is not None and isinstance(report.payload, inbound.ActuatorStatus):
            cleared_at = self._stops.cleared_at(device_id)
            now = self._context.monotonic()
            if cleared_at is not None and now <= cleared_at + CLEAR_GRACE_S:
                # The report may have been built before the clear: check later whether the stop
                # still holds.
                message = LookForStop(device_id=device_id)
                delay_s = cleared_at + CLEAR_GRACE_S - now
                self._context.schedule(delay_s, message, key=("look for stop", device_id))
                return
        if report.gpio is None or not self._is_own_limit(device_id):
            self._take_over_stop(device_id)

    def look_for_stop(self, device_id: str) -> None:
        """A stop was reported right after a clear: it counts if the actuators still report it."""
        presence = self._plant.device(device_id)
        if presence is None or self._stops.owes_clear(device_id):
            return
        if self._stops.state.covering(device_id, presence.zone_id) is not None:
            return
        states = self._plant.of_device(device_id)
        is_active = any(state.emergency == "active" for state in states)
        if is_active and not self._is_own_limit(device_id):
            self._take_over_stop(device_id)

    def _is_own_limit(self, device_id: str) -> bool:
        states = self._plant.of_device(device_id)
        return bool(states) and is_own_limit(states, self._context.monotonic(), LIMIT_S)

    def _take_over_stop(self, device_id: str) -> None:
        """The device has stopped by itself: the gateway takes over the stop."""
        self._service.carry_out(
            StopAll(
                issuer=Issuer("device", device_id),
                reason="the device reports an emergency stop",
                esp_id=device_id,
            )
        )

    def _confirm_clear(self, device_id: str, payload: object, heard_at: float) -> None:
        is_answer = not isinstance(payload, inbound.ActuatorStatus)
        try:
            self._stops.confirm_clear(device_id, heard_at, is_answer=is_answer)
        except ServiceUnavailable as error:
            # The stop stays in CLEARING and the clear is repeated; its next confirmation is
            # written.
            log.error("safety_record_not_written", reason=error.message)
            return
        cleared_at = self._stops.cleared_at(device_id)
        may_be_ours = cleared_at is not None and heard_at - cleared_at < LATE_ANSWER_S
        if is_answer and not may_be_ours:
            # Somebody else has cleared the device. A status is only about its own actuator.
            self._stops.lifted(device_id, heard_at)
        self._service.finish_resumed()

    def presence(self, presence: DevicePresence) -> None:
        before = self._plant.device(presence.device_id)
        if before is not None and presence.told_at < before.told_at:
            return
        moved = before is not None and before.zone_id != presence.zone_id
        if moved and before is not None:
            self._keep_stopped(before, presence)
        if self._plant.learn(presence) or (moved and presence.online):
            self._stops.stop_returned(presence.device_id, presence.zone_id)
            self._stops.clear_what_is_owed(presence.device_id)
            self._service.repeat_soon()
        elif before is None:
            self._stops.await_absent(presence.device_id, presence.zone_id)
        self._stops.look_at(presence.device_id)
        self._standing.judge((presence.device_id,), self._stops.state)
        if presence.rebooted or before is None:
            self._standing.tell(presence.device_id)
        if not presence.online:
            self._service.finish_resumed()

    def _keep_stopped(self, before: DevicePresence, after: DevicePresence) -> None:
        """A device that is moved out of a stopped zone stays stopped: a move must not clear a stop."""
        device_id = before.device_id
        record = self._stops.state.covering(device_id, before.zone_id)
        if record is None or record.scope.covers(device_id, after.zone_id):
            return
        self._service.carry_out(
            StopAll(
                issuer=Issuer("system", "moved"),
                reason=f"moved out of {record.scope} while that was stopped: {record.reason}"[:100],
                esp_id=device_id,
            )
        )
