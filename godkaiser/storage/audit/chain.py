"""The audit trail's hash chain: looking through all of it, and forgetting its beginning.

Where the chain begins (`anchor`) and ends (`head`) stands beside it, so that entries missing at either
end show. Who can write the database could compute the whole chain anew: note the head elsewhere, and
compare with `expect`.
"""

from __future__ import annotations

import msgspec

from godkaiser.storage.audit.trail import GENESIS, AuditEntry, chain_hash
from godkaiser.storage.engine.database import Database

BATCH = 1000


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` is "" when all fits; else `seq` is the first entry that does not, None when it is an
    end of the chain. `head` is the hash of the last entry looked at.
    """

    entries: int
    head: str
    problem: str = ""
    seq: int | None = None


def examine(database: Database, expect: str = "") -> ChainReport:
    """Look through the chain, a batch in memory at a time; also beside a running gateway.

    With `expect`, a head noted earlier must be in it.
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
                    problem="it does not follow the entry before it: one was removed or put in",
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
        problem = (
            f"the entry with the hash {expect} is not in it: entries were removed or rewritten"
        )
    elif wanted:
        problem = "entries at its end were removed"
    return ChainReport(entries=entries, head=previous, problem=problem)


def forget_before(database: Database, at: float, limit: int) -> int:
    """Delete at most `limit` of the oldest entries, those from before `at`; the chain then begins
    behind them. How many went.
    """
    with database.transaction() as cursor:
        rows = database.fetch("SELECT seq, at, hash FROM audit_log ORDER BY seq LIMIT ?", (limit,))
        old = []
        for seq, entry_at, own in rows:
            # From the beginning only, without a gap, though a clock may have been set back.
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
