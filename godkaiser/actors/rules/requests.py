"""What a rule asks of the safety actor, in the order in which it was decided.

All commands go the ordinary way: a faster lane for OFF would let it overtake an ON that was told before.
An energising command of a dose waits here until what the rule remembers is on disk; an OFF for the same
actuator takes its place. Used by a rule actor only.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.safety.messages import CommandOutcome, RequestCommand
from godkaiser.domain.entities import Issuer, Verb
from godkaiser.domain.rules.rules import ActuatorAction, ActuatorRef
from godkaiser.domain.rules.schema import command_of
from godkaiser.supervision import ActorContext, Handle

DURABLE_S = 5.0
"""A command that waits longer for the disk is given up: what was decided then may no longer be meant."""

Asked = tuple[str, ActuatorAction]
"""A command with its correlation id."""


class CommandEnded(Message, frozen=True, kw_only=True):
    """To the rule: what became of a command that was allowed."""

    outcome: CommandOutcome


class OutcomeTeller(msgspec.Struct, frozen=True):
    """Tells an actor the outcome of a command."""

    actor: Handle

    def set(self, outcome: CommandOutcome) -> None:
        self.actor.tell(CommandEnded(outcome=outcome))


class _Waiting(msgspec.Struct, frozen=True):
    commands: tuple[Asked, ...]
    decided_at: float


class RuleRequests:
    def __init__(self, context: ActorContext, issuer: Issuer, *, is_dose: bool) -> None:
        self._context = context
        self._issuer = issuer
        self._safety = context.handle(paths.SAFETY)
        # The outcome settles a dose; of other commands the views of the actuators tell enough.
        self._teller = OutcomeTeller(context.own) if is_dose else None
        self._waiting: dict[str, _Waiting] = {}

    def ask(self, commands: Sequence[Asked], decided_at: float) -> None:
        """In this order."""
        for correlation_id, action in commands:
            self._request(correlation_id, action, decided_at)

    def hold_back(self, ticket: str, commands: Sequence[Asked], decided_at: float) -> None:
        """Until `go`."""
        self._waiting[ticket] = _Waiting(tuple(commands), decided_at)

    def go(self, ticket: str) -> None:
        """What it remembers is on disk; what was withdrawn meanwhile does not leave."""
        waiting = self._waiting.pop(ticket, None)
        if waiting is not None:
            self.ask(waiting.commands, waiting.decided_at)

    def withdraw(self, ticket: str) -> list[str]:
        """It could not be written; the correlation ids of what does not leave."""
        waiting = self._waiting.pop(ticket, None)
        return [] if waiting is None else [one for one, _ in waiting.commands]

    def withdraw_late(self, now: float) -> list[str]:
        """Give up what waits for too long."""
        late = [t for t, w in self._waiting.items() if now - w.decided_at >= DURABLE_S]
        return [one for ticket in late for one in self.withdraw(ticket)]

    def withdraw_for(self, ref: ActuatorRef) -> list[str]:
        """An OFF for this actuator takes the place of what waits for it."""
        gone: list[str] = []
        for ticket, waiting in list(self._waiting.items()):
            gone += [one for one, action in waiting.commands if action.ref == ref]
            kept = tuple(asked for asked in waiting.commands if asked[1].ref != ref)
            self._waiting[ticket] = _Waiting(kept, waiting.decided_at)
        return gone

    def _request(self, correlation_id: str, action: ActuatorAction, decided_at: float) -> None:
        command = command_of(
            action,
            self._issuer,
            correlation_id=correlation_id,
            requested_at=self._context.now(),
            decided_at=decided_at,
        )
        is_off = action.command is Verb.OFF
        self._safety.tell(
            RequestCommand(
                command=command,
                verdict_to=self._context.own,
                outcome_to=None if is_off else self._teller,
            )
        )
