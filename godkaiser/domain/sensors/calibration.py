"""Computes a calibration from measurements of known references (contract, 9.2).

Methods are a table; each takes points of raw value and reference, and either returns a calibration
or says what is implausible. Nothing here knows where the points came from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import msgspec

from godkaiser.domain.entities import Calibration, CalibrationPoint, SensorKey
from godkaiser.domain.sensors.sensors import (
    ADC_FULL,
    ADC_VOLTS,
    PH_NEUTRAL,
    PH_PER_DEGREE,
    ROOM_C,
    convert,
    ec_at_25,
    volts,
)
from godkaiser.errors.sensors import ImplausibleCalibration

LEAST_APART = 20.0
"""Minimum distance of raw values: closer ones show mostly noise."""
PH_SLOPE = (1.5, 8.0)
PH_RESIDUAL = 0.3
EC_SLOPE = (600.0, 60_000.0)
MOISTURE_LEAST_SPAN = 200.0
MOST_OFFSET = {
    "ds18b20": 10.0,
    "sht31_temp": 10.0,
    "sht31_humidity": 20.0,
    "co2": 500.0,
    "light": 1e4,
}


class CalibrationSession(msgspec.Struct, frozen=True, kw_only=True):
    """`result` is what was applied, `previous` what held before; unix seconds."""

    session_id: int
    key: SensorKey
    method: str
    state: str
    started_by: str
    started_at: float
    points: tuple[CalibrationPoint, ...] = ()
    ended_by: str = ""
    ended_at: float | None = None
    result: Calibration | None = None
    previous: Calibration | None = None


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """`least` to `most` points; `references` describes them for a person."""

    name: str
    types: frozenset[str]
    least: int
    most: int
    references: str
    fit: Callable[[str, Sequence[CalibrationPoint]], Calibration]


def method_for(name: str, sensor_type: str) -> Method:
    """Raises ImplausibleCalibration: there is no such method for this sensor type."""
    method = METHODS.get(name)
    if method is not None and sensor_type in method.types:
        return method
    known = [m.name for m in METHODS.values() if sensor_type in m.types]
    use = f"Use {' or '.join(known)}." if known else "It cannot be calibrated."
    reason = f"There is no method '{name[:40]}' for {sensor_type}. {use}"
    raise ImplausibleCalibration(reason=reason)


def calibrate(method: Method, sensor_type: str, points: Sequence[CalibrationPoint]) -> Calibration:
    """Compute the calibration from the points.

    Raises:
        ImplausibleCalibration: too few points, or points that no working sensor gives.
    """
    if not method.least <= len(points) <= method.most:
        wanted = (
            f"{method.least}" if method.least == method.most else f"{method.least} to {method.most}"
        )
        reason = f"{method.name} takes {wanted} points ({method.references}), not {len(points)}."
        raise ImplausibleCalibration(reason=reason)
    raws = sorted(point.raw for point in points)
    if any(b - a < LEAST_APART for a, b in itertools.pairwise(raws)):
        reason = (
            f"Two points have raw values closer than {LEAST_APART:g}. Measure in two different"
            " references, and wait until the value is steady."
        )
        raise ImplausibleCalibration(reason=reason)
    found = method.fit(sensor_type, points)
    return msgspec.structs.replace(found, method=method.name, points=tuple(points))


def _offset(sensor_type: str, points: Sequence[CalibrationPoint]) -> Calibration:
    (point,) = points
    measured = convert(sensor_type, point.raw, Calibration()).value
    if measured is None:
        raise ImplausibleCalibration(
            reason=f"The raw value {point.raw:g} means a fault of the sensor. Check its wiring."
        )
    offset = point.reference - measured
    most = MOST_OFFSET[sensor_type]
    if not abs(offset) <= most:
        reason = (
            f"The sensor reads {measured:.2f} and the reference is {point.reference:g}: more than"
            f" {most:g} apart. Check the reference; if it is right, the sensor is broken."
        )
        raise ImplausibleCalibration(reason=reason)
    return Calibration(offset=offset)


def _ph(_type: str, points: Sequence[CalibrationPoint]) -> Calibration:
    """A line through two buffers, or the best line through three, each compensated to 25 degrees
    Celsius.
    """
    xs = [point.raw / ADC_FULL * ADC_VOLTS for point in points]
    ys = [_ph_uncompensated(point) for point in points]
    slope, offset = _line(xs, ys)
    low, high = PH_SLOPE
    if not low <= abs(slope) <= high:
        reason = (
            f"The slope would be {slope:.2f} pH/V; a working probe with its amplifier has {low:g} to"
            f" {high:g}. Clean or replace the probe, and check the buffers."
        )
        raise ImplausibleCalibration(reason=reason)
    worst = max(abs(slope * x + offset - y) for x, y in zip(xs, ys, strict=True))
    if worst > PH_RESIDUAL:
        reason = f"A point is {worst:.2f} pH off the line: at least one is wrong. Measure again."
        raise ImplausibleCalibration(reason=reason)
    return Calibration(slope=slope, offset=offset)


def _ec(_type: str, points: Sequence[CalibrationPoint]) -> Calibration:
    xs = [volts(point.raw) for point in points]
    ys = [_ec_uncompensated(point) for point in points]
    if len(points) == 1:
        # One point gives the cell constant: a line through the origin.
        if xs[0] <= 0:
            raise ImplausibleCalibration(reason="The raw value is 0: the probe is not connected.")
        slope, offset = ys[0] / xs[0], 0.0
    else:
        slope, offset = _line(xs, ys)
    low, high = EC_SLOPE
    if not low <= slope <= high:
        reason = (
            f"The slope would be {slope:.0f} µS/cm per V; plausible values are {low:g} to {high:g}. Check"
            " the reference solutions and the probe."
        )
        raise ImplausibleCalibration(reason=reason)
    return Calibration(slope=slope, offset=offset)


def _moisture(_type: str, points: Sequence[CalibrationPoint]) -> Calibration:
    by_reference = {point.reference: point.raw for point in points}
    if set(by_reference) != {0.0, 100.0}:
        reason = "Use one dry point (reference 0) and one wet point (reference 100)."
        raise ImplausibleCalibration(reason=reason)
    dry, wet = by_reference[0.0], by_reference[100.0]
    if abs(dry - wet) < MOISTURE_LEAST_SPAN:
        reason = (
            f"Dry ({dry:g}) and wet ({wet:g}) differ by less than {MOISTURE_LEAST_SPAN:g}: is the probe in"
            " the soil, and was it dry before?"
        )
        raise ImplausibleCalibration(reason=reason)
    return Calibration(dry_raw=dry, wet_raw=wet)


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope and offset by least squares; two points lie on it."""
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - mean_x) ** 2 for x in xs)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, mean_y - slope * mean_x


