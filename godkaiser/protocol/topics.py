"""The topics of the contract: list, parsing and building (contract, section 4)."""

from __future__ import annotations

from enum import Enum

import msgspec

BROADCAST_EMERGENCY = "kaiser/broadcast/emergency"
SERVER_STATUS_OF_ANY = "kaiser/+/server/status"
NO_GPIO = 255


class Tail(Enum):
    """What follows `kaiser/{k}/esp/{id}/`; `#` stands for a GPIO."""

    HEARTBEAT = "system/heartbeat"
    HEARTBEAT_METRICS = "system/heartbeat_metrics"
    SESSION_ANNOUNCE = "session/announce"
    WILL = "system/will"
    SENSOR_DATA = "sensor/#/data"
    SENSOR_RESPONSE = "sensor/#/response"
    ACTUATOR_STATUS = "actuator/#/status"
    ACTUATOR_RESPONSE = "actuator/#/response"
    ACTUATOR_ALERT = "actuator/#/alert"
    EMERGENCY_ACK = "actuator/emergency/ack"
    EMERGENCY_RESPONSE = "actuator/emergency/response"
    EMERGENCY_ERROR = "actuator/emergency/error"
    RECOVERY_CONFIRM = "actuator/recovery_confirm"
    CONFIG_RESPONSE = "config_response"
    ZONE_ACK = "zone/ack"
    SUBZONE_ACK = "subzone/ack"
    SYSTEM_RESPONSE = "system/command/response"
    ONEWIRE_SCAN_RESULT = "onewire/scan_result"
    INTENT_OUTCOME = "system/intent_outcome"
    LIFECYCLE = "system/intent_outcome/lifecycle"
    DIAGNOSTICS = "system/diagnostics"
    ERROR = "system/error"
    QUEUE_PRESSURE = "system/queue_pressure"

    HEARTBEAT_ACK = "system/heartbeat/ack"
    CONFIG = "config"
    ACTUATOR_COMMAND = "actuator/#/command"
    ACTUATOR_EMERGENCY = "actuator/emergency"
    SENSOR_COMMAND = "sensor/#/command"
    SENSOR_PROCESSED = "sensor/#/processed"
    ZONE_ASSIGN = "zone/assign"
    SUBZONE_ASSIGN = "subzone/assign"
    SUBZONE_REMOVE = "subzone/remove"
    SUBZONE_SAFE = "subzone/safe"
    SYSTEM_COMMAND = "system/command"

    def __init__(self, _pattern: str) -> None:
        self.to_device = False


for _tail in (
    Tail.HEARTBEAT_ACK,
    Tail.CONFIG,
    Tail.ACTUATOR_COMMAND,
    Tail.ACTUATOR_EMERGENCY,
    Tail.SENSOR_COMMAND,
    Tail.SENSOR_PROCESSED,
    Tail.ZONE_ASSIGN,
    Tail.SUBZONE_ASSIGN,
    Tail.SUBZONE_REMOVE,
    Tail.SUBZONE_SAFE,
    Tail.SYSTEM_COMMAND,
):
    _tail.to_device = True

LEGACY_TAILS = {
    "heartbeat": Tail.HEARTBEAT,
    "config/response": Tail.CONFIG_RESPONSE,
    "system/response": Tail.SYSTEM_RESPONSE,
}
"""Spellings that tools and old firmware still use (contract, section 22, quirk 17)."""
FORMER_FILTERS = ("kaiser/+/esp/+/#", BROADCAST_EMERGENCY)
_OF_ANY_DEVICE = "kaiser/+/esp/+/"
_BY_TAIL = {tail.value: tail for tail in Tail}
_BY_TAIL |= LEGACY_TAILS
_DEVICE_SEGMENTS = 4
_MAX_ID = 31
_MAX_GPIO = 255


KEPT_TAILS = (
    Tail.ACTUATOR_RESPONSE,
    Tail.ACTUATOR_ALERT,
    Tail.EMERGENCY_ERROR,
    Tail.ERROR,
    Tail.LIFECYCLE,
)
"""These go into the audit trail, and control acts on them, too."""


