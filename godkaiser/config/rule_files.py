"""`conf/rules.d/*.toml`: rules declared in files, in the words of the REST API.

Every mistake is told with its file and line, and nothing of a declaration with a mistake is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from godkaiser.config.declared_files import (
    DeclaredFile,
    errors_in,
    expected_and_found,
    listing,
    nothing_declared,
    path_of,
    salvaged,
    value_at,
)
from godkaiser.config.lines import lines_of_keys
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.toml_file import read_toml
from godkaiser.domain.declared import DeclaredRule
from godkaiser.domain.rules.rules import RuleDefinition, mistakes_of

FOLDER = "rules.d"
MOST_RULES = 1000


def look_at_rules(folder: Path | None) -> tuple[tuple[DeclaredRule, ...], list[Mistake]]:
    """The rules that can be read, also without some keys that are wrong, and every mistake."""
    found: dict[str, DeclaredRule] = {}
    mistakes: list[Mistake] = []
    for path in listing(folder).files:
        try:
            text, document = read_toml(path)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        file = DeclaredFile(path, lines_of_keys(text))
        if not any(document.values()):
            mistakes.append(nothing_declared(path))
        for section, content in document.items():
            if section != "rules" or not isinstance(content, list):
                mistakes.append(_mistake(file, (section,), section, "[[rules]]", f'"{section}"'))
                continue
            for number, table in enumerate(content):
                _read_rule(file, number, table, found, mistakes)
    return tuple(found.values()), sorted(mistakes, key=lambda m: (m.file, m.line or 0))


def _read_rule(
    file: DeclaredFile,
    number: int,
    table: Any,
    found: dict[str, DeclaredRule],
    mistakes: list[Mistake],
) -> None:
    at: tuple[str | int, ...] = ("rules", number)
    wrong = list(errors_in(table, RuleDefinition))
    for path, text in wrong:
        key = next((p for p in reversed(path) if isinstance(p, str)), "rules")
        expected, what = expected_and_found(text, value_at(table, path[:-1]), key)
        mistakes.append(_mistake(file, (*at, *path), key, expected, what))
    name = table.get("name") if isinstance(table, dict) else None
    known = found.get(name) if isinstance(name, str) else None
    if known is not None:
        reason = f"one in {known.where}, too"
        mistakes.append(_mistake(file, (*at, "name"), "name", "a name that no other has", reason))
    definition = salvaged(table, RuleDefinition, wrong)
    if definition is None:
        return
    errors = [p for p in mistakes_of(definition) if p.severity == "error"]
    for problem in errors:
        path = path_of(f"`$.{problem.path}`")
        if any(refused[: len(path)] == path for refused, _ in wrong):
            # It may come of the key that was left out there.
            continue
        mistakes.append(
            _mistake(file, (*at, *path), problem.path, "a rule that can be kept", problem.message)
        )
    if len(found) >= MOST_RULES:
        mistakes.append(_mistake(file, at, "rules", f"at most {MOST_RULES} rules", "more"))
    elif not errors:
        # A second one of a name is a mistake, and what is doubtful in it is told all the same.
        unique = definition.name if known is None else f"{definition.name} in {file.place(*at)}"
        found[unique] = DeclaredRule(definition=definition, where=file.place(*at))


def _mistake(
    file: DeclaredFile, path: tuple[str | int, ...], key: str, expected: str, found: str
) -> Mistake:
    return Mistake(file=file.name, line=file.line(*path), key=key, expected=expected, found=found)
