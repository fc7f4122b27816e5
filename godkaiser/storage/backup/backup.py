"""Backup of a database in use, and restore.

SQLite: its backup API, within one read transaction, so that writers neither wait nor make it
restart.
PostgreSQL: every table by COPY, compressed, from one snapshot. The schema is not in the backup,
because the migrations create it.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

from godkaiser import __version__
from godkaiser.errors.storage import BackupRefused
from godkaiser.host.durable_file import put_in_place
from godkaiser.storage.backup import folder as backup_folder
from godkaiser.storage.backup.folder import FORMAT, Manifest
from godkaiser.storage.engine import driver, migrations, tables
from godkaiser.storage.engine.database import Database, open_database, sqlite_path

SQLITE_FILE = "database.sqlite"
PAGES_A_STEP = 2000
_FAILURES: tuple[type[Exception], ...] = (OSError, sqlite3.Error, *driver.errors("Error"))
Progress = Callable[[str, int, int], None]
"""Arguments: what, the amount done, the total amount (0: unknown)."""


def create(
    database: Database, folder: Path, now: float, progress: Progress, *, schema: int | None = None
) -> Manifest:
    """Make a backup in `folder`, which must not exist yet; also while a gateway runs.

    `schema` is the version of a database that is not upgraded yet.

    Raises:
        BackupRefused: the text says why; no incomplete backup is left.
    """
    missing = migrations.pending(database)
    if missing and schema is None:
        raise BackupRefused(
            reason=f"the schema lacks {', '.join(missing)}: run godkaiser migrate first"
        )
    backup_folder.make_folder(folder)
    try:
        make = _copy_sqlite if database.is_sqlite else _copy_postgresql
        counts = make(database, folder, progress, schema or migrations.NEWEST)
        files = {path.name: backup_folder.describe(path) for path in sorted(folder.iterdir())}
        manifest = Manifest(
            format=FORMAT,
            program=__version__,
            created_at=now,
            engine=_engine(database),
            schema=migrations.version_of(database),
            tables=counts,
            files=files,
        )
        backup_folder.write_manifest(folder, manifest)
    except _FAILURES as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = f"the backup failed: {str(error).strip()}. Its files were removed."
        raise BackupRefused(reason=reason) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


def restore(url: str, folder: Path, progress: Progress, *, force: bool) -> Manifest:
    """Restore the backup into the database at `url`; on an error the database is unchanged.

    The caller holds the data folder's lock. With `force` existing data is replaced (SQLite: moved
    aside).

    Raises:
        BackupRefused, StartupFailed
    """
    manifest = backup_folder.check(folder)
    if manifest.schema > migrations.NEWEST:
        raise BackupRefused(
            reason=f"{folder} has schema version {manifest.schema}, this program supports"
            f" {migrations.NEWEST}. Install God-Kaiser {manifest.program} or newer."
        )
    database = open_database(url)
    try:
        if _engine(database) != manifest.engine:
            raise BackupRefused(
                reason=f"{folder} is a backup of {manifest.engine}, but [database] url is {_engine(database)}."
                " Restore it to the same engine; godkaiser migrate-data moves SQLite to PostgreSQL."
            )
        there = tables.filled(database)
        if there and not force:
            raise BackupRefused(
                reason=f"{database.shown} is not empty ({', '.join(there[:3])} ...)."
                " Restore into an empty database, or use --force to replace its contents."
            )
        if database.is_sqlite:
            _restore_sqlite(database, folder, manifest, keep=bool(there))
        else:
            _restore_postgresql(database, folder, manifest, progress)
    finally:
        database.close_all()
    return manifest


def _file_of(database: Database) -> Path:
    path = sqlite_path(database.url)
    assert path is not None
    return path


def _engine(database: Database) -> str:
    return "sqlite" if database.is_sqlite else "postgresql"


def _copy_sqlite(
    database: Database, folder: Path, progress: Progress, _schema: int
) -> dict[str, int]:
    target = folder / SQLITE_FILE

    def show(_status: int, remaining: int, total: int) -> None:
        progress("pages", total - remaining, total)

    with (
        closing(sqlite3.connect(_file_of(database), isolation_level=None)) as source,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # One snapshot for all steps: without it each commit of the recorder would restart the copy.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM schema_version").fetchone()
        source.backup(copy, pages=PAGES_A_STEP, progress=show, sleep=0.0)
        source.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")
        return _examine(copy, target)


def _examine(connection: sqlite3.Connection, path: Path) -> dict[str, int]:
    """The row count of each table; raises BackupRefused if the file is damaged."""
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise BackupRefused(
            reason=f"{path} is damaged: {found}. Check the disk; godkaiser audit verify and older"
            " backups show since when."
        )
    (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return {
        name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
        for name in tables.names(version)
    }


def _copy_postgresql(
    database: Database, folder: Path, progress: Progress, schema: int
) -> dict[str, int]:
    counts: dict[str, int] = {}
    names = tables.names(schema)
    with database.transaction() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        for name in names:
            listed = ", ".join(tables.columns(database, name))
            with gzip.open(folder / f"{name}.copy.gz", "wb", compresslevel=1) as file:
                counter = _CountingLines(cast("IO[bytes]", file), name, progress)
                cursor.copy_expert(f"COPY {name} ({listed}) TO STDOUT", counter)
            counts[name] = counter.lines
    return counts


class _CountingLines:
    """Counts rows as lines: COPY's text format has no other line ends."""

    def __init__(self, file: IO[bytes], name: str, progress: Progress) -> None:
        self.lines = 0
        self._file = file
        self._name = name
        self._progress = progress

    def write(self, data: bytes) -> int:
        self.lines += data.count(b"\n")
        self._progress(self._name, self.lines, 0)
        return self._file.write(data)


