"""A rule: what it says (schema), whether it holds (three-valued), and what follows (decision).

The meaning of a rule, in four sentences. It *fires* its actions when its conditions hold, at the
earliest `cooldown_seconds` after it fired before, and only if an actuator is not already as wanted.
When they no longer hold it *releases*: each of its ON or PWM actions with `release` is followed by
OFF; `release` is on by default in a rule with a hysteresis condition. A reading that is missing,
bad or older than `max_age_seconds` makes a condition unknown, and unknown never fires. Unknown does
not release either: the lease of the actuator bounds what a silent sensor can cost.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.safety_state import GLOBAL, Scope, ScopeKind

DEFAULT_MAX_AGE_S = 300.0
MAX_DEPTH = 8
MAX_CONDITIONS = 64
MAX_ACTIONS = 64
MAX_DURATION_S = 86_400.0
NAME_LIMIT = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LIMIT)]
EspId = Annotated[str, msgspec.Meta(min_length=1, max_length=31)]
Gpio = Annotated[int, msgspec.Meta(ge=0, le=39)]
Weekday = Annotated[int, msgspec.Meta(ge=0, le=6)]
SensorRef = tuple[str, int, str]
ActuatorRef = tuple[str, int]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a rule; a field that is not known is an error, not ignored."""


class SensorCondition(Strict, frozen=True, kw_only=True, tag="sensor"):
    """A reading against a threshold; `between` takes `min` and `max`, both included."""

    esp_id: EspId
    gpio: Gpio
    sensor_type: str
    operator: Literal[">", ">=", "<", "<=", "==", "!=", "between"]
    value: float | None = None
    min: float | None = None
    max: float | None = None
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class HysteresisCondition(Strict, frozen=True, kw_only=True, tag="hysteresis"):
    """Holds from `activate` until `deactivate`; in between it stays as it was."""

    esp_id: EspId
    gpio: Gpio
    sensor_type: str
    activate_above: float | None = None
    deactivate_below: float | None = None
    activate_below: float | None = None
    deactivate_above: float | None = None
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class TimeWindow(Strict, frozen=True, kw_only=True, tag="time_window"):
    """Local time from `start` to `end` (HH:MM, end excluded); across midnight when end < start.

    `weekdays` are those on which the window starts, 0 is Monday.
    """

    start: str
    end: str
    weekdays: tuple[Weekday, ...] = (0, 1, 2, 3, 4, 5, 6)
    timezone: str = "UTC"


class Group(Strict, frozen=True, kw_only=True, tag="group"):
    operator: Literal["AND", "OR", "NOT"]
    conditions: tuple[Condition, ...]


Condition = SensorCondition | HysteresisCondition | TimeWindow | Group


class ActuatorAction(Strict, frozen=True, kw_only=True, tag="actuator"):
    """A command to an actuator. `duration` in seconds, 0 for as long as its runtime allows."""

    esp_id: EspId
    gpio: Gpio
    command: Verb
    value: float | None = None
    duration: float = 0.0
    release: bool | None = None


class StopAction(Strict, frozen=True, kw_only=True, tag="emergency_stop"):
    """An emergency stop of a device, of a zone or, with neither, of everything.

    It waits for no cooldown, it is not repeated while it holds, and only an operator ends it.
    """

    esp_id: EspId | None = None
    zone_id: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)] = ""

    @property
    def scope(self) -> Scope:
        if self.esp_id is not None:
            return Scope(ScopeKind.DEVICE, self.esp_id)
        return GLOBAL if self.zone_id is None else Scope(ScopeKind.ZONE, self.zone_id)


Action = ActuatorAction | StopAction


class RuleDefinition(Strict, frozen=True, kw_only=True):
    """As it stands in a request body, in a file and in the database.

    With `keep_offline`, a device that can keeps the rule alone while the gateway is away.
    """

    name: Name
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    enabled: bool = True
    keep_offline: bool = False
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    logic_operator: Literal["AND", "OR"] = "AND"
    cooldown_seconds: Annotated[float, msgspec.Meta(ge=0, le=604_800)] = 60.0
    description: str = ""


