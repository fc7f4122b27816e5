"""Stored rules: the current version, every earlier version, and the memory of each rule."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser.domain.declared import DeclaredRule
from godkaiser.domain.rules.rules import RuleDefinition, RuleMemory
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.models import Rule, RuleMemoryRow

BY_FILE = "system:file"


class StoredRule(msgspec.Struct, frozen=True):
    rule_id: int
    definition: RuleDefinition
    version: int
    declared: str = ""


def load_rules(database: Database) -> list[StoredRule]:
    rows = database.rows(Rule.select().order_by(Rule.id))
    return [
        StoredRule(
            row.id, msgspec.json.decode(row.body, type=RuleDefinition), row.version, row.declared
        )
        for row in rows
    ]


class RuleVersion(msgspec.Struct, frozen=True):
    """`saved_at` in unix seconds."""

    version: int
    definition: RuleDefinition
    saved_by: str
    saved_at: float


def insert_rule(
    database: Database, definition: RuleDefinition, by: str, now: float, declared: str = ""
) -> StoredRule:
    """Store a new rule. The number of a deleted rule is not used again, because its history keeps
    it.
    """
    with database.transaction():
        newest = "SELECT max(id), (SELECT max(rule_id) FROM rule_versions) FROM rules"
        rule_id = max(number or 0 for number in database.fetch(newest)[0]) + 1
        database.run(
            Rule.insert(
                id=rule_id,
                name=definition.name,
                body=_text(definition),
                version=1,
                updated_by=by,
                updated_at=now,
                declared=declared,
            )
        )
        _keep_version(database, rule_id, 1, definition, by, now)
    return StoredRule(rule_id, definition, 1, declared)


def update_rule(
    database: Database, rule_id: int, definition: RuleDefinition, by: str, now: float
) -> bool:
    """Update a rule; False if there is no such rule."""
    with database.transaction():
        changed = database.run(
            Rule.update(
                name=definition.name,
                body=_text(definition),
                version=Rule.version + 1,
                updated_by=by,
                updated_at=now,
            ).where(Rule.id == rule_id)
        )
        if changed:
            row = database.rows(Rule.select(Rule.version).where(Rule.id == rule_id))[0]
            _keep_version(database, rule_id, row.version, definition, by, now)
    return bool(changed)


def versions_of(database: Database, rule_id: int, limit: int = 100) -> list[RuleVersion]:
    """Newest first; the versions of a deleted rule are also kept."""
    rows = database.fetch(
        "SELECT version, body, saved_by, saved_at FROM rule_versions WHERE rule_id = ?"
        " ORDER BY version DESC LIMIT ?",
        (rule_id, limit),
    )
    return [
        RuleVersion(version, msgspec.json.decode(body, type=RuleDefinition), by, at)
        for version, body, by, at in rows
    ]


def _keep_version(
    database: Database, rule_id: int, version: int, definition: RuleDefinition, by: str, now: float
) -> None:
    database.execute(
        "INSERT INTO rule_versions (rule_id, version, body, saved_by, saved_at) VALUES (?,?,?,?,?)",
        (rule_id, version, _text(definition), by, now),
    )


def declare(database: Database, wanted: Sequence[DeclaredRule], now: float) -> None:
    """Bring the rules in line with those of the files, by name; a rule that is no longer in the
    files is disabled, and REST may change it from then on.
    """
    places = {rule.definition.name: rule for rule in wanted}
    with database.transaction():
        for stored in load_rules(database):
            name = stored.definition.name
            if not stored.declared:
                continue
            rule = places.pop(name, None)
            definition = (
                msgspec.structs.replace(stored.definition, enabled=False)
                if rule is None
                else rule.definition
            )
            if definition != stored.definition:
                update_rule(database, stored.rule_id, definition, BY_FILE, now)
            where = "" if rule is None else rule.where
            if where != stored.declared:
                change = Rule.update(declared=where).where(Rule.id == stored.rule_id)
                database.run(change)
        for rule in places.values():
            insert_rule(database, rule.definition, BY_FILE, now, rule.where)


def delete_rule(database: Database, rule_id: int) -> bool:
    """Delete a rule and its memory; False if there is no such rule."""
    with database.transaction():
        database.run(RuleMemoryRow.delete().where(RuleMemoryRow.rule_id == rule_id))
        return bool(database.run(Rule.delete().where(Rule.id == rule_id)))


def load_rule_memories(database: Database) -> dict[int, RuleMemory]:
    rows = database.rows(RuleMemoryRow.select())
    return {row.rule_id: msgspec.json.decode(row.body, type=RuleMemory) for row in rows}


def _text(definition: RuleDefinition) -> str:
    return msgspec.json.encode(definition).decode()
