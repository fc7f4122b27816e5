"""Explains commands, back to the readings that caused them, for `GET /logic/explain`."""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    Finding,
    NotificationAction,
    StopAction,
)
from godkaiser.domain.safety.facts import Check
from godkaiser.storage.engine.database import Database

_COMMAND = (
    "SELECT correlation_id, verb, value, duration_s, issuer, requested_at, state, message, verdict,"
    " ended_at FROM command_history WHERE esp_id = ? AND gpio = ? AND requested_at <= ?"
    " ORDER BY requested_at DESC LIMIT ?"
)
_EXECUTIONS = (
    "SELECT at, body FROM rule_executions WHERE rule_id = ? AND at <= ? AND at >= ?"
    " ORDER BY at DESC LIMIT 20"
)
SLACK_S = 5.0
"""A rule decides shortly before it requests its command; each has its own timestamp."""


class RuleExecution(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule saw and did, as it was recorded; `at` in unix seconds. `commands` are correlation ids."""

    at: float
    fired: bool = False
    findings: tuple[Finding, ...] = ()
    actions: tuple[ActuatorAction | StopAction | NotificationAction, ...] = ()
    commands: tuple[str, ...] = ()
    remark: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One command, with the checks of its verdict, how it ended and, where a rule gave it, what that rule saw.

    Times in unix seconds.
    """

    correlation_id: str
    verb: str
    value: float | None
    duration_s: float
    issuer: str
    requested_at: float
    state: str
    message: str
    ended_at: float | None
    checks: tuple[Check, ...]
    rule_id: int | None = None
    execution: RuleExecution | None = None


def explain(
    database: Database, actuator: ActuatorKey, at: float, limit: int = 5
) -> list[Explanation]:
    """The commands to an actuator up to a time, newest first, each with its cause."""
    rows = database.fetch(_COMMAND, (actuator.esp_id, actuator.gpio, at, limit))
    return [_explained(database, row) for row in rows]


def executions_of(
    database: Database, rule_id: int, before: float, limit: int
) -> list[RuleExecution]:
    """The findings and actions of a rule, newest first."""
    rows = database.fetch(
        "SELECT at, body FROM rule_executions WHERE rule_id = ? AND at < ? ORDER BY at DESC LIMIT ?",
        (rule_id, before, limit),
    )
    return [_execution(at, body) for at, body in rows]


def _execution(at: float, body: str) -> RuleExecution:
    """Its parts stay as they were recorded, whatever they are today."""
    return RuleExecution(at=at, **msgspec.json.decode(body))


def _explained(database: Database, row: tuple[Any, ...]) -> Explanation:
    correlation_id, verb, value, duration_s, issuer, requested_at, state, message, verdict, end = (
        row
    )
    kind, _, name = issuer.partition(":")
    rule_id = int(name) if kind == "rule" and name.isdecimal() else None
    execution = None
    if rule_id is not None:
        bounds = (rule_id, requested_at + SLACK_S, requested_at - SLACK_S)
        for at, body in database.fetch(_EXECUTIONS, bounds):
            found = _execution(at, body)
            if correlation_id in found.commands:
                execution = found
                break
    return Explanation(
        correlation_id=correlation_id,
        verb=verb,
        value=value,
        duration_s=duration_s,
        issuer=issuer,
        requested_at=requested_at,
        state=state,
        message=message,
        ended_at=end,
        checks=msgspec.json.decode(verdict) if verdict else (),
        rule_id=rule_id,
        execution=execution,
    )
