"""A rule tried on the past: 24 hours of 100 sensors at 10 s, from the database to the answer.

The floor is reading those rows alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.queries import DAY_MS, INTERVAL_MS, SENSORS, build
from benchmarks.table import Row, median
from godkaiser.domain.entities import Verb
from godkaiser.domain.rule_replay import replay
from godkaiser.domain.rule_schema import ActuatorAction, RuleDefinition, SensorCondition
from godkaiser.domain.rules import sensors_of
from godkaiser.storage.database import Database, open_database
from godkaiser.storage.readings import past_values

MOST = 3_000_000


def run(*, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        database = open_database(f"sqlite:///{Path(name) / 'readings.db'}")
        try:
            end_ms = build(database, SENSORS * DAY_MS // INTERVAL_MS)
            return [
                _try(database, _rule(named), named, end_ms / 1000.0, 1 if quick else 5)
                for named in (1, 10, 64)
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


def _try(database: Database, rule: RuleDefinition, named: int, end: float, times: int) -> Row:
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
