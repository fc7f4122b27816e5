"""Peewee's engines, which open connections: SQLite and PostgreSQL, two of each kind.

The prompt engine has its own connections with short statement timeouts: neither a slow query nor a
connection attempt elsewhere delays them.
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
"""After this idle time the server ends a transaction. Otherwise a client whose link is cut would
keep its locks for hours, including the lock for the end of the audit trail.
"""
POOL_SIZE = 30
PROMPT_POOL_SIZE = 10
POOL_WAIT_S = 5
STALE_S = 300
WAL_LEFT_BYTES = 64 * 1024 * 1024
"""Size to which SQLite's log is truncated; otherwise one long query would enlarge it for good."""
CONNECT_BUSY_S = 2.0
CONNECT_TIMEOUT_S = 2
"""Also for a server that accepts the connection and does not answer. The minimum of libpq."""
PRIVATE = 0o600
# The kernel detects a peer that disappeared; `Deadlines` detect one that is silent.
_KEEPALIVE = {
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
}
_OWN_OPTIONS = ("host", "port", "user", "password", "dbname", "options")


class Pool(PooledPostgresqlDatabase):  # type: ignore[misc] # peewee has no types
    """A pool that does not check with the server whether a connection is alive: that would be a
    round trip without a deadline, while all others wait for the pool. A closed connection is
    detected at the socket; any other broken one by its first statement.
    """

    def _is_closed(self, conn: Any) -> bool:
        return bool(conn.closed) or _has_something_to_read(conn.fileno())

    def _can_reuse(self, conn: Any) -> bool:
        return bool(conn.get_transaction_status() == TRANSACTION_STATUS_IDLE)

    def drop_idle(self) -> None:
        """Close the idle connections, unless another thread uses the pool."""
        if self._pool_lock.acquire(blocking=False):
            try:
                self.close_idle()
            finally:
                self._pool_lock.release()


def _has_something_to_read(socket: int) -> bool:
    """For an idle connection, readable data means that it has ended."""
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
    """Raises OSError if the file cannot be created or written."""
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
    """Create the file if it does not exist; only its owner may read it. SQLite gives its log the
    same mode.

    Raises OSError.
    """
    is_new = not path.exists()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    if is_new:
        inherit_owner(path, path.parent)
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        # A file of an earlier version; a file of another user keeps its mode.
        with suppress(FileNotFoundError):
            if file.stat().st_uid == os.geteuid():
                file.chmod(PRIVATE)


def _postgresql(
    url: DatabaseUrl, statement_s: float, idle_s: float, connections: int
) -> peewee.Database:
    # Readings are read in the order of their key. Without statistics PostgreSQL expects few rows,
    # and would collect and sort all of them for each page.
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
