"""Deletes old rows, one batch and transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from godkaiser.domain.records.retention_clock import Belief
from godkaiser.domain.records.rollups import HOUR_MS, MINUTE_MS, ceil_to
from godkaiser.storage.audit import chain as audit_chain
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series import rollups
from godkaiser.storage.spool.position import keep_position

BATCH = 1000


class Kind(StrEnum):
    READINGS = "readings"
    COMMANDS = "commands"
    EXECUTIONS = "executions"
    AUDIT = "audit"
    MINUTES = "minutes"
    HOURS = "hours"


_COUNT: Mapping[Kind, str] = {
    Kind.READINGS: "SELECT count(*) FROM sensor_data WHERE at_ms < ?",
    Kind.COMMANDS: "SELECT count(*) FROM command_history WHERE requested_at < ?",
    Kind.EXECUTIONS: "SELECT count(*) FROM rule_executions WHERE at < ?",
    Kind.AUDIT: "SELECT count(*) FROM audit_log WHERE at < ?",
    Kind.MINUTES: "SELECT count(*) FROM rollup_1m WHERE bucket_ms < ?",
    Kind.HOURS: "SELECT count(*) FROM rollup_1h WHERE bucket_ms < ?",
}
_IN_MS = (Kind.READINGS, Kind.MINUTES, Kind.HOURS)
MOST_ROLL_BATCHES = 200
_AT, _MARK = "retention/at", "retention/mark"
"""Names of rows beside the positions of the spool: retention's time, and its clock."""


def count_before(database: Database, kind: Kind, at: float) -> int:
    """The number of rows from before `at` (unix seconds)."""
    bound = int(at * 1000.0) if kind in _IN_MS else at
    return int(database.fetch(_COUNT[kind], (bound,))[0][0])


def delete_before(database: Database, kind: Kind, at: float, limit: int = BATCH) -> int:
    """Delete at most `limit` rows from before `at`; returns how many. On an error none is deleted.

    Raises:
        DatabaseUnavailable
    """
    return _DELETE[kind](database, at, limit)


def load_belief(database: Database) -> Belief | None:
    rows = {
        name: (epoch, position)
        for name, epoch, position in database.fetch(
            "SELECT stream, epoch, position FROM spool_position WHERE stream IN (?,?)", (_AT, _MARK)
        )
    }
    if _AT not in rows or _MARK not in rows:
        return None
    return Belief(rows[_AT][1] / 1000.0, rows[_MARK][1] / 1000.0, str(rows[_MARK][0]))


def keep_belief(database: Database, belief: Belief) -> None:
    with database.transaction():
        keep_position(database, _AT, "", int(belief.at * 1000.0))
        keep_position(database, _MARK, belief.boot_id, int(belief.mark * 1000.0))


def _delete_readings(database: Database, at: float, limit: int) -> int:
    # First make the rollups, which are kept longer than the readings.
    if not rollups.roll_all(database, at + HOUR_MS / 1000.0, MOST_ROLL_BATCHES):
        return 0
    floor = (rollups.READINGS_FLOOR, ceil_to(int(at * 1000.0), MINUTE_MS))
    return _delete_by_series(database, "sensor_data", "at_ms, content_key", at, limit, floor)


def _delete_minutes(database: Database, at: float, limit: int) -> int:
    floor = (rollups.MINUTES_FLOOR, ceil_to(int(at * 1000.0), HOUR_MS))
    return _delete_by_series(database, "rollup_1m", "bucket_ms, quality", at, limit, floor)


def _delete_hours(database: Database, at: float, limit: int) -> int:
    return _delete_by_series(database, "rollup_1h", "bucket_ms, quality", at, limit, None)


def _delete_by_series(
    database: Database, table: str, key: str, at: float, limit: int, floor: tuple[str, int] | None
) -> int:
    """Delete series by series: these tables are clustered by series and time, without an index on
    time.
    """
    bound = int(at * 1000.0)
    time = key.partition(",")[0]
    left = limit
    with database.transaction() as cursor:
        rollups.take_turns(database, cursor)
        for (series_id,) in database.fetch("SELECT id FROM series ORDER BY id"):
            cursor.execute(
                database.sql(
                    f"DELETE FROM {table} WHERE (series_id, {key}) IN"
                    f" (SELECT series_id, {key} FROM {table}"
                    f" WHERE series_id = ? AND {time} < ? ORDER BY {time} LIMIT ?)"
                ),
                (series_id, bound, left),
            )
            left -= int(cursor.rowcount)
            if left <= 0:
                break
        if floor is not None and left < limit:
            rollups.raise_floor(database, *floor)
    return limit - left


def _delete_commands(database: Database, at: float, limit: int) -> int:
    return _delete_rows(database, "command_history", "correlation_id", "requested_at", at, limit)


def _delete_executions(database: Database, at: float, limit: int) -> int:
    return _delete_rows(database, "rule_executions", "id", "at", at, limit)


def _delete_rows(database: Database, table: str, key: str, time: str, at: float, limit: int) -> int:
    with database.transaction() as cursor:
        cursor.execute(
            database.sql(
                f"DELETE FROM {table} WHERE {key} IN"
                f" (SELECT {key} FROM {table} WHERE {time} < ? ORDER BY {time} LIMIT ?)"
            ),
            (at, limit),
        )
        return int(cursor.rowcount)


_DELETE: Mapping[Kind, Callable[[Database, float, int], int]] = {
    Kind.READINGS: _delete_readings,
    Kind.COMMANDS: _delete_commands,
    Kind.EXECUTIONS: _delete_executions,
    Kind.AUDIT: audit_chain.forget_before,
    Kind.MINUTES: _delete_minutes,
    Kind.HOURS: _delete_hours,
}
