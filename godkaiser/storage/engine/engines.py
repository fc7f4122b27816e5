"""What opens connections: peewee's engines for SQLite and PostgreSQL, two of each kind.

The prompt one has connections of its own, whose statements end soon: neither a slow query nor a connection under
way elsewhere holds them up.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import msgspec
import peewee
from playhouse.pool import PooledPostgresqlDatabase

from godkaiser.config.database_url import DatabaseUrl
from godkaiser.host.durable_file import inherit_owner, make_folder
from godkaiser.storage.engine.deadlines import Deadlines
from godkaiser.storage.engine.driver import TRANSACTION_STATUS_IDLE

USUAL_STATEMENT_S = 30.0
PROMPT_STATEMENT_S = 1.5
USUAL_IDLE_S = 60.0
PROMPT_IDLE_S = 5.0
"""After so long without a statement the server ends a transaction: of a client whose link is cut it would keep the
locks for hours, among them that of the audit trail's end.
"""
POOL_SIZE = 30
PROMPT_POOL_SIZE = 10
POOL_WAIT_S = 5
STALE_S = 300
WAL_LEFT_BYTES = 64 * 1024 * 1024
"""Of SQLite's log, once nobody reads what is in it: one long query would else keep its size for good."""
CONNECT_BUSY_S = 2.0
CONNECT_TIMEOUT_S = 2
"""Also of a server that takes the connection and says nothing. libpq takes no less."""
PRIVATE = 0o600
# A peer that is gone without a word is noticed by the kernel; one that is there and silent, by `Deadlines`.
_KEEPALIVE = {
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
}
_OWN_OPTIONS = ("host", "port", "user", "password", "dbname", "options")


class Pool(PooledPostgresqlDatabase):  # type: ignore[misc] # peewee has no types
    """Asks no server whether a connection still is one: that is a journey without a deadline, while all others
    wait for the pool. A server that has hung up is seen at the socket; what else has broken, by its first
    statement.
    """

    def _is_closed(self, conn: Any) -> bool:
        return bool(conn.closed) or _has_something_to_read(conn.fileno())

    def _can_reuse(self, conn: Any) -> bool:
        return bool(conn.get_transaction_status() == TRANSACTION_STATUS_IDLE)

    def drop_idle(self) -> None:
        """Close those that nobody uses, unless somebody is at work on the pool."""
        if self._pool_lock.acquire(blocking=False):
            try:
                self.close_idle()
            finally:
                self._pool_lock.release()


def _has_something_to_read(socket: int) -> bool:
    """Of a connection at rest, that is its end, or the news of it."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    usual: peewee.Database
    prompt: peewee.Database
    deadlines: Deadlines

    def all(self) -> tuple[peewee.Database, peewee.Database]:
        return self.usual, self.prompt


def sqlite_engines(url: DatabaseUrl) -> Engines:
    """Raises OSError: the file cannot be made or written."""
    make_folder(url.path.parent)
    _make_private(url.path)
    return Engines(
        usual=_sqlite(url.path),
        prompt=_sqlite(url.path),
        deadlines=Deadlines(),
    )


def postgresql_engines(url: DatabaseUrl) -> Engines:
    return Engines(
        usual=_postgresql(url, USUAL_STATEMENT_S, USUAL_IDLE_S, POOL_SIZE),
        prompt=_postgresql(url, PROMPT_STATEMENT_S, PROMPT_IDLE_S, PROMPT_POOL_SIZE),
        deadlines=Deadlines(),
    )


def _sqlite(path: Path) -> peewee.Database:
    # It was made at the start. A connection that finds it gone must not make an empty one.
    return peewee.SqliteDatabase(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        pragmas={
            "journal_mode": "wal",
            "synchronous": "full",
            "foreign_keys": 1,
            "cache_size": -16_000,
            "temp_store": "memory",
            "journal_size_limit": WAL_LEFT_BYTES,
        },
        timeout=CONNECT_BUSY_S,
    )


def _make_private(path: Path) -> None:
    """Make the file if it is not there; nobody but its owner may read it. SQLite gives its log the same mode.

    Raises OSError.
    """
    is_new = not path.exists()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    if is_new:
        inherit_owner(path, path.parent)
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        # Of an earlier version; another owner's file keeps the mode that its owner chose.
        with suppress(FileNotFoundError):
            if file.stat().st_uid == os.geteuid():
                file.chmod(PRIVATE)


def _postgresql(
    url: DatabaseUrl, statement_s: float, idle_s: float, connections: int
) -> peewee.Database:
    # Readings come in the order of their key. Before the first statistics PostgreSQL believes that
    # there are few, and would collect and sort all of them for each page.
    own = (
        f"-c statement_timeout={int(statement_s * 1000)} -c enable_bitmapscan=off"
        f" -c idle_in_transaction_session_timeout={int(idle_s * 1000)}"
    )
    given = {name: value for name, value in url.options.items() if name not in _OWN_OPTIONS}
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "client_encoding": "UTF8",
        **_KEEPALIVE,
        **given,
    }
    engine = Pool(
        url.options.get("dbname", url.name),
        user=url.options.get("user", url.user) or None,
        password=url.options.get("password", url.password) or None,
        host=url.options.get("host", url.host) or None,
        port=url.options.get("port", url.port),
        max_connections=connections,
        stale_timeout=STALE_S,
        timeout=POOL_WAIT_S,
        options=f"{own} {url.options.get('options', '')}".strip(),
        **options,
    )
    return cast("peewee.Database", engine)
