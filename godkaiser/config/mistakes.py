"""A mistake in what an administrator wrote: where it is, what was expected, and what was found."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend. `line` counts from 1; None where there is none (a missing file, the
    environment, whose `file` is "environment" and whose `key` is the variable). `passing`: it may pass
    by itself, as a disk that is not mounted yet.
    """

    file: str
    line: int | None
    key: str
    expected: str
    found: str
    passing: bool = False

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key}: " if self.key else ""
        return f"{where}: {subject}expected {self.expected}, found {self.found}"


class ConfigError(Exception):
    """The configuration cannot be used; it holds every mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def describe(error: ConfigError) -> list[str]:
    """A line for each mistake, as an editor or a terminal makes it a link:
    ``conf/godkaiser.toml:12: [mqtt] port: expected an integer from 1 to 65535, found "abc"``.
    """
    return [str(mistake) for mistake in error.mistakes]