def _ph_uncompensated(point: CalibrationPoint) -> float:
    """The probe's value for the reference before compensation: the inverse of `ph_at_25`."""
    k = PH_PER_DEGREE * (_temperature(point) - ROOM_C)
    return (point.reference - PH_NEUTRAL * k) / (1.0 - k)


def _ec_uncompensated(point: CalibrationPoint) -> float:
    """The reference's conductivity at the medium's temperature; its label is for 25 degrees."""
    return point.reference / ec_at_25(1.0, _temperature(point))


def _temperature(point: CalibrationPoint) -> float:
    return ROOM_C if point.temperature_c is None else point.temperature_c


METHODS = {
    method.name: method
    for method in (
        Method(
            name="offset", types=frozenset(MOST_OFFSET), least=1, most=1,
            references="a trusted instrument beside the sensor", fit=_offset,
        ),
        Method(
            name="ph", types=frozenset({"ph"}), least=2, most=3,
            references="buffers, such as pH 4, 7 and 10, with their temperature", fit=_ph,
        ),
        Method(
            name="ec", types=frozenset({"ec"}), least=1, most=3,
            references="solutions in µS/cm at 25 °C, with their temperature", fit=_ec,
        ),
        Method(
            name="moisture", types=frozenset({"moisture"}), least=2, most=2,
            references="0 in dry and 100 in wet soil", fit=_moisture,
        ),
    )
}  # fmt: skip
