"""Statements of plain SQL with `?` placeholders, run at once or in a batch."""

from __future__ import annotations

from typing import Any, Protocol

Statement = tuple[str, tuple[Any, ...]]


class Executor(Protocol):
    """Accepts a statement, and runs it at once, as `Database` does, or collects it."""

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None: ...


class Batch:
    """Statements for `Database.execute_all`, in order."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []

    def execute(self, sql: str, parameters: tuple[Any, ...]) -> None:
        self.statements.append((sql, parameters))
