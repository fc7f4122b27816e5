"""Runs a sequence: step by step, each confirmed; and decides what follows when it is aborted.

Actuators that it has switched on must stay on: when somebody, a stop or the end of a lease switches
one off, the sequence is aborted. So it is when its actuators are found off after a restart.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.facts import Facts, Progress, Truth, earliest
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorRef,
    Delay,
    NotificationAction,
    RampAction,
    RuleDefinition,
    SequenceAction,
    SequenceStep,
    WaitUntil,
)

CONFIRM_S = 15.0
"""A command that is not confirmed within this time aborts the sequence."""
RESUME_S = 180.0
"""The time for its devices to come back after a start of the gateway: three heartbeats."""
LOOK_AGAIN_S = 0.5
WATCH_S = 2.0
"""How often a sequence checks that its actuators are still on, when nothing else wakes it."""
MOST_RAMP_STEPS = 120
SAME_LEVEL = 0.01

TruthOf = Callable[[str, WaitUntil], tuple[Truth, float | None]]
"""Whether the awaited condition holds, and when to check again without any event."""


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """`progress` None: the sequence is over, and `outcome` says how it ended."""

    progress: Progress | None
    commands: tuple[ActuatorAction, ...] = ()
    notifications: tuple[NotificationAction, ...] = ()
    outcome: str = ""
    wake_at: float | None = None


def long_action(definition: RuleDefinition) -> tuple[int, SequenceAction | RampAction] | None:
    """The sequence or ramp of a rule; there is at most one."""
    for index, action in enumerate(definition.actions):
        if isinstance(action, SequenceAction | RampAction):
            return index, action
    return None


@functools.lru_cache(maxsize=1000)
def steps_of(action: SequenceAction | RampAction) -> tuple[SequenceStep, ...]:
    """A ramp is a sequence of PWM values."""
    if isinstance(action, SequenceAction):
        return action.steps
    count = min(max(1, math.ceil(action.seconds / action.step_seconds)), MOST_RAMP_STEPS)
    pause = Delay(seconds=action.seconds / count)
    steps: list[SequenceStep] = []
    for number in range(count + 1):
        value = action.start + (action.end - action.start) * number / count
        command = ActuatorAction(
            esp_id=action.esp_id, gpio=action.gpio, command=Verb.PWM, value=round(value, 4)
        )
        steps += [command, pause] if number < count else [command]
    return tuple(steps)


def advance(
    definition: RuleDefinition,
    progress: Progress,
    truth: Truth,
    truth_of: TruthOf,
    facts: Facts,
    now: float,
) -> Advance:
    """Advance the sequence as far as possible now."""
    found = long_action(definition)
    if found is None or found[0] != progress.action:
        return _broken(None, progress, "the rule has changed")
    action = found[1]
    if isinstance(action, SequenceAction) and action.abort_when_false and truth is Truth.FALSE:
        return _broken(action, progress, "its conditions no longer hold")
    if progress.resumed is not None:
        resumed = _resumed(action, progress, progress.resumed, facts, now)
        if isinstance(resumed, Advance):
            return resumed
        progress = resumed
    return _go_on(action, progress, truth_of, facts, now)


def _go_on(
    action: SequenceAction | RampAction,
    progress: Progress,
    truth_of: TruthOf,
    facts: Facts,
    now: float,
) -> Advance:
    steps = steps_of(action)
    commands: list[ActuatorAction] = []
    notifications: list[NotificationAction] = []
    # A stored time must never be in the future, wherever it came from.
    progress = msgspec.structs.replace(progress, since=min(progress.since, now))
    while progress.step < len(steps):
        step = steps[progress.step]
        lost = _lost(progress, step, facts)
        if lost is not None:
            return _broken(action, progress, f"{lost[0]}/{lost[1]} is no longer on")
        wake_at: float | None
        match step:
            case ActuatorAction() if not progress.sent:
                commands.append(step)
                progress = msgspec.structs.replace(progress, sent=True, since=now, asked="")
                wake_at = now + LOOK_AGAIN_S
            case ActuatorAction():
                if is_as_told(step, facts.reported.get(step.ref)):
                    progress = _next(progress, now, step)
                    continue
                if now >= progress.since + CONFIRM_S:
                    reason = f"{step.esp_id}/{step.gpio} did not confirm {step.command.value}"
                    return _broken(action, progress, reason)
                wake_at = now + LOOK_AGAIN_S
            case NotificationAction():
                notifications.append(step)
                progress = _next(progress, now)
                continue
            case Delay(seconds=seconds):
                if now >= progress.since + seconds:
                    progress = _next(progress, now)
                    continue
                wake_at = progress.since + seconds
            case WaitUntil():
                path = f"actions[{progress.action}].steps[{progress.step}].condition"
                holds, look_at = truth_of(path, step)
                if holds is Truth.TRUE:
                    progress = _next(progress, now)
                    continue
                if now >= progress.since + step.timeout_seconds:
                    if step.on_timeout == "abort":
                        reason = f"step {progress.step} timed out after {step.timeout_seconds:g} s"
                        return _broken(action, progress, reason, tuple(notifications))
                    progress = _next(progress, now)
                    continue
                wake_at = earliest(progress.since + step.timeout_seconds, look_at)
        if progress.energised:
            wake_at = earliest(wake_at, now + WATCH_S)
        return Advance(
            progress=progress,
            commands=tuple(commands),
            notifications=tuple(notifications),
            wake_at=wake_at,
        )
    return Advance(
        progress=None,
        commands=tuple(commands),
        notifications=tuple(notifications),
        outcome="done",
    )


def offs(refs: Sequence[ActuatorRef]) -> tuple[ActuatorAction, ...]:
    """An OFF for each actuator, the newest first."""
    return tuple(
        ActuatorAction(esp_id=esp_id, gpio=gpio, command=Verb.OFF)
        for esp_id, gpio in reversed(refs)
    )


def _resumed(
    action: SequenceAction | RampAction,
    progress: Progress,
    since: float,
    facts: Facts,
    now: float,
) -> Advance | Progress:
    """After a start of the gateway: wait until its devices and actuators have reported their
    states.
    """
    steps = steps_of(action)
    devices = {step.esp_id for step in steps if isinstance(step, ActuatorAction)}
    waits = sorted(esp_id for esp_id in devices if facts.online.get(esp_id) is not True)
    waits += [f"{ref[0]}/{ref[1]}" for ref in progress.energised if facts.reported.get(ref) is None]
    if waits and now >= since + RESUME_S:
        return _broken(action, progress, f"after a restart {', '.join(waits)} did not come back")
    if waits:
        return Advance(progress=progress, wake_at=now + WATCH_S)
    # A command's timeout does not count the time without confirmations; a pause has continued.
    is_command = progress.sent and isinstance(steps[progress.step], ActuatorAction)
    return msgspec.structs.replace(
        progress, resumed=None, since=now if is_command else progress.since
    )


def abandoned(definition: RuleDefinition, progress: Progress, why: str) -> Advance:
    """The rule is changed, disabled or deleted while a sequence runs: abort the sequence."""
    found = long_action(definition)
    return _broken(None if found is None else found[1], progress, why)


def _next(progress: Progress, now: float, done: ActuatorAction | None = None) -> Progress:
    energised = progress.energised
    if done is not None:
        energised = tuple(ref for ref in energised if ref != done.ref)
        if done.command is Verb.ON or (done.command is Verb.PWM and (done.value or 0.0) > 0.0):
            # A duration may end it; only an actuator without a duration must stay on.
            energised = energised if done.duration else (*energised, done.ref)
    return msgspec.structs.replace(
        progress, step=progress.step + 1, since=now, sent=False, asked="", energised=energised
    )


def is_as_told(action: ActuatorAction, level: float | None) -> bool:
    """Whether an actuator at this level shows what the action commands; None: its level is not known."""
    if level is None:
        return False
    match action.command:
        case Verb.OFF:
            return level <= 0.0
        case Verb.PWM:
            return abs(level - (action.value or 0.0)) <= SAME_LEVEL
        case _:
            return level > 0.0


def _lost(progress: Progress, step: SequenceStep, facts: Facts) -> ActuatorRef | None:
    # The actuator of the current step is still changing; its confirmation is checked separately.
    own = step.ref if progress.sent and isinstance(step, ActuatorAction) else None
    for ref in progress.energised:
        if ref == own:
            continue
        level = facts.reported.get(ref)
        if level is not None and level <= 0.0:
            return ref
    return None


def _broken(
    action: SequenceAction | RampAction | None,
    progress: Progress,
    why: str,
    notifications: tuple[NotificationAction, ...] = (),
) -> Advance:
    if isinstance(action, SequenceAction) and action.on_abort is not None:
        commands = action.on_abort
    else:
        refs = list(progress.energised)
        if action is not None and progress.sent:
            step = steps_of(action)[progress.step]
            # The command may have been carried out without a confirmation.
            refs += [step.ref] if isinstance(step, ActuatorAction) else []
        commands = offs(list(dict.fromkeys(refs)))
    return Advance(
        progress=None, commands=commands, notifications=notifications, outcome=f"aborted: {why}"
    )
