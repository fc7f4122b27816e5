"""From a raw number to a value: the contract's formulae, and nothing that is not finite."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import Calibration, Quality
from godkaiser.domain.sensors.sensors import (
    SENSOR_TYPES,
    accept_value,
    canonical_type,
    convert,
    may_feed_rules,
)

types = st.sampled_from([*SENSOR_TYPES, "something_new"])


@pytest.mark.parametrize(
    ("kind", "raw", "value", "unit", "quality"),
    [
        ("ds18b20", 376, 23.5, "°C", Quality.GOOD),
        ("ds18b20", -2032, None, "°C", Quality.ERROR),
        ("ds18b20", 2100, 131.25, "°C", Quality.BAD),
        ("sht31_temp", 26214, 25.0, "°C", Quality.GOOD),
        ("sht31_humidity", 36044, 55.0, "%", Quality.GOOD),
        ("moisture", 2350, 50.0, "%", Quality.GOOD),
        ("moisture", 3200, 0.0, "%", Quality.FAIR),
        ("moisture", 4000, 0.0, "%", Quality.POOR),
        ("co2", 800, 800.0, "ppm", Quality.GOOD),
        ("bme280_temp", 519888, None, "raw", Quality.UNKNOWN),
        ("something_new", 7, None, "raw", Quality.UNKNOWN),
    ],
)
def test_examples_of_the_contract(kind, raw, value, unit, quality):
    found = convert(kind, raw, None)
    assert (found.unit, found.quality) == (unit, quality)
    assert found.value == (None if value is None else pytest.approx(value, abs=0.01))


@given(
    types,
    st.floats(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*Quality]),
)
def test_a_value_is_finite_or_absent_whatever_comes(kind, raw, slope, device_quality):
    for calibration in (None, Calibration(slope=slope), Calibration(dry_raw=1, wet_raw=1)):
        found = convert(kind, raw, calibration, device_quality.value)
        assert found.value is None or math.isfinite(found.value)
        assert found.value is not None or not may_feed_rules(found.quality)


@given(types, st.floats())
def test_a_final_value_is_rated_and_never_changed(kind, value):
    found = accept_value(kind, value)
    assert found.value is None or found.value == value
    assert math.isfinite(value) == (found.value is not None)


@given(st.sampled_from([*SENSOR_TYPES]), st.floats(-1e5, 1e5))
def test_the_devices_own_doubt_is_never_talked_away(kind, raw):
    doubtful = convert(kind, raw, None, "suspect")
    assert doubtful.quality not in {Quality.EXCELLENT, Quality.GOOD, Quality.FAIR}


def test_the_names_of_older_configurations_are_known():
    assert canonical_type(" Soil_Moisture ") == "moisture"
    assert canonical_type("temperature_ds18b20") == "ds18b20"
    assert canonical_type("New_One") == "new_one"
