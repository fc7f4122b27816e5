"""Decides what a rule does when it holds, no longer holds, or has a sequence under way.

The meaning of a rule, in few sentences. It *fires* its actions when its conditions hold, at the
earliest `cooldown_seconds` after its last firing, at most `max_per_hour` times, and only if an
actuator is not already in the desired state. When the conditions no longer hold it *releases*: each
of its ON or PWM actions with `release` is followed by OFF; `release` is on by default in a rule
with a hysteresis condition. A reading that is missing, bad or older than `max_age_seconds` makes a
condition unknown, and unknown never fires. Unknown does not release either: the lease of the
actuator limits the effect of a silent sensor. A sequence that is under way continues by itself;
meanwhile the rule does not fire again. A rule that fights another one, or fires as often as only a
loop does, is suspended.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.conditions import evaluate_one
from godkaiser.domain.rules.facts import Evaluation, Facts, Progress, RuleMemory, Truth, earliest
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorRef,
    HysteresisCondition,
    NotificationAction,
    RampAction,
    RuleDefinition,
    SequenceStep,
    StopAction,
    WaitUntil,
    commands_of,
    energises,
    leaves,
)
from godkaiser.domain.rules.sequences import (
    Advance,
    abandoned,
    advance,
    is_as_told,
    long_action,
    offs,
    steps_of,
)
from godkaiser.domain.safety.stop_state import Scope

HOUR_S = 3600.0
LOOP_WINDOW_S = 600.0
MOST_REVERSALS = 5
MOST_REMEMBERED = 360


class Decision(msgspec.Struct, frozen=True):
    """`stops`, `actions` and `notifications` to carry out now, for a firing (`fired`) or a
    sequence; `released` are the OFFs that end an earlier firing. `remark` says how a sequence
    ended, or why the rule is suspended. `wake_at`: when to evaluate again without any event.
    `commanded`: the firing had commands, and not only a stop.
    """

    fired: bool
    actions: tuple[ActuatorAction, ...]
    released: tuple[ActuatorAction, ...]
    memory: RuleMemory
    stops: tuple[StopAction, ...] = ()
    notifications: tuple[NotificationAction, ...] = ()
    remark: str = ""
    wake_at: float | None = None
    commanded: bool = False

    @property
    def is_worth_telling(self) -> bool:
        return bool(self.fired or self.released or self.remark)


def decide(
    definition: RuleDefinition,
    evaluation: Evaluation,
    memory: RuleMemory,
    facts: Facts,
    now: float,
    stopped: frozenset[Scope] = frozenset(),
    wall: float | None = None,
) -> Decision:
    """Decide what to do now; `stopped` are the scopes that are already stopped. Clocks as in
    `evaluate`.
    """
    truth = evaluation.truth
    commands = commands_of(definition)
    released: tuple[ActuatorAction, ...] = ()
    firing = memory.firing
    if truth is Truth.FALSE and firing:
        released = tuple(_off(action) for action in commands if releases(definition, action))
        firing = False
    elif firing and not definition.enabled:
        released = _offs(memory.energised, facts)
        firing = False
    holds = truth is Truth.TRUE and definition.enabled and not memory.suspended
    stops = tuple(
        action
        for action in definition.actions
        if holds and isinstance(action, StopAction) and action.scope not in stopped
    )
    recent = tuple(at for at in memory.recent if now - HOUR_S < at <= now)
    due = (
        holds
        and memory.progress is None
        and memory.attempt is None
        and (memory.refused is None or now >= memory.refused.retry_at)
        and _cooled_down(definition, memory, now)
        and _has_work(definition, commands, facts)
    )
    reversals, suspended = _loop(definition, commands, memory, facts, recent, now) if due else (
        memory.reversals, memory.suspended)  # fmt: skip
    commanded = due and not suspended and not _is_limited(definition, recent)
    counts = definition.max_per_hour or definition.suspend_after
    fired = commanded or bool(stops)
    progress = memory.progress
    if commanded:
        # A rule may release only what it has switched on itself.
        firing = True
        found = long_action(definition)
        progress = None if found is None else Progress(action=found[0], step=0, since=now)
    went = _advance(definition, progress, evaluation, memory, facts, now, wall)
    attempt = memory.attempt
    if attempt is not None and not attempt.waiting and went.progress is None:
        # Its sequence is over, and nothing in it had to be judged.
        attempt = None
    remarks = (
        suspended if suspended != memory.suspended else "",
        f"sequence {went.outcome}" if went.outcome else "",
        _ended_by_itself(commands, memory, facts) if commanded else "",
    )
    return Decision(
        fired=fired,
        actions=(*(commands if commanded else ()), *went.commands),
        released=released,
        memory=msgspec.structs.replace(
            memory,
            truth=truth,
            firing=firing,
            hysteresis=evaluation.hysteresis,
            since=evaluation.since,
            seen=evaluation.seen,
            last_fired=(now if wall is None else wall) if fired else memory.last_fired,
            fired_at=now if fired else memory.fired_at,
            fired_count=memory.fired_count + fired,
            recent=(*recent, now)[-MOST_REMEMBERED:] if commanded and counts else recent,
            reversals=reversals,
            suspended=suspended,
            progress=went.progress,
            attempt=attempt,
            refused=None if truth is Truth.FALSE else memory.refused,
        ),
        stops=stops,
        notifications=(*(notifications_of(definition) if fired else ()), *went.notifications),
        remark="; ".join(filter(None, remarks)),
        wake_at=earliest(evaluation.wake_at, went.wake_at, _retry_at(memory, now, holds=holds)),
        commanded=commanded,
    )


def notifications_of(definition: RuleDefinition) -> tuple[NotificationAction, ...]:
    """The notifications of the rule itself, sent when it fires."""
    return tuple(action for action in definition.actions if isinstance(action, NotificationAction))


def settled_until(definition: RuleDefinition, memory: RuleMemory, facts: Facts) -> float:
    """Until this moment (unix seconds) the rule decides nothing new while its conditions keep their
    truth.

    `memory` is from a decision without commands. Negative infinity: it may decide at any time.
    """
    if memory.progress is not None:
        return -math.inf
    holds = memory.truth is Truth.TRUE and definition.enabled
    if not holds or memory.suspended:
        # An ended firing was released with that decision.
        return math.inf
    if any(isinstance(action, StopAction) for action in definition.actions):
        return -math.inf
    if not _has_work(definition, commands_of(definition), facts):
        return math.inf
    if memory.fired_at is None:
        return -math.inf
    return memory.fired_at + definition.cooldown_seconds


def releases(definition: RuleDefinition, action: ActuatorAction) -> bool:
    """Whether this action's actuator is switched off when the conditions no longer hold."""
    if action.command not in {Verb.ON, Verb.PWM}:
        return False
    if action.release is not None:
        return action.release
    return any(isinstance(c, HysteresisCondition) for _, c in leaves(definition))


