"""Upgrades the schema of a large database: makes a backup first, and asks systemd for time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import structlog

from godkaiser.errors.process import PassingCondition
from godkaiser.errors.storage import BackupRefused
from godkaiser.host.durable_file import make_folder
from godkaiser.storage.backup import backup
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import Database, sqlite_path

FOLDER = "backups"
PREFIX = "before-schema-"
KEPT = 2
"""Number of these backups to keep; older ones are removed after a new one is made."""

Busy = Callable[[str], AbstractContextManager[None]]
"""Tells the service manager that this takes time, until the context is left."""

log = structlog.get_logger("godkaiser.upgrade")


def upgrade(
    database: Database, data_dir: Path, busy: Busy = lambda _what: nullcontext()
) -> list[str]:
    """Upgrade; returns the names of the applied steps. An empty or up-to-date database gets no
    backup.

    Raises:
        PassingCondition: there is no space for a backup, or it failed; nothing has changed.
        StartupFailed: the schema is newer than this program.
    """
    missing = migrations.pending(database)
    if not missing:
        return []
    present = migrations.version_of(database)
    with busy(f"bringing the database up to date: {', '.join(missing)}"):
        if present:
            _back_up(database, data_dir / FOLDER, present)
        return migrations.migrate(database)


def _back_up(database: Database, folder: Path, schema: int) -> None:
    path = sqlite_path(database.url)
    if path is not None:
        _refuse_without_room(path, folder.parent)
    made = folder / f"{PREFIX}{migrations.NEWEST}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    log.info("backup_before_upgrade", folder=str(made))
    try:
        make_folder(folder)
        backup.create(database, made, time.time(), lambda *_how_far: None, schema=schema)
    except (BackupRefused, OSError) as error:
        reason = (
            f"{made}: {error}. Nothing was changed; without a backup the schema is not changed."
        )
        raise PassingCondition(reason=reason) from error
    for old in sorted(folder.glob(f"{PREFIX}*"), key=lambda it: it.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)


def _refuse_without_room(path: Path, folder: Path) -> None:
    """Raises PassingCondition."""
    needed = sum(
        file.stat().st_size
        for suffix in ("", "-wal")
        if (file := path.with_name(path.name + suffix)).exists()
    )
    free = shutil.disk_usage(folder).free
    if free < needed:
        reason = (
            f"before its schema is changed, the database is backed up to {folder / FOLDER}, and there is not enough"
            f" space: {needed} bytes are needed, {free} are free. Free some space, or make a backup elsewhere and"
            " run godkaiser migrate --no-backup."
        )
        raise PassingCondition(reason=reason)
