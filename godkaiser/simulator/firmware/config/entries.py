"""Accepts or refuses one entry of a configuration push (contract, 12.2, 12.3, 19)."""

from __future__ import annotations

import re
from typing import Any

from godkaiser.simulator.firmware import parsing, pins
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.memory import Actuator, Sensor, chip_of

ALIASES = {
    "temperature_ds18b20": "ds18b20",
    "temperature_sht31": "sht31_temp",
    "humidity_sht31": "sht31_humidity",
    "pressure_bmp280": "bmp280_pressure",
    "temperature_bmp280": "bmp280_temp",
    "pressure_bme280": "bme280_pressure",
    "temperature_bme280": "bme280_temp",
    "humidity_bme280": "bme280_humidity",
    "ph_sensor": "ph",
    "ec_sensor": "ec",
    "soil_moisture": "moisture",
}
KINDS = frozenset(("pump", "relay", "pwm", "valve"))
MODES = frozenset(("continuous", "on_demand", "paused", "scheduled"))
INTERVAL_S = (1, 300, 30)
DEFAULT_ADDRESS = {"sht31": 0x44, "bmp280": 0x76, "bme280": 0x76}
MOST_ADDRESS = 127
_ROM = re.compile(r"[0-9A-Fa-f]{16}\Z")
TYPE_MISMATCH, MISSING_FIELD, GPIO_CONFLICT, CONFIG_FAILED = 2010, 2011, 1002, 1041


def failure(gpio: int, code: int, error: str, detail: str) -> dict[str, Any]:
    """One of `failures` in a config_response (12.6)."""
    return {"type": "sensor", "gpio": gpio, "error_code": code, "error": error, "detail": detail}


def take_sensor(core: Core, entry: Any) -> dict[str, Any] | None:
    """Accept one entry; returns the failure, or None."""
    if not isinstance(entry, dict):
        return failure(0, TYPE_MISMATCH, "TYPE_MISMATCH", "entry is not an object")
    if entry.get("gpio") is None:
        return failure(0, MISSING_FIELD, "MISSING_FIELD", "gpio is missing")
    gpio = parsing.lenient_integer(entry["gpio"])
    if gpio is None:
        return failure(0, TYPE_MISMATCH, "TYPE_MISMATCH", "gpio is not an integer")
    gpio %= 256
    for name in ("sensor_type", "sensor_name"):
        if entry.get(name) is None:
            return failure(gpio, MISSING_FIELD, "MISSING_FIELD", f"{name} is missing")
        if not isinstance(entry[name], str):
            return failure(gpio, TYPE_MISMATCH, "TYPE_MISMATCH", f"{name} is not a string")
    sensor = _sensor(core, gpio, entry)
    if not parsing.lenient_bool(entry.get("active"), default=True):
        _remove(core, sensor)
        return None
    return _add(core, sensor)


def _sensor(core: Core, gpio: int, entry: dict[str, Any]) -> Sensor:
    kind = entry["sensor_type"].lower()
    kind = ALIASES.get(kind, kind)
    chip = chip_of(kind)
    address = parsing.lenient_integer(entry.get("i2c_address"))
    mode = entry.get("operating_mode")
    least, most, default = INTERVAL_S
    interval = parsing.lenient_integer(entry.get("measurement_interval_seconds"))
    return Sensor(
        gpio=gpio,
        sensor_type=kind,
        onewire_address=parsing.text(entry.get("onewire_address")),
        i2c_address=(DEFAULT_ADDRESS[chip] if address is None else address) if chip else None,
        interval_s=min(max(default if interval is None else interval, least), most),
        mode=mode if mode in MODES else "continuous",
        subzone_id=parsing.text(entry.get("subzone_id")),
        raw_mode=parsing.lenient_bool(entry.get("raw_mode"), default=True),
        next_due=core.now,
    )


def _remove(core: Core, sensor: Sensor) -> None:
    """Remove a sensor: matched by gpio and address, or by the type if there is no address (12.2)."""
    for identity, present in list(core.memory.sensors.items()):
        addresses = (present.onewire_address, present.i2c_address)
        if present.gpio != sensor.gpio or present.chip != sensor.chip:
            continue
        same = addresses == (sensor.onewire_address, sensor.i2c_address)
        if same and present.sensor_type == sensor.sensor_type:
            del core.memory.sensors[identity]


