"""Writes and reads readings. One row for each measurement, however often the broker delivers it."""

from __future__ import annotations

import functools
import heapq
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from godkaiser.domain.entities import Reading, SensorKey
from godkaiser.domain.records.rollups import MINUTE_MS
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series.rollups import mark_minutes

REPEAT_WINDOW_MS = 3_600_000
"""How far back to search for an earlier delivery of a reading without clock and sequence number."""

_COLUMNS = "series_id, at_ms, content_key, received_ms, raw, value, unit, quality"
_SQLITE_INSERT = f"INSERT OR IGNORE INTO sensor_data ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)"
# One literal for each column takes a third of the time of one for each value, on both sides.
_POSTGRESQL_INSERT = (
    f"INSERT INTO sensor_data ({_COLUMNS}) SELECT * FROM unnest(%s::bigint[], %s::bigint[],"
    " %s::bigint[], %s::bigint[], %s::float8[], %s::float8[], %s::text[], %s::text[])"
    " ON CONFLICT DO NOTHING"
)
_FIND_REPEAT = (
    "SELECT 1 FROM sensor_data WHERE series_id = ? AND at_ms >= ? AND content_key = ? LIMIT 1"
)

_AT_ONCE_MS = 6 * 3_600_000
FEWEST_OF_A_SERIES = 4
MOST_AT_ONCE = 2000
SERIES_AT_ONCE = 200

SeriesName = tuple[str, int, str] | tuple[str, int, str, str]
"""Device, GPIO and type (for all series with these, whatever the address), or with the address."""
_WITH_ADDRESS = 4

SeriesRow = tuple[int, str, int, str, str]
"""Id, device, GPIO, type and address."""

Row = tuple[int, int, int, int, float, float | None, str, str]


class WriteResult(msgspec.Struct, frozen=True):
    stored: int
    duplicates: int


class StoredReading(msgspec.Struct, frozen=True):
    """`timestamp` and `received_at` in unix seconds."""

    esp_id: str
    gpio: int
    sensor_type: str
    address: str
    timestamp: float
    received_at: float
    raw: float
    value: float | None
    unit: str
    quality: str


