"""`conf/devices.d/*.toml`: devices, sensors, actuators, interlocks and stop inputs, declared in files.

All files are one declaration: what one names may stand in another. Every mistake is told with its
file and line, and nothing of a declaration with a mistake is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from godkaiser.config.declared_files import (
    DeclaredFile,
    errors_in,
    expected_and_found,
    listing,
    nothing_declared,
    salvaged,
    value_at,
)
from godkaiser.config.lines import lines_of_keys
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.toml_file import read_toml
from godkaiser.domain.declared import Declared, DeclaredDevice
from godkaiser.domain.declared_warnings import unknown_type
from godkaiser.domain.devices import devices, gpio
from godkaiser.domain.devices.actuator_settings import ActuatorSettings, Seconds, Text
from godkaiser.domain.devices.pins import pin_users
from godkaiser.domain.entities import (
    USUAL_MAX_RUNTIME_S,
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    OperatingMode,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind, problems_of
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.domain.safety.stop_state import GLOBAL, Scope, ScopeKind
from godkaiser.domain.sensors.sensors import canonical_type
from godkaiser.errors.base import GatewayError

FOLDER = "devices.d"

Zone = Annotated[str, msgspec.Meta(max_length=32)]
Pin = Annotated[int, msgspec.Meta(ge=0, le=39)]
Reference = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]+_[A-Z0-9]+/[0-9]{1,2}$")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a file; a key that is not known is a mistake."""


class _Sensor(_Table, frozen=True, kw_only=True):
    gpio: Pin
    type: str
    address: str = ""
    name: Text = ""
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 30
    operating_mode: OperatingMode = OperatingMode.CONTINUOUS
    subzone: Zone = ""


class _Actuator(_Table, ActuatorSettings, frozen=True, kw_only=True):
    gpio: Pin
    type: ActuatorType
    subzone: Zone = ""


class _Device(_Table, frozen=True, kw_only=True):
    name: Text = ""
    board: str = "esp32_wroom"
    zone: Zone = ""


class _Interlock(_Table, frozen=True, kw_only=True):
    kind: InterlockKind
    actuator: Reference
    other: Reference
    after_s: Seconds = 0.0


class _StopInput(_Table, frozen=True, kw_only=True):
    input: Reference
    stops: Annotated[str, msgspec.Meta(pattern=r"^(everything|zone .+|device .+)$")] = "everything"
    pressed_below: float | None = None
    pressed_above: float | None = None
    silent_after_s: Annotated[float, msgspec.Meta(ge=2.0, le=3600.0)] = 30.0


def look_at_site(folder: Path | None) -> tuple[Declared, list[Mistake]]:
    """The readable part of the files, without wrong keys, and every mistake."""
    reading = _Reading()
    for path in listing(folder).files:
        reading.read_file(path)
    reading.check_pins()
    reading.check_interlocks()
    reading.check_stop_inputs()
    found = Declared(
        devices=tuple(reading.devices.values()),
        sensors=tuple(reading.sensors.values()),
        actuators=tuple(reading.actuators.values()),
        interlocks=tuple(reading.interlocks),
        stop_inputs=tuple(reading.stop_inputs),
        origins=reading.origins,
    )
    return found, sorted(reading.mistakes, key=lambda m: (m.file, m.line or 0))


