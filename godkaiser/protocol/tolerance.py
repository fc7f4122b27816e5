"""Brings the quirks of payloads to one form before they are decoded (contract, section 22)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from godkaiser.protocol.inbound import SensorData
from godkaiser.protocol.topics import Tail

Fields = dict[str, Any]

_ALIASES: dict[Tail, dict[str, str]] = {
    Tail.HEARTBEAT: {
        "free_heap": "heap_free",
        "active_sensors": "sensor_count",
        "active_actuators": "actuator_count",
    },
    Tail.SENSOR_DATA: {"raw_value": "raw", "timestamp": "ts"},
    Tail.ACTUATOR_STATUS: {"actuator_type": "type", "value": "pwm", "timestamp": "ts"},
    Tail.ACTUATOR_RESPONSE: {"timestamp": "ts"},
    Tail.ACTUATOR_ALERT: {"type": "alert_type", "timestamp": "ts"},
}
_QUALITIES = frozenset(
    ("good", "fair", "poor", "suspect", "error", "unknown", "excellent", "bad", "stale")
)
_ON_WORDS = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False}
_FULL_PWM = 255
_separators = re.compile(r"[-.: ]")


def normalise(tail: Tail, fields: Fields) -> Fields:
    """A copy with the contract's names and types, as far as they can be recognised."""
    tidy = dict(fields)
    for alias, name in _ALIASES.get(tail, {}).items():
        if name not in tidy and alias in tidy:
            tidy[name] = tidy.pop(alias)
    for name in ("ts", "raw", "timestamp", "error_code"):
        if isinstance(tidy.get(name), str):
            tidy[name] = _number(tidy[name])
    special = _SPECIAL.get(tail)
    if special is not None:
        special(tidy)
    # Some tools send null for a missing field.
    return {name: value for name, value in tidy.items() if value is not None}


def is_tidy(message: SensorData) -> bool:
    """Whether `normalise` would change nothing in the message."""
    kind, rom = message.sensor_type, message.onewire_address
    return (
        message.ts != 0.0  # 0.0: the field may have another name
        and message.quality in _QUALITIES
        and "Â" not in message.unit
        and kind == kind.strip().lower()
        and (
            not rom
            or (rom == rom.upper() and not _separators.search(rom) and not rom.startswith("AUTO_"))
        )
    )


def _number(text: str) -> int | float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def _sensor_data(fields: Fields) -> None:
    address = fields.get("i2c_address")
    if isinstance(address, str):
        try:
            fields["i2c_address"] = int(address, 0)
        except ValueError:
            fields["i2c_address"] = None
    rom = fields.get("onewire_address")
    if isinstance(rom, str):
        fields["onewire_address"] = _separators.sub("", rom.upper().removeprefix("AUTO_"))
    unit = fields.get("unit")
    if isinstance(unit, str):
        fields["unit"] = unit.replace("Â°", "°")
    quality = fields.get("quality")
    if not isinstance(quality, str) or quality not in _QUALITIES:
        fields["quality"] = "unknown"
    if isinstance(fields.get("sensor_type"), str):
        fields["sensor_type"] = fields["sensor_type"].strip().lower()


def _actuator_status(fields: Fields) -> None:
    state = fields.get("state")
    if isinstance(state, str):
        fields["state"] = _ON_WORDS.get(state.lower(), state)
    elif state in (0, 1):
        fields["state"] = bool(state)
    pwm = fields.get("pwm")
    if isinstance(pwm, float):
        # Simulators of the reference send a fraction where the firmware sends 0 to 255.
        fields["pwm"] = round(pwm * _FULL_PWM) if pwm <= 1.0 else round(pwm)


def _config_response(fields: Fields) -> None:
    if "error_code" in fields:
        fields["error_code"] = str(fields["error_code"])


def _error_event(fields: Fields) -> None:
    severity = fields.get("severity")
    if isinstance(severity, str) and severity.isdecimal():
        fields["severity"] = int(severity)


_SPECIAL: dict[Tail, Callable[[Fields], None]] = {
    Tail.SENSOR_DATA: _sensor_data,
    Tail.ACTUATOR_STATUS: _actuator_status,
    Tail.CONFIG_RESPONSE: _config_response,
    Tail.ERROR: _error_event,
}
