"""`godkaiser spool`: shows or exports the spool from its files; also works while the gateway is
down.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_json, tell
from godkaiser.cli.exits import EXIT_IO, fail
from godkaiser.cli.gateway_link import settings_of
from godkaiser.errors.storage import SpoolUnavailable
from godkaiser.storage.spool import reader as spool_reader
from godkaiser.storage.spool import records as spool_records
from godkaiser.storage.spool.spool import Stream

app = Console()


@app.command()
def spool(
    config: Annotated[Path | None, typer.Option(help="The configuration of the gateway.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The gateway's data folder (the demo's: var).")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write every record to this file, one line of JSON each.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show or export the records that wait for the database; the spool is not changed."""
    settings = settings_of(config, data)
    folder = settings.spool_dir
    try:
        if export is not None:
            with export.open("x", encoding="utf-8") as file:
                count = _export(folder, file)
            tell({"records": count}, f"{count} records in {export}", as_json=as_json)
            return
        kept = _summaries(folder)
        if as_json:
            echo_json({"folder": str(folder), "streams": kept})
        else:
            typer.echo("\n".join(_lines(folder, kept, settings.spool.max_bytes)))
    except FileExistsError:
        fail(f"{export} exists already: choose another file", EXIT_IO)
    except OSError as error:
        fail(
            f"{error.filename}: {error.strerror}. Run this as the user that runs the gateway.",
            EXIT_IO,
        )
    except SpoolUnavailable as error:
        fail(error.message, EXIT_IO)


def _summaries(folder: Path) -> list[spool_reader.Kept]:
    # Listing the folder raises if it cannot be read; a missing folder is an empty spool.
    with contextlib.suppress(FileNotFoundError):
        os.listdir(folder)  # noqa: PTH208 -- for its error
    return [spool_reader.summary(folder, stream) for stream in Stream]


def _lines(folder: Path, kept: list[spool_reader.Kept], max_bytes: int) -> list[str]:
    total = sum(stream.bytes for stream in kept)
    state = "empty" if not total else "waiting for the database"
    lines = [
        f"{folder}: {state}, {total:,} of {max_bytes:,} bytes ({100 * total / max_bytes:.1f} %)"
    ]
    for stream in kept:
        oldest = "" if stream.oldest is None else f", the oldest of {_date(stream.oldest)}"
        lines.append(
            f"  {stream.stream:<9} {stream.records:>10,} records in {stream.files} files{oldest}"
        )
        if stream.unreadable_bytes:
            lines.append(
                f"            {stream.unreadable_bytes:,} bytes at the end of a file cannot be read:"
                " a write that is still running or was cut off"
            )
        if stream.damaged_files:
            lines.append(f"            {stream.damaged_files} damaged files are kept (*.damaged)")
    if total:
        lines.append("  (records of the oldest file may be in the database already)")
    return lines


def _export(folder: Path, file: IO[str]) -> int:
    count = 0
    for stream in Stream:
        for frame in spool_reader.frames(folder, stream):
            for record in _plain(stream, frame.body):
                line = msgspec.json.encode({"stream": stream, **record})
                file.write(f"{line.decode()}\n")
                count += 1
    return count


def _plain(stream: Stream, body: bytes) -> list[dict[str, Any]]:
    if stream is Stream.READINGS:
        return [msgspec.to_builtins(reading) for reading in spool_records.decode_readings(body)]
    return [{"kind": kind, "record": record} for kind, record in msgspec.msgpack.decode(body)]


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