class Problem(msgspec.Struct, frozen=True):
    """`severity` is error or warning; only errors keep a rule from being saved."""

    path: str
    severity: str
    message: str


class Truth(StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Fact(msgspec.Struct, frozen=True):
    """The newest usable value of a sensor; `at` in unix seconds."""

    value: float
    at: float


class RuleMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule must remember between evaluations, and across restarts."""

    truth: Truth = Truth.UNKNOWN
    firing: bool = False
    hysteresis: dict[str, bool] = {}
    last_fired: float | None = None
    fired_count: int = 0


class Finding(msgspec.Struct, frozen=True):
    """How one condition came out, with the value that decided it."""

    path: str
    truth: Truth
    detail: str


class Evaluation(msgspec.Struct, frozen=True):
    truth: Truth
    hysteresis: dict[str, bool]
    findings: tuple[Finding, ...]


class Decision(msgspec.Struct, frozen=True):
    """`stops` and `actions` to take now when it `fired`; `released` are the OFFs that end an earlier
    firing.
    """

    fired: bool
    actions: tuple[ActuatorAction, ...]
    released: tuple[ActuatorAction, ...]
    memory: RuleMemory
    stops: tuple[StopAction, ...] = ()


# ---- looking through a rule


def leaves(definition: RuleDefinition) -> Iterator[tuple[str, Condition]]:
    """Every condition that is not a group, with its path in the JSON."""
    pending = [(f"conditions[{i}]", c) for i, c in enumerate(definition.conditions)]
    while pending:
        path, condition = pending.pop(0)
        if isinstance(condition, Group):
            pending.extend(
                (f"{path}.conditions[{i}]", c) for i, c in enumerate(condition.conditions)
            )
        else:
            yield path, condition


def sensors_of(definition: RuleDefinition) -> frozenset[SensorRef]:
    return frozenset(
        (condition.esp_id, condition.gpio, condition.sensor_type)
        for _, condition in leaves(definition)
        if isinstance(condition, SensorCondition | HysteresisCondition)
    )


def actuators_of(definition: RuleDefinition) -> frozenset[ActuatorRef]:
    return frozenset((action.esp_id, action.gpio) for action in _commands(definition))


def _commands(definition: RuleDefinition) -> tuple[ActuatorAction, ...]:
    return tuple(action for action in definition.actions if isinstance(action, ActuatorAction))


def depends_on_time(definition: RuleDefinition) -> bool:
    return any(isinstance(condition, TimeWindow) for _, condition in leaves(definition))


# ---- is it a sensible rule


def problems_of(
    definition: RuleDefinition,
    known_sensors: frozenset[SensorRef],
    known_actuators: frozenset[ActuatorRef],
) -> list[Problem]:
    """Everything that is wrong or doubtful, each with its path in the JSON."""
    found: list[Problem] = []

    def error(path: str, message: str) -> None:
        found.append(Problem(path, "error", message))

    if not definition.conditions:
        error("conditions", "a rule needs at least one condition")
    if not definition.actions:
        error("actions", "a rule needs at least one action")
    if len(definition.actions) > MAX_ACTIONS:
        error("actions", f"{len(definition.actions)} actions; at most {MAX_ACTIONS} are allowed")
        return found
    wanted: dict[ActuatorRef, Verb] = {}
    for index, action in enumerate(definition.actions):
        if isinstance(action, StopAction):
            continue
        first = wanted.setdefault((action.esp_id, action.gpio), action.command)
        if first is not action.command:
            text = f"{first.value} and {action.command.value} of the same actuator at once"
            error(f"actions[{index}]", text)
    if _depth(definition.conditions) > MAX_DEPTH:
        error("conditions", f"groups may be nested {MAX_DEPTH} deep")
        return found
    every = list(leaves(definition))
    if len(every) > MAX_CONDITIONS:
        error("conditions", f"{len(every)} conditions; at most {MAX_CONDITIONS} are allowed")
        return found
    for path, condition in every:
        for message in _condition_errors(condition):
            error(path, message)
        if isinstance(condition, SensorCondition | HysteresisCondition):
            sensor = (condition.esp_id, condition.gpio, condition.sensor_type)
            if sensor not in known_sensors:
                text = f"no sensor {sensor[2]} is configured on GPIO {sensor[1]} of {sensor[0]} yet"
                found.append(Problem(path, "warning", text))
    for index, action in enumerate(definition.actions):
        path = f"actions[{index}]"
        if isinstance(action, StopAction):
            if action.esp_id is not None and action.zone_id is not None:
                error(path, "give esp_id for one device, zone_id for a zone, or neither")
            continue
        for message in _action_errors(action):
            error(path, message)
        if (action.esp_id, action.gpio) not in known_actuators:
            text = f"no actuator is configured on GPIO {action.gpio} of {action.esp_id} yet"
            found.append(Problem(path, "warning", text))
    if definition.logic_operator == "AND":
        for message in _contradictions(definition):
            error("conditions", message)
    return found


def _depth(conditions: tuple[Condition, ...]) -> int:
    deepest = 0
    pending = [(condition, 1) for condition in conditions]
    while pending:
        condition, depth = pending.pop()
        deepest = max(deepest, depth)
        if isinstance(condition, Group):
            pending.extend((inner, depth + 1) for inner in condition.conditions)
    return deepest


def _condition_errors(condition: Condition) -> list[str]:
    if isinstance(condition, SensorCondition | HysteresisCondition):
        if not condition.sensor_type:
            return ["sensor_type is empty"]
        if not condition.max_age_seconds > 0:
            return [f"max_age_seconds {condition.max_age_seconds:g} must be above 0"]
    match condition:
        case SensorCondition(operator="between"):
            low, high = condition.min, condition.max
            if low is None or high is None or condition.value is not None:
                return ["between needs min and max, and no value"]
            if not (math.isfinite(low) and math.isfinite(high)) or low > high:
                return [f"min {low:g} must not be above max {high:g}"]
        case SensorCondition():
            if condition.value is None or not math.isfinite(condition.value):
                return [f"operator {condition.operator} needs a finite value"]
        case HysteresisCondition():
            return _hysteresis_errors(condition)
        case TimeWindow():
            return _window_errors(condition)
        case _:
            pass
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


def _action_errors(action: ActuatorAction) -> list[str]:
    errors = []
    if action.command is Verb.PWM:
        value = action.value
        if value is None or not math.isfinite(value):
            errors.append("PWM needs a value from 0.0 to 1.0")
        elif not 0.0 <= value <= 1.0:
            hint = f"; {value / 100:g} was meant?" if 1.0 < value <= 100.0 else ""  # noqa: PLR2004
            errors.append(f"value {value:g} is out of range 0.0 to 1.0{hint}")
    elif action.value is not None and not 0.0 <= action.value <= 1.0:
        errors.append(f"value {action.value:g} is out of range 0.0 to 1.0")
    if not 0 <= action.duration <= MAX_DURATION_S:
        errors.append(f"duration {action.duration:g} must be 0 to {MAX_DURATION_S:g} seconds")
    return errors


def _contradictions(definition: RuleDefinition) -> list[str]:
    """Thresholds on one sensor that no value can meet together."""
    bounds: dict[SensorRef, tuple[float, float]] = {}
    for condition in definition.conditions:
        if not isinstance(condition, SensorCondition):
            continue
        low, high = _interval(condition)
        sensor = (condition.esp_id, condition.gpio, condition.sensor_type)
        known_low, known_high = bounds.get(sensor, (-math.inf, math.inf))
        bounds[sensor] = (max(low, known_low), min(high, known_high))
    return [
        f"it can never be true: {sensor[2]} of {sensor[0]} would have to be above {low:g} and"
        f" below {high:g}"
        for sensor, (low, high) in bounds.items()
        if low > high
    ]


def _interval(condition: SensorCondition) -> tuple[float, float]:
    value = math.nan if condition.value is None else condition.value
    match condition.operator:
        case ">" | ">=":
            return value, math.inf
        case "<" | "<=":
            return -math.inf, value
        case "==":
            return value, value
        case "between" if condition.min is not None and condition.max is not None:
            return condition.min, condition.max
        case _:
            return -math.inf, math.inf


# ---- does it hold


def evaluate(
    definition: RuleDefinition,
    facts: Mapping[SensorRef, Fact],
    memory: RuleMemory,
    now: float,
) -> Evaluation:
    """The truth of all conditions, and why."""
    hysteresis = dict(memory.hysteresis)
    findings: list[Finding] = []

    def truth_of(path: str, condition: Condition) -> Truth:
        detail: str
        match condition:
            case Group():
                inner = [
                    truth_of(f"{path}.conditions[{i}]", c)
                    for i, c in enumerate(condition.conditions)
                ]
                truth = combine(condition.operator, inner)
                detail = condition.operator
            case SensorCondition():
                truth, detail = _threshold(condition, facts, now)
            case HysteresisCondition():
                truth, detail = _hysteresis(path, condition, facts, hysteresis, now)
            case TimeWindow():
                truth, detail = _window(condition, now)
        findings.append(Finding(path, truth, detail))
        return truth

    truths = [truth_of(f"conditions[{i}]", c) for i, c in enumerate(definition.conditions)]
    return Evaluation(combine(definition.logic_operator, truths), hysteresis, tuple(findings))


def combine(connective: str, truths: list[Truth]) -> Truth:
    """Kleene's three-valued logic; NOT is true when none of its conditions is."""
    match connective:
        case "AND":
            if Truth.FALSE in truths:
                return Truth.FALSE
            return Truth.UNKNOWN if Truth.UNKNOWN in truths or not truths else Truth.TRUE
        case "OR":
            if Truth.TRUE in truths:
                return Truth.TRUE
            return Truth.UNKNOWN if Truth.UNKNOWN in truths or not truths else Truth.FALSE
        case _:
            return negate(combine("OR", truths))


def negate(truth: Truth) -> Truth:
    return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}.get(truth, Truth.UNKNOWN)


