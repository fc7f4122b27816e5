"""Makes rollups (minutes and hours) from stored readings, by marks: each reading counts once.

A writer of readings marks their minutes in the same transaction. A minute that is over is computed
again from all its rows, and its mark is deleted in the same transaction. So a crash leaves the
mark, a redelivered reading adds no row, and a late reading adds a new mark.

In PostgreSQL that transaction sees one snapshot. A mark and its rows become visible together, so
the transaction deletes only marks whose rows it has seen. SQLite has only one writer at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import peewee

from godkaiser.domain.entities import SensorKey
from godkaiser.domain.records.rollups import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Span,
    ceil_to,
    first_piece,
    floor_to,
    merged,
)
from godkaiser.storage.engine import driver
from godkaiser.storage.engine.database import Database

BATCH = 25
"""Spans in one transaction: with SQLite the recorder waits for it, 0.1 s at 20,000 readings a
second.
"""
POSTGRESQL_BATCH = 200
"""In PostgreSQL nobody waits for it, and each batch scans all marks."""
READINGS_FLOOR = "readings"
MINUTES_FLOOR = "minutes"

_BEYOND_MEASURE: tuple[type[Exception], ...] = (
    peewee.DataError,
    sqlite3.DataError,
    *driver.errors("DataError"),
)
_COLUMNS = "series_id, bucket_ms, quality, count, valued, total, lowest, highest, last, last_ms"
_SQLITE_MARK = "INSERT OR IGNORE INTO rollup_pending (series_id, start_ms, end_ms) VALUES (?,?,?)"
# Without a key, so that writers never wait for each other and never deadlock.
_POSTGRESQL_MARK = (
    "INSERT INTO rollup_pending (series_id, start_ms, end_ms)"
    " SELECT s, m * 60000, m * 60000 + 60000 FROM unnest(%s::bigint[], %s::bigint[]) AS t(s, m)"
)
_DUE = (
    "SELECT series_id, start_ms, end_ms FROM rollup_pending WHERE end_ms <= ?"
    " GROUP BY series_id, start_ms, end_ms ORDER BY series_id, start_ms LIMIT ?"
)
_SQLITE_UNMARK = "DELETE FROM rollup_pending WHERE series_id = ? AND start_ms = ? AND end_ms = ?"
_POSTGRESQL_UNMARK = (
    "DELETE FROM rollup_pending AS p USING"
    " unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d(series_id, start_ms, end_ms)"
    " WHERE p.series_id = d.series_id AND p.start_ms = d.start_ms AND p.end_ms = d.end_ms"
)
_FIRST_ROW = (
    "SELECT at_ms FROM sensor_data WHERE series_id = ? AND at_ms >= ? AND at_ms < ?"
    " ORDER BY at_ms LIMIT 1"
)
# Division rounds towards zero in SQL, which is wrong for times before 1970.
_BUCKET = "(at_ms - CASE WHEN at_ms < 0 THEN {width} - 1 ELSE 0 END) / {width} * {width}"
_FROM_READINGS = f"""
    INSERT INTO {{table}} ({_COLUMNS})
    SELECT g.series_id, g.bucket_ms, g.quality, g.count, g.valued, g.total, g.lowest, g.highest,
        (SELECT d.value FROM sensor_data d WHERE d.series_id = g.series_id AND d.at_ms = g.last_ms
            AND d.quality = g.quality AND d.value IS NOT NULL ORDER BY d.content_key DESC LIMIT 1),
        g.last_ms
    FROM (SELECT series_id, {_BUCKET} AS bucket_ms, quality, count(*) AS count,
            count(value) AS valued, COALESCE(sum(value), 0) AS total, min(value) AS lowest,
            max(value) AS highest, max(CASE WHEN value IS NOT NULL THEN at_ms END) AS last_ms
        FROM sensor_data WHERE series_id = ? AND at_ms >= ? AND at_ms < ? GROUP BY 1, 2, 3) g