def reading_filters() -> tuple[str, ...]:
    """The filters for readings."""
    return (_OF_ANY_DEVICE + Tail.SENSOR_DATA.value.replace("#", "+"),)


def kept_filters() -> tuple[str, ...]:
    """The filters for messages that go into the audit trail."""
    return tuple(_OF_ANY_DEVICE + tail.value.replace("#", "+") for tail in KEPT_TAILS)


def control_filters() -> tuple[str, ...]:
    """The filters for all other messages. They do not overlap: a broker may deliver a message once
    for each match.
    """
    tails = [tail.value for tail in Tail if not tail.to_device and tail is not Tail.SENSOR_DATA]
    tails.remove(Tail.EMERGENCY_RESPONSE.value)  # `actuator/+/response` matches it.
    return tuple(_OF_ANY_DEVICE + tail.replace("#", "+") for tail in (*tails, *LEGACY_TAILS))


class DeviceTopic(msgspec.Struct, frozen=True):
    kaiser_id: str
    device_id: str
    tail: Tail
    gpio: int | None = None


def parse(topic: str) -> DeviceTopic | None:
    """Parse a topic of the device tree; None if it is not in the contract."""
    segments = topic.split("/", _DEVICE_SEGMENTS)
    if len(segments) <= _DEVICE_SEGMENTS or segments[0] != "kaiser" or segments[2] != "esp":
        return None
    _, kaiser_id, _, device_id, tail = segments
    if not kaiser_id or not 0 < len(device_id) <= _MAX_ID:
        return None
    known = _BY_TAIL.get(tail)
    if known is not None:
        return None if "#" in tail else DeviceTopic(kaiser_id, device_id, known)
    parts = tail.split("/")
    if len(parts) != 3 or not parts[1].isdecimal() or not parts[1].isascii():  # noqa: PLR2004
        return None
    known = _BY_TAIL.get(f"{parts[0]}/#/{parts[2]}")
    if known is None or len(parts[1]) > 3 or int(parts[1]) > _MAX_GPIO:  # noqa: PLR2004
        return None
    return DeviceTopic(kaiser_id, device_id, known, int(parts[1]))


def has_second_copy(topic: str) -> bool:
    """Whether a message on the connection for storage also arrives on the connection for control."""
    return topic.startswith("kaiser/") and "/esp/" in topic and not topic.endswith("/data")


def gateway_of(topic: str) -> str | None:
    """The kaiser_id in the topic of a gateway's status; None for another topic."""
    head, kaiser_id, tail = (*topic.split("/", 2), "", "")[:3]
    return kaiser_id if head == "kaiser" and tail == "server/status" else None


def device_topic(kaiser_id: str, device_id: str, tail: Tail, gpio: int | None = None) -> str:
    """Build the topic of a tail; `gpio` is for the tails that contain one."""
    text = tail.value if gpio is None else tail.value.replace("#", str(gpio))
    return f"kaiser/{kaiser_id}/esp/{device_id}/{text}"


def server_status(kaiser_id: str) -> str:
    return f"kaiser/{kaiser_id}/server/status"


def heartbeat_ack(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.HEARTBEAT_ACK)


def config(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.CONFIG)


def actuator_command(kaiser_id: str, device_id: str, gpio: int) -> str:
    return device_topic(kaiser_id, device_id, Tail.ACTUATOR_COMMAND, gpio)


def actuator_emergency(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.ACTUATOR_EMERGENCY)


def sensor_command(kaiser_id: str, device_id: str, gpio: int) -> str:
    return device_topic(kaiser_id, device_id, Tail.SENSOR_COMMAND, gpio)


def zone_assign(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.ZONE_ASSIGN)


def subzone_assign(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.SUBZONE_ASSIGN)


def subzone_remove(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.SUBZONE_REMOVE)


def subzone_safe(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.SUBZONE_SAFE)


def system_command(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.SYSTEM_COMMAND)


def will(kaiser_id: str, device_id: str) -> str:
    return device_topic(kaiser_id, device_id, Tail.WILL)
