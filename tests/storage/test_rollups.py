"""Minutes and hours, on both databases: each reading is in them once, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.records.rollups import DAY_MS, Resolution
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.series import rollups, series
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.series.retention import Kind, delete_before

NOW = 1_767_096_000.0
KEY = SensorKey("ESP_A00001", 4, "ds18b20", "")
LATER = NOW + 10 * 86_400
_names = itertools.count()


def reading(at, value=1.0, *, key=KEY, quality=Quality.GOOD, content=0):
    return Reading(key, at, at + 0.1, value or 0.0, value, "°C", quality, content_key=content)


def buckets(database, table, key=KEY):
    return database.fetch(
        "SELECT bucket_ms, quality, count, valued, total, lowest, highest, last, last_ms"
        f" FROM {table} JOIN series ON series.id = series_id WHERE esp_id = ? AND gpio = ?"
        " ORDER BY bucket_ms, quality",
        (key.esp_id, key.gpio),
    )


def expected(database, width_ms, key=KEY):
    """The same from the stored rows, in Python."""
    groups = defaultdict(list)
    for at_ms, value, quality in database.fetch(
        "SELECT at_ms, value, quality FROM sensor_data JOIN series ON series.id = series_id"
        " WHERE esp_id = ? AND gpio = ? ORDER BY at_ms, content_key",
        (key.esp_id, key.gpio),
    ):
        groups[at_ms - at_ms % width_ms, quality].append((at_ms, value))
    found = []
    for (start, quality), rows in sorted(groups.items()):
        values = [value for _, value in rows if value is not None]
        last = max(
            ((at, n) for n, (at, value) in enumerate(rows) if value is not None), default=None
        )
        found.append(
            (start, quality, len(rows), len(values), sum(values), min(values, default=None),
             max(values, default=None), None if last is None else rows[last[1]][1],
             None if last is None else last[0])
        )  # fmt: skip
    return found


def roll_everything(database, now=LATER):
    assert rollups.roll_all(database, now, 10_000)
    assert rollups.pending(database)[0] == 0


def assert_right(database, key=KEY):
    for table, width in (("rollup_1m", 60_000), ("rollup_1h", 3_600_000)):
        assert buckets(database, table, key) == expected(database, width, key), table


def test_a_minute_is_made_when_it_is_over_and_a_late_reading_is_added(database):
    writer = ReadingWriter(database)
    writer.write([reading(NOW + n, n / 2) for n in range(0, 90, 10)])
    assert rollups.roll_due(database, NOW + 59).marks == 0
    assert rollups.roll_due(database, NOW + 60).spans == 1
    assert [(row[2], row[5], row[6], row[7]) for row in buckets(database, "rollup_1m")] == [
        (6, 0.0, 25.0, 25.0)
    ]
    roll_everything(database)
    writer.write([reading(NOW + 5, 99.0)])
    roll_everything(database)
    assert [row[2] for row in buckets(database, "rollup_1m")] == [7, 3]
    assert [(row[2], row[6]) for row in buckets(database, "rollup_1h")] == [(10, 99.0)]
    assert_right(database)


def test_a_redelivery_is_counted_once_and_qualities_apart(database):
    batch = [
        reading(NOW, 1.0),
        reading(NOW + 1, 3.0, quality=Quality.BAD),
        reading(NOW + 2, None, quality=Quality.ERROR),
    ]
    for _ in range(3):
        ReadingWriter(database).write(batch)
        roll_everything(database)
    assert [(row[1], row[2], row[3], row[7]) for row in buckets(database, "rollup_1h")] == [
        ("bad", 1, 1, 3.0), ("error", 1, 0, None), ("good", 1, 1, 1.0)
    ]  # fmt: skip
    assert_right(database)


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("write"),
            st.lists(
                st.tuples(
                    st.integers(0, 3 * 3600),
                    st.one_of(st.none(), st.integers(-50, 50)),
                    st.sampled_from([Quality.GOOD, Quality.BAD]),
                ),
                max_size=8,
            ),
        ),
        st.tuples(st.just("roll"), st.integers(0, 4 * 3600)),
        st.tuples(st.just("change"), st.integers(0, 3 * 3600)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(actions=actions)
def test_whatever_the_order_the_buckets_are_those_of_the_stored_rows(database, actions):
    key = SensorKey(f"ESP_D{next(_names):05X}", 4, "ph")
    writer = ReadingWriter(database)
    for what, how in actions:
        if what == "write":
            writer.write(
                [
                    reading(NOW + second, value, key=key, quality=quality, content=n)
                    for n, (second, value, quality) in enumerate(how)
                ]
            )
        elif what == "roll":
            rollups.roll_due(database, NOW + how, 3)
        else:
            with database.transaction():
                database.execute(
                    "UPDATE sensor_data SET value = value + 1, quality = 'fair' WHERE at_ms >= ?"
                    " AND at_ms < ? AND series_id IN (SELECT id FROM series WHERE esp_id = ?)",
                    (int((NOW + how) * 1000), int((NOW + how + 600) * 1000), key.esp_id),
                )
                rollups.touch(database, key, NOW + how, NOW + how + 600)
    roll_everything(database)
    assert_right(database, key)


def test_a_crash_in_the_midst_leaves_the_mark_and_the_next_run_mends_it(database, monkeypatch):
    ReadingWriter(database).write([reading(NOW + n) for n in range(10)])

    class Crash(BaseException):
        pass

    def crash(*_):
        raise Crash

    monkeypatch.setattr(rollups, "_unmark", crash)
    with pytest.raises(Crash):
        rollups.roll_due(database, LATER)
    assert buckets(database, "rollup_1m") == []
    monkeypatch.undo()
    roll_everything(database)
    assert_right(database)


def test_who_writes_while_it_is_rolled_loses_nothing(database):
    """Writers and two makers of rollups at once: what one has not seen keeps its mark."""
    wrong = []
    done = threading.Event()

    def write(who):
        try:
            key = SensorKey(f"ESP_E0000{who}", 4, "ph")
            writer = ReadingWriter(database)
            for n in range(60):
                writer.write(
                    [reading(NOW + n % 7 + m * 60, n, key=key, content=n) for m in range(3)]
                )
        except BaseException as error:
            wrong.append(error)
        finally:
            database.close_thread()

    def roll():
        try:
            while not done.is_set():
                assert not rollups.roll_due(database, LATER).refused
        except BaseException as error:
            wrong.append(error)
        finally:
            database.close_thread()

    makers = [threading.Thread(target=roll) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in (*makers, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    for maker in makers:
        maker.join(60)
    assert not wrong
    roll_everything(database)
    for who in range(3):
        key = SensorKey(f"ESP_E0000{who}", 4, "ph")
        assert sum(row[2] for row in buckets(database, "rollup_1h", key)) == 180
        assert_right(database, key)


def test_a_long_span_is_made_a_day_at_a_time(database):
    ReadingWriter(database).write([reading(NOW + day * 86_400, day) for day in (0, 1, 5, 9)])
    roll_everything(database)
    with database.transaction():
        database.execute("DELETE FROM rollup_1m", ())
        database.execute("DELETE FROM rollup_1h", ())
        rollups.touch(database, KEY, NOW - 300 * 86_400, NOW + 9.5 * 86_400)
    rounds = list(itertools.takewhile(
        lambda rolled: not rolled.is_done,
        (rollups.roll_due(database, LATER) for _ in range(100)),
    ))  # fmt: skip
    assert 2 <= len(rounds) <= 5, "a day from each first row, not each day of the span"
    assert_right(database)


def test_what_outlives_its_readings_stays_when_a_late_one_comes(database):
    writer = ReadingWriter(database)
    writer.write([reading(NOW + n * 10, n) for n in range(720)])
    roll_everything(database)
    before = buckets(database, "rollup_1m"), buckets(database, "rollup_1h")
    assert delete_before(database, Kind.READINGS, NOW + 3630, 10_000) == 363
    writer.write([reading(NOW + 30, 1e6, content=77), reading(NOW + 3605, 1e6, content=77)])
    roll_everything(database)
    assert (buckets(database, "rollup_1m"), buckets(database, "rollup_1h")) == before
    writer.write([reading(NOW + 5000, 1e6, content=77)])
    roll_everything(database)
    assert buckets(database, "rollup_1h")[1][2] == 361


def test_readings_are_rolled_before_they_are_forgotten(database):
    ReadingWriter(database).write([reading(NOW + n * 10, n) for n in range(360)])
    assert delete_before(database, Kind.READINGS, NOW + 3600, 1000) == 360
    assert [row[2] for row in buckets(database, "rollup_1h")] == [360]


def test_hours_whose_minutes_are_gone_are_made_from_the_readings(database):
    ReadingWriter(database).write([reading(NOW + n * 10, n) for n in range(720)])
    roll_everything(database)
    assert delete_before(database, Kind.MINUTES, NOW + 3600, 1000) == 60
    with database.transaction():
        database.execute("UPDATE sensor_data SET value = value + 1000", ())
        rollups.touch(database, KEY, NOW, NOW + 7200)
    roll_everything(database)
    assert buckets(database, "rollup_1h") == expected(database, 3_600_000)
    assert delete_before(database, Kind.HOURS, NOW + 3600, 1000) == 1


def test_values_beyond_all_measure_do_not_hold_up_the_others(database):
    other = SensorKey("ESP_A00002", 4, "ph")
    writer = ReadingWriter(database)
    writer.write([reading(NOW + n, 1.7e308, content=n) for n in range(3)])
    writer.write([reading(NOW, 7.0, key=other)])
    for _ in range(5):
        rollups.roll_due(database, LATER)
    assert rollups.pending(database)[0] == 0
    assert_right(database, other)
    assert sum(row[2] for row in buckets(database, "rollup_1h", other)) == 1


def test_what_was_stored_before_there_were_buckets_is_rolled(database_url):
    old = open_database(database_url)
    migrations.migrate(old, until=6)
    with old.transaction() as cursor:
        cursor.execute(
            "INSERT INTO series (esp_id, gpio, sensor_type, address)"
            " VALUES ('ESP_A00001', 4, 'ds18b20', ''), ('ESP_A00002', 4, 'ph', '')"
        )
        for n in range(50):
            cursor.execute(
                old.sql("INSERT INTO sensor_data VALUES (1,?,?,0,1.5,?,'','good')"),
                (int(NOW * 1000) + n * DAY_MS // 20, n, float(n)),
            )
    assert migrations.migrate(old)[0] == "rollups"
    old.close_all()
    database = open_database(database_url)
    roll_everything(database)
    assert_right(database)
    assert sum(row[2] for row in buckets(database, "rollup_1h")) == 50
    assert ReadingWriter(database).write([reading(NOW, 0.0, content=0)]).stored == 0
    database.close_all()


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Australia/Sydney", (2024, 4, 7)),
        ("America/Chicago", (2022, 11, 6)),
        ("Australia/Lord_Howe", (2024, 4, 7)),
        ("Asia/Kolkata", (2024, 4, 7)),
    ],
)
def test_the_hour_that_comes_twice_is_two_hours(database, zone, day):
    # timescale/timescaledb#8998: the readings of one are counted in the other.
    start = datetime(*day, tzinfo=ZoneInfo(zone)).timestamp()
    minutes = [reading(start + 60 * n, content=n) for n in range(6 * 60)]
    ReadingWriter(database).write(minutes)
    rollups.roll_all(database, start + 3 * 86_400, 1000)
    number = series.find_series(database, KEY)
    start_ms, end_ms = (int(at * 1000) for at in (start - 3600, start + 86_400))
    hours = series.aggregates(database, number, Resolution.HOUR, start_ms, end_ms, 100)
    begins = [hour.timestamp for hour in hours]
    assert begins == sorted(set(begins))
    assert [hour.count for hour in hours] == [
        sum(begin <= minute.at < begin + 3600 for minute in minutes) for begin in begins
    ]
    assert sum(hour.count for hour in hours) == 360


def test_a_reading_without_a_value_takes_no_part_in_the_mean(database):
    # ioBroker/ioBroker.sql#526: one makes the mean of its whole interval unknown.
    values = [10.0, None, 20.0, None]
    ReadingWriter(database).write(
        [
            reading(NOW + n, value, content=n, quality=Quality.GOOD if value else Quality.ERROR)
            for n, value in enumerate(values)
        ]
    )
    rollups.roll_all(database, LATER, 1000)
    number = series.find_series(database, KEY)
    start_ms = int(NOW * 1000)
    for resolution in (Resolution.MINUTE, Resolution.HOUR):
        whole, _, _ = series.statistics(database, number, resolution, start_ms, start_ms + 60_000)
        assert (whole.count, whole.min, whole.max, whole.mean) == (4, 10.0, 20.0, 15.0)
