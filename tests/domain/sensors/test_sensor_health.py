"""Which sensors are silent or doubtful."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import OperatingMode, Quality, Reading, SensorConfig
from godkaiser.domain.sensors.health import MOST_NAMED, SensorState, counts, state_of, summary

NOW = 1_767_096_000.0


def config(n=0, interval_s=30, mode=OperatingMode.CONTINUOUS):
    return SensorConfig(esp_id=f"ESP_A{n:05X}", gpio=4, sensor_type="ph", interval_s=interval_s,
                        operating_mode=mode)  # fmt: skip


def reading(age_s, quality=Quality.GOOD):
    key = config().key
    # The wall clock may say what it will.
    return Reading(key, 0.0, 5.0, 1.0, 1.0, "", quality, heard_at=NOW - age_s)


@pytest.mark.parametrize(
    ("newest", "interval_s", "mode", "state"),
    [
        (reading(10), 30, OperatingMode.CONTINUOUS, SensorState.GOOD),
        (reading(89), 30, OperatingMode.CONTINUOUS, SensorState.GOOD),
        (reading(91), 30, OperatingMode.CONTINUOUS, SensorState.STALE),
        (reading(29), 1, OperatingMode.CONTINUOUS, SensorState.GOOD),
        (reading(31), 1, OperatingMode.CONTINUOUS, SensorState.STALE),
        (reading(1, Quality.SUSPECT), 30, OperatingMode.CONTINUOUS, SensorState.SUSPECT),
        (reading(1, Quality.ERROR), 30, OperatingMode.CONTINUOUS, SensorState.SUSPECT),
        (reading(1, Quality.FAIR), 30, OperatingMode.CONTINUOUS, SensorState.GOOD),
        (reading(99, Quality.BAD), 30, OperatingMode.CONTINUOUS, SensorState.STALE),
        (None, 30, OperatingMode.CONTINUOUS, SensorState.NEVER),
        (reading(10_000), 30, OperatingMode.ON_DEMAND, SensorState.IDLE),
        (None, 30, OperatingMode.PAUSED, SensorState.IDLE),
    ],
)
def test_the_state_of_a_sensor(newest, interval_s, mode, state):
    found = state_of(config(interval_s=interval_s, mode=mode), newest, NOW)
    assert found.state is state
    assert (found.age_s is None) == (newest is None)


@given(st.lists(st.integers(0, 200), max_size=60))
def test_all_are_counted_and_no_more_named_than_anybody_reads(ages):
    found = [state_of(config(n), reading(age), NOW) for n, age in enumerate(ages)]
    stale = sum(age > 90 for age in ages)
    assert counts(found)["stale"] == stale
    assert sum(counts(found).values()) == len(ages)
    text = summary(found)
    assert text.count(" is stale for ") == min(stale, MOST_NAMED)
    assert (f"and {stale - MOST_NAMED} more" in text) == (stale > MOST_NAMED)
