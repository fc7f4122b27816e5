"""A device's configuration as entries of the config message (contract, sections 12.2 and 12.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from godkaiser.domain.entities import ActuatorConfig, SensorConfig
from godkaiser.domain.sensors import Bus, bus_of

ENTRIES_A_MESSAGE = 8
"""Keeps a message well under the 4,352 bytes that a device takes."""


def sensor_entry(config: SensorConfig) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "gpio": config.gpio,
        "sensor_type": config.sensor_type,
        "sensor_name": config.name or config.sensor_type,
        "active": True,
        "raw_mode": True,
        "operating_mode": config.operating_mode.value,
        "measurement_interval_seconds": config.interval_s,
    }
    if config.subzone_id:
        entry["subzone_id"] = config.subzone_id
    if config.address:
        match bus_of(config.sensor_type):
            case Bus.ONEWIRE:
                entry["onewire_address"] = config.address
            case Bus.I2C:
                entry["i2c_address"] = int(config.address, 0)
            case Bus.ANALOG:
                pass
    return entry


def actuator_entry(config: ActuatorConfig) -> dict[str, Any]:
    return {
        "gpio": config.gpio,
        "actuator_type": config.actuator_type.value,
        "actuator_name": config.name or config.actuator_type.value,
        "aux_gpio": config.aux_gpio,
        "active": True,
        "critical": config.critical,
        "inverted_logic": config.inverted_logic,
        "default_state": False,
        "default_pwm": 0,
        "max_runtime_ms": config.max_runtime_s * 1000,
    }


def parts(
    sensors: Sequence[SensorConfig], actuators: Sequence[ActuatorConfig]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The configuration as messages of one scope each: (scope, entries)."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for scope, entries in (
        ("sensors", [sensor_entry(config) for config in sensors]),
        ("actuators", [actuator_entry(config) for config in actuators]),
    ):
        found.extend(
            (scope, entries[start : start + ENTRIES_A_MESSAGE])
            for start in range(0, len(entries), ENTRIES_A_MESSAGE)
        )
    return found
