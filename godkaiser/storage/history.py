"""What happened: commands with their verdict and outcome, executions of rules, runtimes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser.domain.entities import Command
from godkaiser.domain.rules import Decision, Finding, RuleMemory
from godkaiser.domain.safety import Verdict
from godkaiser.storage.database import Database
from godkaiser.storage.models import (
    ActuatorRuntime,
    CommandRow,
    RuleExecution,
    RuleMemoryRow,
    SafetyMirror,
)
from godkaiser.storage.registry import Runtime


def record_verdict(database: Database, command: Command, verdict: Verdict) -> None:
    database.run(
        CommandRow.insert(
            correlation_id=command.correlation_id,
            esp_id=command.esp_id,
            gpio=command.gpio,
            verb=command.verb.value,
            value=None if verdict.value != verdict.value else verdict.value,
            duration_s=command.duration_s,
            issuer=str(command.issuer),
            requested_at=command.requested_at,
            state="sent" if verdict.allowed else "refused",
            message=verdict.message,
            verdict=msgspec.json.encode(verdict.checks).decode(),
            ended_at=None if verdict.allowed else command.requested_at,
        ).on_conflict_ignore()
    )


def record_outcome(
    database: Database, correlation_id: str, state: str, message: str, at: float
) -> None:
    database.run(
        CommandRow.update(state=state, message=message, ended_at=at).where(
            CommandRow.correlation_id == correlation_id
        )
    )


def record_runtime(database: Database, runtime: Runtime) -> None:
    database.run(
        ActuatorRuntime.insert(
            esp_id=runtime.key.esp_id,
            gpio=runtime.key.gpio,
            desired=runtime.desired,
            on_since=runtime.on_since,
            lease_until=runtime.lease_until,
            owner=runtime.owner,
        ).on_conflict(
            conflict_target=[ActuatorRuntime.esp_id, ActuatorRuntime.gpio],
            preserve=[
                ActuatorRuntime.desired,
                ActuatorRuntime.on_since,
                ActuatorRuntime.lease_until,
                ActuatorRuntime.owner,
            ],
        )
    )


def record_execution(
    database: Database, rule_id: int, at: float, decision: Decision, findings: tuple[Finding, ...]
) -> None:
    """What the rule saw and what it did, as JSON."""
    body = msgspec.json.encode(
        {
            "fired": decision.fired,
            "findings": findings,
            "actions": (*decision.released, *decision.actions),
        }
    )
    database.run(RuleExecution.insert(rule_id=rule_id, at=at, body=body.decode()))


def record_rule_memory(database: Database, rule_id: int, memory: RuleMemory) -> None:
    database.run(
        RuleMemoryRow.insert(
            rule_id=rule_id, body=msgspec.json.encode(memory).decode()
        ).on_conflict(conflict_target=[RuleMemoryRow.rule_id], preserve=[RuleMemoryRow.body])
    )


def record_safety(database: Database, body: str, at: float) -> None:
    database.run(
        SafetyMirror.insert(id=1, body=body, at=at).on_conflict(
            conflict_target=[SafetyMirror.id], preserve=[SafetyMirror.body, SafetyMirror.at]
        )
    )


class CommandEntry(msgspec.Struct, frozen=True):
    correlation_id: str
    esp_id: str
    gpio: int
    verb: str
    value: float | None
    issuer: str
    requested_at: float
    state: str
    message: str


def newest_commands(database: Database, limit: int = 100) -> Sequence[CommandEntry]:
    rows = database.rows(CommandRow.select().order_by(CommandRow.requested_at.desc()).limit(limit))
    return [
        CommandEntry(
            row.correlation_id,
            row.esp_id,
            row.gpio,
            row.verb,
            row.value,
            row.issuer,
            row.requested_at,
            row.state,
            row.message,
        )
        for row in rows
    ]
