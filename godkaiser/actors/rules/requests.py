"""The requests of a rule to the safety actor, in the order of its decisions.

All commands use the ordinary lane: with a faster lane an OFF could overtake an earlier ON. An
energising command of a dose waits here until the rule's memory is on disk; an OFF for the same
actuator replaces it. Used by a rule actor only.
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
"""A command that waits longer for the disk is dropped, because its decision may be outdated."""

Asked = tuple[str, ActuatorAction]
"""A command with its correlation id."""


class CommandEnded(Message, frozen=True, kw_only=True):
    """To the rule: the outcome of an allowed command."""

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
        # A dose needs the outcome of its commands; for other commands the views of the actuators
        # are enough.
        self._teller = OutcomeTeller(context.own) if is_dose else None
        self._waiting: dict[str, _Waiting] = {}

    def ask(self, commands: Sequence[Asked], decided_at: float) -> None:
        """Send these commands, in this order."""
        for correlation_id, action in commands:
            self._request(correlation_id, action, decided_at)

    def hold_back(self, ticket: str, commands: Sequence[Asked], decided_at: float) -> None:
        """Hold these commands until `go`."""
        self._waiting[ticket] = _Waiting(tuple(commands), decided_at)

    def go(self, ticket: str) -> None:
        """The memory is on disk: send the held commands, except withdrawn ones."""
        waiting = self._waiting.pop(ticket, None)
        if waiting is not None:
            self.ask(waiting.commands, waiting.decided_at)

    def withdraw(self, ticket: str) -> list[str]:
        """The memory could not be written: drop its commands; returns their correlation ids."""
        waiting = self._waiting.pop(ticket, None)
        return [] if waiting is None else [one for one, _ in waiting.commands]

    def withdraw_late(self, now: float) -> list[str]:
        """Drop commands that have waited too long."""
        late = [t for t, w in self._waiting.items() if now - w.decided_at >= DURABLE_S]
        return [one for ticket in late for one in self.withdraw(ticket)]

    def withdraw_for(self, ref: ActuatorRef) -> list[str]:
        """Drop the waiting command for this actuator, because an OFF replaces it."""
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
