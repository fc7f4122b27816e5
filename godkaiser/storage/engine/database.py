"""One database, SQLite or PostgreSQL, behind one small face.

Connections belong to threads (peewee keeps one for each), so any thread may use the object; one
that ends calls `close_thread`. Whoever uses it waits no longer than its `Pace` says, and a database that
takes no more, for whatever reason, is always the same error, `DatabaseUnavailable`.
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
"""A database that cannot be reached, is locked, read-only, damaged or full, or lacks a table."""
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
"""What the content of a single record can do to a statement; another record does not have it."""

LONGEST_BUSY_S = 10.0
_AT_ONCE = 100
"""Statements in one journey to the server."""


class Pace(msgspec.Struct, frozen=True):
    """How long one transaction, or one statement outside of one, may take.

    `is_prompt`: with connections of their own, on which a locked database is given up soon.
    """

    within_s: float
    is_prompt: bool = False


PROMPT = Pace(2.0, is_prompt=True)
"""Of recorder and journal, which hold up the broker: then they take the spool."""
SAVING = Pace(4.0)
"""Of actors that somebody waits for."""
USUAL = Pace(10.0)
REPLAYING = Pace(20.0)
"""Of the spool's keeper, that nobody waits for, but whose view people look at."""
PATIENT = Pace(45.0)
"""Of jobs that nobody waits for."""
UNLIMITED = Pace(float("inf"))
"""Of the command line."""


class Database:
    """Made by `open_database`."""

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
        """The same database; while the breaker is open, every use fails at once."""
        return self._like(USUAL, breaker, waits=True)

    def probing(self, pace: Pace = PROMPT) -> Database:
        """The same database for who must try, and tells the breaker how it went."""
        return self._like(pace, self.breaker, waits=False)

    def paced(self, pace: Pace) -> Database:
        """The same database for one that has another time than others."""
        return self._like(pace, self.breaker, waits=self._waits_for_breaker)

    def reading(self) -> Database:
        """The same database for requests: what is to be written is asked of an actor."""
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
        """Where it is, without the password."""
        return database_url.parse(self.url).shown

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One transaction; yields a cursor for plain SQL. Errors of the link are translated.

        Raises:
            DatabaseInDoubt: the link broke at the COMMIT.
            DatabaseUnavailable: nothing of it is stored.
        """
        assert self._may_write, "this is for reading: ask the actor that writes it"
        is_done = False
        is_whole = not self.is_sqlite and not self.engine.in_transaction()
        try:
            with self._session():
                # A reader that turns into a writer could not wait for its turn: writers say so first.
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
        """Run them in order, within the caller's transaction, in few journeys to the server."""
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
        """Give back this thread's connections."""
        for engine in self._engines.all():
            if not engine.is_closed():
                engine.close()

    def close_all(self) -> None:
        """At the end of the process: give back what the pools still hold."""
        self.close_thread()
        for engine in self._engines.all():
            if isinstance(engine, Pool):
                engine.close_all()

    def hurry(self) -> None:
        """The process stops: every use of the database ends within a second."""
        self._engines.deadlines.hurry()

    def is_alive(self) -> bool:
        """Whether a trivial statement runs now."""
        try:
            self.fetch("SELECT 1")
        except DatabaseUnavailable:
            return False
        return True

    @contextmanager
    def _session(self) -> Iterator[None]:
        """Connected, watched, and every error of the database translated."""
        # Within a transaction it was let through already, and its outcome is told as a whole.
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
            # Who waits here waits for a lock: SQLite itself is in this process.
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
                # Others may be served: it is this statement that it cannot carry out.
                raise DatabaseUnavailable(reason=f"{self.shown}: {reason}") from error
            self._drop_connection()
            raise self._unavailable(reason) from error
        except DatabaseUnavailable:
            # Of a statement within a transaction, which has ended now.
            if not self.engine.in_transaction():
                self._drop_connection()
            raise
        except Exception as error:
            # The pool's word for "all connections are in use and none came back in time".
            if isinstance(error, ValueError) and "connection" in str(error).lower():
                raise self._unavailable(str(error)) from error
            # It has answered; what is wrong is what it was asked.
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
        """A broken connection must not be used again; closing it may fail for the same reason."""
        try:
            if not self.engine.is_closed():
                if isinstance(self.engine, Pool):
                    self.engine.manual_close()
                else:
                    self.engine.close()
        except peewee.PeeweeException:
            return
        # Those that wait in the pools have most likely broken with it.
        for engine in self._engines.all():
            if isinstance(engine, Pool):
                engine.drop_idle()


def open_database(url: str) -> Database:
    """Open `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...`.

    Raises:
        DatabaseAway: it may only be a matter of time.
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
    """Open a database that is there already: a command must not make an empty one in a wrong place.

    Raises:
        StartupFailed: as `open_database`, and where there is none.
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
            reason = f"there is no database in {path}. Give the gateway's own --config."
            raise StartupFailed(reason=reason)
    return open_database(url)


def sqlite_path(url: str) -> Path | None:
    """The file of a database; None for PostgreSQL, and for a URL that `open_database` refuses."""
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
            f"{database.shown} has the encoding {encoding}, which cannot hold every text. Make one that"
            f" can: createdb --encoding=UTF8 --locale=C --template=template0 {place.name}_utf8, and"
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
