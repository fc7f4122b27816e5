"""The end of a command: its exit code, and one line of text instead of a traceback for a user's
mistake.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from godkaiser.config.loading import load
from godkaiser.config.mistakes import ConfigError
from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import Config
from godkaiser.errors.base import GatewayError
from godkaiser.errors.process import PassingCondition
from godkaiser.errors.storage import DatabaseUnavailable

EXIT_NOT_GOOD = 1
"""The command worked, but its result is negative: a failed check, an unconfirmed command."""
EXIT_USAGE = 2
EXIT_UNREACHABLE = 69
"""EX_UNAVAILABLE: no gateway answers, or its key cannot be read."""
EXIT_STUCK = 70
EXIT_CANNOT_WRITE = 73
"""EX_CANTCREAT."""
EXIT_IO = 74
"""EX_IOERR."""
EXIT_REFUSED = 77
"""EX_NOPERM: the gateway refuses the request."""
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL: a temporary failure; systemd starts the gateway again."""
EXIT_CONFIG = 78
"""EX_CONFIG: an administrator must change something first; systemd does not start the gateway
again.
"""


def code_of(error: GatewayError | ConfigError) -> int:
    """75 for a temporary failure, 78 if an administrator must change something."""
    if isinstance(error, ConfigError):
        passes = all(mistake.passing for mistake in error.mistakes)
    else:
        passes = isinstance(error, PassingCondition | DatabaseUnavailable)
    return EXIT_TRY_AGAIN if passes else EXIT_CONFIG


def say(text: str) -> bool:
    """Print a line at once; False if the terminal is gone, which must not end the program."""
    try:
        typer.echo(text)
        sys.stdout.flush()
    except (OSError, AttributeError):
        return False
    return True


def fail(text: str, code: int) -> NoReturn:
    typer.echo(f"godkaiser: {text}", err=True)
    raise typer.Exit(code)


def fail_with(error: GatewayError | ConfigError, code: int | None = None) -> NoReturn:
    """End with the error's text, and with its exit code unless another one is given."""
    if isinstance(error, ConfigError):
        for mistake in error.mistakes:
            typer.echo(str(mistake), err=True)
        raise typer.Exit(code_of(error) if code is None else code) from error
    ended = as_an_end(error)
    fail(ended.message, code_of(ended) if code is None else code)


def as_an_end(error: GatewayError) -> GatewayError:
    """Of a database that is away, what to mend: "try again" is for who asks a gateway that goes on."""
    if not isinstance(error, DatabaseUnavailable):
        return error
    # Imported here: most commands need no database.
    from godkaiser.storage.engine.unusable import unusable

    return unusable(error)


def secret_in(path: Path) -> str:
    """The first line of a file that the user names; ends the command if it cannot be read."""
    try:
        return first_line(path)
    except ValueError as error:
        fail(f"{path}, {error}", EXIT_USAGE)
    except OSError as error:
        fail(f"{path}: {error.strerror}", EXIT_USAGE)


def settings_from(path: Path | None) -> Config:
    """The configuration; ends the command with every mistake in it."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        fail_with(error)


def run_safely(command: Callable[[], None]) -> None:
    """Run the command line; on any terminal and character set, a mistake is shown as one line."""
    for stream in (sys.stdout, sys.stderr):
        # Characters that the terminal lacks are escaped. A closed stream is None.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
    except ConfigError as error:
        _say("\n".join(str(mistake) for mistake in error.mistakes))
        _leave(code_of(error))
    except GatewayError as error:
        ended = as_an_end(error)
        _say(ended.message)
        _leave(code_of(ended))
    except OSError as error:
        if error.errno in {errno.EPIPE, errno.EIO} and error.filename is None:
            # The reader of our output has gone, so nobody would see a message.
            _leave(EXIT_NOT_GOOD)
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror or error}")
        _leave(EXIT_IO)


def _say(text: str) -> None:
    if logging.getLogger().handlers:
        # The log is set up, and its format may be JSON.
        logging.getLogger("godkaiser.cli.main").critical(text)
        return
    try:
        print(f"godkaiser: {text}", file=sys.stderr, flush=True)
    except OSError:
        return


def _leave(code: int) -> NoReturn:
    """Exit without the interpreter's final flush, which would fail again on a closed stream."""
    os._exit(code)
