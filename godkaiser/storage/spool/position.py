"""The replay position of a spool, stored in the database in the transaction of the replayed
records, so that each record is stored exactly once, whenever the process or the connection ends.
"""

from __future__ import annotations

from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.statements import Executor


def position(database: Database, stream: str, epoch: str) -> int:
    """The last record of this epoch that is in the database; 0 if there is none.

    `stream` names the gateway and the stream: several gateways may share a database.
    """
    rows = database.fetch("SELECT epoch, position FROM spool_position WHERE stream = ?", (stream,))
    if not rows or rows[0][0] != epoch:
        return 0
    return int(rows[0][1])


def claim_position(database: Database, stream: str) -> str:
    """Lock the position within the caller's transaction; returns the stored epoch."""
    database.execute(
        "INSERT INTO spool_position (stream, epoch, position) VALUES (?,'',0)"
        " ON CONFLICT (stream) DO NOTHING",
        (stream,),
    )
    lock = "" if database.is_sqlite else " FOR UPDATE"
    rows = database.fetch(f"SELECT epoch FROM spool_position WHERE stream = ?{lock}", (stream,))
    return str(rows[0][0])


def keep_position(database: Executor, stream: str, epoch: str, sequence: int) -> None:
    """Store the position, within the caller's transaction."""
    database.execute(
        "INSERT INTO spool_position (stream, epoch, position) VALUES (?,?,?)"
        " ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, position = excluded.position",
        (stream, epoch, sequence),
    )
