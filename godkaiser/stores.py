"""Opens where the gateway keeps things: the database, and the spool for when that is away."""

from __future__ import annotations

import time
from pathlib import Path

from godkaiser.config import Config
from godkaiser.domain.breaker import BreakerPolicy
from godkaiser.domain.declared import Declared
from godkaiser.errors import SpoolUnavailable, StartupFailed, startup_failure
from godkaiser.storage import declaration
from godkaiser.storage.database import Database, open_database
from godkaiser.storage.database_breaker import DatabaseBreaker
from godkaiser.storage.migrations import migrate
from godkaiser.storage.spool import Spool, WhenFull


def open_stores(config: Config, declared: Declared) -> tuple[Database, Spool]:
    """The database with its schema up to date and what is declared in it, and the spool with what was
    left there.

    Raises:
        StartupFailed: the text says what to change.
    """
    database = open_database(config.database_url)
    try:
        migrate(database)
        declaration.store(database, declared, time.time())
        return database.behind(_breaker(config)), _open_spool(config, database)
    except BaseException:
        database.close_all()
        raise


def _breaker(config: Config) -> DatabaseBreaker:
    chosen = config.database
    policy = BreakerPolicy(
        failures=chosen.breaker_failures,
        open_s=float(chosen.breaker_open_s),
        half_open_s=float(chosen.breaker_half_open_s),
    )
    return DatabaseBreaker(policy, time.monotonic)


def _open_spool(config: Config, database: Database) -> Spool:
    file = database.url.removeprefix("sqlite:///") if database.is_sqlite else ""
    spool = Spool(
        config.spool_dir,
        config.spool.max_bytes,
        when_full=WhenFull(config.spool.when_full),
        same_disk_as=Path(file) if file else None,
    )
    try:
        spool.open()
    except SpoolUnavailable as error:
        reason = f"{error.message} The folder must be writable for the user that runs the gateway."
        if isinstance(error.__cause__, OSError):
            raise startup_failure(reason, error.__cause__) from error
        raise StartupFailed(reason=reason) from error
    return spool
