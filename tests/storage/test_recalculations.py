"""Runs over stored readings, on both databases."""

from __future__ import annotations

import pytest

from godkaiser.domain.entities import Calibration, Quality, Reading, SensorKey
from godkaiser.domain.sensors.recalculation import Recalculation, after_batch, recalculated
from godkaiser.storage.repositories import recalculations
from godkaiser.storage.series.readings import ReadingQuery, ReadingWriter, readings_page

KEY = SensorKey("ESP_A00001", 34, "ph")
OTHER = SensorKey("ESP_A00001", 35, "ph")


def fill(database, count):
    ReadingWriter(database).write(
        [
            Reading(key, 1000.0 + n // 2, 0.0, 1800.0, 7.0, "pH", Quality.FAIR, content_key=n)
            for key in (KEY, OTHER)
            for n in range(count)
        ]
        + [Reading(KEY, 1001.0, 0.0, 6.5, 6.5, "pH", Quality.GOOD, content_key=-5)]
    )


def values(database, gpio):
    rows = readings_page(database, ReadingQuery(gpio=gpio, limit=1000)).rows
    return sorted({(r.value, r.quality) for r in rows})


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_each_raw_reading_of_the_series_is_read_again_once(database, batch):
    fill(database, 40)
    after = Calibration(slope=-5.0, offset=14.0)
    run = Recalculation(
        key=KEY, calibration=after, before=None, start=0, end=1e9, by="x", started_at=0,
        total=recalculations.count_raw(database, KEY, 0, 1e9),
    )  # fmt: skip
    assert run.total == 40
    while run.state == "running":
        # Each step begins with what is stored, as after a crash.
        recalculations.save(database, run)
        (run,) = recalculations.load(database)
        rows = recalculations.next_batch(database, run, batch)
        changes = recalculated(run, rows)
        run = after_batch(run, rows, len(changes), is_last=len(rows) < batch, now=1.0)
        recalculations.store_batch(database, run, changes)
    assert (run.done, run.changed) == (40, 40)
    assert recalculations.load(database) == [run]
    expected = 14.0 - 5.0 * 1800.0 / 4095.0 * 3.3
    # The final value that came by REST, and the other series, are as they were.
    (new, final) = sorted(values(database, 34), key=lambda pair: pair[0] == 6.5)
    assert new == (pytest.approx(expected), "good") and final == (6.5, "good")
    assert values(database, 35) == [(7.0, "fair")]


def test_only_what_lies_in_the_range_is_touched(database):
    fill(database, 40)
    assert recalculations.count_raw(database, KEY, 1005.0, 1006.0) == 2
    assert recalculations.count_raw(database, SensorKey("ESP_B00001", 1, "ph"), 0, 1e9) == 0
