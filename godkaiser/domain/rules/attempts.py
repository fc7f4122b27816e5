"""A firing from its decision to its outcomes: the state of a rule while its commands are judged;
pure.

A firing counts from the moment of its decision, so that a crash repeats nothing. When all of its
commands are refused, it is undone: no cooldown, not counted in max_per_hour, no notification; the
rule tries again at growing intervals. A command of a dose is unsettled until its outcome is known;
a dose that is found unsettled after a start is in doubt, is reported, and is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from godkaiser.domain.rules.facts import Attempt, Progress, Refusal, RuleMemory, Undo
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorRef,
    RuleDefinition,
    SequenceAction,
    energises,
    every_command,
)
from godkaiser.domain.rules.sequences import Advance, abandoned

VERDICT_S = 15.0
"""Without a verdict within this time a firing is in doubt: a crash lost the command or the verdict."""
_SECONDS_LEFT = re.compile(r"\d+(\.\d+)? s\b")
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 30.0
JITTER = 0.1
"""Rules that were refused together do not ask again in the same moment."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The changes by a verdict. `stands`: the firing counts, and notifications are sent now.
    `refused`: it does not count. `broken`: its sequence is aborted, and this is the remaining work.
    """

    memory: RuleMemory
    stands: bool = False
    refused: str = ""
    broken: Advance | None = None


def is_once(definition: RuleDefinition) -> bool:
    """Whether a second firing would do harm, so that the memory is flushed before an energising
    command.

    The default: yes for doses, that is actions with a duration, and sequences.
    """
    if definition.at_most_once is not None:
        return definition.at_most_once
    if any(isinstance(action, SequenceAction) for action in definition.actions):
        return True
    return any(action.duration > 0 and energises(action) for _, action in every_command(definition))


def has_commands(definition: RuleDefinition) -> bool:
    return next(every_command(definition), None) is not None


def begun(before: RuleMemory, after: RuleMemory, now: float) -> RuleMemory:
    """The memory at a firing: it can be restored to `before` until the commands are judged."""
    undo = Undo(**{name: getattr(before, name) for name in Undo.__struct_fields__})
    return msgspec.structs.replace(after, attempt=Attempt(since=now, before=undo), doubt="")


def asked(
    memory: RuleMemory, commands: Sequence[tuple[str, ActuatorAction]], now: float, *, once: bool
) -> RuleMemory:
    """Record these commands, with their correlation ids, before they are requested."""
    if not commands:
        return memory
    ids = tuple(correlation_id for correlation_id, _ in commands)
    progress, attempt = memory.progress, memory.attempt
    if progress is not None and progress.sent and not progress.asked:
        progress = msgspec.structs.replace(progress, asked=ids[-1])
    if attempt is not None:
        attempt = msgspec.structs.replace(attempt, waiting=(*attempt.waiting, *ids), since=now)
    doses = tuple(one for one, action in commands if once and energises(action))
    return msgspec.structs.replace(
        memory,
        progress=progress,
        attempt=attempt,
        energised=energised_after(memory.energised, [action for _, action in commands]),
        unsettled=(*memory.unsettled, *doses),
    )


def energised_after(
    energised: tuple[ActuatorRef, ...], commands: Sequence[ActuatorAction]
) -> tuple[ActuatorRef, ...]:
    """The actuators that the rule has on after these commands, oldest first."""
    for action in commands:
        energised = tuple(ref for ref in energised if ref != action.ref)
        if energises(action):
            energised = (*energised, action.ref)
    return energised


def judged(
    definition: RuleDefinition,
    memory: RuleMemory,
    correlation_id: str,
    *,
    allowed: bool,
    code: str,
    message: str,
    now: float,
    chance: float = 0.5,
) -> Judgement:
    """The state after the verdict on one command; an unexpected verdict changes nothing. `chance`,
    from 0.0 to 1.0, spreads the next attempt.
    """
    if not allowed:
        memory = settled(memory, correlation_id)
    stands = False
    attempt, progress = memory.attempt, memory.progress
    if attempt is not None and correlation_id in attempt.waiting:
        attempt = msgspec.structs.replace(
            attempt,
            waiting=tuple(one for one in attempt.waiting if one != correlation_id),
            allowed=attempt.allowed or allowed,
        )
        if not attempt.waiting and not attempt.allowed:
            undo = undone(memory, code, message, now, chance)
            return Judgement(memory=undo, refused=message or code)
        stands = not attempt.waiting
        memory = msgspec.structs.replace(
            memory,
            attempt=None if stands else attempt,
            refused=None if stands else memory.refused,
        )
    is_step = progress is not None and progress.asked == correlation_id
    # A firing without an allowed command is undone as a whole, at its last verdict.
    if progress is not None and is_step and not allowed and memory.attempt is None:
        return _broken(definition, memory, progress, message, stands=stands)
    return Judgement(memory=memory, stands=stands)


def undone(
    memory: RuleMemory, code: str, message: str, now: float, chance: float = 0.5
) -> RuleMemory:
    """Undo the firing; the rule tries again later."""
    attempt = memory.attempt
    assert attempt is not None
    count = 1 + (0 if memory.refused is None else memory.refused.count)
    wait_s = min(FIRST_RETRY_S * 2.0 ** min(count - 1, 10), LONGEST_RETRY_S)
    wait_s *= 1.0 + JITTER * (2.0 * chance - 1.0)
    return msgspec.structs.replace(
        memory,
        **msgspec.structs.asdict(attempt.before),
        attempt=None,
        progress=None,
        unsettled=tuple(one for one in memory.unsettled if one not in attempt.waiting),
        refused=Refusal(code=code, message=message, count=count, retry_at=now + wait_s),
    )


def without_countdown(text: str) -> str:
    """A refusal without the seconds that are left, which are others at each attempt: for comparing two."""
    return _SECONDS_LEFT.sub("… s", text)


def settled(memory: RuleMemory, correlation_id: str) -> RuleMemory:
    """The memory after the outcome of a command is known."""
    if correlation_id not in memory.unsettled:
        return memory
    left = tuple(one for one in memory.unsettled if one != correlation_id)
    return msgspec.structs.replace(memory, unsettled=left)


def expired(memory: RuleMemory, now: float) -> RuleMemory | None:
    """The memory when verdicts are overdue: the firing counts, because it may be carried out; None
    if not overdue.
    """
    if memory.attempt is None or not memory.attempt.waiting:
        return None
    if now < memory.attempt.since + VERDICT_S:
        return None
    return msgspec.structs.replace(
        memory, attempt=None, unsettled=(), doubt="no verdict on its commands arrived"
    )


def doubted(memory: RuleMemory) -> RuleMemory:
    """The memory after a start: commands from before may have been carried out, and are not
    repeated.
    """
    is_waiting = memory.attempt is not None and bool(memory.attempt.waiting)
    if not is_waiting and not memory.unsettled:
        return memory
    return msgspec.structs.replace(
        memory,
        attempt=None,
        unsettled=(),
        doubt="the gateway ended before the outcome of its commands was known",
    )


def _broken(
    definition: RuleDefinition, memory: RuleMemory, progress: Progress, why: str, *, stands: bool
) -> Judgement:
    left = abandoned(definition, progress, why)
    memory = msgspec.structs.replace(
        memory, progress=None, energised=energised_after(memory.energised, left.commands)
    )
    return Judgement(memory=memory, broken=left, stands=stands)
