"""What was measured, asked for: a day and a year of one sensor among many millions of rows, in both
databases. Full: 50 million; built by the database itself, and deleted at the end.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Row, percentile
from godkaiser.domain.records.rollups import HOUR_MS, Resolution, choose
from godkaiser.storage.engine.database import Database, open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.series import series
from tests.provision.servers import PostgreSQL

SENSORS = 100
INTERVAL_MS = 10_000
BEGIN_MS = 1_767_096_000_000 // HOUR_MS * HOUR_MS
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
BYTES_A_ROW = {"SQLite": 60, "PostgreSQL": 320}
"""With what building it takes beside; measured."""
BLOCK = 1_000_000
ASKED = 200


def run(*, quick: bool) -> list[Row]:
    # `ROWS` is for a machine on which 50 million would be too long a burden.
    count = int(os.environ.get("ROWS", "2000000" if quick else "50000000"))
    rows = []
    for engine, need in BYTES_A_ROW.items():
        folder = Path(tempfile.mkdtemp(prefix="godkaiser-queries-"))
        try:
            free = shutil.disk_usage(folder).free
            if free < 2 * need * count:
                print(f"{engine}: {free / 1e9:.0f} GB free, too few for {count:,} rows: left out")
                continue
            rows += _measure(engine, folder, count)
        finally:
            shutil.rmtree(folder)
    return rows


def _measure(engine: str, folder: Path, count: int) -> list[Row]:
    cluster = None
    url = f"sqlite:///{folder / 'readings.db'}"
    if engine == "PostgreSQL":
        cluster = PostgreSQL()
        cluster.start()
        url = cluster.create_database()
    database = open_database(url)
    try:
        began = time.perf_counter()
        end_ms = build(database, count)
        print(f"{engine}: {count:,} rows in {time.perf_counter() - began:.0f} s", flush=True)
        return _ask(database, engine, end_ms, count)
    finally:
        database.close_all()
        if cluster is not None:
            cluster.stop()


JUMPING = "i % 997 / 10.0"


def build(database: Database, count: int, value: str = JUMPING) -> int:
    """All sensors in turn, as they come; a year of hours for each. The end of the readings.

    `value` is an SQL expression of the number `i` of the reading.
    """
    migrate(database)
    with database.transaction() as cursor:
        for n in range(SENSORS):
            cursor.execute(
                database.sql(
                    "INSERT INTO series (esp_id, gpio, sensor_type, address) VALUES (?,4,'ph','')"
                ),
                (f"ESP_A{n:05X}",),
            )
    if database.is_sqlite:
        database.fetch("PRAGMA synchronous = OFF")
    for first in range(0, count, BLOCK):
        _fill(
            database,
            first,
            min(first + BLOCK, count),
            f"SELECT i % {SENSORS} + 1, CAST({BEGIN_MS} AS BIGINT) + i / {SENSORS} * {INTERVAL_MS}, i,"
            f" CAST({BEGIN_MS} AS BIGINT) + i / {SENSORS} * {INTERVAL_MS} + 40, i % 997 + 0.5,"
            f" {value}, '°C', 'good' FROM n",
            "sensor_data",
        )
    columns = "'good', 360, 360, 360.0, i % 7 + 0.5, i % 9 + 7.5, i % 7 + 1.5"
    for table, width, length in (
        ("rollup_1m", 60_000, 7 * DAY_MS),
        ("rollup_1h", HOUR_MS, YEAR_MS),
    ):
        end_ms = _end(count)
        begin_ms = end_ms // width * width - length
        for first in range(0, length // width * SENSORS, BLOCK):
            at = f"CAST({begin_ms} AS BIGINT) + i / {SENSORS} * {width}"
            _fill(
                database,
                first,
                min(first + BLOCK, length // width * SENSORS),
                f"SELECT i % {SENSORS} + 1, {at}, {columns}, {at} + 50000 FROM n",
                table,
            )
    if not database.is_sqlite:
        database.close_thread()
        with database.engine.connection_context():
            connection = database.engine.connection()
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("SET statement_timeout = 0")
            # What autovacuum does within a minute.
            cursor.execute("VACUUM ANALYZE")
            connection.autocommit = False
    return _end(count)


def _end(count: int) -> int:
    return BEGIN_MS + count // SENSORS * INTERVAL_MS


def _fill(database: Database, first: int, end: int, select: str, table: str) -> None:
    if database.is_sqlite:
        numbers = f"n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {end - 1})"
        statement = f"INSERT INTO {table} WITH RECURSIVE {numbers} {select}"
    else:
        numbers = f"n(i) AS (SELECT generate_series(CAST({first} AS BIGINT), {end - 1}))"
        statement = f"WITH {numbers} INSERT INTO {table} {select}".replace("%", "%%")
    with database.transaction():
        database.execute(statement, ())


def _ask(database: Database, engine: str, end_ms: int, count: int) -> list[Row]:
    def day(series_id: int) -> int:
        return len(series.measured(database, series_id, end_ms - DAY_MS, end_ms, 10_000))

    def day_in_minutes(series_id: int) -> int:
        chosen = choose(Resolution.AUTO, end_ms - DAY_MS, end_ms)
        start = end_ms - DAY_MS
        return len(series.aggregates(database, series_id, chosen, start, end_ms, 10_000))

    def year(series_id: int) -> int:
        start = end_ms - YEAR_MS
        return len(series.aggregates(database, series_id, Resolution.HOUR, start, end_ms, 10_000))

    rows = []
    for what, ask, p50_ms, p99_ms in (
        ("24 h, every reading", day, 10.0, 30.0),
        ("24 h, resolution auto (1 min)", day_in_minutes, 10.0, 30.0),
        ("a year at 1 h", year, 20.0, None),
    ):
        points, times = _times(ask)
        for name, fraction, bound in (("p50", 0.5, p50_ms), ("p99", 0.99, p99_ms)):
            taken = percentile(times, fraction)
            rows.append(
                Row(
                    what=f"{what} ({points:,} points) of {count:,} rows, {engine}, {name}",
                    ours=taken,
                    unit="ms",
                    target="" if bound is None else f"<= {bound:g} ms",
                    reached=None if bound is None else taken <= bound,
                )
            )
    return rows


def _times(ask: Callable[[int], int]) -> tuple[int, list[float]]:
    chance = random.Random(1)
    times = []
    points = 0
    for _ in range(ASKED):
        series_id = chance.randint(1, SENSORS)
        began = time.perf_counter()
        points = ask(series_id)
        times.append((time.perf_counter() - began) * 1000.0)
    return points, times
