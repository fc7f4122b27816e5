"""Reads one sensor's measurements: the newest, a time span, or its rollups.

A page is one short query that starts behind the last key of the previous page: nobody holds a
transaction, or more than one page in memory, however long the answer is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.records.rollups import (
    WIDTH_MS,
    Aggregate,
    Bucket,
    Resolution,
    ceil_to,
    combined,
    floor_to,
    points,
)
from godkaiser.storage.engine.database import Database

PAGE = 5000
_TABLES = {Resolution.MINUTE: "rollup_1m", Resolution.HOUR: "rollup_1h"}
_BUCKET_COLUMNS = "bucket_ms, quality, count, valued, total, lowest, highest, last, last_ms"
FOR_EVER_MS = 2**62
CLOCKS_DIFFER_S = 60.0
"""A reading may be dated this far in the future, because devices have their own clocks."""
_LAST_KEY = 2**63 - 1


class Measured(msgspec.Struct, frozen=True, gc=False):
    """One reading; `timestamp` in unix seconds."""

    timestamp: float
    value: float | None
    quality: str


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest stored reading in full; times in unix seconds."""

    timestamp: float
    received_at: float
    raw: float
    value: float | None
    unit: str
    quality: str


class Position(msgspec.Struct, frozen=True):
    """The next page begins behind this key."""

    at_ms: int
    content_key: int


def find_series(database: Database, key: SensorKey) -> int | None:
    """The id of its series; None if no reading was ever stored."""
    rows = database.fetch(
        "SELECT id FROM series WHERE esp_id = ? AND gpio = ? AND sensor_type = ? AND address = ?",
        (key.esp_id, key.gpio, key.sensor_type, key.address),
    )
    return int(rows[0][0]) if rows else None


def addresses_of(database: Database, key: SensorKey) -> list[str]:
    """The addresses of all series with this device, pin and type."""
    rows = database.fetch(
        "SELECT address FROM series WHERE esp_id = ? AND gpio = ? AND sensor_type = ?"
        " ORDER BY address",
        (key.esp_id, key.gpio, key.sensor_type),
    )
    return [str(address) for (address,) in rows]


def newest(database: Database, series_id: int, now: float) -> Newest | None:
    """The newest reading that is not dated in the future; `now` in unix seconds."""
    latest_ms = int((now + CLOCKS_DIFFER_S) * 1000)
    # If all readings are dated in the future, our own clock is wrong.
    rows = _newest_until(database, series_id, latest_ms) or _newest_until(
        database, series_id, FOR_EVER_MS
    )
    if not rows:
        return None
    at_ms, received_ms, raw, value, unit, quality = rows[0]
    return Newest(
        timestamp=at_ms / 1000.0,
        received_at=received_ms / 1000.0,
        raw=raw,
        value=value,
        unit=unit,
        quality=quality,
    )


def newest_of_each(database: Database, now: float) -> dict[str, dict[SensorKey, Reading]]:
    """By device, the newest reading of each series that is not dated in the future; `now` in unix seconds."""
    rows = database.fetch(
        "SELECT s.esp_id, s.gpio, s.sensor_type, s.address, d.at_ms, d.received_ms, d.raw, d.value, d.unit,"
        " d.quality FROM series s JOIN sensor_data d ON d.series_id = s.id AND d.at_ms ="
        " (SELECT MAX(at_ms) FROM sensor_data WHERE series_id = s.id AND at_ms <= ?)"
        " ORDER BY d.content_key",
        (int((now + CLOCKS_DIFFER_S) * 1000),),
    )
    found: dict[str, dict[SensorKey, Reading]] = {}
    for esp_id, gpio, sensor_type, address, at_ms, received_ms, raw, value, unit, quality in rows:
        key = SensorKey(esp_id, gpio, sensor_type, address)
        found.setdefault(esp_id, {})[key] = Reading(
            key=key, at=at_ms / 1000.0, received_at=received_ms / 1000.0, raw=raw, value=value,
            unit=unit, quality=Quality(quality),
        )  # fmt: skip
    return found


def _newest_until(database: Database, series_id: int, latest_ms: int) -> list[Any]:
    return database.fetch(
        "SELECT at_ms, received_ms, raw, value, unit, quality FROM sensor_data WHERE series_id = ?"
        " AND at_ms <= ? ORDER BY at_ms DESC, content_key DESC LIMIT 1",
        (series_id, latest_ms),
    )


def measured(
    database: Database, series_id: int, start_ms: int, end_ms: int, limit: int
) -> list[Measured]:
    """At most `limit` readings from `start_ms`, oldest first; `end_ms` is excluded."""
    # Both engines answer this from the key alone.
    rows = database.fetch(
        "SELECT at_ms, value, quality FROM sensor_data WHERE series_id = ? AND at_ms >= ?"
        " AND at_ms < ? ORDER BY at_ms, content_key LIMIT ?",
        (series_id, start_ms, end_ms, limit),
    )
    return [Measured(at_ms / 1000.0, value, quality) for at_ms, value, quality in rows]


