"""Turns a measurement into a reading: converts and rates it, and sends it to the rules and the
recorder.

Used by a device actor only.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence

import pykka

from godkaiser.actors.devices.messages import ReadingAccepted, SubmitReading
from godkaiser.actors.link.router import DeviceMessage
from godkaiser.actors.storage.recorder import StoreReading
from godkaiser.domain.entities import (
    Approval,
    DeviceRecord,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
    without_raw,
)
from godkaiser.domain.records.reading_order import is_newer
from godkaiser.domain.rules.rules import SensorRef, refs_of
from godkaiser.domain.sensors import derived, sensors
from godkaiser.errors.base import GatewayError
from godkaiser.errors.devices import DeviceNotApproved
from godkaiser.errors.sensors import UnknownSensor, ValueOutOfRange
from godkaiser.mqtt.connection import Inbound
from godkaiser.mqtt.ports import AckPort
from godkaiser.protocol import clock, inbound
from godkaiser.supervision import ActorContext, Handle, Reply

MASK_63_BITS = (1 << 63) - 1
MASK_32_BITS = (1 << 32) - 1
MASK_31_BITS = (1 << 31) - 1
MOST_SERIES = 64

Sensors = Mapping[SensorKey, SensorConfig]


class ReadingIntake:
    def __init__(self, context: ActorContext, recorder: Handle, acks: AckPort) -> None:
        self._context = context
        self._recorder = recorder
        self._acks = acks
        self._watchers: dict[SensorKey, tuple[tuple[str, SensorRef], ...]] = {}
        self._series: set[SensorKey] = set()
        self._since_power_on: dict[SensorKey, sensors.RawSeries] = {}
        self._arrived: dict[SensorKey, Reading] = {}
        self._serial = itertools.count()

    def expect_power_on(self) -> None:
        """The device has booted: the next reading of each of its sensors is its first."""
        self._since_power_on.clear()

    def take(
        self,
        data: inbound.SensorData,
        message: DeviceMessage,
        when: clock.DeviceTime,
        device: DeviceRecord,
        configured: Sensors,
    ) -> None:
        """Handle a measurement that arrived over MQTT at `when`."""
        received = message.inbound
        if device.approval is not Approval.APPROVED:
            self._refuse(message, f"the device is {device.approval.value}", "NOT_APPROVED")
            return
        if when.replayed:
            self._refuse(message, "it is older than 24 hours", "TOO_OLD")
            return
        if received.retain and not when.from_device:
            # A retained message without a timestamp: its age is unknown.
            self._refuse(message, "it is retained and has no timestamp", "RETAINED")
            return
        gpio = data.gpio if message.topic.gpio is None else message.topic.gpio
        key = _series_of(data, device.device_id, gpio, configured)
        config = configured.get(key)
        if key not in self._series and self._has_too_many(configured):
            reason = f"the device has already sent {MOST_SERIES} series that are not configured"
            self._refuse(message, reason, "TOO_MANY_SERIES")
            return
        series = sensors.after_raw(key.sensor_type, data.raw, self._since_power_on.get(key))
        self._series.add(key)
        self._since_power_on[key] = series
        converted = sensors.convert(
            key.sensor_type,
            data.raw,
            None if config is None else config.calibration,
            "suspect" if series.is_doubtful else data.quality,
            when.at,
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
            self._content_key(received, data.seq, by_delivery=not when.from_device),
            not when.from_device or data.seq is None,
            received.dup,
            when.current and not series.is_doubtful,
            when.from_device,
            received.heard_at or self._context.monotonic(),
            when.age_s,
        )
        if converted.quality is Quality.BAD and data.quality != Quality.BAD:
            # It is stored, because it was measured, and also rejected, so that somebody checks the
            # sensor.
            self._context.reject(
                message,
                f"{data.raw:g} is not a {sensors.describe(key.sensor_type)}",
                kind="IMPLAUSIBLE",
            )
        ack = (received.session, received.mid) if received.qos else None
        self._accept(reading, StoreReading(reading=reading, ack=ack), keep=received.to_be_kept)
        if config is not None:
            self._derive(reading, keep=received.to_be_kept)

    def _content_key(self, received: Inbound, seq: int | None, *, by_delivery: bool) -> int:
        """A digest of the message: the same bytes on the same topic have the same key.

        It begins with the device's counter, so that readings of one second keep their order. Without a
        counter and `by_delivery`, only one delivery and its repetitions have the same key: the same packet
        id within the same session. A QoS 0 message has none, and is never repeated.
        """
        digest = hashlib.blake2b(received.payload, digest_size=8)
        digest.update(received.topic.encode())
        if by_delivery and seq is None:
            packet = received.mid if received.qos else f"{received.heard_at} {next(self._serial)}"
            digest.update(received.session_mark + str(packet).encode())
        key = int.from_bytes(digest.digest(), "big") & MASK_63_BITS
        if seq is None:
            return key
        return (seq & MASK_31_BITS) << 32 | key & MASK_32_BITS

    def _has_too_many(self, configured: Sensors) -> bool:
        """Whether the device has too many unconfigured series; it must not fill the memory with
        them.
        """
        return len(self._series) >= MOST_SERIES + len(configured)

    def _accept(self, reading: Reading, store: StoreReading, *, keep: bool = True) -> None:
        # Rules first, because they must not wait for the disk.
        self._tell(reading)
        if keep:
            self._recorder.tell(store)

    def _tell(self, reading: Reading) -> None:
        """Send the reading to stop inputs and rules, and publish it as the newest."""
        key = reading.key
        # Publish first: a rule that joins the group after its members were read finds the value
        # here.
        if is_newer(reading, self._context.recall(key)):
            self._context.publish(key, reading)
        if not reading.usable_by_rules:
            return
        accepted = ReadingAccepted(reading=reading)
        # Before any rule, so that a stop does not come after a command from the same reading.
        for monitor in self._context.members(("stop_input", key)):
            monitor.tell(accepted)
        watched = self._watchers.get(key)
        if watched is None:
            watched = self._watchers[key] = tuple(("sensor", ref) for ref in refs_of(key))
        for group in watched:
            for rule in self._context.members(group):
                rule.tell(accepted)

    def _derive(self, reading: Reading, *, keep: bool = True) -> None:
        lost = derived.lost_with(reading)
        if lost is not None:
            self._tell(lost)
        self._arrived[reading.key] = reading
        beside = derived.temperature_beside(reading.key)
        if beside is None:
            return
        # A delayed reading is combined with the one that arrived with it, not with the newest.
        for temperature in (self._arrived.get(beside), self._context.recall(beside)):
            if isinstance(temperature, Reading):
                deficit = derived.deficit_of(reading, temperature)
                if deficit is not None:
                    self._accept(deficit, StoreReading(reading=deficit), keep=keep)
                    return

    def _refuse(self, message: DeviceMessage, reason: str, kind: str) -> None:
        self._context.reject(message, f"reading not stored: {reason}", kind=kind)
        received = message.inbound
        if received.qos:
            self._acks.acknowledge([(received.session, received.mid)])

    def submit_all(
        self, messages: Sequence[SubmitReading], device: DeviceRecord, configured: Sensors
    ) -> list[pykka.Future[Reading] | GatewayError]:
        """Submit each by itself: a refused reading does not affect the others."""
        answers: list[pykka.Future[Reading] | GatewayError] = []
        for message in messages:
            stored: pykka.Future[Reading] = Reply()
            try:
                self.submit(message, device, configured, stored)
            except GatewayError as error:
                answers.append(error)
            else:
                answers.append(stored)
        return answers

    def submit(
        self,
        message: SubmitReading,
        device: DeviceRecord,
        configured: Sensors,
        reply: pykka.Future[Reading] | None = None,
    ) -> None:
        """Submit a reading from REST; without a `reply` the asker of the message in hand gets it.

        Raises:
            UnknownSensor, DeviceNotApproved, ValueOutOfRange
        """
        key = message.key
        config = configured.get(key)
        if config is None:
            raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        if device.approval is not Approval.APPROVED:
            raise DeviceNotApproved(esp_id=key.esp_id, approval=device.approval.value)
        if message.raw is not None:
            converted = sensors.convert(key.sensor_type, message.raw, config.calibration)
        else:
            converted = sensors.accept_value(key.sensor_type, message.value)
        if converted.value is None or converted.quality is Quality.BAD:
            given = message.value if message.raw is None else message.raw
            raise ValueOutOfRange(reason=f"{given} is not a {sensors.describe(key.sensor_type)}.")
        now = self._context.now()
        if message.at is not None and not clock.EARLIEST <= message.at <= now + clock.AHEAD_S:
            reason = f"timestamp {message.at:g} is not valid for a measurement: use unix seconds from 2020 up to now."
            raise ValueOutOfRange(reason=reason)
        content_key = (
            int.from_bytes(
                hashlib.blake2b(f"{key}{now}{next(self._serial)}".encode(), digest_size=8).digest()
            )
            & MASK_63_BITS
        )
        reading = Reading(
            key,
            now if message.at is None else message.at,
            now,
            converted.value if message.raw is None else message.raw,
            converted.value,
            converted.unit,
            converted.quality,
            device.zone_id,
            without_raw(content_key) if message.raw is None else content_key,
            dated=message.at is not None,
            heard_at=self._context.monotonic(),
            age_s=0.0 if message.at is None else max(0.0, now - message.at),
        )
        self._accept(
            reading, StoreReading(reading=reading, reply=reply or self._context.take_reply())
        )


def _series_of(
    data: inbound.SensorData, device_id: str, gpio: int, configured: Sensors
) -> SensorKey:
    """The configured series of the reading, or a new one."""
    sensor_type = sensors.canonical_type(data.sensor_type)
    address = data.onewire_address
    if not address and data.i2c_address is not None:
        address = hex(data.i2c_address)
    key = SensorKey(device_id, gpio, sensor_type, address)
    if address and key not in configured:
        # Configured without an address, so there is only one sensor of this type on the pin.
        plain = SensorKey(device_id, gpio, sensor_type)
        if plain in configured:
            return plain
    return key
