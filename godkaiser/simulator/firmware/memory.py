"""The state of a device; the part in `Memory` survives a restart (NVS)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from godkaiser.simulator.firmware import pins

RELOADED_SENSORS = 10
"""Maximum number of stored entries that are loaded at a boot (contract, section 9.4)."""
DEFAULT_RUNTIME_S = 3600.0
CHIPS = {
    "sht31": ("sht31_temp", "sht31_humidity"),
    "bmp280": ("bmp280_pressure", "bmp280_temp"),
    "bme280": ("bme280_pressure", "bme280_temp", "bme280_humidity"),
}


def chip_of(sensor_type: str) -> str:
    """The I2C chip of a configured type; "" for a type that is not on that bus."""
    stem = sensor_type.partition("_")[0]
    return stem if stem in CHIPS else ""


@dataclass(slots=True)
class Sensor:
    """One configured entry. `interval_s` 0 means 5 s, like a stored 0."""

    gpio: int
    sensor_type: str
    onewire_address: str = ""
    i2c_address: int | None = None
    interval_s: float = 30.0
    mode: str = "continuous"
    subzone_id: str = ""
    raw_mode: bool = True
    next_due: float = 0.0
    failures: int = 0

    @property
    def identity(self) -> tuple[int, str, str, int | None]:
        return (self.gpio, self.sensor_type, self.onewire_address, self.i2c_address)

    @property
    def chip(self) -> str:
        return chip_of(self.sensor_type)

    @property
    def values(self) -> tuple[str, ...]:
        """The value types that one read publishes."""
        return CHIPS.get(self.chip, (self.sensor_type,))


@dataclass(slots=True)
class Actuator:
    gpio: int
    kind: str
    max_runtime_s: float = DEFAULT_RUNTIME_S
    default_on: bool = False
    default_pwm: int = 0
    critical: bool = False
    inverted: bool = False
    aux_gpio: int = pins.NO_PIN
    subzone_id: str = ""
    level: float = 0.0
    stopped: bool = False
    source: str = ""
    on_since: float | None = None
    off_at: float | None = None
    ran_s: float = 0.0
    off_since: float | None = None
    overridden: bool = False
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=60))

    @property
    def pwm(self) -> int:
        """The value in the status: floor(level x 255); a valve's position x 127 (section 10.3)."""
        if self.kind == "valve":
            return round(self.level * 2) * 127
        return math.floor(self.level * 255)

    @property
    def default_level(self) -> float:
        if self.kind == "pwm" and self.default_on and self.default_pwm:
            return self.default_pwm / 255.0
        return 1.0 if self.default_on else 0.0

    @property
    def pins(self) -> tuple[int, ...]:
        if self.kind != "valve":
            return (self.gpio,)
        return (self.gpio, self.gpio + 1 if self.aux_gpio == pins.NO_PIN else self.aux_gpio)


@dataclass(slots=True)
class Subzone:
    subzone_id: str
    name: str
    gpios: tuple[int, ...]
    safe_mode: bool = True


@dataclass(slots=True)
class Memory:
    """The state that survives a restart. A factory reset clears the zone, but not tokens and
    fences.
    """

    approved: bool = False
    zone_id: str = ""
    master_zone_id: str = ""
    zone_name: str = ""
    kaiser_id: str = "god"
    sensors: dict[tuple[Any, ...], Sensor] = field(default_factory=dict)
    actuators: dict[int, Actuator] = field(default_factory=dict)
    subzones: dict[str, Subzone] = field(default_factory=dict)
    offline_rules: list[dict[str, Any]] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    boot_count: int = 0
    log_level: str = "INFO"
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    """Critical outcomes that could not be sent (section 16.3)."""
    unfinished_configs: list[str] = field(default_factory=list)
    """Accepted but unfinished pushes, replayed after a crash (section 12.5)."""

    def reload(self, now: float) -> None:
        """Prepare the memory for a boot: at most ten sensors, every actuator in its default state."""
        for identity in list(self.sensors)[RELOADED_SENSORS:]:
            del self.sensors[identity]
        for sensor in self.sensors.values():
            sensor.next_due, sensor.failures = now, 0
        for actuator in self.actuators.values():
            actuator.level = actuator.default_level
            actuator.stopped = actuator.overridden = False
            actuator.on_since = now if actuator.level > 0 else None
            actuator.off_at = actuator.off_since = None
            actuator.ran_s = 0.0
            actuator.starts.clear()