def fingerprint(definition: RuleDefinition) -> str:
    """A digest of the conditions and the actions, to which a memory belongs."""
    parts = (definition.conditions, definition.logic_operator, definition.actions)
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def adopted(definition: RuleDefinition, memory: RuleMemory) -> tuple[RuleMemory, Advance | None]:
    """The memory that a new version of a rule takes over, and the remaining work for the old
    version.

    It always keeps the cooldown, the firings of the last hour and their count: a change must not
    let a pump run twice. It keeps the truth and the hysteresis only if conditions and actions are
    identical; otherwise the actuators that the old version has on are switched off, and a running
    sequence ends. A suspension ends with a change, because its author has seen it.
    """
    text = fingerprint(definition)
    if memory.text == text:
        return memory, None
    left = _left(memory, None, "the rule has changed")
    kept = RuleMemory(
        last_fired=memory.last_fired,
        fired_at=memory.fired_at,
        fired_count=memory.fired_count,
        recent=memory.recent,
        text=text,
        doubt=memory.doubt,
        clock=memory.clock,
        changes=memory.changes,
    )
    return kept, left


def end_of(definition: RuleDefinition, memory: RuleMemory, why: str) -> Advance | None:
    """The remaining work for a rule that is changed or deleted; None if there is none."""
    progress = memory.progress
    broken = None if progress is None else abandoned(definition, progress, why)
    return _left(memory, broken, why)


def _left(memory: RuleMemory, broken: Advance | None, why: str) -> Advance | None:
    """The end of a sequence, and an OFF for every other actuator that the rule has on."""
    commands = () if broken is None else broken.commands
    refs = dict.fromkeys(memory.energised)
    if broken is None and memory.progress is not None:
        refs |= dict.fromkeys(memory.progress.energised)
    done = {action.ref for action in commands}
    rest = offs([ref for ref in refs if ref not in done])
    if memory.progress is None and not rest:
        return None
    outcome = "" if memory.progress is None else f"aborted: {why}"
    return Advance(progress=None, commands=(*commands, *rest), outcome=outcome)


