"""The audit trail's hash chain: verify all of it, and delete its oldest part.

The hashes at the start (`anchor`) and at the end (`head`) are stored beside it, so that entries
missing at either end are detected. Anybody who can write to the database could recompute the whole
chain: store the head somewhere else, and compare with `expect`.
"""

from __future__ import annotations

import msgspec

from godkaiser.storage.audit.trail import GENESIS, AuditEntry, chain_hash
from godkaiser.storage.engine.database import Database

BATCH = 1000


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` is "" if the chain is intact; else `seq` is the first wrong entry, None for a
    problem at an end of the chain. `head` is the hash of the last verified entry.
    """

    entries: int
    head: str
    problem: str = ""
    seq: int | None = None


def examine(database: Database, expect: str = "") -> ChainReport:
    """Verify the chain, one batch in memory at a time; also while a gateway runs.

    With `expect`, the chain must contain that earlier head.
    """
    ends = dict(database.fetch("SELECT name, hash FROM audit_chain"))
    previous = ends.get("anchor", GENESIS)
    wanted = {hash_ for hash_ in (ends.get("head", ""), expect) if hash_}
    wanted.discard(previous)
    seq, entries = 0, 0
    while True:
        rows = database.fetch(
            "SELECT seq, at, who, what, source, result, correlation_id, details, previous_hash, hash"
            " FROM audit_log WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, BATCH),
        )
        if not rows:
            break
        for seq, at, who, what, source, result, correlation_id, details, before, own in rows:
            entry = AuditEntry(
                at=at, who=who, what=what, source=source, result=result,
                correlation_id=correlation_id, details=details,
            )  # fmt: skip
            if before != previous:
                return ChainReport(
                    entries=entries, head=previous, seq=seq,
                    problem="it does not follow the entry before it: an entry was removed or inserted",
                )  # fmt: skip
            if own != chain_hash(previous, entry):
                return ChainReport(
                    entries=entries, head=previous, seq=seq, problem="it was changed"
                )
            previous = own
            wanted.discard(own)
            entries += 1
    problem = ""
    if expect in wanted:
        problem = f"the entry with the hash {expect} is not in the chain: entries were removed or rewritten"
    elif wanted:
        problem = "entries at the end of the chain were removed"
    return ChainReport(entries=entries, head=previous, problem=problem)


def forget_before(database: Database, at: float, limit: int) -> int:
    """Delete at most `limit` of the oldest entries, those from before `at`; the chain then begins
    after them. Returns the number of deleted entries.
    """
    with database.transaction() as cursor:
        rows = database.fetch("SELECT seq, at, hash FROM audit_log ORDER BY seq LIMIT ?", (limit,))
        old = []
        for seq, entry_at, own in rows:
            # Only from the beginning, without a gap, even if a clock was set back.
            if entry_at >= at:
                break
            old.append((seq, own))
        if not old:
            return 0
        last, own = old[-1]
        cursor.execute(database.sql("DELETE FROM audit_log WHERE seq <= ?"), (last,))
        database.execute(
            "INSERT INTO audit_chain (name, hash) VALUES ('anchor', ?)"
            " ON CONFLICT (name) DO UPDATE SET hash = excluded.hash",
            (own,),
        )
    return len(old)
