"""The keeper of doses: flushes the memory of a rule to disk before the rule energises an actuator.

It is one writer with its own thread, so that one flush serves all waiting rules, and neither the
safety actor nor a worker of the pool ever waits for a disk. During a flush the next group collects
in its mailbox.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from godkaiser.actors.message import Message
from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.storage.files.rule_notes import RuleNote
from godkaiser.supervision import Actor

MOST_AT_ONCE = 500

log = structlog.get_logger("godkaiser.rules")


class KeepMemory(Message, frozen=True, kw_only=True):
    """Flush the memory of a rule; None: the rule is deleted. With `reply_to`, the handle of the
    rule, the rule is told MemoryKept with the `ticket`.
    """

    rule_id: int
    memory: RuleMemory | None
    ticket: str = ""
    reply_to: Any = None


class MemoryKept(Message, frozen=True, kw_only=True):
    """To the rule: its memory survives a power cut; with a `problem` that is unknown."""

    ticket: str
    problem: str = ""


class DoseKeeperActor(Actor):
    """`keep` flushes a group or raises OSError."""

    def __init__(self, keep: Callable[[Sequence[RuleNote]], None]) -> None:
        super().__init__()
        self._keep = keep
        self._waiting: list[KeepMemory] = []
        self._problem = ""

    def on_receive(self, message: object) -> None:
        if not isinstance(message, KeepMemory):
            self.context.unhandled(message)
            return
        self._waiting.append(message)
        if len(self._waiting) >= MOST_AT_ONCE or not self.context.backlog():
            self._flush()

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        problem = ""
        try:
            self._keep([RuleNote(message.rule_id, message.memory) for message in group])
        except OSError as error:
            problem = f"the memory of the rule could not be written to disk: {error.strerror}"
        if problem != self._problem:
            if problem:
                log.error("doses_held_back", reason=problem)
            else:
                log.info("doses_go_on")
            self._problem = problem
        for message in group:
            if message.reply_to is not None:
                message.reply_to.tell(MemoryKept(ticket=message.ticket, problem=problem))
