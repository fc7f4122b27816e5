"""The tables of the schema, derived from the migrations, and functions for copying them."""

from __future__ import annotations

import re

from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import Database

_CHANGE = re.compile(r"(CREATE|DROP) TABLE (\w+)")


def names(until: int = migrations.NEWEST) -> tuple[str, ...]:
    """The tables of schema version `until`, in the order of their creation."""
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
    """The primary key columns of an SQLite table, in order."""
    rows = database.fetch(f"PRAGMA table_info({table})")
    return [str(row[1]) for row in sorted(rows, key=lambda row: row[5]) if row[5]]


def present(database: Database) -> list[str]:
    """Our tables that exist in this database."""
    if database.is_sqlite:
        rows = database.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        rows = database.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        )
    found = {str(name) for (name,) in rows}
    return [name for name in names() if name in found]


def filled(database: Database) -> list[str]:
    """The tables with rows that are not created automatically."""
    kept_by_itself = {"access_version", "audit_chain", "rollup_floor", "rollup_pending"}
    return [
        name
        for name in present(database)
        if name not in kept_by_itself and database.fetch(f"SELECT 1 FROM {name} LIMIT 1")
    ]


def count(database: Database, table: str) -> int:
    return int(database.fetch(f"SELECT count(*) FROM {table}")[0][0])


def set_sequences(database: Database, tables: tuple[str, ...]) -> None:
    """PostgreSQL: set each sequence above the highest copied number. In the caller's transaction."""
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
