"""Derived series: computed from other series of the same chip; pure."""

from __future__ import annotations

import math

import msgspec

from godkaiser.domain.entities import Quality, Reading, SensorKey, without_raw
from godkaiser.domain.sensors.sensors import worse_of

VPD = "vpd"
VPD_UNIT = "kPa"
MOST_APART_S = 30.0
"""Maximum time between the temperature and the humidity that are combined."""


def vapour_pressure_deficit(temperature_c: float, humidity: float) -> float:
    """Kilopascal, from degrees Celsius and percent: the formula of Tetens (contract, 9.2)."""
    saturation = 0.6108 * math.exp(17.27 * temperature_c / (temperature_c + 237.3))
    return saturation * (1.0 - humidity / 100.0)


def temperature_beside(humidity: SensorKey) -> SensorKey | None:
    """The temperature series of the same chip; None for a type from which nothing is computed."""
    if humidity.sensor_type != "sht31_humidity":
        return None
    return SensorKey(humidity.esp_id, humidity.gpio, "sht31_temp", humidity.address)


def deficit_key(key: SensorKey) -> SensorKey:
    """The key of the deficit series, from the key of any other series of the chip."""
    return SensorKey(key.esp_id, key.gpio, VPD, key.address)


def deficit_of(humidity: Reading, temperature: Reading) -> Reading | None:
    """The deficit; None if the two do not belong together, or if one has no trusted value.

    It takes the time and the content key of the humidity, so that a redelivery adds no second
    reading.
    """
    quality = worse_of(temperature.quality, humidity.quality)
    if (
        abs(humidity.at - temperature.at) > MOST_APART_S
        or temperature.value is None
        or humidity.value is None
        or quality in {Quality.UNKNOWN, Quality.BAD, Quality.ERROR}
    ):
        return None
    value = vapour_pressure_deficit(temperature.value, humidity.value)
    return Reading(
        deficit_key(humidity.key),
        humidity.at,
        humidity.received_at,
        value,
        value,
        VPD_UNIT,
        quality,
        humidity.zone_id,
        without_raw(humidity.content_key),
        redelivered=humidity.redelivered,
        usable_by_rules=humidity.usable_by_rules and temperature.usable_by_rules,
        dated=humidity.dated,
        heard_at=humidity.heard_at,
        age_s=humidity.age_s,
    )


def lost_with(reading: Reading) -> Reading | None:
    """A deficit without a value, when a sensor of the chip has failed; None otherwise."""
    chip = {"sht31_humidity", "sht31_temp"}
    if reading.key.sensor_type not in chip or reading.quality is not Quality.ERROR:
        return None
    return msgspec.structs.replace(
        reading, key=deficit_key(reading.key), value=None, unit=VPD_UNIT, quality=Quality.ERROR
    )