def aggregates(
    database: Database,
    series_id: int,
    resolution: Resolution,
    start_ms: int,
    end_ms: int,
    limit: int,
) -> list[Aggregate]:
    """At most `limit` minutes or hours that begin in this time, oldest first."""
    found = points(_buckets(database, series_id, resolution, start_ms, end_ms, limit))
    return found[:limit]


def statistics(
    database: Database, series_id: int, resolution: Resolution, start_ms: int, end_ms: int
) -> tuple[Aggregate, int, int]:
    """One aggregate over whole minutes or hours, with its start and end (milliseconds)."""
    width = WIDTH_MS[resolution]
    start_ms, end_ms = floor_to(start_ms, width), ceil_to(end_ms, width)
    # Sums of sums: the database adds up possibly years of minutes.
    rows = database.fetch(
        "SELECT quality, sum(count), sum(valued), sum(total), min(lowest), max(highest),"
        f" max(last_ms) FROM {_TABLES[resolution]}"
        " WHERE series_id = ? AND bucket_ms >= ? AND bucket_ms < ? GROUP BY quality",
        (series_id, start_ms, end_ms),
    )
    found = [
        Bucket(
            start_ms,
            quality,
            int(count),
            int(valued),
            float(total),
            lowest,
            highest,
            _last_in(database, series_id, resolution, quality, last_ms),
            last_ms,
        )
        for quality, count, valued, total, lowest, highest, last_ms in rows
    ]
    return combined(found, start_ms), start_ms, end_ms


def pages_of_readings(
    database: Database, series_id: int, start_ms: int, end_ms: int
) -> Iterator[list[Measured]]:
    """All readings of a time span, one page at a time."""
    after = Position(start_ms - 1, _LAST_KEY)
    while True:
        rows = database.fetch(
            "SELECT at_ms, value, quality, content_key FROM sensor_data WHERE series_id = ?"
            " AND at_ms >= ? AND at_ms < ? AND (at_ms > ? OR content_key > ?)"
            " ORDER BY at_ms, content_key LIMIT ?",
            (series_id, after.at_ms, end_ms, after.at_ms, after.content_key, PAGE),
        )
        if rows:
            yield [Measured(at_ms / 1000.0, value, quality) for at_ms, value, quality, _ in rows]
            after = Position(rows[-1][0], rows[-1][3])
        if len(rows) < PAGE:
            return


def pages_of_aggregates(
    database: Database, series_id: int, resolution: Resolution, start_ms: int, end_ms: int
) -> Iterator[list[Aggregate]]:
    """All minutes or hours of a time span, one page at a time."""
    while True:
        found = aggregates(database, series_id, resolution, start_ms, end_ms, PAGE)
        if found:
            yield found
        if len(found) < PAGE:
            return
        start_ms = round(found[-1].timestamp * 1000.0) + WIDTH_MS[resolution]


def _buckets(
    database: Database,
    series_id: int,
    resolution: Resolution,
    start_ms: int,
    end_ms: int,
    limit: int,
) -> list[Bucket]:
    """The buckets of at least `limit` times, if there are that many; the last time is complete."""
    # A time has one row for each quality, usually one: fetch a few more rows, and repeat if needed.
    wanted = limit + limit // 4 + 16
    found: list[Bucket] = []
    while True:
        rows = database.fetch(
            f"SELECT {_BUCKET_COLUMNS} FROM {_TABLES[resolution]} WHERE series_id = ?"
            " AND bucket_ms >= ? AND bucket_ms < ? ORDER BY bucket_ms, quality LIMIT ?",
            (series_id, start_ms, end_ms, wanted),
        )
        if len(rows) < wanted:
            return [*found, *(Bucket(*row) for row in rows)]
        # The page may end within a time: the next page begins with that time.
        start_ms = rows[-1][0]
        found += [Bucket(*row) for row in rows if row[0] != start_ms]
        if len({bucket.bucket_ms for bucket in found}) >= limit:
            return found


def _last_in(
    database: Database, series_id: int, resolution: Resolution, quality: str, last_ms: int | None
) -> float | None:
    if last_ms is None:
        return None
    rows = database.fetch(
        f"SELECT last FROM {_TABLES[resolution]}"
        " WHERE series_id = ? AND bucket_ms = ? AND quality = ?",
        (series_id, floor_to(last_ms, WIDTH_MS[resolution]), quality),
    )
    return rows[0][0] if rows else None