def _fact(
    condition: SensorCondition | HysteresisCondition,
    facts: Mapping[SensorRef, Fact],
    now: float,
) -> tuple[Fact | None, str]:
    name = f"{condition.sensor_type} of {condition.esp_id}/{condition.gpio}"
    fact = facts.get((condition.esp_id, condition.gpio, condition.sensor_type))
    if fact is None:
        return None, f"{name}: no reading"
    age_s = now - fact.at
    if age_s > condition.max_age_seconds:
        return None, f"{name}: {fact.value:g}, but {age_s:.0f} s old"
    return fact, f"{name}: {fact.value:g}"


def _threshold(
    condition: SensorCondition, facts: Mapping[SensorRef, Fact], now: float
) -> tuple[Truth, str]:
    fact, detail = _fact(condition, facts, now)
    if fact is None:
        return Truth.UNKNOWN, detail
    value = fact.value
    match condition.operator:
        case "between":
            assert condition.min is not None
            assert condition.max is not None
            holds = condition.min <= value <= condition.max
            wanted = f"between {condition.min:g} and {condition.max:g}"
        case comparison:
            assert condition.value is not None
            holds = _COMPARE[comparison](value, condition.value)
            wanted = f"{comparison} {condition.value:g}"
    return (Truth.TRUE if holds else Truth.FALSE), f"{detail} {wanted}"


