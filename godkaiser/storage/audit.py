"""The audit trail: who did what, chained by hashes so that a change or a gap shows.

hash = SHA-256 over the previous entry's hash and this entry's fields as canonical JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from godkaiser.storage.database import Database
from godkaiser.storage.models import AuditRow

GENESIS = "0" * 64


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is where it came from (an address, a device), `at` unix seconds."""

    at: float
    who: str
    what: str
    source: str = ""
    result: str = "ok"
    correlation_id: str = ""
    details: str = ""


def chain_hash(previous: str, entry: AuditEntry) -> str:
    body = msgspec.json.encode(entry, order="deterministic")
    return hashlib.sha256(previous.encode() + body).hexdigest()


def append_entries(database: Database, entries: Sequence[AuditEntry]) -> None:
    """Append in order; within the caller's transaction if there is one."""
    with database.transaction() as cursor:
        cursor.execute("SELECT hash FROM audit_log ORDER BY seq DESC LIMIT 1")
        last = cursor.fetchone()
        previous = GENESIS if last is None else str(last[0])
        rows: list[tuple[Any, ...]] = []
        for entry in entries:
            current = chain_hash(previous, entry)
            rows.append(
                (
                    entry.at,
                    entry.who,
                    entry.what,
                    entry.source,
                    entry.result,
                    entry.correlation_id,
                    entry.details,
                    previous,
                    current,
                )
            )
            previous = current
        cursor.executemany(
            database.sql(
                "INSERT INTO audit_log (at, who, what, source, result, correlation_id, details,"
                " previous_hash, hash) VALUES (?,?,?,?,?,?,?,?,?)"
            ),
            rows,
        )


def verify(database: Database) -> int | None:
    """The `seq` of the first entry that does not fit the chain; None when all do."""
    previous = GENESIS
    for row in database.rows(AuditRow.select().order_by(AuditRow.seq)):
        entry = AuditEntry(
            at=row.at,
            who=row.who,
            what=row.what,
            source=row.source,
            result=row.result,
            correlation_id=row.correlation_id,
            details=row.details,
        )
        if row.previous_hash != previous or row.hash != chain_hash(previous, entry):
            return int(row.seq)
        previous = row.hash
    return None


def newest(database: Database, limit: int = 100) -> list[AuditEntry]:
    rows = database.rows(AuditRow.select().order_by(AuditRow.seq.desc()).limit(limit))
    return [
        AuditEntry(
            at=row.at,
            who=row.who,
            what=row.what,
            source=row.source,
            result=row.result,
            correlation_id=row.correlation_id,
            details=row.details,
        )
        for row in rows
    ]
