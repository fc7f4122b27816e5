"""Moves SQLite to PostgreSQL, one batch and transaction at a time, so that it can be resumed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import msgspec

from godkaiser.errors.storage import BackupRefused
from godkaiser.storage.audit import chain as audit_chain
from godkaiser.storage.backup.backup import Progress
from godkaiser.storage.engine import migrations, tables
from godkaiser.storage.engine.database import Database

BATCH = 5000
_STATE = """
CREATE TABLE IF NOT EXISTS data_move (
    table_name TEXT PRIMARY KEY,
    last_key TEXT NOT NULL,
    is_done BOOLEAN NOT NULL
)
"""
_SOURCE = "(source)"


def move(source: Database, target: Database, progress: Progress) -> dict[str, int]:
    """Copy every table; returns the row counts. Nobody may write to either database meanwhile.

    Raises:
        BackupRefused: the text says what to do. Copied rows stay, and the next call continues.
    """
    if not source.is_sqlite or target.is_sqlite:
        raise BackupRefused(
            reason="migrate-data moves SQLite to PostgreSQL: [database] url must be sqlite:///...,"
            " and --to postgresql://..."
        )
    missing = migrations.pending(source)
    if missing:
        raise BackupRefused(
            reason=f"the schema of {source.shown} lacks {', '.join(missing)}:"
            " run godkaiser migrate first"
        )
    counts = {name: tables.count(source, name) for name in tables.names()}
    _begin(source, target, counts)
    for name in tables.names():
        _copy(source, target, name, counts[name], progress)
    _finish(target, counts)
    return counts


def _begin(source: Database, target: Database, counts: dict[str, int]) -> None:
    ((is_resumed,),) = target.fetch("SELECT to_regclass('data_move') IS NOT NULL")
    mark = msgspec.json.encode(
        [source.fetch("SELECT hash FROM audit_chain WHERE name = 'head'"), counts]
    ).decode()
    if is_resumed:
        rows = target.fetch("SELECT last_key FROM data_move WHERE table_name = ?", (_SOURCE,))
        if rows != [(mark,)]:
            raise BackupRefused(
                reason=f"{source.shown} has changed since this move began. Start again with an empty"
                " database at --to."
            )
        return
    there = tables.filled(target)
    if there:
        raise BackupRefused(
            reason=f"{target.shown} is not empty ({', '.join(there[:3])} ...). Choose an empty one."
        )
    migrations.migrate(target)
    with target.transaction() as cursor:
        # Remove the rows that the migrations inserted.
        for name in tables.names():
            cursor.execute(f"DELETE FROM {name}")
        cursor.execute(_STATE)
        _keep(target, _SOURCE, mark, is_done=True)


def _copy(source: Database, target: Database, name: str, total: int, progress: Progress) -> None:
    rows = target.fetch("SELECT last_key, is_done FROM data_move WHERE table_name = ?", (name,))
    if rows and rows[0][1]:
        progress(name, total, total)
        return
    listed = tables.columns(source, name)
    key = tables.primary_key(source, name)
    last: Sequence[Any] | None = msgspec.json.decode(rows[0][0]) if rows else None
    done = 0
    while True:
        where = f" WHERE ({', '.join(key)}) > ({', '.join('?' * len(key))})" if last else ""
        batch = source.fetch(
            f"SELECT {', '.join(listed)} FROM {name}{where} ORDER BY {', '.join(key)} LIMIT ?",
            (*(last or ()), BATCH),
        )
        with target.transaction() as cursor:
            if batch:
                last = [batch[-1][listed.index(column)] for column in key]
                cursor.copy_expert(
                    f"COPY {name} ({', '.join(listed)}) FROM STDIN", io.StringIO(_lines(batch))
                )
            is_done = len(batch) < BATCH
            _keep(target, name, msgspec.json.encode(last).decode(), is_done=is_done)
        done += len(batch)
        progress(name, done, total)
        if is_done:
            return


def _keep(target: Database, name: str, last_key: str, *, is_done: bool) -> None:
    target.execute(
        "INSERT INTO data_move (table_name, last_key, is_done) VALUES (?,?,?)"
        " ON CONFLICT (table_name) DO UPDATE SET last_key = excluded.last_key,"
        " is_done = excluded.is_done",
        (name, last_key, is_done),
    )


def _finish(target: Database, counts: dict[str, int]) -> None:
    wrong = [
        f"{name}: {found} rows, not {rows}"
        for name, rows in counts.items()
        if (found := tables.count(target, name)) != rows
    ]
    report = audit_chain.examine(target)
    if report.problem:
        wrong.append(f"audit_log: {report.problem}")
    if wrong:
        raise BackupRefused(
            reason=f"the copy differs from its source ({'; '.join(wrong)}). Somebody wrote to one of the"
            " databases: start again with an empty database at --to."
        )
    with target.transaction() as cursor:
        tables.set_sequences(target, tables.names())
        cursor.execute("DROP TABLE data_move")


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    """COPY's text format."""
    return "".join("\t".join(map(_field, row)) + "\n" for row in rows)


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else repr(value)
