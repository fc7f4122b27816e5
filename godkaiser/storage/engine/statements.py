"""Statements of plain SQL with `?` placeholders, to be run now or with others."""

from __future__ import annotations

from typing import Any, Protocol

Statement = tuple[str, tuple[Any, ...]]


class Executor(Protocol):
    """Takes a statement: to run it at once, as `Database` does, or to keep it."""

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None: ...


class Batch:
    """Statements for `Database.execute_all`, in order."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None:
        self.statements.append((sql, parameters))
