"""How far a spool has been replayed, kept in the database in the transaction of what was replayed:
so that each record is stored exactly once, whenever the process or the link ends.
"""

from __future__ import annotations

from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.statements import Executor


def position(database: Database, stream: str, epoch: str) -> int:
    """The last record of this epoch that is in the database; 0 when none is.

    `stream` names the gateway and the stream: several gateways may share a database.
    """
    rows = database.fetch("SELECT epoch, position FROM spool_position WHERE stream = ?", (stream,))
    if not rows or rows[0][0] != epoch:
        return 0
    return int(rows[0][1])


def claim_position(database: Database, stream: str) -> str:
    """The epoch that is stored, once no other transaction has it in hand; within the caller's transaction."""
    database.execute(
        "INSERT INTO spool_position (stream, epoch, position) VALUES (?,'',0)"
        " ON CONFLICT (stream) DO NOTHING",
        (stream,),
    )
    lock = "" if database.is_sqlite else " FOR UPDATE"
    rows = database.fetch(f"SELECT epoch FROM spool_position WHERE stream = ?{lock}", (stream,))
    return str(rows[0][0])


def keep_position(database: Executor, stream: str, epoch: str, sequence: int) -> None:
    """Within the caller's transaction."""
    database.execute(
        "INSERT INTO spool_position (stream, epoch, position) VALUES (?,?,?)"
        " ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, position = excluded.position",
        (stream, epoch, sequence),
    )
