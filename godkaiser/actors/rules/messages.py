"""The view that rule actors publish."""

from __future__ import annotations

from typing import Any

from godkaiser.actors.message import Message


class EndRule(Message, frozen=True, kw_only=True):
    """From /services/registrar: the rule is about to be deleted. Reply: None, when the remaining
    work is done.
    """

    why: str


class RuleView(Message, frozen=True, kw_only=True):
    """Published by /control/rules/<id> as "view"; `definition` is a RuleDefinition, `findings` are
    the last results of its conditions, `sequence` is the progress of a sequence, `refused` why
    safety does not let it fire now, `doubt` why its last dose may or may not have been given.
    """

    rule_id: int
    definition: Any
    truth: str = "unknown"
    last_evaluated: float | None = None
    last_fired: float | None = None
    fired_count: int = 0
    last_result: str = ""
    suspended: str = ""
    sequence: str = ""
    refused: str = ""
    doubt: str = ""
    findings: tuple[Any, ...] = ()
