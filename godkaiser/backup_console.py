"""`godkaiser backup`, `restore` and `migrate-data`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from godkaiser.config import Config, ConfigError, load
from godkaiser.durable_file import make_folder
from godkaiser.errors import GatewayError
from godkaiser.single_instance import DataFolderLock

app = typer.Typer()

EXIT_CONFIG = 78
EXIT_REFUSED = 1
Configured = Annotated[Path | None, typer.Option(help="The configuration of the gateway.")]


@app.command()
def backup(
    to: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    config: Configured = None,
) -> None:
    """Back up the database, also beside a running gateway; checked, with a manifest."""
    from godkaiser.storage import backup as backups
    from godkaiser.storage.database import open_database

    settings = _load(config)
    try:
        database = open_database(settings.database_url)
        try:
            manifest = backups.create(database, to, time.time(), _Shown())
        finally:
            database.close_all()
    except GatewayError as error:
        _fail(error)
    size = sum(file.bytes for file in manifest.files.values())
    typer.echo(f"{to}: {sum(manifest.tables.values()):,} rows, {size:,} bytes, checked")


@app.command()
def restore(
    source: Annotated[Path, typer.Option("--from", help="The folder of a backup.")],
    config: Configured = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Restore a backup into an empty database, with the gateway stopped."""
    from godkaiser.storage import backup as backups

    settings = _load(config)
    try:
        lock = _lock(settings)
        try:
            manifest = backups.restore(settings.database_url, source, _Shown(), force=force)
        finally:
            lock.release()
    except GatewayError as error:
        _fail(error)
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.created_at))
    typer.echo(f"restored {sum(manifest.tables.values()):,} rows of {made}, counts compared")
    typer.echo("Stops are not in a backup: what is latched here stays so (docs/operations.md).")


@app.command(name="migrate-data")
def migrate_data(
    to: Annotated[str, typer.Option(help="postgresql://USER:PASSWORD@HOST/NAME, empty.")],
    config: Configured = None,
) -> None:
    """Move everything from SQLite to PostgreSQL, with the gateway stopped; goes on where it ended."""
    from godkaiser.storage.database import open_database
    from godkaiser.storage.move import move

    settings = _load(config)
    try:
        lock = _lock(settings)
        try:
            source = open_database(settings.database_url)
            target = open_database(to)
            try:
                counts = move(source, target, _Shown())
            finally:
                source.close_all()
                target.close_all()
        finally:
            lock.release()
    except GatewayError as error:
        _fail(error)
    typer.echo(f"{sum(counts.values()):,} rows in {len(counts)} tables, counts compared")
    typer.echo("Now set [database] url to it, and start the gateway.")


class _Shown:
    """A line a second at most, and one for the end of each part."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told_at < 1.0 and not (total and done >= total):
            return
        self._told_at = now
        share = f" of {total:,} ({100 * done / total:.0f} %)" if total else ""
        typer.echo(f"  {what}: {done:,}{share}", err=True)


def _load(config: Path | None) -> Config:
    try:
        return load(config, os.environ)
    except ConfigError as error:
        typer.echo(f"godkaiser: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from error


def _lock(settings: Config) -> DataFolderLock:
    make_folder(settings.data_dir)
    return DataFolderLock(settings.data_dir)


def _fail(error: GatewayError) -> NoReturn:
    typer.echo(f"godkaiser: {error.message}", err=True)
    raise typer.Exit(EXIT_REFUSED) from error
