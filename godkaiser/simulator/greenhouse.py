"""A small greenhouse for each simulated device: physics that react to its actuators.

The constants are chosen so that a person sees a rule act within a minute; they are not realistic.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from godkaiser.simulator.raw_values import raw_of

DAY_S = 600.0
"""Length of a simulated day."""

I2C_SHT31 = 68
FAN, HEATER, PUMP, VALVE, DIMMER = 25, 18, 26, 27, 19


@dataclass(slots=True)
class Climate:
    """°C, % relative humidity, % soil moisture, pH, µS/cm."""

    temperature: float = 24.0
    humidity: float = 60.0
    moisture: float = 45.0
    ph: float = 6.2
    ec: float = 1500.0


class Greenhouse:
    """The surroundings of one device. The same seed gives the same weather and the same noise."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._clock_s = self._random.uniform(0.0, DAY_S)
        self.climate = Climate(
            temperature=24.0 + self._random.uniform(-1.0, 1.5),
            moisture=45.0 + self._random.uniform(-8.0, 8.0),
        )

    def advance(self, seconds: float, levels: Mapping[int, float]) -> None:
        """Let time pass under these actuator levels (0.0 to 1.0, by GPIO)."""
        climate = self.climate
        self._clock_s += seconds
        sun = max(0.0, math.sin(2.0 * math.pi * self._clock_s / DAY_S))
        outside = 17.0 + 4.0 * sun
        fan = levels.get(FAN, 0.0)
        heat = levels.get(HEATER, 0.0) + levels.get(DIMMER, 0.0)
        # Move towards the equilibrium of sun, walls, fan and heater; time constants in seconds.
        settled = outside + 14.0 * sun + 4.0 + 10.0 * heat - 9.0 * fan
        climate.temperature += (settled - climate.temperature) * _part(seconds, 60.0 - 35.0 * fan)
        damp = 75.0 - 1.2 * (climate.temperature - 20.0) - 20.0 * fan
        climate.humidity += (damp - climate.humidity) * _part(seconds, 45.0)
        water = max(levels.get(PUMP, 0.0), levels.get(VALVE, 0.0))
        climate.moisture += seconds * (1.5 * water - 0.12 - 0.15 * sun)
        climate.ph += (6.8 - climate.ph) * _part(seconds, 900.0) - 0.002 * seconds * water
        climate.ec += seconds * (0.6 * water - 0.2)
        climate.humidity = min(max(climate.humidity, 5.0), 99.0)
        climate.moisture = min(max(climate.moisture, 0.0), 100.0)
        climate.ph = min(max(climate.ph, 3.5), 9.5)
        climate.ec = min(max(climate.ec, 200.0), 4000.0)

    def raw(self, sensor_type: str) -> int:
        """The value that the chip's driver would read now (contract, sections 9.2 and 25)."""
        climate = self.climate
        match sensor_type:
            case "ds18b20":
                return raw_of(sensor_type, climate.temperature - 4.0 + self._noise(0.05))
            case "sht31_temp":
                return raw_of(sensor_type, climate.temperature + self._noise(0.05))
            case "sht31_humidity":
                return raw_of(sensor_type, climate.humidity + self._noise(0.2))
            case "ph":
                return _unsuspicious(raw_of(sensor_type, climate.ph + self._noise(0.01)))
            case "ec":
                return _unsuspicious(raw_of(sensor_type, climate.ec + self._noise(5.0)))
            case "moisture":
                return _unsuspicious(raw_of(sensor_type, climate.moisture + self._noise(0.3)))
            case _:
                return _unsuspicious(raw_of(sensor_type, 2048.0 + self._noise(20.0)))

    def _noise(self, sigma: float) -> float:
        return self._random.gauss(0.0, sigma)


def _part(seconds: float, time_constant_s: float) -> float:
    return 1.0 - math.exp(-seconds / time_constant_s)


def _unsuspicious(raw: int) -> int:
    """Keep the value away from the ends of the ADC, where the device would rate it suspect."""
    return min(max(raw, 60), 4040)


def device_id(index: int) -> str:
    """The id of device number `index`, counted from 0."""
    return f"ESP_{0xA00001 + index:06X}"


_AIR = (
    {"gpio": 0, "sensor_type": "sht31_temp", "name": "Air temperature", "address": hex(I2C_SHT31)},
    {"gpio": 0, "sensor_type": "sht31_humidity", "name": "Air humidity", "address": hex(I2C_SHT31)},
)
_PH = {"gpio": 34, "sensor_type": "ph", "name": "Nutrient pH"}
_EC = {"gpio": 35, "sensor_type": "ec", "name": "Nutrient EC"}
_SOIL = {"gpio": 32, "sensor_type": "moisture", "name": "Soil moisture"}
_FAN = {"gpio": FAN, "actuator_type": "relay", "name": "Fan", "max_runtime_s": 1800}
_HEATER = {"gpio": HEATER, "actuator_type": "relay", "name": "Heater", "max_runtime_s": 1800}
_PUMP = {"gpio": PUMP, "actuator_type": "pump", "name": "Irrigation pump", "max_runtime_s": 120}
_VALVE = {"gpio": VALVE, "actuator_type": "valve", "name": "Water valve", "aux_gpio": 14,
          "max_runtime_s": 300}  # fmt: skip
_DIMMER = {"gpio": DIMMER, "actuator_type": "pwm", "name": "Heating mat", "max_runtime_s": 1800}

_MIXES: tuple[tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]], ...] = (
    ((*_AIR, _SOIL), (_FAN, _PUMP)),
    ((*_AIR, _PH), (_FAN, _HEATER)),
    ((*_AIR, _EC), (_DIMMER,)),
    ((*_AIR, _SOIL), (_FAN, _VALVE)),
    ((*_AIR, _PH, _EC), (_PUMP, _HEATER)),
)


def equipment(
    index: int,
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """The sensors and actuators of device number `index`; the combinations repeat."""
    return _MIXES[index % len(_MIXES)]
