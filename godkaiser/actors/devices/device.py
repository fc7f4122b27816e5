"""One actor for each ESP32: approval, liveness, sensors and configuration.

All messages of a device pass through its actor. Messages about actuators go on to the safety actor;
a reading goes to the recorder and to the rules that watch the sensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.devices.device_log import DeviceLog, audit_entry_of
from godkaiser.actors.devices.device_requests import DeviceRequests
from godkaiser.actors.devices.device_setup import DeviceSetup, PushConfig, PushPlacement
from godkaiser.actors.devices.device_view import view_of
from godkaiser.actors.devices.messages import (
    DevicePresence,
    DeviceReport,
    MeasureNow,
    SendSystemCommand,
    StandingDecided,
    SubmitBatch,
    SubmitReading,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.devices.reading_intake import ReadingIntake
from godkaiser.actors.devices.vital_signs import VitalSigns
from godkaiser.actors.link.broker import LINK_GROUP, LinkDown, LinkUp
from godkaiser.actors.link.router import DeviceMessage
from godkaiser.actors.safety.messages import SwitchSafeMode
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain import clock_belief
from godkaiser.domain.devices import devices
from godkaiser.domain.devices.device_config import Wanted
from godkaiser.domain.entities import (
    ActuatorConfig,
    Approval,
    DeviceRecord,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.safety.standing_orders import NOTHING_STANDS, Standing
from godkaiser.errors.base import GatewayError
from godkaiser.errors.devices import DeviceNotApproved, DeviceOffline
from godkaiser.mqtt.connection import Inbound, NotConnected
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.protocol import clock, codec, inbound, outbound
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import Tail
from godkaiser.supervision import Actor, Handle

log = structlog.get_logger("godkaiser.devices")

LIVENESS_JOB = "liveness"
UNREMARKABLE = frozenset({Tail.HEARTBEAT, Tail.ACTUATOR_STATUS, Tail.SENSOR_DATA})


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The state that survives a crash of the device actor: from the registrar and from the device."""

    record: DeviceRecord
    sensors: dict[SensorKey, SensorConfig]
    actuators: tuple[ActuatorConfig, ...]
    liveness: devices.Liveness
    announced_epoch: int
    heartbeat: inbound.Heartbeat | None
    standing: Standing


class DeviceActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        record: DeviceRecord,
        sensor_configs: Iterable[SensorConfig],
        actuator_configs: Iterable[ActuatorConfig],
        port: DevicePort,
        acks: AckPort,
        offline_after_s: float,
    ) -> None:
        super().__init__()
        self._record = record
        self._sensors = {config.key: config for config in sensor_configs}
        self._actuators = tuple(actuator_configs)
        self._port = port
        self._acks = acks
        self._offline_after_s = offline_after_s
        self._liveness = devices.Liveness()
        self._announced_epoch = 0
        self._will_retained = False
        self._clock_offset: float | None = None
        self._standing = NOTHING_STANDS
        self._signs = VitalSigns(record.device_id)
        self._safety: Handle
        self._journal: Handle

    def on_start(self) -> None:
        self._safety = self.context.handle(paths.SAFETY)
        self._journal = self.context.handle(paths.JOURNAL)
        self._readings = ReadingIntake(
            self.context, self.context.handle(paths.RECORDER), self._acks
        )
        self._setup = DeviceSetup(self.context, self._port)
        self._requests = DeviceRequests(self.context, self._port)
        self._log = DeviceLog(self.context.recall("diagnostics"))
        remembered = self.context.recall("memory")
        if isinstance(remembered, DeviceMemory):
            self._record = remembered.record
            self._sensors = remembered.sensors
            self._actuators = remembered.actuators
            self._liveness = remembered.liveness
            self._announced_epoch = remembered.announced_epoch
            self._signs.heartbeat = remembered.heartbeat
            self._standing = remembered.standing
        self.context.join(LIVENESS_JOB)
        self.context.join(LINK_GROUP)
        self._show()
        self._tell_presence(rebooted=False)
        if self._liveness.online and self._record.approval is Approval.APPROVED:
            self._plan_config()

    def on_receive(self, message: object) -> Any:
        match message:
            case DeviceMessage():
                self._device_message(message)
            case Tick():
                self._requests.expire()
                now = self.context.monotonic()
                self._set_liveness(self._liveness.tick(now, self._offline_after_s), rebooted=False)
            case PushConfig():
                self._setup.send_config()
                self._show()
            case PushPlacement():
                self._setup.send_placement()
                self._show()
            case StandingDecided(standing=standing):
                if standing != self._standing:
                    self._standing = standing
                    self._configuration_changed()
            case SendSystemCommand():
                return self._requests.ask_system(message, self._reachable())
            case MeasureNow():
                return self._requests.ask_measure(message, self._reachable())
            case SwitchSafeMode():
                self._requests.switch_safe_mode(message, self._reachable())
            case UpdateDevice(record=record):
                self._update_record(record)
            case UpdateSensors(sensors=configs):
                self._sensors = {config.key: config for config in configs}
                self._configuration_changed()
            case UpdateActuators(actuators=actuators):
                self._actuators = actuators
                self._configuration_changed()
            case SubmitReading():
                self._readings.submit(message, self._record, self._sensors)
            case SubmitBatch(readings=readings):
                return self._readings.submit_all(readings, self._record, self._sensors)
            case LinkUp() | LinkDown():
                pass
            case _:
                self.context.unhandled(message)
        return None

    # ---- messages of the device

    def _device_message(self, message: DeviceMessage) -> None:
        received = message.inbound
        try:
            body = codec.decode(message.topic, received.payload)
        except PayloadError as error:
            if not received.to_be_heard:
                self._acknowledge(received)
                return
            self._log.refuse(error.reason)
            self.context.publish("diagnostics", self._log.shown())
            self.context.reject(message, f"{message.topic.tail.value}: {error}", kind=error.reason)
            self._acknowledge(received)
            return
        if not received.to_be_heard:
            self._keep(message, body)
            return
        self._log.count(message.topic.tail)
        match body:
            case inbound.SensorData():
                when = clock.normalise(
                    body.ts,
                    received.received_at,
                    time_valid=body.time_valid,
                    live_ts=self._live_ts(received),
                )
                shows_presence = self._record.approval is Approval.APPROVED and not when.replayed
                was_online = self._liveness.online
                if shows_presence and not was_online:
                    self._heard_now(when, received)
                # The reading of a device that is there waits for no bookkeeping.
                self._readings.take(body, message, when, self._record, self._sensors)
                if shows_presence and was_online:
                    self._heard_now(when, received)
                return
            case inbound.ActuatorResponse() | inbound.ActuatorAlert():
                self._report(message, body)
                self._keep(message, body)
                return
            case inbound.EmergencyError() | inbound.ErrorEvent() | inbound.Lifecycle():
                self._remark(message, body)
                self._keep(message, body)
                return
            case _:
                self._take_in(message, body)
        if message.topic.tail not in UNREMARKABLE:
            self._remark(message, body)
        self._acknowledge(received)

    def _take_in(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        """Handle messages that change the state of the device, or answer a request."""
        received = message.inbound
        match body:
            case inbound.Heartbeat():
                self._heard(body, received, answered=message.answered)
            case inbound.ActuatorStatus():
                when = clock.normalise(
                    body.ts,
                    received.received_at,
                    time_valid=None,
                    live_ts=self._live_ts(received),
                )
                self._heard_now(when, received)
                self._report(message, body)
            case inbound.EmergencyAck() | inbound.EmergencyResponse() | inbound.RecoveryConfirm():
                self._report(message, body)
            case inbound.IntentOutcome():
                if self._log.keep_outcome(body, received.received_at):
                    self._setup.outcome(body)
                    self._show()
                self._report(message, body)
            case inbound.ConfigResponse():
                self._setup.answered(body)
                self._show()
            case inbound.PlacementAck():
                self._setup.placed(body)
                self._show()
            case inbound.SensorResponse():
                self._requests.measured(body, received.received_at)
            case inbound.Will():
                self._will_retained = True
                self._set_liveness(self._liveness.will(retained=received.retain), rebooted=False)
            case inbound.SessionAnnounce(handover_epoch=epoch):
                self._announced_epoch = epoch
            case inbound.Observed(fields=fields) if message.topic.tail is Tail.SYSTEM_RESPONSE:
                self._requests.replied(fields, received.received_at)
            case _:
                pass

    def _remark(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        at = message.inbound.received_at
        if isinstance(body, inbound.ErrorEvent):
            self._log.keep_error(body, at)
        else:
            self._log.keep(message.topic.tail, body, at)
        self.context.publish("diagnostics", self._log.shown())

    def _heard(self, beat: inbound.Heartbeat, received: Inbound, *, answered: bool) -> None:
        if received.retain:
            # A retained heartbeat: the device may be gone since.
            return
        # Send the ack first, so that the device does not count us as offline, even if the rest is
        # slow.
        epoch = devices.handover_epoch(beat.active_handover_epoch, self._announced_epoch)
        if not answered:
            self._acknowledge_heartbeat(epoch)
        was_online = self._liveness.online
        heard_at = self._heard_at(received)
        of_two_boards = self._signs.heard(beat, heard_at)
        seconds = clock.seconds_of(beat.ts, time_valid=beat.time_valid)
        self._clock_offset = None if seconds is None else seconds - heard_at
        liveness, rebooted = self._liveness.heartbeat(heard_at, beat.uptime, received.received_at)
        if of_two_boards:
            # With two boards each heartbeat looks like a reboot: do not push the configuration each
            # time.
            self._set_liveness(liveness, rebooted=False)
            return
        if rebooted:
            self._signs.booted(heard_at)
            self._readings.expect_power_on()
        self._set_liveness(liveness, rebooted=rebooted)
        if self._will_retained:
            self._clear_will()
        if self._record.approval is Approval.APPROVED:
            returned = rebooted or not was_online
            if (returned and not self._setup.is_busy) or self._setup.is_due(
                self._record, self._wanted(), beat, self.context.monotonic()
            ):
                self._plan_config()

    def _heard_now(self, when: clock.DeviceTime, received: Inbound) -> None:
        """Update the liveness, only by a fresh message: the broker may have kept an old one."""
        if not (when.from_device and when.current) or received.retain:
            return
        liveness = self._liveness.heard(self._heard_at(received), received.received_at)
        if liveness is self._liveness:
            return
        returned = not self._liveness.online
        self._set_liveness(liveness, rebooted=False)
        if returned and self._record.approval is Approval.APPROVED and not self._setup.is_busy:
            # The answer to a push also shows the state of its actuators.
            self._plan_config()

    def _live_ts(self, received: Inbound) -> float | None:
        """The time of the device's clock at the receipt, from its heartbeats, which are never
        delayed.
        """
        if self._clock_offset is None:
            return None
        return self._clock_offset + self._heard_at(received)

    def _heard_at(self, received: Inbound) -> float:
        return received.heard_at or self.context.monotonic()

    def _acknowledge_heartbeat(self, epoch: int) -> None:
        now = self.context.now()
        # The device sets its clock from ours, and offline rules with time windows depend on it.
        is_believable = clock_belief.is_believable(
            now, self._record.registered_at, self._record.decided_at
        )
        payload = outbound.heartbeat_ack(
            devices.ACK_STATUS[self._record.approval],
            epoch,
            now if is_believable else None,
            reason_code="REJECTED_BY_OPERATOR"
            if self._record.approval is Approval.REJECTED
            else "",
        )
        try:
            self._port.heartbeat_ack(self._record.device_id, payload)
        except NotConnected:
            # The device will ask again, every few seconds.
            return

    def _clear_will(self) -> None:
        try:
            self._port.clear_will(self._record.device_id)
        except NotConnected:
            return
        self._will_retained = False

    def _report(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        self._safety.tell(
            DeviceReport(
                device_id=self._record.device_id,
                gpio=message.topic.gpio,
                payload=body,
                heard_at=message.inbound.heard_at,
                redelivered=message.inbound.dup,
            )
        )

    def _keep(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        """Into the audit trail; acknowledged when it is there."""
        received = message.inbound
        entry = audit_entry_of(message.topic, body, received) if received.to_be_kept else None
        if entry is None:
            self._acknowledge(received)
            return
        ack = (received.session, received.mid) if received.qos else None
        self._journal.tell(RecordAudit(entry=entry, ack=ack))

    def _acknowledge(self, received: Inbound) -> None:
        if received.qos:
            self._acks.acknowledge([(received.session, received.mid)])

    # ---- what it is configured with

    def _reachable(self) -> DeviceRecord:
        """The record of a device that can be asked. Raises DeviceNotApproved, DeviceOffline."""
        record = self._record
        if record.approval is not Approval.APPROVED:
            raise DeviceNotApproved(esp_id=record.device_id, approval=record.approval.value)
        if not self._liveness.online:
            reason = f"Device {record.device_id} is not online, so it cannot be asked. Wait for it."
            raise DeviceOffline(reason)
        return record

    def _wanted(self) -> Wanted:
        return Wanted(
            board=self._record.board,
            sensors=tuple(self._sensors.values()),
            actuators=self._actuators,
            removed=self._record.removed,
            rules=self._standing.entries,
            may_leave_safe_mode=self._standing.may_leave_safe_mode,
            knows_rules=self._signs.heartbeat is not None
            and bool(self._signs.heartbeat.boot_sequence_id),
        )

    def _configuration_changed(self) -> None:
        if self._liveness.online and self._record.approval is Approval.APPROVED:
            self._plan_config()
        self._remember()
        self._show()

    def _plan_config(self) -> None:
        self._setup.plan(self._record, self._wanted(), self._signs.heartbeat)
        self._show()

    # ---- record and liveness

    def _update_record(self, record: DeviceRecord) -> None:
        decided = record.approval is not self._record.approval
        before, self._record = self._record, record
        if decided and self._signs.heartbeat is not None and self._liveness.online:
            # Unsolicited, so that the operator's decision takes effect at once (contract, 6.7).
            epoch = devices.handover_epoch(
                self._signs.heartbeat.active_handover_epoch, self._announced_epoch
            )
            self._acknowledge_heartbeat(epoch)
            if record.approval is Approval.APPROVED:
                self._plan_config()
        elif _setup_of(record) != _setup_of(before):
            self._configuration_changed()
        self._remember()
        self._show()
        self._tell_presence(rebooted=False)

    def _set_liveness(self, liveness: devices.Liveness, *, rebooted: bool) -> None:
        changed = liveness.online != self._liveness.online or rebooted
        self._liveness = liveness
        self._remember()
        # Publish the view first: a restarted safety actor reads it, and then only later messages.
        self._show()
        if changed:
            self._tell_presence(rebooted=rebooted)

    def _tell_presence(self, *, rebooted: bool) -> None:
        self._safety.tell(
            DevicePresence(
                device_id=self._record.device_id,
                zone_id=self._record.zone_id,
                approved=self._record.approval is Approval.APPROVED,
                online=self._liveness.online,
                rebooted=rebooted,
                told_at=self.context.monotonic(),
            )
        )

    def _remember(self) -> None:
        self.context.publish(
            "memory",
            DeviceMemory(
                record=self._record,
                sensors=self._sensors,
                actuators=self._actuators,
                liveness=self._liveness,
                announced_epoch=self._announced_epoch,
                heartbeat=self._signs.heartbeat,
                standing=self._standing,
            ),
        )

    def _show(self) -> None:
        view = view_of(
            self._record,
            self._liveness,
            self._signs,
            self._setup,
            tuple(self._sensors.values()),
            self.context.monotonic(),
        )
        self.context.publish("view", view)


def _setup_of(record: DeviceRecord) -> object:
    """The part of the record that the device must be sent; confirmed deletions are left out."""
    return record.zone_id, record.zone_name, record.subzones, record.board
