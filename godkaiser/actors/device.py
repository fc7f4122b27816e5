"""One actor for each ESP32: approval, liveness, sensors, and what the device is configured with.

Everything that a device sends passes through its actor. What concerns actuators goes on to the
safety actor; a reading goes to the recorder and to the rules that watch the sensor.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.broker import LINK_GROUP, LinkDown, LinkUp
from godkaiser.actors.config_push import ANSWER_TIMEOUT_S, ConfigPush
from godkaiser.actors.device_messages import (
    DevicePresence,
    DeviceReport,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.journal import RecordAudit
from godkaiser.actors.recorder import StoreReading
from godkaiser.actors.router import DeviceMessage
from godkaiser.actors.timekeeper import Tick
from godkaiser.domain import devices, sensors
from godkaiser.domain.entities import (
    ActuatorConfig,
    Approval,
    DeviceRecord,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.errors import DeviceNotApproved, GatewayError, UnknownSensor, ValueOutOfRange
from godkaiser.messages import DeviceView, Message, ReadingAccepted, SubmitReading
from godkaiser.mqtt.connection import Inbound, NotConnected
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.protocol import clock, codec, inbound, outbound
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import Tail
from godkaiser.storage.audit import AuditEntry
from godkaiser.supervision import Actor, Handle

LIVENESS_JOB = "liveness"
CONFIG_DELAY_S = 0.5
CONFIG_COOL_DOWN_S = 45.0
MASK_63_BITS = (1 << 63) - 1


class PushConfig(Message, frozen=True, kw_only=True):
    """To oneself: send the next part of the configuration."""


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
        self._push = ConfigPush()
        self._pushed_at = 0.0
        self._counts: Counter[str] = Counter()
        self._heartbeat: inbound.Heartbeat | None = None
        self._watchers: dict[SensorKey, tuple[str, int, str]] = {}
        self._safety: Handle
        self._recorder: Handle
        self._journal: Handle

    def on_start(self) -> None:
        self._safety = self.context.handle(paths.SAFETY)
        self._recorder = self.context.handle(paths.RECORDER)
        self._journal = self.context.handle(paths.JOURNAL)
        remembered = self.context.recall("memory")
        if remembered is not None:
            # A crash: what the registrar told since the first start, and what the device told.
            (
                self._record,
                self._sensors,
                self._actuators,
                self._liveness,
                self._announced_epoch,
                self._heartbeat,
            ) = remembered
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
            case Tick(at=at):
                self._set_liveness(self._liveness.tick(at, self._offline_after_s), rebooted=False)
            case PushConfig():
                self._send_config()
            case UpdateDevice(record=record):
                self._update_record(record)
            case UpdateSensors(sensors=configs):
                self._sensors = {config.key: config for config in configs}
                self._configuration_changed()
            case UpdateActuators(actuators=actuators):
                self._actuators = actuators
                self._configuration_changed()
            case SubmitReading():
                self._submit(message)
            case LinkUp() | LinkDown():
                pass
            case _:
                self.context.unhandled(message)

    # ---- what the device says

    def _device_message(self, message: DeviceMessage) -> None:
        received = message.inbound
        try:
            body = codec.decode(message.topic, received.payload)
        except PayloadError as error:
            self._counts[error.reason] += 1
            self.context.publish("bad_payloads", dict(self._counts))
            self.context.reject(message, f"{message.topic.tail.value}: {error}")
            self._acknowledge(received)
            return
        match body:
            case inbound.SensorData():
                self._sensor_data(body, message)
                return
            case inbound.Heartbeat():
                self._heard(body, received)
            case inbound.ActuatorStatus():
                when = clock.normalise(body.ts, received.received_at, time_valid=None)
                self._heard_now(when, received)
                self._report(message, body)
            case inbound.ActuatorResponse() | inbound.ActuatorAlert() | inbound.EmergencyError():
                self._report(message, body)
                self._keep(message, body)
                return
            case inbound.IntentOutcome(flow="config", outcome="persisted", intent_id=intent_id):
                if self._push.persisted(intent_id):
                    self._next_part()
                self._show()
            case (
                inbound.EmergencyAck()
                | inbound.EmergencyResponse()
                | inbound.RecoveryConfirm()
                | inbound.IntentOutcome()
            ):
                self._report(message, body)
            case inbound.ConfigResponse():
                self._config_answered(body)
            case inbound.Will():
                self._will_retained = True
                self._set_liveness(self._liveness.will(retained=received.retain), rebooted=False)
            case inbound.SessionAnnounce(handover_epoch=epoch):
                self._announced_epoch = epoch
            case inbound.ErrorEvent():
                self._keep(message, body)
                return
            case _:
                self.context.publish(("last", message.topic.tail.value), body)
        self._acknowledge(received)

    def _heard(self, beat: inbound.Heartbeat, received: Inbound) -> None:
        # The ack goes first: whatever is slow below, the device must not think us dead.
        epoch = devices.handover_epoch(beat.active_handover_epoch, self._announced_epoch)
        self._acknowledge_heartbeat(epoch)
        was_online = self._liveness.online
        self._heartbeat = beat
        liveness, rebooted = self._liveness.heartbeat(received.received_at, beat.uptime)
        self._set_liveness(liveness, rebooted=rebooted)
        if self._will_retained:
            self._clear_will()
        if self._record.approval is Approval.APPROVED and self._config_is_due(
            beat, received.received_at, returned=rebooted or not was_online
        ):
            self._plan_config()

    def _heard_now(self, when: clock.DeviceTime, received: Inbound) -> None:
        """Only what the device has just made tells that it is there: the broker may have kept it."""
        if not (when.from_device and when.current) or received.retain:
            return
        liveness = self._liveness.heard(received.received_at)
        if liveness is self._liveness:
            return
        returned = not self._liveness.online
        self._set_liveness(liveness, rebooted=False)
        if returned and self._record.approval is Approval.APPROVED and not self._push.is_busy:
            # Its answer tells the state of its actuators, too.
            self._plan_config()

    def _acknowledge_heartbeat(self, epoch: int) -> None:
        payload = outbound.heartbeat_ack(
            devices.ACK_STATUS[self._record.approval],
            epoch,
            self.context.now(),
            reason_code="REJECTED_BY_OPERATOR"
            if self._record.approval is Approval.REJECTED
            else "",
        )
        try:
            self._port.heartbeat_ack(self._record.device_id, payload)
        except NotConnected:
            # It will ask again, every few seconds.
            return

    def _clear_will(self) -> None:
        try:
            self._port.clear_will(self._record.device_id)
        except NotConnected:
            return
        self._will_retained = False

    def _sensor_data(self, data: inbound.SensorData, message: DeviceMessage) -> None:
        received = message.inbound
        if self._record.approval is not Approval.APPROVED:
            self._refuse_reading(message, f"the device is {self._record.approval.value}")
            return
        when = clock.normalise(data.ts, received.received_at, time_valid=data.time_valid)
        if when.replayed:
            self._refuse_reading(message, "it is older than 24 hours")
            return
        self._heard_now(when, received)
        gpio = data.gpio if message.topic.gpio is None else message.topic.gpio
        key = self._series_of(data, gpio)
        config = self._sensors.get(key)
        converted = sensors.convert(
            key.sensor_type, data.raw, None if config is None else config.calibration, data.quality
        )
        reading = Reading(
            key,
            when.at,
            received.received_at,
            data.raw,
            converted.value,
            converted.unit,
            converted.quality,
            data.zone_id,
            _content_key(received),
            not when.from_device or data.seq is None,
            received.dup,
            when.current,
        )
        if converted.quality is Quality.BAD:
            # Kept, for it was measured; set aside too, for somebody should look at the sensor.
            self.context.reject(
                message, f"{data.raw:g} is not a {sensors.describe(key.sensor_type)}"
            )
        ack = (received.session, received.mid) if received.qos else None
        self._accept(reading, StoreReading(reading=reading, ack=ack))

    def _accept(self, reading: Reading, store: StoreReading) -> None:
        # Rules first: acting must not wait for the disk.
        key = reading.key
        if reading.usable_by_rules and reading.value is not None:
            watched = self._watchers.get(key)
            if watched is None:
                watched = self._watchers[key] = (key.esp_id, key.gpio, key.sensor_type)
            for rule in self.context.members(("sensor", watched)):
                rule.tell(ReadingAccepted(reading=reading))
        if reading.usable_by_rules:
            for guard in self.context.members(("stop_input", key.esp_id)):
                guard.tell_urgent(ReadingAccepted(reading=reading))
        self._recorder.tell(store)
        self.context.publish(key, reading)

    def _refuse_reading(self, message: DeviceMessage, reason: str) -> None:
        self.context.reject(message, f"reading not stored: {reason}")
        self._acknowledge(message.inbound)

    def _series_of(self, data: inbound.SensorData, gpio: int) -> SensorKey:
        """The configured series that the reading belongs to, or one of its own."""
        sensor_type = sensors.canonical_type(data.sensor_type)
        address = data.onewire_address
        if not address and data.i2c_address is not None:
            address = hex(data.i2c_address)
        key = SensorKey(self._record.device_id, gpio, sensor_type, address)
        if address and key not in self._sensors:
            # Configured without an address: then there is only one of its kind on the pin.
            plain = SensorKey(self._record.device_id, gpio, sensor_type)
            if plain in self._sensors:
                return plain
        return key

    def _report(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        self._safety.tell(
            DeviceReport(
                device_id=self._record.device_id,
                gpio=message.topic.gpio,
                payload=body,
                at=message.inbound.received_at,
            )
        )

    def _keep(self, message: DeviceMessage, body: inbound.DeviceMessageBody) -> None:
        """Into the audit trail; acknowledged when it is there."""
        received = message.inbound
        what = {
            Tail.ACTUATOR_RESPONSE: "actuator response",
            Tail.ACTUATOR_ALERT: "actuator alert",
            Tail.EMERGENCY_ERROR: "emergency error",
            Tail.ERROR: "device error",
        }[message.topic.tail]
        gpio = "" if message.topic.gpio is None else f" GPIO {message.topic.gpio}"
        self._journal.tell(
            RecordAudit(
                entry=AuditEntry(
                    at=received.received_at,
                    who=f"device:{self._record.device_id}",
                    what=what + gpio,
                    correlation_id=getattr(body, "correlation_id", ""),
                    details=msgspec.json.encode(body).decode(),
                ),
                ack=(received.session, received.mid) if received.qos else None,
            )
        )

    def _acknowledge(self, received: Inbound) -> None:
        if received.qos:
            self._acks.acknowledge([(received.session, received.mid)])

    # ---- readings by REST

    def _submit(self, message: SubmitReading) -> None:
        key = message.key
        config = self._sensors.get(key)
        if config is None:
            raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        if self._record.approval is not Approval.APPROVED:
            raise DeviceNotApproved(esp_id=key.esp_id, approval=self._record.approval.value)
        if message.raw is not None:
            converted = sensors.convert(key.sensor_type, message.raw, config.calibration)
        else:
            converted = sensors.accept_value(key.sensor_type, message.value)
        if converted.value is None or converted.quality is Quality.BAD:
            given = message.value if message.raw is None else message.raw
            raise ValueOutOfRange(reason=f"{given} is not a {sensors.describe(key.sensor_type)}.")
        now = self.context.now()
        if message.at is not None and not clock.EARLIEST <= message.at <= now + clock.AHEAD_S:
            reason = (
                f"timestamp {message.at:g} is no time of a measurement: unix seconds from 2020 up to"
                " now are."
            )
            raise ValueOutOfRange(reason=reason)
        reading = Reading(
            key,
            now if message.at is None else message.at,
            now,
            converted.value if message.raw is None else message.raw,
            converted.value,
            converted.unit,
            converted.quality,
            self._record.zone_id,
            int.from_bytes(hashlib.blake2b(f"{key}{now}".encode(), digest_size=8).digest())
            & MASK_63_BITS,
        )
        self._accept(reading, StoreReading(reading=reading, reply=self.context.take_reply()))

    # ---- what it is configured with

    def _config_is_due(self, beat: inbound.Heartbeat, now: float, *, returned: bool) -> bool:
        if self._push.is_busy:
            return False
        if returned:
            return True
        drifted = beat.runtime_state_degraded or (
            beat.sensor_count is not None
            and (beat.sensor_count, beat.actuator_count)
            != (len(self._sensors), len(self._actuators))
        )
        return drifted and now - self._pushed_at > CONFIG_COOL_DOWN_S

    def _configuration_changed(self) -> None:
        if self._liveness.online and self._record.approval is Approval.APPROVED:
            self._plan_config()
        self._remember()
        self._show()

    def _plan_config(self) -> None:
        self._push.begin(tuple(self._sensors.values()), self._actuators)
        # The device takes configuration only after it has taken the ack in.
        self.context.schedule(CONFIG_DELAY_S, PushConfig(), key="config")
        self._show()

    def _send_config(self) -> None:
        now = self.context.now()
        payload = self._push.next_payload(now)
        self._pushed_at = now
        if payload is not None:
            # Without a link: sent again at the time-out, planned anew when the device returns.
            with contextlib.suppress(NotConnected):
                self._port.config(self._record.device_id, payload)
            self.context.schedule(ANSWER_TIMEOUT_S, PushConfig(), key="config")
        self._show()

    def _config_answered(self, response: inbound.ConfigResponse) -> None:
        if self._push.answered(response):
            self._next_part()
        elif not self._push.is_busy:
            self.context.cancel("config")
        self._show()

    def _next_part(self) -> None:
        self.context.cancel("config")
        if self._push.is_busy:
            self._send_config()

    # ---- what it is, and whether it is there

    def _update_record(self, record: DeviceRecord) -> None:
        decided = record.approval is not self._record.approval
        self._record = record
        if decided and self._heartbeat is not None and self._liveness.online:
            # Unsolicited, so that the operator's decision is felt at once (contract, 6.7).
            epoch = devices.handover_epoch(
                self._heartbeat.active_handover_epoch, self._announced_epoch
            )
            self._acknowledge_heartbeat(epoch)
            if record.approval is Approval.APPROVED:
                self._plan_config()
        self._remember()
        self._show()
        self._tell_presence(rebooted=False)

    def _set_liveness(self, liveness: devices.Liveness, *, rebooted: bool) -> None:
        changed = liveness.online != self._liveness.online or rebooted
        self._liveness = liveness
        self._remember()
        if changed:
            self._tell_presence(rebooted=rebooted)
        self._show()

    def _tell_presence(self, *, rebooted: bool) -> None:
        self._safety.tell(
            DevicePresence(
                device_id=self._record.device_id,
                zone_id=self._record.zone_id,
                approved=self._record.approval is Approval.APPROVED,
                online=self._liveness.online,
                rebooted=rebooted,
                at=self.context.now(),
            )
        )

    def _remember(self) -> None:
        self.context.publish(
            "memory",
            (
                self._record,
                self._sensors,
                self._actuators,
                self._liveness,
                self._announced_epoch,
                self._heartbeat,
            ),
        )

    def _show(self) -> None:
        beat = self._heartbeat
        self.context.publish(
            "view",
            DeviceView(
                record=self._record,
                online=self._liveness.online,
                last_seen=self._liveness.last_seen,
                uptime_s=self._liveness.uptime_s,
                heap_free=None if beat is None else beat.heap_free,
                wifi_rssi=None if beat is None else beat.wifi_rssi,
                wifi_ip="" if beat is None else beat.wifi_ip,
                firmware_state=None if beat is None else _firmware_state(beat),
                sensor_count=None if beat is None else beat.sensor_count,
                actuator_count=None if beat is None else beat.actuator_count,
                config_sync=self._push.sync,
                config_error=self._push.error,
                sensors=tuple(self._sensors.values()),
            ),
        )


def _firmware_state(beat: inbound.Heartbeat) -> int | None:
    state = beat.config_status.get("state")
    return state if isinstance(state, int) else None


def _content_key(received: Inbound) -> int:
    """A digest of what was on the wire: the same bytes on the same topic have the same key."""
    digest = hashlib.blake2b(received.payload, digest_size=8)
    digest.update(received.topic.encode())
    return int.from_bytes(digest.digest(), "big") & MASK_63_BITS