_COMPARE = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def _hysteresis(
    path: str,
    condition: HysteresisCondition,
    facts: Mapping[SensorRef, Fact],
    active: dict[str, bool],
    now: float,
) -> tuple[Truth, str]:
    fact, detail = _fact(condition, facts, now)
    if fact is None:
        return Truth.UNKNOWN, detail
    was_active = active.get(path, False)
    value = fact.value
    if condition.activate_above is not None and condition.deactivate_below is not None:
        starts, ends = value > condition.activate_above, value < condition.deactivate_below
        band = f"on above {condition.activate_above:g}, off below {condition.deactivate_below:g}"
    else:
        assert condition.activate_below is not None
        assert condition.deactivate_above is not None
        starts, ends = value < condition.activate_below, value > condition.deactivate_above
        band = f"on below {condition.activate_below:g}, off above {condition.deactivate_above:g}"
    is_active = starts or (was_active and not ends)
    active[path] = is_active
    return (Truth.TRUE if is_active else Truth.FALSE), f"{detail}, {band}"


def _window(window: TimeWindow, now: float) -> tuple[Truth, str]:
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.timezone))
    clock = local.time().replace(tzinfo=None)
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    weekday = local.weekday()
    if start <= end:
        is_open = start <= clock < end and weekday in window.weekdays
    elif clock >= start:
        is_open = weekday in window.weekdays
    else:
        is_open = clock < end and (weekday - 1) % 7 in window.weekdays
    detail = f"{local:%a %H:%M} {window.timezone} in {window.start} to {window.end}"
    return (Truth.TRUE if is_open else Truth.FALSE), detail