def _add(core: Core, sensor: Sensor) -> dict[str, Any] | None:
    gpio, memory = sensor.gpio, core.memory
    if sensor.sensor_type == "ds18b20":
        rom = sensor.onewire_address
        if not _ROM.match(rom):
            core.error(1023 if len(rom) != 16 else 1024, f"Invalid ROM code on GPIO {gpio}")  # noqa: PLR2004
            return failure(gpio, TYPE_MISMATCH, "VALIDATION_FAILED", f"invalid ROM code '{rom}'")
        if any(s.onewire_address == rom and s.gpio != gpio for s in memory.sensors.values()):
            core.error(1029, f"Duplicate ROM code {rom}")
            return failure(gpio, CONFIG_FAILED, "CONFIG_FAILED", f"duplicate ROM code {rom}")
    if sensor.i2c_address is not None and not 0 <= sensor.i2c_address <= MOST_ADDRESS:
        return failure(gpio, TYPE_MISMATCH, "VALIDATION_FAILED", "i2c_address is out of range")
    if not sensor.chip:
        if gpio > pins.MAX_GPIO:
            return failure(gpio, TYPE_MISMATCH, "VALIDATION_FAILED", "gpio is out of range")
        owner = core.personality.board.refuses(gpio, _other_users(core, sensor))
        if owner:
            detail = f"GPIO {gpio} already used by {owner}"
            return failure(gpio, GPIO_CONFLICT, "GPIO_CONFLICT", detail)
    full = len(memory.sensors) >= core.personality.board.max_sensors
    if full and sensor.identity not in memory.sensors:
        return failure(gpio, CONFIG_FAILED, "CONFIG_FAILED", "too many sensors")
    memory.sensors[sensor.identity] = sensor
    return None


def _other_users(core: Core, sensor: Sensor) -> dict[int, str]:
    users = {pin: "actuator" for a in core.memory.actuators.values() for pin in a.pins}
    for other in core.memory.sensors.values():
        shares = sensor.sensor_type == other.sensor_type == "ds18b20"
        if not other.chip and not shares and other.identity != sensor.identity:
            users[other.gpio] = f"sensor {other.sensor_type}"
    return users


def take_actuator(core: Core, entry: Any) -> tuple[Actuator | None, str]:
    """Accept one entry; returns the new actuator (None if it was removed), and the error code or
    "".
    """
    if not isinstance(entry, dict):
        return None, "TYPE_MISMATCH"
    kind = entry.get("actuator_type", entry.get("type"))
    name = entry.get("actuator_name", entry.get("name"))
    if entry.get("gpio") is None or kind is None or name is None:
        return None, "MISSING_FIELD"
    gpio = parsing.lenient_integer(entry["gpio"])
    if gpio is None or not isinstance(kind, str) or not isinstance(name, str):
        return None, "TYPE_MISMATCH"
    if not parsing.lenient_bool(entry.get("active"), default=True):
        core.memory.actuators.pop(gpio, None)
        return None, ""
    if kind not in KINDS:
        return None, "UNKNOWN_ERROR"
    actuator = _actuator(core, gpio, kind, entry)
    problem = _refused_pin(core, actuator)
    if problem:
        return None, problem
    core.memory.actuators[gpio] = actuator
    return actuator, ""


def _actuator(core: Core, gpio: int, kind: str, entry: dict[str, Any]) -> Actuator:
    """Make an actuator from the entry; an existing actuator keeps its state."""
    present = core.memory.actuators.get(gpio)
    actuator = present if present is not None and present.kind == kind else Actuator(gpio, kind)
    aux = parsing.lenient_integer(entry.get("aux_gpio"))
    actuator.aux_gpio = pins.NO_PIN if aux is None else aux
    actuator.subzone_id = parsing.text(entry.get("subzone_id"))
    actuator.critical = parsing.lenient_bool(entry.get("critical"), default=False)
    inverted = entry.get("inverted_logic", entry.get("inverted"))
    actuator.inverted = parsing.lenient_bool(inverted, default=False)
    actuator.default_on = parsing.lenient_bool(entry.get("default_state"), default=False)
    pwm = parsing.lenient_integer(entry.get("default_pwm")) or 0
    actuator.default_pwm = min(max(pwm, 0), 255)
    runtime_ms = parsing.lenient_integer(entry.get("max_runtime_ms"))
    if runtime_ms is not None and runtime_ms > 0:
        actuator.max_runtime_s = runtime_ms / 1000.0
    return actuator


def _refused_pin(core: Core, actuator: Actuator) -> str:
    board, memory = core.personality.board, core.memory
    users = {s.gpio: "sensor" for s in memory.sensors.values() if not s.chip}
    for other in memory.actuators.values():
        if other.gpio != actuator.gpio:
            users |= dict.fromkeys(other.pins, "actuator")
    for pin in actuator.pins:
        if pin in users:
            return "GPIO_CONFLICT"
        # The pin's driver fails without a reason.
        if board.refuses(pin, {}) or pin in board.input_only:
            return "UNKNOWN_ERROR"
    full = len(memory.actuators) >= board.max_actuators
    return "UNKNOWN_ERROR" if full and actuator.gpio not in memory.actuators else ""
