"""Builds a device's configuration as entries of the config message (contract, sections 12.2 and
12.3).
"""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.domain.devices import gpio
from godkaiser.domain.devices.pins import pin_users
from godkaiser.domain.entities import (
    ActuatorConfig,
    OperatingMode,
    RemovedEntry,
    SensorConfig,
)
from godkaiser.domain.rules.offline import inert_rule
from godkaiser.domain.sensors.sensors import Bus, bus_of

ENTRIES_A_MESSAGE = 8
"""Keeps a message well below the device's limit of 4,352 bytes."""


LEAST_MARGIN_S = 10.0
MARGIN = 0.02
"""A device counts its runtime with its own clock, and receives an OFF some seconds late."""


class Part(msgspec.Struct, frozen=True):
    """One message: a scope (sensors, actuators, offline_rules) and its entries."""

    scope: str
    entries: list[dict[str, Any]]
    clears_rules: bool = False


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


def _own_limit_ms(config: ActuatorConfig) -> int:
    """The device's own limit, longer than ours: when it strikes, it locks the actuator and raises
    an alarm.
    """
    margin_s = max(LEAST_MARGIN_S, MARGIN * config.max_runtime_s)
    return int((config.max_runtime_s + margin_s) * 1000)


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
        "max_runtime_ms": _own_limit_ms(config),
    }


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The desired configuration of a device, and entries that it must delete. `rules` are entries
    of offline rules that the safety actor allows; without `may_leave_safe_mode` its subzones are
    put into safe mode.

    `knows_rules`: its firmware is of 2026 or newer. That firmware runs offline rules, and after a
    boot it refuses commands while it has only sensors, or only actuators (12.8).
    """

    board: str
    sensors: tuple[SensorConfig, ...] = ()
    actuators: tuple[ActuatorConfig, ...] = ()
    removed: tuple[RemovedEntry, ...] = ()
    rules: tuple[dict[str, Any], ...] = ()
    may_leave_safe_mode: bool = False
    knows_rules: bool = True

    @property
    def counts(self) -> tuple[int, int]:
        """The numbers of sensors and actuators that the device reports when it is in sync."""
        stand_in = 1 if self.knows_rules and self.actuators and not self.sensors else 0
        return len(self.sensors) + stand_in, len(self.actuators)


def parts(wanted: Wanted, reported_sensors: int | None) -> list[Part]:
    """The configuration as messages, each with one scope.

    A device that has only sensors, or only actuators, would refuse commands after its next boot
    (12.8); so it also gets an inert rule, or a sensor that never measures. `reported_sensors`
    shows whether it still has that sensor when it no longer needs it.
    """
    sensors = [sensor_entry(config) for config in wanted.sensors]
    actuators = [actuator_entry(config) for config in wanted.actuators]
    rules = list(wanted.rules) if wanted.knows_rules else []
    stand_in = _stand_in_sensor(wanted) if wanted.knows_rules else None
    if stand_in is not None and actuators and not sensors:
        sensors.append(stand_in)
    elif stand_in is not None and reported_sensors == len(sensors) + 1:
        sensors.append({**stand_in, "active": False})
    if wanted.knows_rules and sensors and not actuators and not rules:
        rules.append(inert_rule(_free_output(wanted)))
    sensors += [_removal(entry) for entry in wanted.removed if entry.sensor_type]
    actuators += [
        {"gpio": e.gpio, "actuator_type": "relay", "actuator_name": "removed", "active": False}
        for e in wanted.removed
        if not e.sensor_type
    ]
    found = [
        Part(scope, entries[start : start + ENTRIES_A_MESSAGE])
        for scope, entries in (("sensors", sensors), ("actuators", actuators))
        for start in range(0, len(entries), ENTRIES_A_MESSAGE)
    ]
    if rules:
        found.append(Part("offline_rules", rules))
    elif found and wanted.knows_rules:
        # No older rules may be left.
        found[-1] = Part(found[-1].scope, found[-1].entries, clears_rules=True)
    return found


def _removal(entry: RemovedEntry) -> dict[str, Any]:
    config = SensorConfig(
        esp_id="", gpio=entry.gpio, sensor_type=entry.sensor_type, address=entry.address
    )
    return {**sensor_entry(config), "active": False}


def _taken(wanted: Wanted) -> set[int]:
    return set(pin_users(wanted.sensors, wanted.actuators, without=None))


def _stand_in_sensor(wanted: Wanted) -> dict[str, Any] | None:
    """An analogue sensor that never measures; None if no pin is free."""
    free = sorted(gpio.board(wanted.board).adc1 - _taken(wanted))
    if not free:
        return None
    config = SensorConfig(
        esp_id="",
        gpio=free[-1],
        sensor_type="stand_in",
        operating_mode=OperatingMode.PAUSED,
        interval_s=300,
    )
    return sensor_entry(config)


def _free_output(wanted: Wanted) -> int:
    pins = gpio.board(wanted.board)
    return min(pins.usable - pins.input_only - pins.i2c - _taken(wanted), default=2)
