"""The audit trail: who did what, chained by hashes so that a change or a gap is detected.

hash = SHA-256 over the previous entry's hash and this entry's fields as canonical JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from godkaiser.domain.entities import Issuer
from godkaiser.protocol.text import fit
from godkaiser.storage.engine.database import Database

GENESIS = "0" * 64
_INSERT = (
    "INSERT INTO audit_log (at, who, what, source, result, correlation_id, details,"
    " previous_hash, hash) VALUES (?,?,?,?,?,?,?,?,?)"
)
_SET_HEAD = "UPDATE audit_chain SET hash = ? WHERE name = 'head'"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is the origin (an address, a device), `at` unix seconds."""

    at: float
    who: str
    what: str
    source: str = ""
    result: str = "ok"
    correlation_id: str = ""
    details: str = ""


def entry_by(
    by: Issuer | str, *, at: float, what: str, result: str = "ok", details: str = ""
) -> AuditEntry:
    """An entry for an actor's act, with the address and the correlation id of the request behind
    it.
    """
    if isinstance(by, str):
        return AuditEntry(at=at, who=by, what=what, result=result, details=details)
    return AuditEntry(
        at=at, who=str(by), what=what, source=by.source, result=result,
        correlation_id=by.correlation_id, details=details,
    )  # fmt: skip


def chain_hash(previous: str, entry: AuditEntry) -> str:
    body = msgspec.json.encode(entry, order="deterministic")
    return hashlib.sha256(previous.encode() + body).hexdigest()


def append_entries(database: Database, entries: Sequence[AuditEntry]) -> None:
    """Append in order; within the caller's transaction if there is one. Texts are cleaned."""
    # Several gateways may share a database: only one at a time may append.
    lock = "" if database.is_sqlite else " FOR UPDATE"
    with database.transaction() as cursor:
        cursor.execute(f"SELECT hash FROM audit_chain WHERE name = 'head'{lock}")
        previous = str(cursor.fetchone()[0])
        rows: list[tuple[Any, ...]] = []
        for given in entries:
            entry = _fit(given)
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
        database.execute_all(
            [*((_INSERT, row) for row in rows), (_SET_HEAD, (previous,))],
        )


def _fit(entry: AuditEntry) -> AuditEntry:
    """Clean the texts, so that the trail can store any text of a device, a person or a traceback."""
    return AuditEntry(
        at=entry.at,
        who=fit(entry.who),
        what=fit(entry.what),
        source=fit(entry.source),
        result=fit(entry.result),
        correlation_id=fit(entry.correlation_id),
        details=fit(entry.details),
    )


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Each filter that is None matches all; `start` is included, `end` is not (unix seconds)."""

    start: float | None = None
    end: float | None = None
    limit: int = 100
    who: str | None = None
    result: str | None = None
    source: str | None = None
    correlation_id: str | None = None
    what: str | None = None
    """A substring of `what`."""
    behind: int | None = None
    """The number of the last entry of the previous page."""


def newest(database: Database, query: AuditQuery) -> list[AuditEntry]:
    return [entry for _, entry in numbered(database, query)]


def numbered(database: Database, query: AuditQuery) -> list[tuple[int, AuditEntry]]:
    """Entries with their numbers in the trail, newest first."""
    where, values = _where(query.start, query.end)
    for condition, value in (
        ("who = ?", query.who),
        ("result = ?", query.result),
        ("source = ?", query.source),
        ("correlation_id = ?", query.correlation_id),
        ("what LIKE ? ESCAPE '!'", None if query.what is None else _containing(query.what)),
        ("seq < ?", query.behind),
    ):
        if value is not None:
            where += f" AND {condition}" if where else f" WHERE {condition}"
            values = [*values, value]
    rows = database.fetch(
        "SELECT seq, at, who, what, source, result, correlation_id, details FROM audit_log"
        f"{where} ORDER BY seq DESC LIMIT ?",
        (*values, query.limit),
    )
    return [
        (
            seq,
            AuditEntry(
                at=at,
                who=who,
                what=what,
                source=source,
                result=result,
                correlation_id=correlation_id,
                details=details,
            ),
        )
        for seq, at, who, what, source, result, correlation_id, details in rows
    ]


def _containing(text: str) -> str:
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text}%"


class AuditStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of entries; `by_who` and `by_what` hold the most frequent."""

    entries: int
    oldest: float | None
    newest: float | None
    by_result: dict[str, int]
    by_who: dict[str, int]
    by_what: dict[str, int]


def statistics(
    database: Database, start: float | None, end: float | None, most: int = 20
) -> AuditStatistics:
    where, values = _where(start, end)

    def by(column: str) -> dict[str, int]:
        rows = database.fetch(
            f"SELECT {column}, count(*) FROM audit_log{where} GROUP BY {column}"
            f" ORDER BY count(*) DESC, {column} LIMIT ?",
            (*values, most),
        )
        return {str(name): int(count) for name, count in rows}

    ((entries, oldest, newest_at),) = database.fetch(
        f"SELECT count(*), min(at), max(at) FROM audit_log{where}", tuple(values)
    )
    return AuditStatistics(
        entries=int(entries),
        oldest=oldest,
        newest=newest_at,
        by_result=by("result"),
        by_who=by("who"),
        by_what=by("what"),
    )


def _where(start: float | None, end: float | None) -> tuple[str, list[Any]]:
    bounds = [(f"at {sign} ?", at) for sign, at in ((">=", start), ("<", end)) if at is not None]
    text = " AND ".join(condition for condition, _ in bounds)
    return (f" WHERE {text}" if text else ""), [at for _, at in bounds]
