"""Finds mistakes and doubtful parts of a rule's text, each with its path in the JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import time
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from godkaiser.domain.email_addresses import is_email_address
from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.schema import (
    MAX_DURATION_S,
    ActuatorAction,
    ActuatorRef,
    Condition,
    DeviceCondition,
    DifferenceCondition,
    ForAtLeast,
    Group,
    HysteresisCondition,
    NotificationAction,
    OfSensor,
    RampAction,
    RuleDefinition,
    SensorCondition,
    SensorRef,
    SequenceAction,
    StopAction,
    TimeWindow,
    WaitUntil,
    every_command,
    every_condition,
    walk,
)
from godkaiser.domain.sensors.sensors import SENSOR_TYPES

MAX_DEPTH = 8
MAX_CONDITIONS = 64
MAX_ACTIONS = 64
MAX_STEPS = 64


class Problem(msgspec.Struct, frozen=True):
    """`severity` is error or warning; only errors keep a rule from being saved."""

    path: str
    severity: str
    message: str


def is_too_large(definition: RuleDefinition) -> bool:
    """Whether the rule is so large that it is not checked any further."""
    return next(_sizes(definition), None) is not None


def mistakes_of(definition: RuleDefinition) -> list[Problem]:
    """The mistakes and doubts in the text alone, whatever the site; errors first."""
    too_large = [Problem(path, "error", text) for path, text in _sizes(definition)]
    if too_large:
        return too_large
    errors = [
        Problem(path, "error", text)
        for path, text in (*_condition_errors(definition), *_action_errors(definition))
    ]
    warnings = [Problem(path, "warning", text) for path, text in _out_of_reach(definition)]
    return [*errors, *warnings]


Found = Iterator[tuple[str, str]]


def _sizes(definition: RuleDefinition) -> Found:
    if _depth(definition.conditions) > MAX_DEPTH:
        yield "conditions", f"groups may be nested at most {MAX_DEPTH} deep"
        return
    if len(definition.actions) > MAX_ACTIONS:
        yield "actions", f"{len(definition.actions)} actions; at most {MAX_ACTIONS} are allowed"
    for index, action in enumerate(definition.actions):
        if isinstance(action, SequenceAction):
            for step in action.steps:
                if isinstance(step, WaitUntil) and _depth((step.condition,)) > MAX_DEPTH:
                    yield f"actions[{index}]", f"groups may be nested at most {MAX_DEPTH} deep"
                    return
            steps = len(action.steps) + len(action.on_abort or ())
            if steps > MAX_STEPS:
                yield f"actions[{index}]", f"{steps} steps; at most {MAX_STEPS} are allowed"
    count = sum(not isinstance(c, Group | ForAtLeast) for _, c in every_condition(definition))
    if count > MAX_CONDITIONS:
        yield "conditions", f"{count} conditions; at most {MAX_CONDITIONS} are allowed"


def _depth(conditions: tuple[Condition, ...]) -> int:
    deepest = 0
    pending = [(condition, 1) for condition in conditions]
    while pending:
        condition, depth = pending.pop()
        deepest = max(deepest, depth)
        if isinstance(condition, Group):
            pending.extend((inner, depth + 1) for inner in condition.conditions)
        elif isinstance(condition, ForAtLeast):
            pending.append((condition.condition, depth + 1))
    return deepest


# ---- conditions


def _condition_errors(definition: RuleDefinition) -> Found:
    if not definition.conditions:
        yield "conditions", "a rule needs at least one condition"
    for path, condition in every_condition(definition):
        for message in _errors_of(condition):
            yield path, message
    if definition.logic_operator == "AND":
        for message in _contradictions(definition.conditions):
            yield "conditions", message
    for path, condition in walk(definition.conditions):
        if isinstance(condition, Group) and condition.operator == "AND":
            for message in _contradictions(condition.conditions):
                yield path, message


def _errors_of(condition: Condition) -> list[str]:
    if isinstance(condition, OfSensor) and not condition.max_age_seconds > 0:
        return [f"max_age_seconds {condition.max_age_seconds:g} must be above 0"]
    match condition:
        case SensorCondition():
            return _threshold_errors(condition)
        case HysteresisCondition():
            return _hysteresis_errors(condition)
        case DifferenceCondition() if condition.ref == condition.other.ref:
            return ["both sensors are the same, so the difference is always 0"]
        case Group(conditions=()):
            return [f"{condition.operator} without conditions is always unknown"]
        case TimeWindow():
            return _window_errors(condition)
        case _:
            value = getattr(condition, "value", 0.0)
            return [] if math.isfinite(value) else ["value must be finite"]


def _threshold_errors(condition: SensorCondition) -> list[str]:
    if condition.operator != "between":
        if condition.value is None or not math.isfinite(condition.value):
            return [f"operator {condition.operator} needs a finite value"]
        return []
    low, high = condition.min, condition.max
    if low is None or high is None or condition.value is not None:
        return ["between needs min and max, and no value"]
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        return [f"min {low:g} must not be above max {high:g}"]
    return []


def _hysteresis_errors(condition: HysteresisCondition) -> list[str]:
    cooling = (condition.activate_above, condition.deactivate_below)
    heating = (condition.activate_below, condition.deactivate_above)
    given = [pair for pair in (cooling, heating) if pair != (None, None)]
    if len(given) != 1 or None in given[0]:
        return [
            "give activate_above with deactivate_below, or activate_below with deactivate_above"
        ]
    on, off = given[0]
    assert on is not None
    assert off is not None
    if not (math.isfinite(on) and math.isfinite(off)):
        return ["thresholds must be finite"]
    if given[0] is cooling and on <= off:
        return [f"activate_above {on:g} must be above deactivate_below {off:g}"]
    if given[0] is heating and on >= off:
        return [f"activate_below {on:g} must be below deactivate_above {off:g}"]
    return []


def _window_errors(window: TimeWindow) -> list[str]:
    errors = []
    for name in ("start", "end"):
        text = getattr(window, name)
        try:
            moment = time.fromisoformat(text)
        except ValueError:
            errors.append(f"{name} '{text}' is not a time of day; write HH:MM")
        else:
            if moment.tzinfo is not None:
                errors.append(f"{name} '{text}' has an offset; write HH:MM and name the timezone")
    try:
        ZoneInfo(window.timezone)
    except (KeyError, ValueError, OSError):
        errors.append(f"time zone '{window.timezone}' is not known; use names like Europe/Berlin")
    if not window.weekdays:
        errors.append("weekdays is empty, so the window never opens")
    elif not errors and time.fromisoformat(window.start) == time.fromisoformat(window.end):
        errors.append("start and end are the same, so the window never opens")
    return errors


def _contradictions(conditions: tuple[Condition, ...]) -> list[str]:
    """Contradictions: conditions that can never be true together."""
    bounds: dict[SensorRef, tuple[float, bool, float, bool]] = {}
    states: dict[str, set[str]] = {}
    for condition in conditions:
        if isinstance(condition, DeviceCondition):
            states.setdefault(condition.esp_id, set()).add(condition.state)
        if not isinstance(condition, SensorCondition):
            continue
        low, low_open, high, high_open = _interval(condition)
        known = bounds.get(condition.ref, (-math.inf, False, math.inf, False))
        bounds[condition.ref] = (
            *max((low, low_open), known[:2]),
            *_least((high, high_open), known[2:]),
        )
    found = [
        f"it can never be true: {sensor[2]} of {sensor[0]} would have to be above {low:g} and"
        f" below {high:g}"
        for sensor, (low, low_open, high, high_open) in bounds.items()
        if low > high or (low == high and (low_open or high_open))
    ]
    return found + [
        f"it can never be true: {esp_id} would have to be online and offline at once"
        for esp_id, wanted in states.items()
        if len(wanted) > 1
    ]


def _least(one: tuple[float, bool], other: tuple[float, bool]) -> tuple[float, bool]:
    """The lower of two upper bounds; of equal ones the one that excludes its end."""
    if one[0] == other[0]:
        return one[0], one[1] or other[1]
    return min(one, other)


def _interval(condition: SensorCondition) -> tuple[float, bool, float, bool]:
    """Lower bound, whether it is excluded, upper bound, whether it is excluded."""
    value = math.nan if condition.value is None else condition.value
    match condition.operator:
        case ">" | ">=":
            return value, condition.operator == ">", math.inf, False
        case "<" | "<=":
            return -math.inf, False, value, condition.operator == "<"
        case "==":
            return value, False, value, False
        case "between" if condition.min is not None and condition.max is not None:
            return condition.min, False, condition.max, False
        case _:
            return -math.inf, False, math.inf, False


def _out_of_reach(definition: RuleDefinition) -> Found:
    """Thresholds outside of the range of the sensor type."""
    for path, condition in every_condition(definition):
        if not isinstance(condition, SensorCondition):
            continue
        kind = SENSOR_TYPES.get(condition.sensor_type)
        if kind is None:
            continue
        low, _, high, _ = _interval(condition)
        if low > kind.high or high < kind.low:
            text = f"no {kind.name} ever reads this: its range is {kind.low:g} to {kind.high:g} {kind.unit}"
            yield path, text


# ---- actions


def _action_errors(definition: RuleDefinition) -> Found:
    if not definition.actions:
        yield "actions", "a rule needs at least one action"
    wanted: dict[ActuatorRef, Verb] = {}
    took: str | None = None
    for index, action in enumerate(definition.actions):
        path = f"actions[{index}]"
        match action:
            case ActuatorAction():
                first = wanted.setdefault(action.ref, action.command)
                if first is not action.command:
                    text = f"{first.value} and {action.command.value} of the same actuator at once"
                    yield path, text
            case StopAction() if action.esp_id is not None and action.zone_id is not None:
                yield path, "give esp_id for one device, zone_id for a zone, or neither"
            case NotificationAction():
                for message in _notification_errors(action):
                    yield path, message
            case SequenceAction() | RampAction():
                if took is not None:
                    yield path, f"{took} is already a sequence or ramp; a rule may have only one"
                took = path
                if isinstance(action, SequenceAction):
                    yield from _sequence_errors(action, path)
            case _:
                pass
    for path, command in every_command(definition):
        for message in _command_errors(command):
            yield path, message


def _sequence_errors(action: SequenceAction, path: str) -> Found:
    if not action.steps:
        yield path, "a sequence needs at least one step"
    for number, step in enumerate(action.steps):
        if isinstance(step, NotificationAction):
            for message in _notification_errors(step):
                yield f"{path}.steps[{number}]", message
        if isinstance(step, ActuatorAction) and step.command is Verb.TOGGLE:
            yield f"{path}.steps[{number}]", "a step cannot TOGGLE: write ON or OFF"
    for number, step in enumerate(action.on_abort or ()):
        if step.command is not Verb.OFF:
            # It must also work when nothing may be switched on, such as under an emergency stop.
            yield f"{path}.on_abort[{number}]", "on_abort may only switch off: write OFF"


def _notification_errors(action: NotificationAction) -> list[str]:
    target = action.target
    match action.channel:
        case "webhook":
            try:
                url = urlsplit(target)
                is_url = url.scheme in {"http", "https"} and bool(url.hostname)
            except ValueError:
                is_url = False
            return [] if is_url else [f"'{target[:80]}' is not the http(s) URL of a webhook"]
        case "mqtt":
            bad = any(sign in target for sign in "+#\x00") or target.startswith(("/", "$"))
            return [f"'{target[:80]}' is not a topic that can be published to"] if bad else []
        case _:
            good = is_email_address(target)
            return [] if good else [f"'{target[:80]}' is not an e-mail address"]


def _command_errors(action: ActuatorAction) -> list[str]:
    errors = []
    if action.command is Verb.PWM:
        value = action.value
        if value is None or not math.isfinite(value):
            errors.append("PWM needs a value from 0.0 to 1.0")
        elif not 0.0 <= value <= 1.0:
            hint = f"; did you mean {value / 100:g}?" if 1.0 < value <= 100.0 else ""  # noqa: PLR2004
            errors.append(f"value {value:g} is out of range 0.0 to 1.0{hint}")
    elif action.value is not None and not 0.0 <= action.value <= 1.0:
        errors.append(f"value {action.value:g} is out of range 0.0 to 1.0")
    if not 0 <= action.duration <= MAX_DURATION_S:
        errors.append(f"duration {action.duration:g} must be 0 to {MAX_DURATION_S:g} seconds")
    return errors
