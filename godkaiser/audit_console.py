"""`godkaiser audit`: whether the audit trail is as it was written. Works with the gateway down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from godkaiser.config import ConfigError, load
from godkaiser.errors import GatewayError

app = typer.Typer(no_args_is_help=True, help="Look after the audit trail.")

EXIT_CONFIG = 78


@app.callback()
def audit() -> None:
    """Look after the audit trail."""


@app.command()
def verify(
    config: Annotated[Path | None, typer.Option(help="The configuration of the gateway.")] = None,
    expect: Annotated[str, typer.Option(help="A head noted earlier, which must be in it.")] = "",
) -> None:
    """Look through the hash chain; ends with 1 when an entry was changed, removed or put in."""
    from godkaiser.storage import audit_chain, migrations
    from godkaiser.storage.database import open_database

    try:
        database = open_database(load(config, os.environ).database_url)
        missing = migrations.pending(database)
        if missing:
            _fail(
                f"the schema lacks {', '.join(missing)}: run godkaiser migrate first", EXIT_CONFIG
            )
        report = audit_chain.examine(database, expect.strip().lower())
        database.close_all()
    except ConfigError as error:
        _fail(str(error), EXIT_CONFIG)
    except GatewayError as error:
        _fail(error.message, EXIT_CONFIG)
    if report.problem:
        where = "the audit trail" if report.seq is None else f"entry {report.seq}"
        _fail(f"{where}: {report.problem}. {report.entries} entries before it fit", 1)
    typer.echo(f"{report.entries} entries fit; head {report.head}")


def _fail(text: str, code: int) -> None:
    typer.echo(f"godkaiser: {text}", err=True)
    raise typer.Exit(code)
