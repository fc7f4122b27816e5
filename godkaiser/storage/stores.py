"""Opens the gateway's stores: the database, and the spool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext

from godkaiser.config.settings import Config
from godkaiser.domain.declared import Declared
from godkaiser.domain.records.breaker import BreakerPolicy
from godkaiser.errors.process import DatabaseAway, StartupFailed, startup_failure
from godkaiser.errors.storage import DatabaseUnavailable, SpoolUnavailable
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.breaker import DatabaseBreaker
from godkaiser.storage.engine.database import Database, open_database, sqlite_path
from godkaiser.storage.engine.unusable import unusable
from godkaiser.storage.engine.upgrade import Busy, upgrade
from godkaiser.storage.repositories import declaration
from godkaiser.storage.spool.spool import Spool, WhenFull

TRACES = ("safety.latch", "jwt.key")
"""Files that exist only if the gateway has had a database."""
LOST = (
    "{what} is empty or missing, but there was a database: {traces} is still in the data folder. Is its"
    " disk mounted? Mount it, or restore a backup. To start from nothing, without any device, rule or"
    " user, remove what is left."
)


def open_stores(
    config: Config, declared: Declared, busy: Busy = lambda _what: nullcontext()
) -> tuple[Database, Spool]:
    """The database, with the newest schema and the declarations, and the spool with its records.
    `busy` is entered for steps that may take minutes.

    Raises:
        DatabaseAway: a later try may succeed.
        StartupFailed: the text says what to change.
    """
    traces = [name for name in TRACES if (config.data_dir / name).exists()]
    _refuse_lost_file(config, traces)
    database = open_database(config.database_url)
    try:
        if traces and not migrations.version_of(database):
            raise DatabaseAway(reason=LOST.format(what=database.shown, traces=" and ".join(traces)))
        upgrade(database, config.data_dir, busy)
        declaration.store(database, declared, time.time())
        return database.behind(_breaker(config)), _open_spool(config, database)
    except DatabaseUnavailable as error:
        database.close_all()
        raise unusable(error) from error
    except BaseException:
        database.close_all()
        raise


def _refuse_lost_file(config: Config, traces: Sequence[str]) -> None:
    """Check before opening, which would create the file. Raises DatabaseAway."""
    path = sqlite_path(config.database_url)
    if not traces or path is None:
        return
    try:
        is_lost = path.stat().st_size == 0
    except OSError:
        is_lost = True
    if is_lost:
        raise DatabaseAway(reason=LOST.format(what=path, traces=" and ".join(traces)))


def _breaker(config: Config) -> DatabaseBreaker:
    chosen = config.database
    policy = BreakerPolicy(
        failures=chosen.breaker_failures,
        open_s=float(chosen.breaker_open_s),
        half_open_s=float(chosen.breaker_half_open_s),
    )
    return DatabaseBreaker(policy, time.monotonic)


def _open_spool(config: Config, database: Database) -> Spool:
    spool = Spool(
        config.spool_dir,
        config.spool.max_bytes,
        when_full=WhenFull(config.spool.when_full),
        same_disk_as=sqlite_path(database.url),
    )
    try:
        spool.open()
    except SpoolUnavailable as error:
        reason = f"{error.message} Make the folder writable for the user that runs the gateway."
        if isinstance(error.__cause__, OSError):
            raise startup_failure(reason, error.__cause__) from error
        raise StartupFailed(reason=reason) from error
    return spool
