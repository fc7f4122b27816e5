"""`godkaiser backup`, `restore` and `migrate-data`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from godkaiser.cli.command_line import Console, JsonOption, tell
from godkaiser.cli.exits import EXIT_NOT_GOOD, fail_with, settings_from
from godkaiser.errors.base import GatewayError
from godkaiser.host.data_folder import open_data_folder

app = Console()

Configured = Annotated[Path | None, typer.Option(help="The configuration of the gateway.")]


@app.command()
def backup(
    to: Annotated[Path, typer.Option(help="A new folder.")],
    config: Configured = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Back up the database, even while a gateway runs; verified, with a manifest."""
    from godkaiser.storage.backup import backup as backups
    from godkaiser.storage.engine.database import open_present

    settings = settings_from(config)
    try:
        database = open_present(settings.database_url)
        try:
            manifest = backups.create(database, to, time.time(), _Shown())
        finally:
            database.close_all()
    except GatewayError as error:
        fail_with(error, EXIT_NOT_GOOD)
    size = sum(file.bytes for file in manifest.files.values())
    text = f"{to}: {sum(manifest.tables.values()):,} rows, {size:,} bytes, checked"
    tell(manifest, text, as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Option("--from", help="The folder of a backup.")],
    config: Configured = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace existing data.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty database, with the gateway stopped."""
    from godkaiser.storage.backup import backup as backups

    settings = settings_from(config)
    try:
        lock = open_data_folder(settings)
        try:
            manifest = backups.restore(settings.database_url, source, _Shown(), force=force)
        finally:
            lock.release()
    except GatewayError as error:
        fail_with(error, EXIT_NOT_GOOD)
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.created_at))
    text = (
        f"restored {sum(manifest.tables.values()):,} rows of {made}, counts compared\n"
        "Stops are not in a backup: the latch on this box is unchanged (docs/operations.md)."
    )
    tell(manifest, text, as_json=as_json)


@app.command(name="migrate-data")
def migrate_data(
    to: Annotated[
        str, typer.Option(help="postgresql://USER:PASSWORD@HOST/NAME of an empty database.")
    ],
    config: Configured = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Move all data from SQLite to PostgreSQL, with the gateway stopped; can be resumed."""
    from godkaiser.storage.engine.database import open_database, open_present
    from godkaiser.storage.engine.move import move

    settings = settings_from(config)
    try:
        lock = open_data_folder(settings)
        try:
            source = open_present(settings.database_url)
            target = open_database(to)
            try:
                counts = move(source, target, _Shown())
            finally:
                source.close_all()
                target.close_all()
        finally:
            lock.release()
    except GatewayError as error:
        fail_with(error, EXIT_NOT_GOOD)
    text = (
        f"{sum(counts.values()):,} rows in {len(counts)} tables, counts compared\n"
        "Now set [database] url to this database, and start the gateway."
    )
    tell({"tables": counts}, text, as_json=as_json)


class _Shown:
    """Shows progress: at most one line a second, and one at the end of each part."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told_at < 1.0 and not (total and done >= total):
            return
        self._told_at = now
        share = f" of {total:,} ({100 * done / total:.0f} %)" if total else ""
        typer.echo(f"  {what}: {done:,}{share}", err=True)
