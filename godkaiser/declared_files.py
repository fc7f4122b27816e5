"""What the readers of declarations share: places in a file, and words for what is wrong there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from godkaiser.config import ConfigError, Mistake

Lines = Mapping[tuple[str | int, ...], int]


class Listing(NamedTuple):
    """The files of a folder: those that declare, and the names of all others."""

    files: tuple[Path, ...] = ()
    ignored: tuple[str, ...] = ()


def listing(folder: Path | None) -> Listing:
    """The files that are read: every `*.toml` whose name begins with neither "." nor "#".

    So what editors leave beside a file (`.tank.toml.swp`, `tank.toml~`, `#tank.toml#`, `.#tank.toml`) and
    what an admin has renamed are ignored. No folder, or none of that name, holds nothing.

    Raises:
        ConfigError: it is no folder, or cannot be read.
    """
    if folder is None:
        return Listing()
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return Listing()
    except OSError as error:
        found = f"none ({error.strerror})"
        expected = "a folder that can be read"
        mistake = Mistake(file=str(folder), line=None, key="", expected=expected, found=found)
        raise ConfigError([mistake]) from error
    read = [name for name in names if name.endswith(".toml") and name[0] not in ".#"]
    ignored = tuple(name for name in names if name not in read)
    return Listing(tuple(folder / name for name in read), ignored)


def nothing_declared(path: Path) -> Mistake:
    """For a file without a declaration: it may have lost what it held, an interlock say."""
    return Mistake(
        file=str(path),
        line=None,
        key="",
        expected="a declaration; to switch a file off, give it another ending than .toml",
        found="none",
    )


class DeclaredFile:
    """One file: its tables, and where they stand."""

    def __init__(self, path: Path, lines: Lines) -> None:
        self.name = str(path)
        self.lines = lines

    def line(self, *path: str | int) -> int | None:
        """The line of a key or, where it has none of its own, of the table that it is in."""
        return next(
            (self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None
        )

    def place(self, *path: str | int) -> str:
        return f"{self.name}:{self.line(*path)}"


def key_of(text: str) -> str:
    """The key that a message of msgspec is about."""
    found = re.search(r"at `\$\.(\w+)", text) or re.search(r"field `(\w+)`", text)
    return found.group(1) if found else ""


def expected_and_found(text: str, table: Any, key: str) -> tuple[str, str]:
    """Such a message in the words of the other mistakes."""
    text = text.split(" - at ", maxsplit=1)[0]
    if text.startswith("Object contains unknown field"):
        return "a key that is known here", f'"{key}"'
    if text.startswith("Object missing required field"):
        return f"{key} = ...", "none"
    value = table.get(key) if isinstance(table, dict) else table
    expected = text.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    if text.startswith(("Invalid enum value", "Invalid value")):
        expected = "another word"
    return expected, f'"{value}"' if isinstance(value, str) else str(value)
