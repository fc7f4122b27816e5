"""Decodes bytes into a typed message, or raises `PayloadError` that says what is wrong; never
another error.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from godkaiser.protocol import tolerance
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.inbound import (
    ActuatorAlert,
    ActuatorResponse,
    ActuatorStatus,
    ConfigResponse,
    DeviceMessageBody,
    EmergencyAck,
    EmergencyError,
    EmergencyResponse,
    ErrorEvent,
    Heartbeat,
    IntentOutcome,
    Lifecycle,
    Observed,
    PlacementAck,
    RecoveryConfirm,
    SensorData,
    SensorResponse,
    SessionAnnounce,
    Will,
)
from godkaiser.protocol.topics import DeviceTopic, Tail

LIFECYCLE_SCHEMA = "config_pending_lifecycle_v1"
MAX_PAYLOAD_BYTES = 64 * 1024

_TYPES: dict[Tail, type[DeviceMessageBody]] = {
    Tail.HEARTBEAT: Heartbeat,
    Tail.SESSION_ANNOUNCE: SessionAnnounce,
    Tail.WILL: Will,
    Tail.SENSOR_DATA: SensorData,
    Tail.SENSOR_RESPONSE: SensorResponse,
    Tail.ACTUATOR_STATUS: ActuatorStatus,
    Tail.ACTUATOR_RESPONSE: ActuatorResponse,
    Tail.ACTUATOR_ALERT: ActuatorAlert,
    Tail.EMERGENCY_ACK: EmergencyAck,
    Tail.EMERGENCY_RESPONSE: EmergencyResponse,
    Tail.EMERGENCY_ERROR: EmergencyError,
    Tail.RECOVERY_CONFIRM: RecoveryConfirm,
    Tail.CONFIG_RESPONSE: ConfigResponse,
    Tail.ZONE_ACK: PlacementAck,
    Tail.SUBZONE_ACK: PlacementAck,
    Tail.INTENT_OUTCOME: IntentOutcome,
    Tail.ERROR: ErrorEvent,
}
_SENSOR_DATA = msgspec.json.Decoder(SensorData)
_ANY = msgspec.json.Decoder()


MOST = (1 << 63) - 1


def decode(topic: DeviceTopic, payload: bytes) -> DeviceMessageBody:
    """Decode `payload` into a typed message.

    The topic's device id wins; a payload that names another device is refused (quirk 4).

    Raises:
        PayloadError: with reason EMPTY, TOO_LARGE, NOT_JSON, NOT_OBJECT, ID_MISMATCH, or
            MALFORMED (a field is missing, of the wrong type, or not finite).
    """
    if not payload:
        reason = "EMPTY"
        raise PayloadError(reason, "the payload is empty")
    if len(payload) > MAX_PAYLOAD_BYTES:
        reason = "TOO_LARGE"
        raise PayloadError(reason, f"{len(payload)} bytes; the limit is {MAX_PAYLOAD_BYTES}")
    message: DeviceMessageBody | None = None
    if topic.tail is Tail.SENSOR_DATA:
        message = _read_sensor_data(payload)
    if message is None:
        message = _decode_tolerantly(topic, payload)
    if message.esp_id and message.esp_id != topic.device_id:
        reason = "ID_MISMATCH"
        raise PayloadError(
            reason,
            f"the topic belongs to {topic.device_id}, but the payload says {message.esp_id[:64]!r}",
        )
    if isinstance(message, SensorData):
        _check_finite(message)
    return message


def _read_sensor_data(payload: bytes) -> SensorData | None:
    """The quick path for tidy readings; None when the tolerant path is needed."""
    try:
        message = _SENSOR_DATA.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return message if tolerance.is_tidy(message) else None


def _decode_tolerantly(topic: DeviceTopic, payload: bytes) -> DeviceMessageBody:
    try:
        fields = _ANY.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = "NOT_JSON"
        raise PayloadError(reason, str(error)[:200]) from error
    if not isinstance(fields, dict):
        reason = "NOT_OBJECT"
        raise PayloadError(reason, f"expected a JSON object, got {type(fields).__name__}")
    try:
        is_huge = _has_huge_number(fields)
    except RecursionError as error:
        reason = "MALFORMED"
        raise PayloadError(reason, "the JSON is nested too deeply") from error
    if is_huge:
        reason = "MALFORMED"
        raise PayloadError(reason, "a number has more than 63 bits")
    kind = _TYPES.get(topic.tail)
    if topic.tail is Tail.LIFECYCLE and fields.get("schema") == LIFECYCLE_SCHEMA:
        kind = Lifecycle
    if kind is None:
        esp_id = fields.get("esp_id", "")
        return Observed(esp_id=esp_id if isinstance(esp_id, str) else "", fields=fields)
    try:
        return msgspec.convert(tolerance.normalise(topic.tail, fields), kind, strict=False)
    except (msgspec.ValidationError, RecursionError, ValueError, OverflowError) as error:
        reason = "MALFORMED"
        raise PayloadError(reason, str(error)[:200]) from error


def _has_huge_number(value: object) -> bool:
    """Python reads integers of any length, but no value of a device has more than 63 bits, and
    floats, databases and clocks cannot hold more.
    """
    if isinstance(value, int):
        return not -MOST <= value <= MOST
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_huge_number, value.values()))
    return isinstance(value, list) and any(map(_has_huge_number, value))


def _check_finite(message: SensorData) -> None:
    numbers: tuple[Any, ...] = (message.raw, message.ts, message.value, message.seq)
    if any(map(_has_huge_number, numbers)):
        reason = "MALFORMED"
        raise PayloadError(reason, "raw, ts or value is not a finite number")
