"""The tables of the schema, as the migrations make them, and what copying them needs."""

from __future__ import annotations

import re

from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import Database

_CHANGE = re.compile(r"(CREATE|DROP) TABLE (\w+)")


def names(until: int = migrations.NEWEST) -> tuple[str, ...]:
    """Of schema version `until`, in the order in which they were made."""
    found: dict[str, None] = {}
    for text in migrations.texts(until):
        for change, name in _CHANGE.findall(text):
            if change == "CREATE":
                found[name] = None
            else:
                del found[name]
    return tuple(found)


def columns(database: Database, table: str) -> list[str]:
    if database.is_sqlite:
        return [str(row[1]) for row in database.fetch(f"PRAGMA table_info({table})")]
    rows = database.fetch(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
        (table,),
    )
    return [str(name) for (name,) in rows]


def primary_key(database: Database, table: str) -> list[str]:
    """Of a SQLite table, in its order."""
    rows = database.fetch(f"PRAGMA table_info({table})")
    return [str(row[1]) for row in sorted(rows, key=lambda row: row[5]) if row[5]]


def present(database: Database) -> list[str]:
    """Those of our tables that this database has."""
    if database.is_sqlite:
        rows = database.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        rows = database.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        )
    found = {str(name) for (name,) in rows}
    return [name for name in names() if name in found]


def filled(database: Database) -> list[str]:
    """Those with a row that somebody would miss."""
    kept_by_itself = {"access_version", "audit_chain", "rollup_floor", "rollup_pending"}
    return [
        name
        for name in present(database)
        if name not in kept_by_itself and database.fetch(f"SELECT 1 FROM {name} LIMIT 1")
    ]


def count(database: Database, table: str) -> int:
    return int(database.fetch(f"SELECT count(*) FROM {table}")[0][0])


def set_sequences(database: Database, tables: tuple[str, ...]) -> None:
    """PostgreSQL: the next number is behind the highest that was copied. In the caller's transaction."""
    for table in tables:
        rows = database.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_schema ="
            " current_schema() AND table_name = ? AND column_default LIKE 'nextval%%'",
            (table,),
        )
        for (column,) in rows:
            database.fetch(
                f"SELECT setval(pg_get_serial_sequence(?, ?), COALESCE(max({column}), 0) + 1, false)"
                f" FROM {table}",
                (table, column),
            )