"""
_FROM_MINUTES = f"""
    INSERT INTO rollup_1h ({_COLUMNS})
    SELECT g.series_id, g.hour_ms, g.quality, g.count, g.valued, g.total, g.lowest, g.highest,
        (SELECT m.last FROM rollup_1m m WHERE m.series_id = g.series_id AND m.quality = g.quality
            AND m.bucket_ms >= g.hour_ms AND m.bucket_ms < g.hour_ms + {HOUR_MS}
            AND m.last_ms = g.last_ms),
        g.last_ms
    FROM (SELECT series_id, {_BUCKET.format(width=HOUR_MS).replace("at_ms", "bucket_ms")} AS hour_ms,
            quality, sum(count) AS count, sum(valued) AS valued, sum(total) AS total,
            min(lowest) AS lowest, max(highest) AS highest, max(last_ms) AS last_ms
        FROM rollup_1m WHERE series_id = ? AND bucket_ms >= ? AND bucket_ms < ? GROUP BY 1, 2, 3) g
"""
_MINUTES = _FROM_READINGS.format(table="rollup_1m", width=MINUTE_MS)
_HOURS = _FROM_READINGS.format(table="rollup_1h", width=HOUR_MS)
_CLEAR = "DELETE FROM {table} WHERE series_id = ? AND bucket_ms >= ? AND bucket_ms < ?"


class Rolled(msgspec.Struct, frozen=True, kw_only=True):
    """`marks` deleted, `spans` computed; `is_done` if nothing more is due. `refused` describes
    readings that the database cannot add up (values out of range): the rollups leave them out.
    """

    marks: int
    spans: int
    is_done: bool
    refused: str = ""


def mark_minutes(cursor: Any, minutes: Collection[tuple[int, int]], *, is_sqlite: bool) -> None:
    """Mark minutes, in the transaction that stores the readings; `minutes` are (series, minute
    since 1970).
    """
    if is_sqlite:
        cursor.executemany(
            _SQLITE_MARK,
            [(series, minute * MINUTE_MS, (minute + 1) * MINUTE_MS) for series, minute in minutes],
        )
    elif minutes:
        series, numbers = zip(*minutes, strict=True)
        cursor.execute(_POSTGRESQL_MARK, (_array(series), _array(numbers)))


def touch(database: Database, key: SensorKey, start: float, end: float) -> None:
    """Mark the stored readings of this sensor from `start` to `end` (unix seconds) as changed:
    their buckets are computed again. Call it within the transaction of the change.
    """
    start_ms = floor_to(int(start * 1000.0), MINUTE_MS)
    end_ms = ceil_to(int(end * 1000.0) + 1, MINUTE_MS)
    with database.transaction() as cursor:
        cursor.execute(
            database.sql(
                "INSERT INTO rollup_pending (series_id, start_ms, end_ms)"
                " SELECT id, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM series"
                " WHERE esp_id = ? AND gpio = ? AND sensor_type = ? AND address = ?"
                + (" ON CONFLICT DO NOTHING" if database.is_sqlite else "")
            ),
            (start_ms, end_ms, key.esp_id, key.gpio, key.sensor_type, key.address),
        )


def roll_due(database: Database, now: float, most: int | None = None) -> Rolled:
    """Compute the marked spans that are over at `now` (unix seconds), at most `most` of them (None:
    the default of the engine).

    Raises:
        DatabaseUnavailable: nothing of this batch was stored; its marks remain.
    """
    now_ms = int(now * 1000.0)
    if most is None:
        most = BATCH if database.is_sqlite else POSTGRESQL_BATCH
    tried: list[Span] = []
    try:
        return _roll(database, now_ms, most, tried)
    except _BEYOND_MEASURE as error:
        if most > 1:
            return roll_due(database, now, 1)
        return _set_aside(database, tried, str(error).strip())


def roll_all(database: Database, now: float, most_batches: int) -> bool:
    """Compute due spans in at most `most_batches`; returns whether none was left."""
    return any(roll_due(database, now).is_done for _ in range(most_batches))


def pending(database: Database) -> tuple[int, float | None]:
    """The number of marks, and the start of the oldest marked minute (unix seconds)."""
    ((count, oldest),) = database.fetch("SELECT count(*), min(start_ms) FROM rollup_pending")
    return int(count), None if oldest is None else oldest / 1000.0


def raise_floor(database: Database, name: str, at_ms: int) -> None:
    """Make all buckets before `at_ms` final, because their sources are deleted. Call it in the
    transaction that deletes them.
    """
    database.execute(
        "INSERT INTO rollup_floor (name, at_ms) VALUES (?,?) ON CONFLICT (name)"
        " DO UPDATE SET at_ms = excluded.at_ms WHERE excluded.at_ms > rollup_floor.at_ms",
        (name, at_ms),
    )


def take_turns(database: Database, cursor: Any) -> None:
    """Let only one transaction at a time make or delete buckets, as retention and other gateways
    may. Call it first in the transaction: LOCK TABLE takes no snapshot, so the snapshot is newer
    than the lock.
    """
    if not database.is_sqlite:
        # Lock a table that nothing else writes: a lock on the bucket tables would cancel
        # autovacuum.
        cursor.execute("LOCK TABLE rollup_floor IN SHARE ROW EXCLUSIVE MODE")


def _roll(database: Database, now_ms: int, most: int, tried: list[Span]) -> Rolled:
    with database.transaction() as cursor:
        if not database.is_sqlite:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        take_turns(database, cursor)
        marks = _due(database, cursor, now_ms, most)
        tried += marks
        if not marks:
            return Rolled(marks=0, spans=0, is_done=True)
        floors = _floors(cursor)
        spans = merged(marks)
        left = [rest for span in spans for rest in _make(database, cursor, span, floors)]
        _unmark(database, cursor, marks)
        for rest in left:
            _mark_span(database, cursor, rest)
        return Rolled(marks=len(marks), spans=len(spans), is_done=len(marks) < most and not left)


def _make(database: Database, cursor: Any, span: Span, floors: dict[str, int]) -> Sequence[Span]:
    """Compute the buckets of a span again; returns the remaining spans."""
    rest: list[Span] = []
    if span.end_ms - span.start_ms > DAY_MS:
        cursor.execute(database.sql(_FIRST_ROW), msgspec.structs.astuple(span))
        row = cursor.fetchone()
        piece = first_piece(span, None if row is None else int(row[0]))
        if piece.end_ms < span.end_ms:
            rest.append(Span(span.series_id, piece.end_ms, span.end_ms))
        span = piece
    readings_floor = floors.get(READINGS_FLOOR, span.start_ms)
    start = max(span.start_ms, readings_floor)
    if start >= span.end_ms:
        return rest
    minutes = (span.series_id, start, span.end_ms)
    cursor.execute(database.sql(_CLEAR.format(table="rollup_1m")), minutes)
    cursor.execute(database.sql(_MINUTES), minutes)
    hours_start, hours_end = floor_to(start, HOUR_MS), ceil_to(span.end_ms, HOUR_MS)
    # Hours whose minutes were deleted are made from the readings, if all of those still exist.
    whole_from = min(max(hours_start, floors.get(MINUTES_FLOOR, hours_start)), hours_end)
    old_start = max(hours_start, ceil_to(readings_floor, HOUR_MS))
    for statement, begin, end in (
        (_HOURS, old_start, whole_from),
        (_FROM_MINUTES, whole_from, hours_end),
    ):
        if begin < end:
            hours = (span.series_id, begin, end)
            cursor.execute(database.sql(_CLEAR.format(table="rollup_1h")), hours)
            cursor.execute(database.sql(statement), hours)
    return rest


def _set_aside(database: Database, marks: Sequence[Span], reason: str) -> Rolled:
    with database.transaction() as cursor:
        _unmark(database, cursor, marks)
    where = ", ".join(f"series {m.series_id} at {m.start_ms / 1000.0:.0f}" for m in marks)
    return Rolled(marks=len(marks), spans=0, is_done=False, refused=f"{where}: {reason}")


def _due(database: Database, cursor: Any, now_ms: int, most: int) -> list[Span]:
    cursor.execute(database.sql(_DUE), (now_ms, most))
    return [Span(*row) for row in cursor.fetchall()]


def _floors(cursor: Any) -> dict[str, int]:
    cursor.execute("SELECT name, at_ms FROM rollup_floor")
    return {str(name): int(at_ms) for name, at_ms in cursor.fetchall()}


def _unmark(database: Database, cursor: Any, marks: Sequence[Span]) -> None:
    rows = [msgspec.structs.astuple(mark) for mark in marks]
    if database.is_sqlite:
        cursor.executemany(_SQLITE_UNMARK, rows)
    elif rows:
        cursor.execute(_POSTGRESQL_UNMARK, [_array(column) for column in zip(*rows, strict=True)])


def _mark_span(database: Database, cursor: Any, span: Span) -> None:
    text = _SQLITE_MARK if database.is_sqlite else _SQLITE_MARK.replace(" OR IGNORE", "")
    cursor.execute(database.sql(text), msgspec.structs.astuple(span))


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