class ReadingWriter:
    """Writes readings; used by one thread. Caches the ids of series, and creates new series."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._series: dict[SensorKey, int] = {}

    def write(
        self, readings: Sequence[Reading], also: Callable[[], None] | None = None
    ) -> WriteResult:
        """Store all in one transaction, and call `also` within it.

        Raises:
            DatabaseUnavailable: nothing was stored.
        """
        with self._database.transaction() as cursor:
            fresh = self._make_series(cursor, readings)
            rows = self._rows(cursor, readings, {**self._series, **fresh} if fresh else None)
            stored = self._insert(cursor, rows)
            # Sorted, so that neighbours are stored together in a clustered table.
            minutes = sorted({(row[0], row[1] // MINUTE_MS) for row in rows})
            mark_minutes(cursor, minutes, is_sqlite=self._database.is_sqlite)
            if also is not None:
                also()
        # Only after the commit: the ids of a rolled back transaction do not exist.
        self._series.update(fresh)
        return WriteResult(stored, len(readings) - stored)

    def _rows(
        self, cursor: Any, readings: Sequence[Reading], series: dict[SensorKey, int] | None
    ) -> list[Row]:
        ids = self._series if series is None else series
        rows: list[Row] = []
        unsent: set[tuple[int, int]] = set()
        for reading in readings:
            series_id = ids[reading.key]
            at_ms = int(reading.at * 1000.0)
            if reading.repeatable and reading.redelivered:
                if (series_id, reading.content_key) in unsent:
                    continue
                since_ms = at_ms - REPEAT_WINDOW_MS
                cursor.execute(
                    self._database.sql(_FIND_REPEAT), (series_id, since_ms, reading.content_key)
                )
                if cursor.fetchone() is not None:
                    continue
            if reading.repeatable:
                unsent.add((series_id, reading.content_key))
            rows.append(
                (
                    series_id,
                    at_ms,
                    reading.content_key,
                    int(reading.received_at * 1000.0),
                    reading.raw,
                    reading.value,
                    reading.unit,
                    reading.quality.value,
                )
            )
        return rows

    def _insert(self, cursor: Any, rows: list[Row]) -> int:
        if not rows:
            return 0
        if self._database.is_sqlite:
            cursor.executemany(_SQLITE_INSERT, rows)
            return int(cursor.rowcount)
        # One statement, so that rowcount counts all rows; the caller limits the batch.
        cursor.execute(_POSTGRESQL_INSERT, _columns(rows))
        return int(cursor.rowcount)

    def _make_series(self, cursor: Any, readings: Sequence[Reading]) -> dict[SensorKey, int]:
        known = self._series
        missing = sorted({reading.key for reading in readings if reading.key not in known})
        fresh: dict[SensorKey, int] = {}
        # In groups: otherwise switching on a fleet would cost a round trip for each series.
        for first in range(0, len(missing), SERIES_AT_ONCE):
            group = missing[first : first + SERIES_AT_ONCE]
            names = [(key.esp_id, key.gpio, key.sensor_type, key.address) for key in group]
            values = tuple(itertools.chain.from_iterable(names))
            listed = ",".join(["(?,?,?,?)"] * len(names))
            cursor.execute(
                self._database.sql(
                    f"INSERT INTO series (esp_id, gpio, sensor_type, address) VALUES {listed}"
                    " ON CONFLICT (esp_id, gpio, sensor_type, address) DO NOTHING"
                ),
                values,
            )
            cursor.execute(
                self._database.sql(
                    "SELECT id, esp_id, gpio, sensor_type, address FROM series"
                    f" WHERE (esp_id, gpio, sensor_type, address) IN (VALUES {listed})"
                ),
                values,
            )
            fresh.update((SensorKey(*name), int(number)) for number, *name in cursor.fetchall())
        return fresh


def _columns(rows: Sequence[Row]) -> list[str]:
    """The rows as PostgreSQL's array literals, one for each column."""
    *numbers, units, qualities = zip(*rows, strict=True)
    return [
        *(
            "{" + ",".join(["NULL" if n is None else repr(n) for n in column]) + "}"
            for column in numbers
        ),
        *(
            "{" + ",".join([_quoted(text) for text in column]) + "}"
            for column in (units, qualities)
        ),
    ]


