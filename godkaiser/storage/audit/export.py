"""Exports the audit trail as lines of JSON with the chain's hashes, and reads them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from godkaiser.errors.storage import SealRefused
from godkaiser.storage.audit.chain import BATCH
from godkaiser.storage.audit.trail import AuditEntry, chain_hash
from godkaiser.storage.engine.database import Database


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """One line: the entry and its place in the chain."""

    seq: int
    entry: AuditEntry
    previous_hash: str
    hash: str


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """`first` is the hash before the first entry, `last` the hash of the last one."""

    entries: int
    first: str
    last: str


def lines(
    database: Database, start: float | None = None, end: float | None = None
) -> Iterator[bytes]:
    """The entries between the first and the last one of this time (unix seconds, `end` excluded),
    without a gap, even if a clock was set back; one batch in memory at a time.
    """
    bounds = database.fetch(
        "SELECT min(seq), max(seq) FROM audit_log"
        " WHERE at >= COALESCE(?, at) AND at < COALESCE(?, at + 1)",
        (start, end),
    )
    first, last = bounds[0]
    if first is None:
        return
    seq = first - 1
    while seq < last:
        rows = database.fetch(
            "SELECT seq, at, who, what, source, result, correlation_id, details, previous_hash, hash"
            " FROM audit_log WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (seq, last, BATCH),
        )
        if not rows:
            return
        for seq, at, who, what, source, result, correlation_id, details, previous, own in rows:
            entry = AuditEntry(
                at=at, who=who, what=what, source=source, result=result,
                correlation_id=correlation_id, details=details,
            )  # fmt: skip
            exported = Exported(seq=seq, entry=entry, previous_hash=previous, hash=own)
            yield msgspec.json.encode(exported) + b"\n"


def examined(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, Exported]]:
    """Yield each line after it was verified to follow the one before.

    Raises:
        SealRefused: an entry was changed before it was exported.
    """
    previous = ""
    for line in _split(chunks):
        found = msgspec.json.decode(line, type=Exported)
        if (previous and found.previous_hash != previous) or found.hash != chain_hash(
            found.previous_hash, found.entry
        ):
            raise SealRefused(reason=f"entry {found.seq} does not fit the chain: it was changed")
        previous = found.hash
        yield line, found


def report(entries: Iterable[Exported]) -> ExportReport:
    count = 0
    first = last = ""
    for exported in entries:
        first = first or exported.previous_hash
        last = exported.hash
        count += 1
    return ExportReport(entries=count, first=first, last=last)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