def _advance(
    definition: RuleDefinition,
    progress: Progress | None,
    evaluation: Evaluation,
    memory: RuleMemory,
    facts: Facts,
    now: float,
    wall: float | None,
) -> Advance:
    if progress is None:
        return Advance(progress=None)
    if not definition.enabled:
        return abandoned(definition, progress, "the rule is disabled")
    remembered = msgspec.structs.replace(
        memory,
        hysteresis=evaluation.hysteresis,
        since=evaluation.since,
        seen=evaluation.seen,
    )

    def truth_of(path: str, step: WaitUntil) -> tuple[Truth, float | None]:
        found = evaluate_one(path, step.condition, facts, remembered, now, wall)
        # Stored with the rule's other memory, so that a hysteresis in it keeps its state.
        evaluation.hysteresis.update(found.hysteresis)
        evaluation.since.update(found.since)
        evaluation.seen.update(found.seen)
        return found.truth, found.wake_at

    return advance(definition, progress, evaluation.truth, truth_of, facts, now)


def _has_work(
    definition: RuleDefinition, commands: tuple[ActuatorAction, ...], facts: Facts
) -> bool:
    found = long_action(definition)
    if found is not None and isinstance(found[1], RampAction):
        # The ramp is at its end: starting it again would first go back to its start value.
        return _differs(steps_of(found[1])[-1], facts)
    if found is not None:
        return True
    if not commands:
        return any(isinstance(action, NotificationAction) for action in definition.actions)
    return any(_differs(action, facts) for action in commands)


def _off(action: ActuatorAction) -> ActuatorAction:
    return ActuatorAction(esp_id=action.esp_id, gpio=action.gpio, command=Verb.OFF)


def _offs(refs: tuple[ActuatorRef, ...], facts: Facts) -> tuple[ActuatorAction, ...]:
    """OFF for each actuator that the rule still owns."""
    return offs([ref for ref in refs if ref not in facts.owners])


def _retry_at(memory: RuleMemory, now: float, *, holds: bool) -> float | None:
    if memory.refused is None or not holds or memory.refused.retry_at <= now:
        return None
    return memory.refused.retry_at


def _ended_by_itself(commands: tuple[ActuatorAction, ...], memory: RuleMemory, facts: Facts) -> str:
    """The actuators that this rule switches on again although nobody switched them off."""
    ended = [
        f"{action.esp_id}/{action.gpio}"
        for action in commands
        if memory.firing
        and energises(action)
        and not action.duration
        and action.ref in memory.energised
        and action.ref not in facts.owners
        and facts.levels.get(action.ref) == 0.0
    ]
    if not ended:
        return ""
    return f"{', '.join(ended)} reached its maximum runtime or went off by itself, and is switched on again"


def _cooled_down(definition: RuleDefinition, memory: RuleMemory, now: float) -> bool:
    return memory.fired_at is None or now - memory.fired_at >= definition.cooldown_seconds


def _is_limited(definition: RuleDefinition, recent: tuple[float, ...]) -> bool:
    return 0 < definition.max_per_hour <= len(recent)


def _loop(
    definition: RuleDefinition,
    commands: tuple[ActuatorAction, ...],
    memory: RuleMemory,
    facts: Facts,
    recent: tuple[float, ...],
    now: float,
) -> tuple[tuple[float, ...], str]:
    """The recent reversals, and the reason for a suspension, or ""."""
    reversals = tuple(at for at in memory.reversals if now - LOOP_WINDOW_S < at <= now)
    undone = _undone_by_rule(commands, facts) if memory.firing else None
    if undone is not None:
        reversals = (*reversals, now)
        if len(reversals) >= MOST_REVERSALS:
            (esp_id, gpio), other = undone
            reason = (
                f"suspended: {other} has undone {len(reversals)} times in"
                f" {LOOP_WINDOW_S / 60:g} minutes what this rule does with {esp_id}/{gpio}."
                " Give one of the two rules a higher priority, or other limits, and save this rule."
            )
            return reversals, reason
    of_late = sum(now - LOOP_WINDOW_S < at for at in recent)
    if 0 < definition.suspend_after <= of_late:
        reason = (
            f"suspended: it fired {of_late} times in {LOOP_WINDOW_S / 60:g} minutes, as a loop does."
            " Give it a hysteresis, a longer cooldown or a higher suspend_after, and save this rule."
        )
        return reversals, reason
    return reversals, ""


def _undone_by_rule(
    commands: tuple[ActuatorAction, ...], facts: Facts
) -> tuple[ActuatorRef, str] | None:
    for action in commands:
        owner = facts.owners.get(action.ref, "")
        if owner.startswith("rule:") and _differs(action, facts):
            return action.ref, owner
    return None


def _differs(action: SequenceStep, facts: Facts) -> bool:
    assert isinstance(action, ActuatorAction)
    is_toggle = action.command is Verb.TOGGLE
    return is_toggle or not is_as_told(action, facts.levels.get(action.ref))
