"""A rule tried on the past: 24 hours of 100 sensors at 10 s, from the database to the answer.

The floor is reading those rows alone. The values drift through the limits of the rule and back, with noise, as
those of a greenhouse do; in the last line each jumps by a tenth of its range, which no sensor does.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.queries import DAY_MS, INTERVAL_MS, JUMPING, SENSORS, build
from benchmarks.table import Row, median
from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.replay import replay
from godkaiser.domain.rules.rules import sensors_of
from godkaiser.domain.rules.schema import ActuatorAction, RuleDefinition, SensorCondition
from godkaiser.storage.engine.database import Database, open_database
from godkaiser.storage.series.readings import past_values

MOST = 3_000_000
# Forty minutes up, forty down, ten limits wide; a noise of half a unit, the sensors apart from each other.
DRIFTING = (
    f"ABS(i / {SENSORS} % 480 - 240) / 24.0 + 45.0 + i % {SENSORS} / 20.0 + i * 7919 % 100 / 200.0"
)


def run(*, quick: bool) -> list[Row]:
    times = 1 if quick else 5
    return [*_tried(DRIFTING, "drift", (1, 10, 64), times), *_tried(JUMPING, "jump", (64,), times)]


def _tried(value: str, how: str, counts: tuple[int, ...], times: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        database = open_database(f"sqlite:///{Path(name) / 'readings.db'}")
        try:
            end_ms = build(database, SENSORS * DAY_MS // INTERVAL_MS, value)
            return [
                _try(database, _rule(named), f"{named} that {how}", end_ms / 1000.0, times)
                for named in counts
            ]
        finally:
            database.close_all()


def _rule(named: int) -> RuleDefinition:
    conditions = tuple(
        SensorCondition(
            esp_id=f"ESP_A{n:05X}", gpio=4, sensor_type="ph", operator=">", value=50.0 + n % 7
        )
        for n in range(named)
    )
    action = ActuatorAction(esp_id="ESP_A00000", gpio=25, command=Verb.TOGGLE)
    return RuleDefinition(
        name="tried", conditions=conditions, actions=(action,), logic_operator="OR",
        suspend_after=0,
    )  # fmt: skip


def _try(database: Database, rule: RuleDefinition, named: str, end: float, times: int) -> Row:
    start = end - DAY_MS / 1000.0
    alone, taken, count = [], [], 0
    for _ in range(times):
        began = time.perf_counter()
        for _reading in past_values(database, sensors_of(rule), start, end, MOST):
            pass
        alone.append(time.perf_counter() - began)
        began = time.perf_counter()
        past = past_values(database, sensors_of(rule), start, end, MOST)
        found = replay(rule, ((at, sensor, value) for at, sensor, value, _ in past), start, end)
        taken.append(time.perf_counter() - began)
        count = found.readings
        if not found.fired:
            raise RuntimeError("the rule never fired: nothing was tried")
    seconds = median(taken)
    what = f"trial of a rule over 24 h of {SENSORS} sensors; it names {named}: {count:,} readings"
    return Row(what=what, ours=seconds, unit="s", floor=median(alone),
               target="<= 2 s", reached=seconds <= 2.0)  # fmt: skip
