"""The reports of a rule: to people through the notifier, to the journal, and in its view.

Used by a rule actor only.
"""

from __future__ import annotations

from godkaiser import paths
from godkaiser.actors.rules.messages import RuleView
from godkaiser.actors.services.recipient import Notify
from godkaiser.actors.storage.journal import RecordRule
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.rules import (
    Decision,
    Evaluation,
    Finding,
    NotificationAction,
    RuleDefinition,
    RuleMemory,
)
from godkaiser.supervision import ActorContext


class RuleReport:
    """`result` is the last result, as text; `evaluation` the newest one, with its time (unix
    seconds).
    """

    def __init__(self, context: ActorContext, rule_id: int, definition: RuleDefinition) -> None:
        self._context = context
        self._rule_id = rule_id
        self._definition = definition
        self._journal = context.handle(paths.JOURNAL)
        self.result = ""
        self.evaluation: Evaluation | None = None
        self.evaluated_at: float | None = None

    def notify(self, action: NotificationAction, text: str = "") -> None:
        """Send a notification; without a text, the text of the action."""
        why = "; ".join(finding.detail for finding in self._findings()) or "it holds"
        if not text:
            text = action.message.replace("{rule}", self._definition.name).replace("{why}", why)
        self._context.handle(paths.NOTIFIER).tell(
            Notify(
                at=self._context.now(),
                channel=action.channel,
                target=action.target,
                text=text,
                source=f"rule:{self._rule_id}",
                subject=self._definition.name,
            )
        )

    def notify_all(self, text: str = "") -> None:
        """Send all notifications of the rule."""
        for action in rules.notifications_of(self._definition):
            self.notify(action, text)

    def record(
        self, memory: RuleMemory, decision: Decision | None = None, commands: tuple[str, ...] = ()
    ) -> None:
        self._journal.tell(
            RecordRule(
                rule_id=self._rule_id,
                at=self._context.now(),
                memory=memory,
                decision=decision if decision is not None and decision.is_worth_telling else None,
                findings=self._findings(),
                commands=commands,
            )
        )

    def show(self, memory: RuleMemory) -> None:
        # A firing is shown only after its commands are judged.
        counted = memory if memory.attempt is None else memory.attempt.before
        fired = counted.last_fired
        self._context.publish(
            "view",
            RuleView(
                rule_id=self._rule_id,
                definition=self._definition,
                truth=memory.truth.value,
                last_evaluated=self.evaluated_at,
                last_fired=None if fired is None else min(fired, self._context.now()),
                fired_count=counted.fired_count,
                last_result=self.result,
                suspended=memory.suspended,
                sequence=_sequence(memory),
                refused="" if memory.refused is None else memory.refused.message,
                doubt=memory.doubt,
                findings=self._findings(),
            ),
        )

    def _findings(self) -> tuple[Finding, ...]:
        return self.evaluation.findings if self.evaluation is not None else ()


def _sequence(memory: RuleMemory) -> str:
    progress = memory.progress
    if progress is None:
        return ""
    where = f"step {progress.step} of actions[{progress.action}]"
    return where if progress.resumed is None else f"{where}, waits for its devices"
