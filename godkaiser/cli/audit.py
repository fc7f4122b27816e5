"""`godkaiser audit`: verifies and exports the audit trail. Also works while the gateway is down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_json, tell
from godkaiser.cli.exits import (
    EXIT_CONFIG,
    EXIT_IO,
    EXIT_NOT_GOOD,
    EXIT_USAGE,
    fail,
    fail_with,
    settings_from,
)
from godkaiser.errors.base import GatewayError
from godkaiser.host.durable_file import new_file

if TYPE_CHECKING:
    from godkaiser.storage.engine.database import Database

app = Console(no_args_is_help=True, help="Verify and export the audit trail.")


@app.callback()
def audit() -> None:
    """Verify and export the audit trail."""


@app.command()
def verify(
    config: Annotated[Path | None, typer.Option(help="The configuration of the gateway.")] = None,
    expect: Annotated[
        str, typer.Option(help="A head hash from an earlier run, which the trail must contain.")
    ] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Verify the hash chain; exit code 1 if an entry was changed, removed or inserted."""
    from godkaiser.storage.audit import chain as audit_chain

    try:
        database = _trail_of(config)
        report = audit_chain.examine(database, expect.strip().lower())
        database.close_all()
    except GatewayError as error:
        fail_with(error)
    if as_json:
        echo_json(report)
    if report.problem:
        where = "the audit trail" if report.seq is None else f"entry {report.seq}"
        fail(
            f"{where}: {report.problem}. {report.entries} entries before it are intact",
            EXIT_NOT_GOOD,
        )
    if not as_json:
        typer.echo(f"{report.entries} entries are intact; head {report.head}")


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="A new file.")],
    config: Annotated[Path | None, typer.Option(help="The configuration of the gateway.")] = None,
    recipient: Annotated[
        Path | None, typer.Option(help="The recipient's public X25519 key (PEM).")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Or: a file whose first line is the passphrase.")
    ] = None,
    start: Annotated[
        datetime | None, typer.Option(help="Only entries from this time on (UTC).")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(help="Only entries before this time (UTC).")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the audit trail to an encrypted file, with its hash chain."""
    from godkaiser.storage.audit import export as audit_export
    from godkaiser.storage.audit import sealed_file

    path = _one_of(recipient, passphrase_file, "--recipient")
    try:
        make = sealed_file.passphrase if recipient is None else sealed_file.public_key
        key = make(path.read_bytes())
        database = _trail_of(config)
        count = 0

        def counted() -> Iterator[bytes]:
            nonlocal count
            for line in audit_export.lines(database, _unix(start), _unix(end)):
                count += 1
                yield line

        with new_file(to) as file:
            sealed_file.seal(file, counted(), key)
        database.close_all()
    except GatewayError as error:
        fail_with(error)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}. Choose another file.", EXIT_IO)
    tell({"entries": count}, f"{count} entries in {to}, encrypted", as_json=as_json)


@app.command(name="open")
def open_export(
    source: Annotated[Path, typer.Option("--from", help="A file written by audit export.")],
    to: Annotated[Path, typer.Option(help="A new file, for lines of JSON.")],
    key: Annotated[Path | None, typer.Option(help="The recipient's private key (PEM).")] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="Or: a file whose first line is the passphrase.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Decrypt an export, and verify its hash chain."""
    from godkaiser.storage.audit import export as audit_export
    from godkaiser.storage.audit import sealed_file

    path = _one_of(key, passphrase_file, "--key")
    try:
        make = sealed_file.passphrase if key is None else sealed_file.private_key
        opener = make(path.read_bytes())
        with source.open("rb") as sealed, new_file(to) as file:

            def written() -> Iterator[audit_export.Exported]:
                for line, found in audit_export.examined(sealed_file.unseal(sealed, opener)):
                    file.write(line + b"\n")
                    yield found

            report = audit_export.report(written())
    except GatewayError as error:
        fail(f"{source}: {error.message}", EXIT_NOT_GOOD)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}. Choose another file.", EXIT_IO)
    text = f"{report.entries} entries are intact, from {report.first} to {report.last}"
    tell(report, text, as_json=as_json)


def _trail_of(config: Path | None) -> Database:
    """The database with the trail, or the end of the command. Raises GatewayError."""
    from godkaiser.storage.engine import migrations
    from godkaiser.storage.engine.database import open_present

    database = open_present(settings_from(config).database_url)
    missing = migrations.pending(database)
    if missing:
        fail(f"the schema lacks {', '.join(missing)}: run godkaiser migrate first", EXIT_CONFIG)
    return database


def _one_of(key: Path | None, passphrase_file: Path | None, option: str) -> Path:
    chosen = key or passphrase_file
    if chosen is None or (key and passphrase_file):
        fail(f"give either {option} FILE or --passphrase-file FILE", EXIT_USAGE)
    return chosen


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()