def _restore_sqlite(database: Database, folder: Path, manifest: Manifest, *, keep: bool) -> None:
    path = _file_of(database)
    fresh = path.with_name(f"{path.name}.restoring")
    shutil.copyfile(folder / SQLITE_FILE, fresh)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
        _compare(_examine(copy, fresh), manifest)
    backup_folder.describe(fresh)
    shutil.copymode(path, fresh)
    # Write the log into the file first, so that the moved file is complete, and the new file has no
    # old log.
    ((is_busy, _, _),) = database.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close_all()
    if is_busy:
        fresh.unlink()
        raise BackupRefused(
            reason=f"{path} is in use by another program, so its newest data cannot be moved aside with"
            " it. End that program and try again. Nothing was changed."
        )
    if keep:
        path.rename(path.with_name(f"{path.name}.before-restore-{int(time.time())}"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    put_in_place(fresh, path)


def _restore_postgresql(
    database: Database, folder: Path, manifest: Manifest, progress: Progress
) -> None:
    ((others,),) = database.fetch(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL"
        " AND backend_type = 'client backend'"
    )
    if others:
        raise BackupRefused(
            reason=f"{database.shown} is in use by {others} other connections: a gateway runs on it."
            " Stop it first."
        )
    names = tables.names(manifest.schema)
    with database.transaction() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        for name in ("schema_version", *tables.present(database)):
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
        migrations.migrate(database, until=manifest.schema)
        for name in names:
            cursor.execute(f"DELETE FROM {name}")
            _load(database, cursor, folder, name)
            progress(name, tables.count(database, name), manifest.tables.get(name, 0))
        tables.set_sequences(database, names)
        _compare({name: tables.count(database, name) for name in names}, manifest)


def _load(database: Database, cursor: Any, folder: Path, name: str) -> None:
    listed = ", ".join(tables.columns(database, name))
    with gzip.open(folder / f"{name}.copy.gz", "rb") as file:
        cursor.copy_expert(f"COPY {name} ({listed}) FROM STDIN", file)


def _compare(found: dict[str, int], manifest: Manifest) -> None:
    wrong = [
        f"{name}: {found.get(name, 0)} rows, not {rows}"
        for name, rows in manifest.tables.items()
        if found.get(name, 0) != rows
    ]
    if wrong:
        raise BackupRefused(
            reason=f"the restored tables differ from the backup ({'; '.join(wrong)})."
            " Nothing was changed; choose another backup."
        )
