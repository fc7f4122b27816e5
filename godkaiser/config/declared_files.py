"""The common part of the readers of declarations: places in a file, and texts for mistakes."""

from __future__ import annotations

import copy
import difflib
import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from godkaiser.config.mistakes import ConfigError, Mistake

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


Place = tuple[str | int, ...]


def errors_in(table: Any, kind: type[msgspec.Struct]) -> Iterator[tuple[Place, str]]:
    """Every key of a table that is wrong by itself: its path, and the message of msgspec, which tells only
    the first. Nothing where the table can be converted.
    """
    if not isinstance(table, dict):
        yield (), f"Expected `object`, got `{type(table).__name__}`"
        return
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key in known:
            yield from _errors_of((key,), value, known[key].type)
        else:
            yield (key,), f"Object contains unknown field `{key}`"
    unknown = [key for key in table if key not in known]
    for key, field in known.items():
        is_misspelt = bool(difflib.get_close_matches(key, unknown, n=1))
        if field.required and key not in table and not is_misspelt:
            yield (key,), f"Object missing required field `{key}`"


def _errors_of(place: Place, value: Any, kind: Any) -> Iterator[tuple[Place, str]]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inner, struct = _kind_of_items(kind), _struct_of(value, kind)
        found: list[tuple[Place, str]] = []
        if isinstance(value, list) and inner is not None:
            found = [
                e for n, item in enumerate(value) for e in _errors_of((*place, n), item, inner)
            ]
        elif struct is not None:
            tag = struct.__struct_config__.tag_field
            plain = {key: item for key, item in value.items() if key != tag}
            found = [((*place, *path), text) for path, text in errors_in(plain, struct)]
        yield from found or [((*place, *path_of(str(error))), _with_words(str(error), kind))]


def _with_words(text: str, kind: Any) -> str:
    """Msgspec does not say which words there are."""
    if not text.startswith(("Invalid enum value", "Invalid value")):
        return text
    words = [word for word in _words(kind) if isinstance(word, str)]
    return f"Expected one of {', '.join(words)}" if words else text


def _words(kind: Any) -> Iterator[Any]:
    """The texts that a kind allows: of an enum, of literals, of the tag of several structs."""
    origin, choices = get_origin(kind), get_args(kind)
    if origin is Literal:
        yield from choices
    elif origin is Annotated:
        yield from _words(choices[0])
    elif choices:
        for choice in choices:
            yield from _words(choice)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        yield from (member.value for member in kind)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind.__struct_config__.tag


def _kind_of_items(kind: Any) -> Any:
    """Of what a list or tuple of one kind holds; None for anything else."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_args(kind)[0] if get_origin(kind) in {list, tuple} else None


def _struct_of(value: Any, kind: Any) -> type[msgspec.Struct] | None:
    """The kind of struct that a table is meant to be, of several by its tag; None if it says none."""
    if not isinstance(value, dict):
        return None
    for choice in get_args(kind) or (kind,):
        if isinstance(choice, type) and issubclass(choice, msgspec.Struct):
            settings = choice.__struct_config__
            if settings.tag_field is None or value.get(settings.tag_field) == settings.tag:
                return choice
    return None


def salvaged(
    table: Any, kind: type[msgspec.Struct], errors: Iterable[tuple[Place, str]]
) -> Any | None:
    """The table as `kind` without the keys that are wrong, so that other mistakes in it are found too; None
    when too little is left.
    """
    if not isinstance(table, dict):
        return None
    rest = copy.deepcopy(table)
    for path, _ in errors:
        inner = value_at(rest, path[:-1])
        if path and isinstance(inner, dict):
            inner.pop(path[-1], None)
    try:
        return msgspec.convert(rest, kind)
    except msgspec.ValidationError:
        return None


def path_of(text: str) -> Place:
    """`$.conditions[0].value` in a message of msgspec as keys and numbers, with the key that it names."""
    found = re.search(r"`\$([^`]*)`", text)
    parts = re.findall(r"\.(\w+)|\[(\d+)\]", found.group(1)) if found else []
    path = tuple(int(number) if number else name for name, number in parts)
    field = re.search(r"field `(\w+)`", text)
    # Unknown or missing: the message is about a key of what is at its path.
    return (*path, field.group(1)) if field else path


def value_at(table: Any, path: Place) -> Any:
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def expected_and_found(text: str, table: Any, key: str) -> tuple[str, str]:
    """Such a message in the words of the other mistakes."""
    text = text.split(" - at ", maxsplit=1)[0]
    if text.startswith("Object contains unknown field"):
        return "a key that is known here", f'"{key}"'
    if text.startswith("Object missing required field"):
        return f"{key} = ...", "none"
    value = table.get(key) if isinstance(table, dict) else table
    expected = text.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    if isinstance(value, str) and expected.startswith("one of "):
        near = difflib.get_close_matches(value, expected.removeprefix("one of ").split(", "), n=1)
        expected += f'; perhaps "{near[0]}"' if near else ""
    return expected, f'"{value}"' if isinstance(value, str) else str(value)
