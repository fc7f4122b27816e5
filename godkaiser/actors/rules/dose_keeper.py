"""The keeper of doses: what a rule remembers is on disk, flushed, before the rule energises anything.

One writer with a thread of its own, so that one flush serves all rules that wait, and neither the safety
actor nor a worker of the pool ever waits for a disk. While it flushes, the next group gathers in its mailbox.
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
    """What a rule remembers, to be flushed; None: the rule is deleted. With `reply_to`, the handle of the
    rule, that is told MemoryKept with the `ticket`.
    """

    rule_id: int
    memory: RuleMemory | None
    ticket: str = ""
    reply_to: Any = None


class MemoryKept(Message, frozen=True, kw_only=True):
    """To the rule: it survives a power cut; with a `problem` nobody knows."""

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
            problem = f"what the rule remembers could not be written to disk: {error.strerror}"
        if problem != self._problem:
            if problem:
                log.error("doses_held_back", reason=problem)
            else:
                log.info("doses_go_on")
            self._problem = problem
        for message in group:
            if message.reply_to is not None:
                message.reply_to.tell(MemoryKept(ticket=message.ticket, problem=problem))
