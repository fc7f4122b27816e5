"""The history: commands with verdict and outcome, executions of rules, runtimes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from godkaiser.domain.entities import ActuatorKey, Command
from godkaiser.domain.rules.rules import Decision, Finding, RuleMemory
from godkaiser.domain.safety.actuator_memory import KeptActuator
from godkaiser.domain.safety.safety import Hold, Verdict
from godkaiser.protocol.text import fit
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.models import CommandRow
from godkaiser.storage.engine.statements import Executor

# Plain SQL: these run for each command, beside the path from reading to actuator, and building a
# query with the ORM costs ten times as much as running it.
_VERDICT = """
    INSERT INTO command_history (correlation_id, esp_id, gpio, verb, value, duration_s, issuer,
        requested_at, state, message, verdict, ended_at)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (correlation_id) DO NOTHING
"""
_OUTCOME = (
    "UPDATE command_history SET state = ?, message = ?, ended_at = ? WHERE correlation_id = ?"
)
_ACTUATOR = """
    INSERT INTO actuator_memory (esp_id, gpio, body) VALUES (?,?,?)
    ON CONFLICT (esp_id, gpio) DO UPDATE SET body = excluded.body
"""
_EXECUTION = "INSERT INTO rule_executions (rule_id, at, body) VALUES (?,?,?)"
_MEMORY = """
    INSERT INTO rule_memory (rule_id, body) VALUES (?,?)
    ON CONFLICT (rule_id) DO UPDATE SET body = excluded.body
"""
_NO_HOLD = "DELETE FROM holds WHERE esp_id = ? AND gpio = ?"
_HOLD = "INSERT INTO holds (esp_id, gpio, held_by, until) VALUES (?,?,?,?)"
_SAFETY = """
    INSERT INTO safety_state (id, body, at) VALUES (1,?,?)
    ON CONFLICT (id) DO UPDATE SET body = excluded.body, at = excluded.at
"""


def record_verdict(database: Executor, command: Command, verdict: Verdict) -> None:
    database.execute(
        _VERDICT,
        (
            command.correlation_id,
            command.esp_id,
            command.gpio,
            command.verb.value,
            verdict.value if math.isfinite(verdict.value) else None,
            command.duration_s if math.isfinite(command.duration_s) else 0.0,
            fit(str(command.issuer)),
            command.requested_at,
            "sent" if verdict.allowed else "refused",
            fit(verdict.message),
            msgspec.json.encode(verdict.checks).decode(),
            None if verdict.allowed else command.requested_at,
        ),
    )


def record_outcome(
    database: Executor, correlation_id: str, state: str, message: str, at: float
) -> None:
    database.execute(_OUTCOME, (state, fit(message), at, correlation_id))


def record_actuator(database: Executor, key: ActuatorKey, memory: KeptActuator) -> None:
    body = msgspec.json.encode(memory).decode()
    database.execute(_ACTUATOR, (key.esp_id, key.gpio, body))


def record_execution(
    database: Executor,
    rule_id: int,
    at: float,
    decision: Decision,
    findings: tuple[Finding, ...],
    commands: tuple[str, ...],
) -> None:
    """Record the findings and actions of a rule, as JSON; `commands` are correlation ids."""
    body = msgspec.json.encode(
        {
            "fired": decision.fired,
            "findings": findings,
            "actions": (
                *decision.stops,
                *decision.released,
                *decision.actions,
                *decision.notifications,
            ),
            "commands": commands,
            "remark": decision.remark,
        }
    )
    database.execute(_EXECUTION, (rule_id, at, body.decode()))


def record_rule_memory(database: Executor, rule_id: int, memory: RuleMemory) -> None:
    database.execute(_MEMORY, (rule_id, msgspec.json.encode(memory).decode()))


def record_hold(database: Executor, key: ActuatorKey, hold: Hold | None) -> None:
    database.execute(_NO_HOLD, (key.esp_id, key.gpio))
    if hold is not None:
        until = None if math.isinf(hold.until) else hold.until
        database.execute(_HOLD, (key.esp_id, key.gpio, fit(hold.by), until))


def record_safety(database: Executor, body: str, at: float) -> None:
    database.execute(_SAFETY, (body, at))


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


class CommandQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that is None matches all; `behind` is the time and id of the last entry of the
    previous page.
    """

    esp_id: str | None = None
    gpio: int | None = None
    state: str | None = None
    limit: int = 100
    behind: tuple[float, str] | None = None


def newest_commands(database: Database, query: CommandQuery) -> Sequence[CommandEntry]:
    """Newest first."""
    found = CommandRow.select()
    for column, value in (
        (CommandRow.esp_id, query.esp_id),
        (CommandRow.gpio, query.gpio),
        (CommandRow.state, query.state),
    ):
        if value is not None:
            found = found.where(column == value)
    if query.behind is not None:
        at, correlation_id = query.behind
        found = found.where(
            (CommandRow.requested_at < at)
            | ((CommandRow.requested_at == at) & (CommandRow.correlation_id < correlation_id))
        )
    order = (CommandRow.requested_at.desc(), CommandRow.correlation_id.desc())
    rows = database.rows(found.order_by(*order).limit(query.limit))
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
