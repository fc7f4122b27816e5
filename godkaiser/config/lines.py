"""Where a key stands in a TOML text: tomllib tells what it read, but not from which line."""

from __future__ import annotations

import re

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*(\[{{1,2}})\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=\s*(.*)")
_PART = re.compile(_NAME)
_LONG_QUOTES = ('"""', "'''")


Path = tuple[str | int, ...]


def lines_of_keys(text: str) -> dict[Path, int]:
    """The line (from 1) of each table and key by its full path: ``("mqtt", "port")`` -> 12.

    A table of an array of tables has its number in the path: ``("interlocks", 0, "kind")``. The
    text must be valid TOML. Keys inside of inline tables are not listed: their table is.
    """
    lines: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    open_quotes = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if open_quotes:
            if open_quotes in line:
                open_quotes = ""
            continue
        if header := _HEADER.match(line):
            table = _resolved(_parts(header.group(2)), arrays)
            if header.group(1) == "[[":
                index = arrays[table] = arrays.get(table, -1) + 1
                table = (*table, index)
            _note(lines, table, number)
        elif assignment := _ASSIGNMENT.match(line):
            _note(lines, (*table, *_parts(assignment.group(1))), number)
            open_quotes = _left_open(assignment.group(2))
    return lines


def _resolved(parts: Path, arrays: dict[Path, int]) -> Path:
    """With the number of the newest table of each array that the path goes through."""
    path: Path = parts[:1]
    for part in parts[1:]:
        if path in arrays:
            path = (*path, arrays[path])
        path = (*path, part)
    return path


def _note(lines: dict[Path, int], path: Path, number: int) -> None:
    # A table that is only implied, as [a] by [a.b], is where it is first implied.
    for length in range(1, len(path) + 1):
        lines.setdefault(path[:length], number)


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _left_open(value: str) -> str:
    """The long quotes that this value opens and does not close; "" when there are none."""
    for quotes in _LONG_QUOTES:
        if value.startswith(quotes) and quotes not in value[len(quotes) :]:
            return quotes
    return ""
