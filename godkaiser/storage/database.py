"""One database, SQLite or PostgreSQL, behind one small face.

Connections belong to threads (peewee keeps one for each), so any thread may use the object; one
that ends calls `close_thread`. Statements run with a time limit, and a database that is away is
always the same error, `DatabaseUnavailable`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import peewee
import psycopg2
from playhouse.pool import PooledPostgresqlDatabase

from godkaiser.durable_file import make_folder
from godkaiser.errors import (
    DatabaseAway,
    DatabaseUnavailable,
    StartupFailed,
    startup_failure,
)
from godkaiser.storage.database_breaker import DatabaseBreaker

SQLITE_BUSY_S = 10.0
POOL_SIZE = 10
POOL_OVERFLOW = 20
POOL_WAIT_S = 30
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 30_000
# Plain cursors raise the drivers' own errors, everything else Peewee's.
AWAY = (
    peewee.OperationalError,
    peewee.InterfaceError,
    sqlite3.OperationalError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
)
REFUSED = (
    peewee.DataError,
    peewee.IntegrityError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    psycopg2.DataError,
    psycopg2.IntegrityError,
    ValueError,
    OverflowError,
)
"""What the content of a single record can do to a statement; another record does not have it."""


class Database:
    """Made by `open_database`."""

    def __init__(
        self,
        url: str,
        engine: peewee.Database,
        *,
        is_sqlite: bool,
        breaker: DatabaseBreaker | None = None,
        waits_for_breaker: bool = True,
    ) -> None:
        self.url = url
        self.engine = engine
        self.is_sqlite = is_sqlite
        self.breaker = breaker
        self._waits_for_breaker = waits_for_breaker

    def behind(self, breaker: DatabaseBreaker) -> Database:
        """The same database; while the breaker is open, every use fails at once."""
        return Database(self.url, self.engine, is_sqlite=self.is_sqlite, breaker=breaker)

    def probing(self) -> Database:
        """The same database for who must try, and tells the breaker how it went."""
        return Database(
            self.url,
            self.engine,
            is_sqlite=self.is_sqlite,
            breaker=self.breaker,
            waits_for_breaker=False,
        )

    @property
    def shown(self) -> str:
        """Where it is, without the password."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}{parts.path}"

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One transaction; yields a cursor for plain SQL. Errors of the link are translated."""
        with self._translated():
            self.engine.connect(reuse_if_open=True)
            # A reader that turns into a writer could not wait for its turn: writers say so first.
            manager = self.engine.atomic("IMMEDIATE") if self.is_sqlite else self.engine.atomic()
            with manager:
                yield cast("Any", self.engine).cursor()

    def rows(self, query: Any) -> list[Any]:
        """All rows of a peewee query."""
        with self._translated():
            self.engine.connect(reuse_if_open=True)
            return list(query.bind(self.engine).execute())

    def run(self, query: Any) -> Any:
        """Run an INSERT, UPDATE or DELETE of peewee in a transaction of its own."""
        with self.transaction():
            return query.bind(self.engine).execute()

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None:
        """One statement of plain SQL with `?` placeholders, within the caller's transaction."""
        with self._translated():
            cast("Any", self.engine).execute_sql(self.sql(sql), parameters)

    def fetch(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of plain SQL with `?` placeholders, on both engines."""
        with self._translated():
            self.engine.connect(reuse_if_open=True)
            engine = cast("Any", self.engine)
            return list(engine.execute_sql(self.sql(sql), parameters).fetchall())

    def sql(self, text: str) -> str:
        """The statement with the placeholders of this engine."""
        return text if self.is_sqlite else text.replace("?", "%s")

    def close_thread(self) -> None:
        """Give back this thread's connection."""
        if not self.engine.is_closed():
            self.engine.close()

    def close_all(self) -> None:
        """At the end of the process: give back what the pool still holds."""
        self.close_thread()
        if isinstance(self.engine, PooledPostgresqlDatabase):
            self.engine.close_all()

    def is_alive(self) -> bool:
        """Whether a trivial statement runs now."""
        try:
            self.fetch("SELECT 1")
        except DatabaseUnavailable:
            return False
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        breaker = self.breaker
        # Within a transaction it was let through already, and its outcome is told as a whole.
        is_outermost = breaker is not None and not self.engine.in_transaction()
        if breaker is not None and is_outermost and self._waits_for_breaker:
            breaker.admit()
        try:
            yield
        except AWAY as error:
            self._drop_connection()
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            raise self._unavailable(reason) from error
        except DatabaseUnavailable:
            raise
        except Exception as error:
            # The pool's word for "all connections are in use and none came back in time".
            if isinstance(error, ValueError) and "connection" in str(error).lower():
                raise self._unavailable(str(error)) from error
            # It has answered; what is wrong is what it was asked.
            if breaker is not None and is_outermost:
                breaker.succeeded()
            raise
        if breaker is not None and is_outermost:
            breaker.succeeded()

    def _unavailable(self, reason: str) -> DatabaseUnavailable:
        text = f"{self.shown}: {reason}"
        if self.breaker is not None:
            self.breaker.failed(text)
        return DatabaseUnavailable(reason=text)

    def _drop_connection(self) -> None:
        """A broken connection must not be used again; closing it may fail for the same reason."""
        try:
            if not self.engine.is_closed():
                if isinstance(self.engine, PooledPostgresqlDatabase):
                    self.engine.manual_close()
                else:
                    self.engine.close()
        except peewee.PeeweeException:
            return


def open_database(url: str) -> Database:
    """Open `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...`.

    Raises:
        StartupFailed: the file or server cannot be used; the text says what to do.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _open_sqlite(url, sqlite_path(url))
    if parts.scheme in {"postgresql", "postgres"}:
        return _open_postgresql(url)
    reason = (
        f"database url '{parts.scheme}:...': the scheme must be sqlite or postgresql, as in"
        " sqlite:///var/godkaiser.db or postgresql://user:password@host/name"
    )
    raise StartupFailed(reason=reason)


def open_present(url: str) -> Database:
    """Open a database that is there already: a command must not make an empty one in a wrong place.

    Raises:
        StartupFailed: as `open_database`, and where there is none.
    """
    if url.startswith("sqlite:"):
        path = sqlite_path(url)
        try:
            is_there = path.stat().st_size > 0
        except FileNotFoundError:
            is_there = False
        except OSError as error:
            raise startup_failure(f"database file {path}: {error.strerror}.", error) from error
        if not is_there:
            reason = f"there is no database in {path}. Give the gateway's own --config."
            raise StartupFailed(reason=reason)
    return open_database(url)


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///...` url."""
    return Path(unquote(urlsplit(url).path.removeprefix("/")))


def _open_sqlite(url: str, path: Path) -> Database:
    try:
        make_folder(path.parent)
        _make_private(path)
    except OSError as error:
        reason = (
            f"database file {path}: {error.strerror}. Make it writable for the user that runs the"
            " gateway, or choose another [database] url."
        )
        raise startup_failure(reason, error) from error
    engine = peewee.SqliteDatabase(
        str(path),
        pragmas={
            "journal_mode": "wal",
            "synchronous": "full",
            "foreign_keys": 1,
            "busy_timeout": int(SQLITE_BUSY_S * 1000),
            "cache_size": -16_000,
            "temp_store": "memory",
        },
        timeout=SQLITE_BUSY_S,
    )
    database = Database(url, engine, is_sqlite=True)
    try:
        engine.connect(reuse_if_open=True)
        cast("Any", engine).execute_sql("SELECT count(*) FROM sqlite_master").fetchall()
    except peewee.OperationalError as error:
        # Locked by a tool, its disk is full or gives errors: what may pass.
        database.close_thread()
        reason = f"database file {path}: {error}. Is another program using it?"
        raise DatabaseAway(reason=reason) from error
    except peewee.DatabaseError as error:
        database.close_thread()
        reason = (
            f"database file {path}: {error}. It is not a SQLite database, it is damaged, or it is"
            " not writable. Move it away, or restore a backup."
        )
        raise StartupFailed(reason=reason) from error
    return database


def _make_private(path: Path) -> None:
    """Make the file if it is not there; nobody but its owner may read it. SQLite gives its log the same mode.

    Raises OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        # Of an earlier version; another owner's file keeps the mode that its owner chose.
        with suppress(FileNotFoundError):
            if file.stat().st_uid == os.geteuid():
                file.chmod(0o600)


def _open_postgresql(url: str) -> Database:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    engine = PooledPostgresqlDatabase(
        unquote(parts.path.lstrip("/")),
        user=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        host=options.pop("host", parts.hostname),
        port=parts.port,
        max_connections=POOL_SIZE + POOL_OVERFLOW,
        stale_timeout=300,
        timeout=POOL_WAIT_S,
        connect_timeout=CONNECT_TIMEOUT_S,
        # Readings come in the order of their key. Before the first statistics PostgreSQL believes that
        # there are few, and would collect and sort all of them for each page.
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c enable_bitmapscan=off",
        **options,
    )
    database = Database(url, cast("peewee.Database", engine), is_sqlite=False)
    try:
        database.fetch("SELECT 1")
    except DatabaseUnavailable as error:
        reason = (
            f"{error.details['reason']}. Check that PostgreSQL runs there and that the user,"
            " password and database name in [database] url are right."
        )
        database.close_all()
        raise DatabaseAway(reason=reason) from error
    return database