class _Reading:
    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.devices: dict[str, DeclaredDevice] = {}
        self.sensors: dict[SensorKey, SensorConfig] = {}
        self.actuators: dict[ActuatorKey, ActuatorConfig] = {}
        self.interlocks: list[Interlock] = []
        self.stop_inputs: list[StopInput] = []
        self.origins: dict[str | SensorKey | ActuatorKey, str] = {}
        self._wanted_inputs: list[tuple[_StopInput, str]] = []
        self._unread: set[tuple[str | int, int]] = set()
        """Devices and pins whose tables could not be read: to what names them they are not missing."""

    def read_file(self, path: Path) -> None:
        try:
            text, document = read_toml(path)
        except ConfigError as error:
            self.mistakes += error.mistakes
            return
        file = DeclaredFile(path, lines_of_keys(text))
        if not any(document.values()):
            self.mistakes.append(nothing_declared(path))
        for section, content in document.items():
            match section:
                case "devices" if isinstance(content, dict):
                    for device_id, table in content.items():
                        self._read_device(file, device_id, table)
                case "interlocks":
                    for entry, place in self._tables(file, (section,), content, _Interlock):
                        self._take_interlock(entry, place)
                case "stop_inputs":
                    found = self._tables(file, (section,), content, _StopInput)
                    self._wanted_inputs += found
                case _:
                    expected = "[devices.ID], [[interlocks]] or [[stop_inputs]]"
                    self._refuse(file.place(section), section, expected, f'"{section}"')

    # ---- devices and what they carry

    def _read_device(self, file: DeclaredFile, device_id: str, table: Any) -> None:
        path = ("devices", device_id)
        place = file.place(*path)
        if not isinstance(table, dict):
            self._refuse(place, device_id, "a table [devices.ID]", "a value")
            return
        plain = {key: v for key, v in table.items() if key not in {"sensors", "actuators"}}
        device = self._convert(file, path, plain, _Device)
        if device is not None:
            self._take_device(device_id, device, place)
        for sensor, at in self._tables(file, (*path, "sensors"), table.get("sensors"), _Sensor):
            self._take_sensor(device_id, sensor, at)
        for actuator, at in self._tables(
            file, (*path, "actuators"), table.get("actuators"), _Actuator
        ):
            self._take_actuator(device_id, actuator, at)

    def _take_device(self, device_id: str, device: _Device, place: str) -> None:
        known = self.origins.setdefault(device_id, place)
        if known != place:
            self._refuse(place, device_id, "each device once", f"it in {known}")
            return
        try:
            devices.validate_device_id(device_id)
            devices.validate_zone_id(device.zone)
            gpio.board(device.board)
        except GatewayError as error:
            self._refuse_as(place, device_id, error)
            return
        self.devices[device_id] = DeclaredDevice(
            device_id=device_id, name=device.name, board=device.board, zone_id=device.zone
        )

    def _take_sensor(self, device_id: str, sensor: _Sensor, place: str) -> None:
        config = SensorConfig(
            esp_id=device_id,
            gpio=sensor.gpio,
            sensor_type=canonical_type(sensor.type),
            address=sensor.address,
            name=sensor.name,
            interval_s=sensor.interval_s,
            operating_mode=sensor.operating_mode,
            subzone_id=sensor.subzone,
        )
        if self._is_new(config.key, place):
            self.sensors[config.key] = config

    def _take_actuator(self, device_id: str, actuator: _Actuator, place: str) -> None:
        given = msgspec.structs.asdict(actuator)
        kind, subzone = given.pop("type"), given.pop("subzone")
        given["max_runtime_s"] = actuator.max_runtime_s or USUAL_MAX_RUNTIME_S[kind]
        if actuator.min_value > actuator.max_value:
            expected = f"a min_value of at most max_value, {actuator.max_value:g}"
            self._refuse(place, "min_value", expected, f"{actuator.min_value:g}")
        config = ActuatorConfig(esp_id=device_id, actuator_type=kind, subzone_id=subzone, **given)
        if self._is_new(config.key, place):
            self.actuators[config.key] = config

    def _is_new(self, key: SensorKey | ActuatorKey, place: str) -> bool:
        known = self.origins.get(key)
        if known is not None:
            self._refuse(place, f"{key.esp_id}/{key.gpio}", "it once", f"it in {known}, too")
            return False
        self.origins[key] = place
        return True

    def check_pins(self) -> None:
        """Which pins a board has, what they can do, and that nobody shares one."""
        for device_id, device in self.devices.items():
            sensors = [s for s in self.sensors.values() if s.esp_id == device_id]
            actuators = [a for a in self.actuators.values() if a.esp_id == device_id]
            configs: list[SensorConfig | ActuatorConfig] = [*sensors, *actuators]
            for config in configs:
                users = pin_users(sensors, actuators, without=config.key)
                try:
                    if isinstance(config, SensorConfig):
                        gpio.check_sensor(device.board, config, users)
                    else:
                        gpio.check_actuator(device.board, config, users)
                except GatewayError as error:
                    hint = (
                        unknown_type(config.sensor_type) if isinstance(config, SensorConfig) else ""
                    )
                    self._refuse_as(self.origins[config.key], "gpio", error, hint)

    # ---- what depends on each other

    def _take_interlock(self, entry: _Interlock, place: str) -> None:
        self.interlocks.append(
            Interlock(
                kind=entry.kind,
                actuator=_actuator_key(entry.actuator),
                other=_actuator_key(entry.other),
                after_s=entry.after_s,
                where=place,
            )
        )

    def check_interlocks(self) -> None:
        for problem in problems_of(self.interlocks, self.actuators):
            named = (problem.interlock.actuator, problem.interlock.other)
            if any((key.esp_id, key.gpio) in self._unread for key in named):
                continue
            subject = str(problem.interlock)
            self._refuse(
                problem.interlock.where, subject, "a rule that can be kept", problem.reason
            )

    def check_stop_inputs(self) -> None:
        for entry, place in self._wanted_inputs:
            esp_id, pin = entry.input.split("/")
            on_pin = [s for s in self.sensors.values() if (s.esp_id, s.gpio) == (esp_id, int(pin))]
            if not on_pin and (esp_id, int(pin)) in self._unread:
                continue
            if len(on_pin) != 1:
                expected = f"one sensor declared on GPIO {pin} of {esp_id}"
                self._refuse(place, "input", expected, f"{len(on_pin) or 'none'}")
                continue
            if (entry.pressed_below is None) == (entry.pressed_above is None):
                expected = "either pressed_below or pressed_above (raw values)"
                self._refuse(
                    place, "input", expected, "both" if entry.pressed_below is not None else "none"
                )
                continue
            if entry.silent_after_s < 2 * on_pin[0].interval_s:
                expected = f"at least twice the interval of its sensor, {on_pin[0].interval_s} s"
                self._refuse(place, "silent_after_s", expected, f"{entry.silent_after_s:g}")
            self.stop_inputs.append(
                StopInput(
                    sensor=on_pin[0].key,
                    scope=_scope(entry.stops),
                    pressed_below=entry.pressed_below,
                    pressed_above=entry.pressed_above,
                    silent_after_s=entry.silent_after_s,
                    where=place,
                )
            )

    # ---- reading tables

    def _tables(
        self, file: DeclaredFile, path: tuple[str | int, ...], content: Any, kind: type[Any]
    ) -> Iterator[tuple[Any, str]]:
        """Each good table of an array of tables, and its place."""
        if content is None:
            return
        if not isinstance(content, list):
            name = ".".join(str(part) for part in path)
            self._refuse(file.place(*path), name, f"tables [[{name}]]", "something else")
            return
        for number, table in enumerate(content):
            entry = self._convert(file, (*path, number), table, kind)
            if entry is not None:
                yield entry, file.place(*path, number)
            elif isinstance(table, dict) and isinstance(table.get("gpio"), int):
                self._unread.add((path[1], table["gpio"]))

    def _convert(
        self, file: DeclaredFile, path: tuple[str | int, ...], table: Any, kind: type[Any]
    ) -> Any:
        """The table as `kind`, without what was refused in it; None when too little is left."""
        errors = list(errors_in(table, kind))
        for found, text in errors:
            key = next((part for part in reversed(found) if isinstance(part, str)), "")
            subject = key or str(path[-1] if isinstance(path[-1], str) else path[-2])
            expected, what = expected_and_found(text, value_at(table, found[:-1]), key)
            self._refuse(file.place(*path, *found), subject, expected, what)
        return salvaged(table, kind, errors)

    def _refuse(self, place: str, key: str, expected: str, found: str) -> None:
        file, _, line = place.rpartition(":")
        number = int(line) if line.isdecimal() else None
        self.mistakes.append(
            Mistake(file=file, line=number, key=key, expected=expected, found=found)
        )

    def _refuse_as(self, place: str, key: str, error: GatewayError, hint: str = "") -> None:
        found = error.message.rstrip(".") + (f"; {hint}" if hint else "")
        self._refuse(place, key, "something that the device can do", found)


def _actuator_key(reference: str) -> ActuatorKey:
    esp_id, pin = reference.split("/")
    return ActuatorKey(esp_id, int(pin))


def _scope(text: str) -> Scope:
    kind, _, name = text.partition(" ")
    return GLOBAL if kind == "everything" else Scope(ScopeKind(kind), name)
