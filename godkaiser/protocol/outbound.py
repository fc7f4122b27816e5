"""Encodes the gateway's messages, small enough for the device's parsers (contract, section 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from godkaiser.protocol import budget
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import Tail

MAX_ID = 63
ACK_BUDGET_BYTES = 220
_NOT_WIRE_TEXT = re.compile(r"[^A-Za-z0-9 _.:/-]")
_encode = msgspec.json.Encoder().encode


def wire_text(text: str, limit: int = MAX_ID) -> str:
    """Keep only characters that are safe on the device, which echoes strings without escaping them."""
    return _NOT_WIRE_TEXT.sub("_", text)[:limit]


def _bytes(fields: Mapping[str, Any], limit: int) -> bytes:
    cost = budget.parse_cost(fields)
    if cost > limit:
        reason = "TOO_LARGE"
        raise PayloadError(
            reason, f"needs {cost} bytes of parser memory, the device has {limit}: {dict(fields)!r}"
        )
    return _encode(fields)


def heartbeat_ack(
    status: str, handover_epoch: int, server_time: float | None, *, reason_code: str = ""
) -> bytes:
    """Section 6.6. Holds only fields that the device reads, because its buffer has 256 bytes.

    Without a `server_time` the device leaves its clock alone.
    """
    fields: dict[str, Any] = {
        "status": status,
        "config_available": False,
        "handover_epoch": handover_epoch,
    }
    if server_time is not None:
        fields["server_time"] = int(server_time)
    if reason_code:
        fields["reason_code"] = wire_text(reason_code, 24)
    return _bytes(fields, ACK_BUDGET_BYTES)


def server_status(status: str, now: float, reason: str = "") -> bytes:
    """Section 7."""
    fields: dict[str, Any] = {"status": status, "timestamp": int(now)}
    if reason:
        fields["reason"] = reason
    return _bytes(fields, budget.SERVER_STATUS_BUDGET_BYTES)


def actuator_command(
    command: str, value: float, duration_s: float, correlation_id: str, issued_by: str
) -> bytes:
    """Section 10.1: flat, the verb first, at most 511 bytes.

    The device takes whole seconds; a fraction is rounded up, so that the gateway's own end of lease
    comes first.
    """
    correlation_id = wire_text(correlation_id)
    payload = _encode(
        {
            "command": command,
            "value": round(value, 4),
            "duration": -int(-duration_s // 1),
            "correlation_id": correlation_id,
            "intent_id": correlation_id,
            "issued_by": wire_text(issued_by),
        }
    )
    if len(payload) > budget.COMMAND_TEXT_BYTES:
        reason = "TOO_LARGE"
        raise PayloadError(reason, f"{len(payload)} bytes; the device reads at most 511")
    return payload


def broadcast_stop(
    reason: str, issued_by: str, correlation_id: str, now: float, auth_token: str = ""
) -> bytes:
    """Section 11.2; the timestamp must be text: with a number the message would be invalid."""
    fields = {"command": "stop_all"}
    if auth_token:
        fields["auth_token"] = auth_token
    fields["reason"] = wire_text(reason)
    fields["issued_by"] = wire_text(issued_by)
    fields["timestamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields["correlation_id"] = wire_text(correlation_id)
    return _bytes(fields, budget.BROADCAST_BUDGET_BYTES)


def device_emergency(command: str, reason: str, correlation_id: str, auth_token: str = "") -> bytes:
    """Section 11.3: `command` is emergency_stop or clear_emergency."""
    fields = {"command": command}
    if auth_token:
        fields["auth_token"] = auth_token
    fields["reason"] = wire_text(reason, 24)
    fields["correlation_id"] = wire_text(correlation_id, 40)
    return _bytes(fields, budget.PARSE_BUDGET_BYTES[Tail.ACTUATOR_EMERGENCY])


class ConfigPart(msgspec.Struct, frozen=True):
    """The sections of one push to a device; None: the push does not contain that section."""

    correlation_id: str
    generation: int
    sensors: Sequence[Mapping[str, Any]] | None = None
    actuators: Sequence[Mapping[str, Any]] | None = None
    offline_rules: Sequence[Mapping[str, Any]] | None = None


def config_push(part: ConfigPart) -> bytes:
    """Section 12.1. Raises PayloadError TOO_LARGE from 4,352 bytes on."""
    correlation_id = wire_text(part.correlation_id)
    fields: dict[str, Any] = {
        "correlation_id": correlation_id,
        "intent_id": correlation_id,
        "generation": part.generation,
    }
    for kind in ("sensors", "actuators", "offline_rules"):
        entries = getattr(part, kind)
        if entries is not None:
            fields[kind] = entries
    payload = _bytes(fields, budget.PARSE_BUDGET_BYTES[Tail.CONFIG])
    if len(payload) > budget.CONFIG_TEXT_BYTES:
        reason = "TOO_LARGE"
        raise PayloadError(reason, f"{len(payload)} bytes; the device reads at most 4351")
    return payload


def zone_assign(
    zone_id: str, zone_name: str, kaiser_id: str, correlation_id: str, master_zone_id: str = ""
) -> bytes:
    """Section 14.1: every string must be present; the device reads a missing one as the text
    `null`.
    """
    return _bytes(
        {
            "zone_id": zone_id,
            "master_zone_id": master_zone_id,
            "zone_name": wire_text(zone_name),
            "kaiser_id": kaiser_id,
            "correlation_id": wire_text(correlation_id),
        },
        budget.PARSE_BUDGET_BYTES[Tail.ZONE_ASSIGN],
    )


def subzone_assign(
    subzone_id: str, name: str, gpios: Sequence[int], correlation_id: str, *, safe_mode: bool
) -> bytes:
    """Section 14.3; an empty parent zone means the zone of the device."""
    return _bytes(
        {
            "subzone_id": subzone_id,
            "subzone_name": wire_text(name),
            "parent_zone_id": "",
            # GPIO 0 stands for I2C sensors and is not a pin.
            "assigned_gpios": [gpio for gpio in gpios if gpio],
            "safe_mode_active": safe_mode,
            "correlation_id": wire_text(correlation_id),
        },
        budget.PARSE_BUDGET_BYTES[Tail.SUBZONE_ASSIGN],
    )


def subzone_remove(subzone_id: str, correlation_id: str) -> bytes:
    """Section 14.5."""
    fields = {"subzone_id": subzone_id, "correlation_id": wire_text(correlation_id)}
    return _bytes(fields, budget.PARSE_BUDGET_BYTES[Tail.SUBZONE_REMOVE])


def subzone_safe(subzone_id: str, reason: str, correlation_id: str, *, enable: bool) -> bytes:
    """Section 14.6: the device answers only when it fails."""
    return _bytes(
        {
            "subzone_id": subzone_id,
            "action": "enable" if enable else "disable",
            "reason": wire_text(reason),
            "correlation_id": wire_text(correlation_id),
        },
        budget.PARSE_BUDGET_BYTES[Tail.SUBZONE_SAFE],
    )


def system_command(verb: str, parameters: Mapping[str, Any], correlation_id: str) -> bytes:
    """Section 15.1: lower case, parameters at top level."""
    return _bytes(
        {"command": verb, **parameters, "correlation_id": wire_text(correlation_id, 40)},
        budget.PARSE_BUDGET_BYTES[Tail.SYSTEM_COMMAND],
    )


def measure(request_id: str, timeout_ms: int = 5000) -> bytes:
    """Section 8.2: the device answers only if there is a request id."""
    request_id = wire_text(request_id, 40)
    return _bytes(
        {
            "command": "measure",
            "request_id": request_id,
            "timeout_ms": timeout_ms,
            "correlation_id": request_id,
        },
        budget.PARSE_BUDGET_BYTES[Tail.SENSOR_COMMAND],
    )
