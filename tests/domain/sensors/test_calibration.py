"""From points to a calibration: what is met, and what is refused as implausible."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from godkaiser.domain.entities import Calibration, CalibrationPoint, Quality, SensorKey
from godkaiser.domain.sensors.calibration import METHODS, calibrate, method_for
from godkaiser.domain.sensors.recalculation import (
    RawReading,
    Recalculation,
    after_batch,
    recalculated,
)
from godkaiser.domain.sensors.sensors import SENSOR_TYPES, convert, ec_at_25, ph_at_25
from godkaiser.errors.sensors import ImplausibleCalibration

temperatures = st.floats(0, 60)


def point(raw, reference, temperature_c=None):
    return CalibrationPoint(raw=raw, reference=reference, temperature_c=temperature_c)


def found(name, sensor_type, *points):
    return calibrate(method_for(name, sensor_type), sensor_type, points)


@given(
    st.floats(-7, -2), st.floats(12, 16), st.integers(600, 1800), st.integers(400, 1500),
    temperatures,
)  # fmt: skip
def test_two_buffers_give_back_the_probe_that_measured_them(slope, offset, raw, apart, medium):
    probe = Calibration(slope=slope, offset=offset, medium_c=medium)
    raws = (raw, raw + apart)
    references = [convert("ph", r, probe).value for r in raws]
    assume(all(0.5 < value < 13.5 for value in references))
    points = [point(r, v, medium) for r, v in zip(raws, references, strict=True)]
    calibration = found("ph", "ph", *points)
    assert calibration.slope == pytest.approx(slope, rel=1e-6)
    assert calibration.offset == pytest.approx(offset, rel=1e-6)
    assert calibration.method == "ph" and calibration.points == tuple(points)


@given(st.floats(1000, 40_000), st.integers(1000, 20_000), temperatures)
def test_the_constant_of_a_cell_is_found_at_any_temperature(slope, raw, medium):
    shown = convert("ec", raw, Calibration(slope=slope, medium_c=medium)).value
    assume(0 < shown < 20_000)
    calibration = found("ec", "ec", point(raw, shown, medium))
    assert calibration.slope == pytest.approx(slope, rel=1e-6) and calibration.offset == 0


@given(st.integers(500, 2000), st.integers(200, 2000), st.booleans())
def test_moisture_is_0_in_what_was_dry_and_100_in_what_was_wet(low, span, wet_is_low):
    dry, wet = (low + span, low) if wet_is_low else (low, low + span)
    calibration = found("moisture", "moisture", point(dry, 0.0), point(wet, 100.0))
    assert convert("moisture", dry, calibration).value == 0
    assert convert("moisture", wet, calibration).value == 100


@given(st.integers(-300, 1300), st.floats(-9, 9))
def test_an_offset_brings_the_sensor_to_the_trusted_instrument(raw, off):
    true = raw * 0.0625 + off
    calibration = found("offset", "ds18b20", point(raw, true))
    assert convert("ds18b20", raw, calibration).value == pytest.approx(true)


def test_a_third_buffer_that_fits_is_met_on_average_and_one_that_does_not_is_refused():
    good = [point(1000, 9.9), point(1500, 7.1), point(2000, 4.2)]
    assert 1.5 < abs(found("ph", "ph", *good).slope) < 8
    with pytest.raises(ImplausibleCalibration, match=r"off the line"):
        found("ph", "ph", point(1000, 10.0), point(1500, 4.0), point(2000, 7.0))


@pytest.mark.parametrize(
    ("method", "kind", "points", "says"),
    [
        ("ph", "ph", [point(1500, 7.0)], "2 to 3 points"),
        ("ph", "ph", [point(1500, 7.0), point(1505, 4.0)], "closer than 20"),
        ("ph", "ph", [point(1000, 7.0), point(2000, 7.1)], "Clean or replace"),
        ("ec", "ec", [point(0, 1413.0)], "not connected"),
        ("ec", "ec", [point(20_000, 1.0)], "plausible"),
        ("moisture", "moisture", [point(3000, 0.0), point(2900, 100.0)], "differ by less than 200"),
        ("moisture", "moisture", [point(3000, 0.0), point(1500, 50.0)], "reference 100"),
        ("offset", "ds18b20", [point(400, 90.0)], "is broken"),
        ("offset", "ds18b20", [point(-2032, 20.0)], "fault"),
    ],
)  # fmt: skip
def test_what_no_sound_sensor_gives_is_refused_with_advice(method, kind, points, says):
    with pytest.raises(ImplausibleCalibration, match=says):
        found(method, kind, *points)


def test_a_method_that_does_not_suit_names_those_that_do():
    with pytest.raises(ImplausibleCalibration, match="Use ph"):
        method_for("offset", "ph")
    with pytest.raises(ImplausibleCalibration, match="cannot be calibrated"):
        method_for("offset", "bmp280_temp")
    assert all(kind in SENSOR_TYPES for m in METHODS.values() for kind in m.types)


@given(st.floats(0, 14), temperatures)
def test_compensation_leaves_neutral_water_and_25_degrees_alone(ph, medium):
    assert ph_at_25(7.0, medium) == 7.0
    assert ph_at_25(ph, 25.0) == ph and ec_at_25(ph, 25.0) == ph


def test_after_its_time_a_calibration_makes_no_better_than_fair():
    calibration = Calibration(slope=-5.7, offset=15.5, valid_until=1000.0)
    assert convert("ph", 1850, calibration, at=1000.0).quality is Quality.GOOD
    assert convert("ph", 1850, calibration, at=1000.1).quality is Quality.FAIR


KEY = SensorKey("ESP_A00001", 34, "ph")
calibrations = st.builds(Calibration, slope=st.floats(-8, -1.5), offset=st.floats(12, 18))


def run_of(before, after):
    return Recalculation(
        key=KEY, calibration=after, before=before, start=0, end=1e10, total=1, by="x", started_at=0
    )


@given(
    st.one_of(st.none(), calibrations), calibrations,
    st.lists(st.tuples(st.floats(0, 4095), st.sampled_from(["good", "suspect"])), max_size=20),
)  # fmt: skip
def test_the_past_reads_as_if_the_calibration_had_held_then(before, after, measured):
    rows = []
    for n, (raw, said) in enumerate(measured):
        then = convert("ph", raw, before, said, 5.0)
        rows.append(RawReading((5000, n), raw, then.value, then.quality.value))
    changes = {c.position: c for c in recalculated(run_of(before, after), rows)}
    for row, (raw, said) in zip(rows, measured, strict=True):
        wanted = convert("ph", raw, after, said, 5.0)
        shown = changes.get(row.position, row)
        assert shown.value == wanted.value
        # A doubt about a number that was doubtful anyway cannot be told from that.
        if convert("ph", raw, before, at=5.0).quality in {Quality.GOOD, Quality.FAIR}:
            assert shown.quality == wanted.quality.value
    # Once more changes nothing, and undoing brings back the values.
    again = [
        msgspec.structs.replace(
            row,
            value=changes.get(row.position, row).value,
            quality=changes.get(row.position, row).quality,
        )
        for row in rows
    ]
    assert recalculated(run_of(before, after), again) == [] or before is None
    undone = {c.position: c.value for c in recalculated(run_of(after, before), again)}
    assert all(undone.get(r.position, a.value) == r.value for r, a in zip(rows, again, strict=True))


def test_a_run_ends_with_its_last_batch():
    run = run_of(None, Calibration())
    run = after_batch(run, [RawReading((7, 1), 1.0, None, "good")], 1, is_last=False, now=9.0)
    assert (run.state, run.position, run.done, run.changed) == ("running", (7, 1), 1, 1)
    run = after_batch(run, [], 0, is_last=True, now=10.0)
    assert (run.state, run.ended_at, run.result) == ("done", 10.0, "1 of 1 readings changed")
