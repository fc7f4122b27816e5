"""The table of sensor types, and the one interpreter that converts raw numbers.

Formulae and limits: contract, section 9. Nothing here knows where a number came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import msgspec

from godkaiser.domain.entities import Calibration, Quality

ADC_FULL = 4095.0
ADC_VOLTS = 3.3
EXTERNAL_ADC_FULL = 32767.0
EXTERNAL_ADC_VOLTS = 5.0
ROOM_C = 25.0
PH_NEUTRAL = 7.0
PH_PER_DEGREE = 0.003
DS18B20_DISCONNECTED = -2032.0
DS18B20_POWER_ON = 1360.0
DS18B20_JUMP = 160.0
"""10 °C from one reading to the next."""
DS18B20_BELIEVED = 3
MOISTURE_DRY = 3200.0
MOISTURE_WET = 1500.0


class Bus(StrEnum):
    ONEWIRE = "onewire"
    I2C = "i2c"
    ANALOG = "analog"
    COMPUTED = "computed"


class Converted(msgspec.Struct, frozen=True):
    """`value` is None if the raw number cannot be converted."""

    value: float | None
    unit: str
    quality: Quality


class SensorType(msgspec.Struct, frozen=True, kw_only=True):
    """`low` and `high` are the physical limits of the value; `convert` computes it. Uncalibrated
    types with `needs_calibration` are rated fair at best.
    """

    name: str
    unit: str
    bus: Bus
    low: float
    high: float
    convert: Callable[[float, Calibration], float] | None
    clamp: bool = False
    needs_calibration: bool = False
    good: tuple[float, float] | None = None
    aliases: tuple[str, ...] = ()


def volts(raw: float) -> float:
    """Section 9.2; above 12 bits a 16-bit converter at 5 V is assumed."""
    if raw > ADC_FULL:
        return raw / EXTERNAL_ADC_FULL * EXTERNAL_ADC_VOLTS
    return raw / ADC_FULL * ADC_VOLTS


def _ds18b20(raw: float, calibration: Calibration) -> float:
    return raw * 0.0625 + calibration.offset


def _sht31_temperature(raw: float, calibration: Calibration) -> float:
    return -45.0 + 175.0 * raw / 65535.0 + calibration.offset


def _sht31_humidity(raw: float, calibration: Calibration) -> float:
    return 100.0 * raw / 65535.0 + calibration.offset


def ph_at_25(ph: float, medium_c: float) -> float:
    """Section 9.2: what the probe would read at 25 degrees Celsius; 7 stays 7."""
    return ph + (medium_c - ROOM_C) * PH_PER_DEGREE * (PH_NEUTRAL - ph)


def ec_at_25(ec: float, medium_c: float) -> float:
    """Section 9.2: conductivity grows by 2 % a degree."""
    return ec / (1.0 + 0.02 * (medium_c - ROOM_C))


def _ph(raw: float, calibration: Calibration) -> float:
    v = raw / ADC_FULL * ADC_VOLTS
    if calibration.slope is None:
        ph = 7.0 - 3.5 * (v - 1.5)
    else:
        ph = calibration.slope * v + calibration.offset
    return ph if calibration.medium_c is None else ph_at_25(ph, calibration.medium_c)


def _ec(raw: float, calibration: Calibration) -> float:
    slope = 6060.0 if calibration.slope is None else calibration.slope
    ec = slope * volts(raw) + calibration.offset
    return ec if calibration.medium_c is None else ec_at_25(ec, calibration.medium_c)


def _moisture(raw: float, calibration: Calibration) -> float:
    dry = MOISTURE_DRY if calibration.dry_raw is None else calibration.dry_raw
    wet = MOISTURE_WET if calibration.wet_raw is None else calibration.wet_raw
    if wet == dry:
        return math.nan
    return (raw - dry) / (wet - dry) * 100.0


def _offset_only(raw: float, calibration: Calibration) -> float:
    return raw + calibration.offset


_TABLE = (
    SensorType(
        name="ds18b20", unit="°C", bus=Bus.ONEWIRE, low=-55.0, high=125.0, convert=_ds18b20,
        aliases=("temperature_ds18b20",),
    ),
    SensorType(
        name="sht31_temp", unit="°C", bus=Bus.I2C, low=-40.0, high=125.0,
        convert=_sht31_temperature, aliases=("temperature_sht31",),
    ),
    SensorType(
        name="sht31_humidity", unit="%", bus=Bus.I2C, low=0.0, high=100.0, clamp=True,
        convert=_sht31_humidity, aliases=("humidity_sht31",),
    ),
    SensorType(
        name="ph", unit="pH", bus=Bus.ANALOG, low=0.0, high=14.0, clamp=True, convert=_ph,
        needs_calibration=True, good=(3.0, 11.0), aliases=("ph_sensor",),
    ),
    SensorType(
        name="ec", unit="µS/cm", bus=Bus.ANALOG, low=0.0, high=20000.0, clamp=True, convert=_ec,
        needs_calibration=True, aliases=("ec_sensor",),
    ),
    SensorType(
        name="moisture", unit="%", bus=Bus.ANALOG, low=0.0, high=100.0, clamp=True,
        convert=_moisture, good=(20.0, 80.0), aliases=("soil_moisture",),
    ),
    SensorType(
        name="co2", unit="ppm", bus=Bus.ANALOG, low=0.0, high=10000.0, convert=_offset_only,
        good=(0.0, 1000.0), aliases=("mhz19_co2", "scd30_co2"),
    ),
    SensorType(
        name="light", unit="lux", bus=Bus.ANALOG, low=0.0, high=200000.0, convert=_offset_only,
        aliases=("tsl2561", "bh1750"),
    ),
    SensorType(
        name="vpd", unit="kPa", bus=Bus.COMPUTED, low=0.0, high=10.0, convert=None,
    ),
    # The firmware sends pulses counted by an analogue driver: a rate cannot be computed from them
    # alone.
    SensorType(
        name="flow", unit="raw", bus=Bus.ANALOG, low=0.0, high=1e9, convert=None,
        aliases=("yfs201",),
    ),
    # Devices never send the chips' trimming coefficients, so only raw words are stored (9.3).
    *(
        SensorType(
            name=f"{chip}_{what}", unit="raw", bus=Bus.I2C, low=0.0, high=1e9, convert=None,
            aliases=(f"{long}_{chip}",),
        )
        for chip, whats in (
            ("bmp280", (("pressure", "pressure"), ("temp", "temperature"))),
            (
                "bme280",
                (("pressure", "pressure"), ("temp", "temperature"), ("humidity", "humidity")),
            ),
        )
        for what, long in whats
    ),
)  # fmt: skip
SENSOR_TYPES = {kind.name: kind for kind in _TABLE}
_CANONICAL = {alias: kind.name for kind in _TABLE for alias in (kind.name, *kind.aliases)}
_UNCALIBRATED = Calibration()
# From best to worst; the device's own rating is an upper limit for the gateway's rating.
_GRADES = (
    Quality.EXCELLENT,
    Quality.GOOD,
    Quality.FAIR,
    Quality.SUSPECT,
    Quality.POOR,
    Quality.UNKNOWN,
    Quality.BAD,
    Quality.ERROR,
)
_DOUBTS = {
    "fair": Quality.FAIR,
    "suspect": Quality.SUSPECT,
    "poor": Quality.POOR,
    "stale": Quality.POOR,
    "bad": Quality.BAD,
    "error": Quality.ERROR,
}
_RANK = {grade: rank for rank, grade in enumerate(_GRADES)}


def canonical_type(name: str) -> str:
    """The name under which a type is stored; an unknown name is only lower-cased."""
    lowered = name.strip().lower()
    return _CANONICAL.get(lowered, lowered)


def bus_of(sensor_type: str) -> Bus:
    """The bus of a type; the firmware reads unknown types as an analogue pin."""
    kind = SENSOR_TYPES.get(sensor_type)
    return Bus.ANALOG if kind is None else kind.bus


def convert(
    sensor_type: str,
    raw: float,
    calibration: Calibration | None,
    device_quality: str = "good",
    at: float | None = None,
) -> Converted:
    """Convert a raw number, measured `at`, into a value with unit and rating."""
    kind = SENSOR_TYPES.get(sensor_type)
    if kind is None or kind.convert is None:
        return Converted(None, "raw", Quality.UNKNOWN)
    if sensor_type == "ds18b20" and raw == DS18B20_DISCONNECTED:
        return Converted(None, kind.unit, Quality.ERROR)
    value = kind.convert(raw, calibration or _UNCALIBRATED)
    if not math.isfinite(value):
        return Converted(None, kind.unit, Quality.ERROR)
    quality = _rate(kind, value, calibrated=calibration is not None)
    if kind.clamp:
        value = min(max(value, kind.low), kind.high)
    if calibration is not None and calibration.valid_until is not None:
        is_over = at is not None and at > calibration.valid_until
        quality = worse_of(quality, Quality.FAIR) if is_over else quality
    # The rating is never better than the device's own.
    return Converted(value, kind.unit, worse_of(quality, _DOUBTS.get(device_quality, quality)))


class RawSeries(msgspec.Struct, frozen=True):
    """The newest raw number of a sensor since its device booted; `doubted` counts the readings in a
    row that look as if the sensor had just lost power.
    """

    raw: float
    doubted: int = 0

    @property
    def is_doubtful(self) -> bool:
        return 0 < self.doubted < DS18B20_BELIEVED


def after_raw(sensor_type: str, raw: float, before: RawSeries | None) -> RawSeries:
    """Section 9.2: a DS18B20 that has just been powered and has not measured yet reports 85 °C.

    So 85 °C as the first reading, or after a jump, is suspect until it has been reported three
    times in a row.
    """
    if sensor_type != "ds18b20" or raw != DS18B20_POWER_ON:
        return RawSeries(raw)
    if before is not None and before.doubted:
        return RawSeries(raw, before.doubted + 1)
    jumped = before is None or abs(raw - before.raw) > DS18B20_JUMP
    return RawSeries(raw, 1 if jumped else 0)


def accept_value(sensor_type: str, value: float | None) -> Converted:
    """Rate a value that is already converted."""
    kind = SENSOR_TYPES.get(sensor_type)
    if value is None or not math.isfinite(value):
        return Converted(None, "" if kind is None else kind.unit, Quality.ERROR)
    if kind is None:
        return Converted(value, "raw", Quality.UNKNOWN)
    if not kind.low <= value <= kind.high:
        return Converted(value, kind.unit, Quality.BAD)
    return Converted(value, kind.unit, _rate(kind, value, calibrated=True))


def describe(sensor_type: str) -> str:
    """The type with its limits, for an error message."""
    kind = SENSOR_TYPES.get(sensor_type)
    if kind is None:
        return f"{sensor_type} reading"
    return f"{sensor_type} reading within its limits, {kind.low:g} to {kind.high:g} {kind.unit}"


def _rate(kind: SensorType, value: float, *, calibrated: bool) -> Quality:
    if not kind.low <= value <= kind.high:
        return Quality.POOR if kind.clamp else Quality.BAD
    if kind.needs_calibration and not calibrated:
        return Quality.FAIR
    if kind.good is not None and not kind.good[0] <= value <= kind.good[1]:
        return Quality.FAIR
    return Quality.GOOD


def may_feed_rules(quality: Quality) -> bool:
    """Whether a reading is good enough for rules."""
    return _RANK[quality] <= _RANK[Quality.SUSPECT]


def worse_of(one: Quality, other: Quality) -> Quality:
    return max(one, other, key=_RANK.__getitem__)


def is_worse(quality: Quality, other: Quality) -> bool:
    return _RANK[quality] > _RANK[other]
