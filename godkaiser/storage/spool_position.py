"""How far a spool has been replayed, kept in the database in the transaction of what was replayed:
so that each record is stored exactly once, whenever the process or the link ends.
"""

from __future__ import annotations

from godkaiser.storage.database import Database


def position(database: Database, stream: str, epoch: str) -> int:
    """The last record of this epoch that is in the database; 0 when none is.

    `stream` names the gateway and the stream: several gateways may share a database.
    """
    rows = database.fetch("SELECT epoch, position FROM spool_position WHERE stream = ?", (stream,))
    if not rows or rows[0][0] != epoch:
        return 0
    return int(rows[0][1])


def keep_position(database: Database, stream: str, epoch: str, sequence: int) -> None:
    """Within the caller's transaction."""
    database.execute(
        "INSERT INTO spool_position (stream, epoch, position) VALUES (?,?,?)"
        " ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, position = excluded.position",
        (stream, epoch, sequence),
    )
