"""Finds well-formed commands of a rule that the limits of an actuator never allow; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Verb
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorRef,
    Delay,
    HysteresisCondition,
    RampAction,
    RuleDefinition,
    SequenceAction,
    SequenceStep,
    WaitUntil,
    energises,
    every_command,
    leaves,
)
from godkaiser.domain.rules.sequences import steps_of
from godkaiser.domain.safety.level import longest_run_s

Found = Iterator[tuple[str, str]]
Actuators = Mapping[ActuatorRef, ActuatorConfig]
HOUR_S = 3600.0


def never_allowed(definition: RuleDefinition, actuators: Actuators) -> Found:
    """Commands that an actuator always refuses, or ends before the rule does, each with its path."""
    for path, action in every_command(definition):
        config = actuators.get(action.ref)
        if config is not None and energises(action):
            for text in _refusals(action, config):
                yield path, text
    for index, long_one in enumerate(definition.actions):
        if isinstance(long_one, RampAction):
            yield from _ramp(long_one, f"actions[{index}]", actuators)
        elif isinstance(long_one, SequenceAction):
            yield from _sequence(long_one.steps, f"actions[{index}]", actuators)
    yield from _too_often(definition, actuators)


def _refusals(action: ActuatorAction, config: ActuatorConfig) -> Iterator[str]:
    longest_s = longest_run_s(config)
    if action.duration > longest_s:
        yield (
            f"{action.esp_id}/{action.gpio} runs at most {longest_s:g} s (max_runtime_s), so a command for"
            f" {action.duration:g} s is refused"
        )
    if 0 < action.duration < config.min_on_s:
        yield f"duration {action.duration:g} s is below the minimum on-time of {config.min_on_s:g} s"
    if 0 < config.max_on_s_per_hour < action.duration:
        allowed = config.max_on_s_per_hour
        yield f"duration {action.duration:g} s is above the {allowed:g} s that it may be on in an hour"
    out = _out_of_limits(action, config)
    if out:
        yield out


def _out_of_limits(action: ActuatorAction, config: ActuatorConfig) -> str:
    if config.actuator_type is not ActuatorType.PWM:
        return ""
    level = action.value if action.command is Verb.PWM else config.max_value
    if not level or config.min_value <= level <= config.max_value:
        return ""
    return (
        f"{action.esp_id}/{action.gpio} takes {config.min_value:g} to {config.max_value:g}, so"
        f" {level:g} is refused"
    )


# ---- what takes time


def _ramp(ramp: RampAction, path: str, actuators: Actuators) -> Found:
    config = actuators.get((ramp.esp_id, ramp.gpio))
    if config is None:
        return
    if ramp.seconds > longest_run_s(config):
        yield (
            path,
            f"it takes {ramp.seconds:g} s, and the maximum runtime is {longest_run_s(config):g} s",
        )
    for step in steps_of(ramp):
        out = _out_of_limits(step, config) if isinstance(step, ActuatorAction) else ""
        if out:
            yield path, out
            break


def _sequence(steps: Sequence[SequenceStep], path: str, actuators: Actuators) -> Found:
    """Find an actuator that goes off before the step that ends it, or an ON during the rest after
    an OFF.
    """
    for number, step in enumerate(steps):
        config = actuators.get(step.ref) if isinstance(step, ActuatorAction) else None
        if config is None or not isinstance(step, ActuatorAction):
            continue
        following = _next_command(steps, number)
        if following is None:
            continue
        later_s, is_certain, after = following
        where = f"{path}.steps[{number}]"
        if energises(step) and not step.duration:
            longest_s = longest_run_s(config)
            if later_s > longest_s:
                yield (
                    where,
                    (
                        f"it is meant to be on for {later_s:g} s, until the next command to it, and goes off"
                        f" after {longest_s:g} s (max_runtime_s)"
                    ),
                )
            elif 0 < config.max_on_s_per_hour < later_s:
                yield (
                    where,
                    (
                        f"it is meant to be on for {later_s:g} s, and may be on for"
                        f" {config.max_on_s_per_hour:g} s in an hour (max_on_s_per_hour)"
                    ),
                )
        elif not energises(step) and energises(after) and is_certain and later_s < config.min_off_s:
            yield (
                where,
                (
                    f"it is switched on again {later_s:g} s later, which is refused: it rests"
                    f" {config.min_off_s:g} s after it was on (min_off_s)"
                ),
            )


def _next_command(
    steps: Sequence[SequenceStep], number: int
) -> tuple[float, bool, ActuatorAction] | None:
    """The next command to the actuator of a step: after at least how many seconds, whether this
    time is exact, and the command.
    """
    own = steps[number]
    assert isinstance(own, ActuatorAction)
    later_s, is_certain = 0.0, True
    for step in steps[number + 1 :]:
        if isinstance(step, Delay):
            later_s += step.seconds
        elif isinstance(step, WaitUntil):
            is_certain = False
        elif isinstance(step, ActuatorAction) and step.ref == own.ref:
            return later_s, is_certain, step
    return None


# ---- how often


def _too_often(definition: RuleDefinition, actuators: Actuators) -> Found:
    """Compare the firings that `max_per_hour` or the cooldown allows with `max_switches_per_hour`."""
    each = Counter(action.ref for _, action in every_command(definition) if energises(action))
    told: set[ActuatorRef] = set()
    for path, action in every_command(definition):
        config = actuators.get(action.ref)
        if config is None or not energises(action) or action.ref in told:
            continue
        told.add(action.ref)
        allowed, per_firing = config.max_switches_per_hour, 2 * each[action.ref]
        if not allowed:
            continue
        text = _beyond(definition, allowed, per_firing)
        if text:
            yield path, text


def _beyond(definition: RuleDefinition, allowed: int, per_firing: int) -> str:
    firings = definition.max_per_hour
    if firings:
        switches = firings * per_firing
        if switches <= allowed:
            return ""
        return f"max_per_hour {firings} takes up to {switches} switches, and the actuator allows {allowed} an hour"
    if per_firing > allowed:
        return f"each firing takes {per_firing} switches, and the actuator allows {allowed} an hour"
    # With two thresholds, the plant itself limits how often the rule switches.
    if any(isinstance(leaf, HysteresisCondition) for _, leaf in leaves(definition)):
        return ""
    cooldown_s = definition.cooldown_seconds
    if cooldown_s * allowed >= HOUR_S * per_firing:
        return ""
    return (
        f"a cooldown of {cooldown_s:g} s lets it fire far more often than the {allowed} switches an hour of the"
        f" actuator allow: set max_per_hour {allowed // per_firing}, or a longer cooldown_seconds"
    )
