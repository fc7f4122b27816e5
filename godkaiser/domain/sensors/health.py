"""Finds the sensors that an operator should check, and why; pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from godkaiser.domain.entities import OperatingMode, Quality, Reading, SensorConfig, SensorKey

STALE_AFTER_INTERVALS = 3
STALE_AFTER_AT_LEAST_S = 30.0
"""A reconnect of the device may delay a reading although the sensor is fine."""
DOUBTED = frozenset({Quality.SUSPECT, Quality.POOR, Quality.BAD, Quality.ERROR})
MOST_NAMED = 20


class SensorState(StrEnum):
    GOOD = "good"
    SUSPECT = "suspect"
    STALE = "stale"
    NEVER = "never"
    IDLE = "idle"


class SensorCheck(msgspec.Struct, frozen=True, order=True):
    """`age_s` is the age of the newest reading, None if there is none."""

    state: SensorState
    key: SensorKey
    age_s: float | None


def state_of(config: SensorConfig, newest: Reading | None, now: float) -> SensorCheck:
    """The state of one sensor. IDLE: it measures only on request, or not at all. `now` is
    monotonic.
    """
    age_s = None if newest is None else now - newest.heard_at
    if config.operating_mode is not OperatingMode.CONTINUOUS:
        state = SensorState.IDLE
    elif newest is None or age_s is None:
        state = SensorState.NEVER
    elif age_s > max(config.interval_s * STALE_AFTER_INTERVALS, STALE_AFTER_AT_LEAST_S):
        state = SensorState.STALE
    elif newest.quality in DOUBTED:
        state = SensorState.SUSPECT
    else:
        state = SensorState.GOOD
    return SensorCheck(state, config.key, age_s)


def counts(checks: Iterable[SensorCheck]) -> dict[str, int]:
    found = {state.value: 0 for state in SensorState}
    for check in checks:
        found[check.state.value] += 1
    return found


def summary(checks: Iterable[SensorCheck]) -> str:
    """A sentence with the sensors to check, the first few by name."""
    wanted = [f for f in checks if f.state in {SensorState.SUSPECT, SensorState.STALE}]
    if not wanted:
        return "all sensors that measure by themselves report, and none is suspect"
    named = [
        f"{f.key.esp_id} GPIO {f.key.gpio} {f.key.sensor_type} is {f.state}"
        + (f" for {f.age_s:.0f} s" if f.state is SensorState.STALE and f.age_s is not None else "")
        for f in sorted(wanted, key=lambda f: (f.state, f.key))[:MOST_NAMED]
    ]
    more = len(wanted) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")
