"""One database, SQLite or PostgreSQL, behind one small interface.

Connections belong to threads (peewee keeps one for each), so any thread may use the object; a
thread that ends calls `close_thread`. A caller waits no longer than its `Pace`. Whatever the
reason, a database that cannot be used always raises the same error, `DatabaseUnavailable`.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import peewee

from godkaiser.config import database_url
from godkaiser.config.database_url import DatabaseUrl
from godkaiser.errors.process import DatabaseAway, StartupFailed, startup_failure
from godkaiser.errors.storage import DatabaseInDoubt, DatabaseUnavailable
from godkaiser.host.extras import require
from godkaiser.storage.engine import driver, engines
from godkaiser.storage.engine.breaker import DatabaseBreaker
from godkaiser.storage.engine.engines import Engines, Pool
from godkaiser.storage.engine.statements import Statement
from godkaiser.storage.engine.unusable import unusable

# Plain cursors raise the drivers' own errors, everything else Peewee's.
AWAY: tuple[type[Exception], ...] = (
    peewee.DatabaseError,
    peewee.InterfaceError,
    sqlite3.DatabaseError,
    *driver.errors("DatabaseError", "InterfaceError"),
)
"""Errors of a database that cannot be reached, is locked, read-only, damaged or full, or lacks a
table.
"""
_CONTENT: tuple[type[Exception], ...] = (
    peewee.DataError,
    peewee.IntegrityError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    *driver.errors("DataError", "IntegrityError"),
)
_REFUSED_BY_SERVER: tuple[type[Exception], ...] = (
    peewee.ProgrammingError,
    *driver.errors("ProgrammingError"),
)
_ANSWERED: tuple[type[Exception], ...] = (*_REFUSED_BY_SERVER, sqlite3.ProgrammingError)
REFUSED: tuple[type[Exception], ...] = (
    *_CONTENT,
    sqlite3.InterfaceError,
    ValueError,
    OverflowError,
)
"""Errors that the content of one record can cause; other records are not affected."""

LONGEST_BUSY_S = 10.0
_AT_ONCE = 100
"""Statements in one round trip to the server."""


class Pace(msgspec.Struct, frozen=True):
    """The maximum time of one transaction, or of one statement outside of a transaction.

    `is_prompt`: uses its own connections, with a short wait for a locked database.
    """

    within_s: float
    is_prompt: bool = False


PROMPT = Pace(2.0, is_prompt=True)
"""For recorder and journal, on which the broker waits: after this they use the spool."""
SAVING = Pace(4.0)
"""For actors on which somebody waits."""
USUAL = Pace(10.0)
REPLAYING = Pace(20.0)
"""For the spool actor: nobody waits for it, but people look at its view."""
PATIENT = Pace(45.0)
"""For jobs on which nobody waits."""
UNLIMITED = Pace(float("inf"))
"""For the command line."""


class Database:
    """A database; make it with `open_database`."""

    def __init__(
        self,
        url: str,
        engines: Engines,
        *,
        is_sqlite: bool,
        pace: Pace = UNLIMITED,
        breaker: DatabaseBreaker | None = None,
        waits_for_breaker: bool = True,
        may_write: bool = True,
    ) -> None:
        self.url = url
        self.engine = engines.prompt if pace.is_prompt else engines.usual
        self.is_sqlite = is_sqlite
        self.breaker = breaker
        self._engines = engines
        self._pace = pace
        self._waits_for_breaker = waits_for_breaker
        self._may_write = may_write

    def behind(self, breaker: DatabaseBreaker) -> Database:
        """The same database behind a breaker; while that is open, every use fails at once."""
        return self._like(USUAL, breaker, waits=True)

    def probing(self, pace: Pace = PROMPT) -> Database:
        """The same database for a caller that always tries; its results update the breaker."""
        return self._like(pace, self.breaker, waits=False)

    def paced(self, pace: Pace) -> Database:
        """The same database with another pace."""
        return self._like(pace, self.breaker, waits=self._waits_for_breaker)

    def reading(self) -> Database:
        """The same database for requests, which only read: an actor makes their changes."""
        return self._like(self._pace, self.breaker, waits=self._waits_for_breaker, writes=False)

    def _like(
        self, pace: Pace, breaker: DatabaseBreaker | None, *, waits: bool, writes: bool = True
    ) -> Database:
        return Database(
            self.url,
            self._engines,
            is_sqlite=self.is_sqlite,
            pace=pace,
            breaker=breaker,
            waits_for_breaker=waits,
            may_write=writes,
        )

    @property
    def shown(self) -> str:
        """Its location, without the password."""
        return database_url.parse(self.url).shown

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One transaction; yields a cursor for plain SQL. Errors of the connection are translated.

        Raises:
            DatabaseInDoubt: the connection broke at the COMMIT.
            DatabaseUnavailable: nothing of it is stored.
        """
        assert self._may_write, "this is for reading: ask the actor that writes it"
        is_done = False
        is_whole = not self.is_sqlite and not self.engine.in_transaction()
        try:
            with self._session():
                # In SQLite a reader cannot wait to become a writer, so writers begin with
                # IMMEDIATE.
                engine = self.engine
                with engine.atomic("IMMEDIATE") if self.is_sqlite else engine.atomic():
                    yield cast("Any", engine).cursor()
                    is_done = is_whole
        except DatabaseUnavailable as error:
            if not is_done:
                raise
            raise DatabaseInDoubt(reason=error.details["reason"]) from error.__cause__

    def rows(self, query: Any) -> list[Any]:
        """All rows of a peewee query."""
        with self._session():
            return list(query.bind(self.engine).execute())

    def run(self, query: Any) -> Any:
        """Run an INSERT, UPDATE or DELETE of peewee in a transaction of its own."""
        with self.transaction():
            return query.bind(self.engine).execute()

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None:
        """One statement of plain SQL with `?` placeholders, within the caller's transaction."""
        assert self._may_write, "this is for reading: ask the actor that writes it"
        with self._session():
            cast("Any", self.engine).execute_sql(self.sql(sql), parameters)

    def execute_all(self, statements: Sequence[Statement]) -> None:
        """Run them in order, within the caller's transaction, in few round trips to the server."""
        with self._session():
            cursor = cast("Any", self.engine).cursor()
            if self.is_sqlite:
                for sql, parameters in statements:
                    cursor.execute(sql, parameters)
                return
            for first in range(0, len(statements), _AT_ONCE):
                cursor.execute(
                    b";".join(
                        cursor.mogrify(self.sql(sql), parameters)
                        for sql, parameters in statements[first : first + _AT_ONCE]
                    )
                )

    def fetch(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of plain SQL with `?` placeholders, on both engines."""
        with self._session():
            engine = cast("Any", self.engine)
            return list(engine.execute_sql(self.sql(sql), parameters).fetchall())

    def sql(self, text: str) -> str:
        """The statement with the placeholders of this engine."""
        return text if self.is_sqlite else text.replace("?", "%s")

    def close_thread(self) -> None:
        """Return this thread's connections."""
        for engine in self._engines.all():
            if not engine.is_closed():
                engine.close()

    def close_all(self) -> None:
        """At the end of the process: close the connections in the pools."""
        self.close_thread()
        for engine in self._engines.all():
            if isinstance(engine, Pool):
                engine.close_all()

    def hurry(self) -> None:
        """The process stops: end every use of the database within a second."""
        self._engines.deadlines.hurry()

    def is_alive(self) -> bool:
        """Whether a trivial statement succeeds now."""
        try:
            self.fetch("SELECT 1")
        except DatabaseUnavailable:
            return False
        return True

    @contextmanager
    def _session(self) -> Iterator[None]:
        """A connected session with a deadline, and with translated database errors."""
        # A transaction was already admitted by the breaker, and reports its outcome as a whole.
        if self.engine.in_transaction():
            with self._translated(None):
                yield
            return
        breaker = self.breaker
        if breaker is not None and self._waits_for_breaker:
            breaker.admit()
        with self._translated(breaker), self._connected():
            yield

    @contextmanager
    def _connected(self) -> Iterator[None]:
        self.engine.connect(reuse_if_open=True)
        if self.is_sqlite:
            # SQLite runs in this process, so a wait is always for a lock.
            busy_ms = int(min(self._pace.within_s, LONGEST_BUSY_S) * 1000)
            cast("Any", self.engine).connection().execute(f"PRAGMA busy_timeout = {busy_ms}")
            yield
            return
        deadlines = self._engines.deadlines
        wait = deadlines.begin(cast("Any", self.engine).connection(), self._pace.within_s)
        try:
            yield
        except AWAY as error:
            if wait.is_late:
                msg = f"no answer within {self._pace.within_s:g} s"
                raise peewee.OperationalError(msg) from error
            raise
        finally:
            deadlines.end(wait)

    @contextmanager
    def _translated(self, breaker: DatabaseBreaker | None) -> Iterator[None]:
        try:
            yield
        except _CONTENT:
            if breaker is not None:
                breaker.succeeded()
            raise
        except AWAY as error:
            reason = _reason_of(error)
            if isinstance(error, _ANSWERED):
                # Only this statement failed; the database may serve others.
                raise DatabaseUnavailable(reason=f"{self.shown}: {reason}") from error
            self._drop_connection()
            raise self._unavailable(reason) from error
        except DatabaseUnavailable:
            # The error ended the transaction of this statement.
            if not self.engine.in_transaction():
                self._drop_connection()
            raise
        except Exception as error:
            # The pool's error for "all connections are in use and none was returned in time".
            if isinstance(error, ValueError) and "connection" in str(error).lower():
                raise self._unavailable(str(error)) from error
            # The database has answered; the statement was wrong.
            if breaker is not None:
                breaker.succeeded()
            raise
        if breaker is not None:
            breaker.succeeded()

    def _unavailable(self, reason: str) -> DatabaseUnavailable:
        text = f"{self.shown}: {reason}"
        if self.breaker is not None:
            self.breaker.failed(text)
        return DatabaseUnavailable(reason=text)

    def _drop_connection(self) -> None:
        """Drop a broken connection, so that it is not used again; closing it may fail for the same
        reason.
        """
        try:
            if not self.engine.is_closed():
                if isinstance(self.engine, Pool):
                    self.engine.manual_close()
                else:
                    self.engine.close()
        except peewee.PeeweeException:
            return
        # The idle connections in the pools have most likely broken, too.
        for engine in self._engines.all():
            if isinstance(engine, Pool):
                engine.drop_idle()


def open_database(url: str) -> Database:
    """Open `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...`.

    Raises:
        DatabaseAway: a later try may succeed.
        StartupFailed: the file or server cannot be used; the text says what to do.
    """
    try:
        place = database_url.parse(url)
    except ValueError as error:
        reason = (
            f"[database] url is {error}: use sqlite:///var/godkaiser.db or"
            " postgresql://user:password@host/name"
        )
        raise StartupFailed(reason=reason) from error
    return _open_sqlite(url, place) if place.is_sqlite else _open_postgresql(url, place)


def open_present(url: str) -> Database:
    """Open an existing database: a command must not create an empty one in a wrong place.

    Raises:
        StartupFailed: as `open_database`, and if there is no database.
    """
    path = sqlite_path(url)
    if path is not None:
        try:
            is_there = path.stat().st_size > 0
        except FileNotFoundError:
            is_there = False
        except OSError as error:
            raise startup_failure(f"database file {path}: {error.strerror}.", error) from error
        if not is_there:
            reason = f"there is no database in {path}. Use the --config of the gateway."
            raise StartupFailed(reason=reason)
    return open_database(url)


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL, and for an invalid URL."""
    try:
        place = database_url.parse(url)
    except ValueError:
        return None
    return place.path if place.is_sqlite else None


def _open_sqlite(url: str, place: DatabaseUrl) -> Database:
    try:
        made = engines.sqlite_engines(place)
    except OSError as error:
        advice = (
            "Make it writable for the user that runs the gateway, or choose another [database] url."
        )
        if error.errno == errno.EISDIR:
            advice = "Name a file in it: [database] url is the path of a file."
        reason = f"database file {place.path}: {error.strerror}. {advice}"
        raise startup_failure(reason, error) from error
    database = Database(url, made, is_sqlite=True)
    try:
        database.fetch("SELECT count(*) FROM sqlite_master")
    except DatabaseUnavailable as error:
        database.close_all()
        raise unusable(error) from error
    return database


def _open_postgresql(url: str, place: DatabaseUrl) -> Database:
    require("postgresql", "A PostgreSQL URL in [database] url")
    database = Database(url, engines.postgresql_engines(place), is_sqlite=False)
    try:
        ((encoding,),) = database.fetch("SHOW server_encoding")
    except DatabaseUnavailable as error:
        database.close_all()
        why = error.details["reason"]
        if isinstance(error.__cause__, _REFUSED_BY_SERVER):
            reason = f"{why}. Correct the options in [database] url."
            raise StartupFailed(reason=reason) from error
        reason = (
            f"{why}. Check that PostgreSQL runs there and that the user, password and database name in"
            " [database] url are right."
        )
        raise DatabaseAway(reason=reason) from error
    if encoding != "UTF8":
        database.close_all()
        reason = (
            f"{database.shown} has the encoding {encoding}, which cannot store every text. Create one with"
            f" UTF-8: createdb --encoding=UTF8 --locale=C --template=template0 {place.name}_utf8, and"
            " name it in [database] url."
        )
        raise StartupFailed(reason=reason)
    return database


def _reason_of(error: BaseException) -> str:
    """In one line. SQLite ends the transaction itself when the disk is full: then the rollback fails, too,
    and hides why.
    """
    while str(error).startswith("cannot rollback") and error.__context__ is not None:
        error = error.__context__
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