# ---- what follows


def decide(
    definition: RuleDefinition,
    evaluation: Evaluation,
    memory: RuleMemory,
    levels: Mapping[ActuatorRef, float | None],
    now: float,
    stopped: frozenset[Scope] = frozenset(),
) -> Decision:
    """What to do now. `levels` are what the actuators are set to, None where unknown; `stopped` are
    the scopes that are stopped already.
    """
    truth = evaluation.truth
    commands = _commands(definition)
    released: tuple[ActuatorAction, ...] = ()
    actions: tuple[ActuatorAction, ...] = ()
    firing = memory.firing
    if truth is Truth.FALSE and firing:
        released = tuple(_release(action) for action in commands if
                         releases(definition, action))  # fmt: skip
        firing = False
    holds = truth is Truth.TRUE and definition.enabled
    stops = tuple(
        action
        for action in definition.actions
        if holds and isinstance(action, StopAction) and action.scope not in stopped
    )
    commanded = (
        holds
        and _cooled_down(definition, memory, now)
        and any(_differs(action, levels) for action in commands)
    )
    fired = commanded or bool(stops)
    if commanded:
        actions = commands
        # Only what it has switched itself is its to release.
        firing = True
    return Decision(
        fired=fired,
        actions=actions,
        released=released,
        memory=RuleMemory(
            truth=truth,
            firing=firing,
            hysteresis=evaluation.hysteresis,
            last_fired=now if fired else memory.last_fired,
            fired_count=memory.fired_count + fired,
        ),
        stops=stops,
    )


def releases(definition: RuleDefinition, action: ActuatorAction) -> bool:
    """Whether the end of the conditions switches this action's actuator off."""
    if action.command not in {Verb.ON, Verb.PWM}:
        return False
    if action.release is not None:
        return action.release
    return any(isinstance(c, HysteresisCondition) for _, c in leaves(definition))


def _release(action: ActuatorAction) -> ActuatorAction:
    return ActuatorAction(esp_id=action.esp_id, gpio=action.gpio, command=Verb.OFF)


def _cooled_down(definition: RuleDefinition, memory: RuleMemory, now: float) -> bool:
    return memory.last_fired is None or now - memory.last_fired >= definition.cooldown_seconds


def _differs(action: ActuatorAction, levels: Mapping[ActuatorRef, float | None]) -> bool:
    level = levels.get((action.esp_id, action.gpio))
    match action.command:
        case Verb.OFF:
            return level is None or level > 0.0
        case Verb.ON:
            return level is None or level <= 0.0
        case Verb.PWM:
            return level is None or abs(level - (action.value or 0.0)) > 0.01  # noqa: PLR2004
        case Verb.TOGGLE:
            return True
