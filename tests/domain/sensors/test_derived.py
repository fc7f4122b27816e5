"""The vapour pressure deficit: its numbers, and what it is not computed of."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.sensors.derived import deficit_of, temperature_beside, vapour_pressure_deficit
from godkaiser.domain.sensors.sensors import after_raw, worse_of

AIR = SensorKey("ESP_A00001", 0, "sht31_temp", "0x44")
DAMP = SensorKey("ESP_A00001", 0, "sht31_humidity", "0x44")
qualities = st.sampled_from([*Quality])


def reading(key, value, at=100.0, quality=Quality.GOOD, content_key=7):
    return Reading(key, at, at, 1.0, value, "", quality, content_key=content_key)


@pytest.mark.parametrize(
    ("temperature", "humidity", "deficit"), [(25, 60, 1.267), (25, 100, 0.0), (20, 50, 1.169)]
)
def test_known_numbers(temperature, humidity, deficit):
    assert vapour_pressure_deficit(temperature, humidity) == pytest.approx(deficit, abs=2e-3)


@given(st.floats(-40, 125), st.floats(0, 100), st.floats(-60, 60), qualities, qualities)
def test_it_is_of_the_worse_rating_and_of_its_humidity(t, h, apart, one, other):
    humidity = reading(DAMP, h, quality=one)
    found = deficit_of(humidity, reading(AIR, t, 100.0 + apart, other, 9))
    bad = {one, other} & {Quality.UNKNOWN, Quality.BAD, Quality.ERROR}
    assert (found is None) == (abs(apart) > 30 or bool(bad))
    if found is not None:
        assert found.quality is worse_of(one, other) and found.value >= 0
        assert (found.at, found.key.sensor_type, found.key.address) == (100.0, "vpd", "0x44")
        assert not found.has_raw
        assert found.content_key == deficit_of(humidity, reading(AIR, t + 1)).content_key


def test_only_a_humidity_has_a_temperature_beside_it():
    assert temperature_beside(DAMP) == AIR and temperature_beside(AIR) is None
    silent = msgspec.structs.replace(reading(DAMP, 50.0), value=None)
    assert deficit_of(silent, reading(AIR, 20.0)) is None


def doubted(raws, sensor_type="ds18b20"):
    series, found = None, []
    for raw in raws:
        series = after_raw(sensor_type, raw, series)
        found.append(series.is_doubtful)
    return found


def test_85_degrees_is_doubted_first_and_after_a_jump_until_it_stays():
    assert doubted([1360, 1360, 1360, 1360]) == [True, True, False, False]
    assert doubted([400, 1360, 400, 1360, 1360, 1360]) == [False, True, False, True, True, False]
    assert doubted([1300, 1360, 1360]) == [False, False, False]
    assert doubted([1359]) == [False]
    assert doubted([1360], "co2") == [False]