@functools.lru_cache(maxsize=1000)
def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class ReadingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that is None matches all; `start` is included, `end` is not."""

    esp_id: str | None = None
    gpio: int | None = None
    sensor_type: str | None = None
    start: float | None = None
    end: float | None = None
    limit: int = 100
    behind: tuple[int, int, int] | None = None
    """Time (ms), series and content key of the last row of the previous page."""


class ReadingPage(msgspec.Struct, frozen=True, kw_only=True):
    """`last` is the position for the next page; None if there is no next page."""

    rows: list[StoredReading]
    last: tuple[int, int, int] | None


def readings_page(database: Database, query: ReadingQuery) -> ReadingPage:
    """Newest first; readings of the same moment in the order of series and content key."""
    filters: list[str] = []
    names: list[Any] = []
    for column, value in (
        ("esp_id", query.esp_id),
        ("gpio", query.gpio),
        ("sensor_type", query.sensor_type),
    ):
        if value is not None:
            filters.append(f"{column} = ?")
            names.append(value)
    where = f" WHERE {' AND '.join(filters)}" if filters else ""
    series = database.fetch(
        f"SELECT id, esp_id, gpio, sensor_type, address FROM series{where}", tuple(names)
    )
    bounds = ""
    limits: list[int] = []
    if query.start is not None:
        bounds += " AND at_ms >= ?"
        limits.append(int(query.start * 1000.0))
    if query.end is not None:
        bounds += " AND at_ms < ?"
        limits.append(int(query.end * 1000.0))
    # Each series is clustered by time, so its newest rows are one short scan. The scans are merged
    # lazily: a page of many series costs little more than its own rows.
    first = max(FEWEST_OF_A_SERIES, 2 * query.limit // max(1, len(series)))
    merged = heapq.merge(
        *(_newest_first(database, one, bounds, limits, query.behind, first) for one in series),
        key=operator.itemgetter(0),
    )
    found = list(itertools.islice(merged, query.limit + 1))
    more = len(found) > query.limit
    del found[query.limit :]
    last = (-found[-1][0][0], found[-1][0][1], -found[-1][0][2]) if more else None
    return ReadingPage(rows=[row for _, row in found], last=last)


def _newest_first(
    database: Database,
    series: SeriesRow,
    bounds: str,
    limits: Sequence[int],
    behind: tuple[int, int, int] | None,
    first: int,
) -> Iterator[tuple[tuple[int, int, int], StoredReading]]:
    """The rows of one series with their sort key: a few at first, then growing batches."""
    series_id, name = series[0], series[1:]
    place, values = _place_behind(series_id, behind)
    at_once = first
    while True:
        rows = database.fetch(
            "SELECT at_ms, content_key, received_ms, raw, value, unit, quality FROM sensor_data"
            f" WHERE series_id = ?{bounds}{place} ORDER BY at_ms DESC, content_key DESC LIMIT ?",
            (series_id, *limits, *values, at_once),
        )
        for at_ms, content_key, received_ms, raw, value, unit, quality in rows:
            measured = (at_ms / 1000.0, received_ms / 1000.0, raw, value, unit, quality)
            yield (-at_ms, series_id, -content_key), StoredReading(*name, *measured)
        if len(rows) < at_once:
            return
        place, values = " AND (at_ms, content_key) < (?, ?)", tuple(rows[-1][:2])
        at_once = min(2 * at_once, MOST_AT_ONCE)


def _place_behind(
    series_id: int, behind: tuple[int, int, int] | None
) -> tuple[str, tuple[int, ...]]:
    """The SQL condition for rows behind the last row of the previous page."""
    if behind is None:
        return "", ()
    moment, last_series, content_key = behind
    if series_id == last_series:
        return " AND (at_ms, content_key) < (?, ?)", (moment, content_key)
    return (" AND at_ms <= ?" if series_id > last_series else " AND at_ms < ?"), (moment,)


def past_values(
    database: Database, sensors: Iterable[SeriesName], start: float, end: float, limit: int
) -> Iterator[tuple[float, SeriesName, float, str]]:
    """Time, series, value and quality of stored readings with a value, in the order of their time.

    At most `limit` in all (the first ones), read some hours at a time. A sensor that is named
    without an address means all its series together.
    """
    series = [
        (series_id, name)
        for name in sorted(set(sensors))
        for (series_id,) in database.fetch(
            "SELECT id FROM series WHERE esp_id = ? AND gpio = ? AND sensor_type = ?"
            + (" AND address = ?" if len(name) == _WITH_ADDRESS else ""),
            name,
        )
    ]
    begin_ms, end_ms = int(start * 1000.0), int(end * 1000.0)
    for first_ms in range(begin_ms, end_ms, _AT_ONCE_MS):
        found: list[tuple[float, SeriesName, float, str]] = []
        for series_id, name in series:
            rows = database.fetch(
                "SELECT at_ms, value, quality FROM sensor_data WHERE series_id = ? AND at_ms >= ?"
                " AND at_ms < ? AND value IS NOT NULL ORDER BY at_ms LIMIT ?",
                (series_id, first_ms, min(first_ms + _AT_ONCE_MS, end_ms), limit),
            )
            found += [(at_ms / 1000.0, name, value, quality) for at_ms, value, quality in rows]
        found.sort(key=operator.itemgetter(0))
        yield from itertools.islice(found, limit)
        limit -= len(found)
        if limit <= 0:
            return
