"""Runs that recompute stored values with the new calibration, with their positions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser.domain.entities import SensorKey
from godkaiser.domain.sensors.recalculation import Changed, RawReading, Recalculation
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series import rollups

_NAMED = "esp_id = ? AND gpio = ? AND sensor_type = ? AND address = ?"
# A final value from REST has no raw value; its content key is negative.
_BETWEEN = "series_id = ? AND at_ms >= ? AND at_ms < ? AND content_key >= 0"


def count_raw(database: Database, key: SensorKey, start: float, end: float) -> int:
    """The number of stored readings with a raw value between the two times (unix seconds)."""
    series = _series(database, key)
    if series is None:
        return 0
    bounds = (int(start * 1000.0), int(end * 1000.0))
    sql = f"SELECT count(*) FROM sensor_data WHERE {_BETWEEN}"
    return int(database.fetch(sql, (series, *bounds))[0][0])


def next_batch(database: Database, run: Recalculation, limit: int) -> list[RawReading]:
    """The readings after the run's position, oldest first."""
    series = _series(database, run.key)
    if series is None:
        return []
    since = max(int(run.start * 1000.0), run.position[0])
    rows = database.fetch(
        f"SELECT at_ms, content_key, raw, value, quality FROM sensor_data WHERE {_BETWEEN}"
        " AND (at_ms, content_key) > (?, ?) ORDER BY at_ms, content_key LIMIT ?",
        (series, since, int(run.end * 1000.0), *run.position, limit),
    )
    return [RawReading((at, content), raw, value, q) for at, content, raw, value, q in rows]


def store_batch(database: Database, run: Recalculation, changes: Sequence[Changed]) -> None:
    """Store the changes and the new position of the run; both or, on an error, none.

    Raises:
        DatabaseUnavailable
    """
    with database.transaction() as cursor:
        if changes:
            series = _series(database, run.key)
            cursor.executemany(
                database.sql(
                    "UPDATE sensor_data SET value = ?, quality = ?"
                    " WHERE series_id = ? AND at_ms = ? AND content_key = ?"
                ),
                [(c.value, c.quality, series, *c.position) for c in changes],
            )
            first, last = changes[0].position[0], changes[-1].position[0]
            rollups.touch(database, run.key, first / 1000.0, last / 1000.0)
        save(database, run)


def save(database: Database, run: Recalculation) -> None:
    """Store the run; each sensor has only its newest run."""
    key = run.key
    name = (key.esp_id, key.gpio, key.sensor_type, key.address)
    with database.transaction() as cursor:
        cursor.execute(database.sql(f"DELETE FROM recalculations WHERE {_NAMED}"), name)
        cursor.execute(
            database.sql(
                "INSERT INTO recalculations (esp_id, gpio, sensor_type, address, body)"
                " VALUES (?,?,?,?,?)"
            ),
            (*name, msgspec.json.encode(run).decode()),
        )


def load(database: Database) -> list[Recalculation]:
    rows = database.fetch("SELECT body FROM recalculations ORDER BY esp_id, gpio, sensor_type")
    return [msgspec.json.decode(body, type=Recalculation) for (body,) in rows]


def _series(database: Database, key: SensorKey) -> int | None:
    rows = database.fetch(
        f"SELECT id FROM series WHERE {_NAMED}",
        (key.esp_id, key.gpio, key.sensor_type, key.address),
    )
    return int(rows[0][0]) if rows else None
