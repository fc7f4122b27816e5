"""Evaluates the conditions of a rule: three-valued, and with the values that decided."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from godkaiser.domain.rules import windows as rule_windows
from godkaiser.domain.rules.facts import (
    Evaluation,
    Fact,
    Facts,
    Finding,
    RuleMemory,
    Truth,
    earliest,
)
from godkaiser.domain.rules.schema import (
    ActuatorCondition,
    Condition,
    DeviceCondition,
    DifferenceCondition,
    ForAtLeast,
    FreshnessCondition,
    Group,
    HysteresisCondition,
    RateCondition,
    RuleDefinition,
    SensorCondition,
    SensorRef,
    TimeWindow,
)

_COMPARE = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_NEGATED = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.UNKNOWN: Truth.UNKNOWN}


def evaluate(
    definition: RuleDefinition,
    facts: Facts,
    memory: RuleMemory,
    now: float,
    wall: float | None = None,
) -> Evaluation:
    """The truth of all conditions, and why.

    `now` is seconds of the monotonic clock. `wall`, unix seconds, is for time windows; None if one
    clock serves for both, as in a trial over the past.
    """
    asked = _Asked(facts, memory, now, wall)
    truths = [asked.truth_of(f"conditions[{i}]", c) for i, c in enumerate(definition.conditions)]
    return asked.evaluation(combine(definition.logic_operator, truths))


def evaluate_one(
    path: str,
    condition: Condition,
    facts: Facts,
    memory: RuleMemory,
    now: float,
    wall: float | None = None,
) -> Evaluation:
    """The truth of one condition, for example of a `wait_until`."""
    asked = _Asked(facts, memory, now, wall)
    return asked.evaluation(asked.truth_of(path, condition))


def combine(connective: str, truths: Sequence[Truth]) -> Truth:
    """Kleene's three-valued logic; NOT is true when none of its conditions is true."""
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
    return _NEGATED[truth]


class _Asked:
    """The state of one evaluation: its findings, and the changes to the memory."""

    def __init__(self, facts: Facts, memory: RuleMemory, now: float, wall: float | None) -> None:
        self._facts = facts
        self._now = now
        self._wall = now if wall is None else wall
        self._active = dict(memory.hysteresis)
        self._since = dict(memory.since)
        self._seen = dict(memory.seen)
        self._findings: list[Finding] = []
        self._wake_at: float | None = None

    def evaluation(self, truth: Truth) -> Evaluation:
        return Evaluation(
            truth, self._active, tuple(self._findings), self._since, self._seen, self._wake_at
        )

    def truth_of(self, path: str, condition: Condition) -> Truth:
        match condition:
            case SensorCondition():
                truth, detail = self._threshold(condition)
            case HysteresisCondition():
                truth, detail = self._hysteresis(path, condition)
            case TimeWindow():
                truth, detail = self._window(path, condition)
            case Group(operator=connective, conditions=conditions):
                inner = [
                    self.truth_of(f"{path}.conditions[{i}]", c) for i, c in enumerate(conditions)
                ]
                truth, detail = combine(connective, inner), connective
            case ForAtLeast():
                truth, detail = self._lasting(path, condition)
            case DifferenceCondition():
                truth, detail = self._difference(condition)
            case RateCondition():
                truth, detail = self._rate(condition)
            case FreshnessCondition(max_age_seconds=most):
                fact, detail = self._fact(condition.ref, most)
                truth = _truth(fact is not None)
            case DeviceCondition(esp_id=esp_id, state=state):
                online = self._facts.online.get(esp_id)
                truth = Truth.UNKNOWN if online is None else _truth(online == (state == "online"))
                detail = f"{esp_id} is {_named(online, 'online', 'offline')}"
            case ActuatorCondition(esp_id=esp_id, gpio=gpio, state=state):
                level = self._facts.reported.get((esp_id, gpio))
                is_on = None if level is None else level > 0.0
                truth = Truth.UNKNOWN if is_on is None else _truth(is_on == (state == "on"))
                detail = f"{esp_id}/{gpio} is {_named(is_on, 'on', 'off')}"
        self._findings.append(Finding(path, truth, detail))
        return truth

    def _fact(self, sensor: SensorRef, max_age_s: float) -> tuple[Fact | None, str]:
        esp_id, gpio, sensor_type, *address = sensor
        named = f"{sensor_type} {address[0]}" if address else sensor_type
        fact = self._facts.readings.get(sensor)
        if fact is None:
            return None, f"{named} of {esp_id}/{gpio}: no reading"
        age_s = self._now - fact.at
        if age_s > max_age_s:
            return None, f"{named} of {esp_id}/{gpio}: {fact.value:g}, but {age_s:.0f} s old"
        return fact, f"{named} of {esp_id}/{gpio}: {fact.value:g}"

    def _threshold(self, condition: SensorCondition) -> tuple[Truth, str]:
        fact, detail = self._fact(condition.ref, condition.max_age_seconds)
        if fact is None:
            return Truth.UNKNOWN, detail
        value = fact.value
        if condition.operator == "between":
            assert condition.min is not None
            assert condition.max is not None
            holds = condition.min <= value <= condition.max
            return _truth(holds), f"{detail} between {condition.min:g} and {condition.max:g}"
        assert condition.value is not None
        holds = _COMPARE[condition.operator](value, condition.value)
        return _truth(holds), f"{detail} {condition.operator} {condition.value:g}"

    def _hysteresis(self, path: str, condition: HysteresisCondition) -> tuple[Truth, str]:
        fact, detail = self._fact(condition.ref, condition.max_age_seconds)
        if fact is None:
            return Truth.UNKNOWN, detail
        value = fact.value
        if condition.activate_above is not None and condition.deactivate_below is not None:
            on, off = condition.activate_above, condition.deactivate_below
            starts, ends, words = value > on, value < off, ("above", "below")
        else:
            assert condition.activate_below is not None
            assert condition.deactivate_above is not None
            on, off = condition.activate_below, condition.deactivate_above
            starts, ends, words = value < on, value > off, ("below", "above")
        is_active = starts or (self._active.get(path, False) and not ends)
        self._active[path] = is_active
        return _truth(is_active), f"{detail}, on {words[0]} {on:g}, off {words[1]} {off:g}"

    def _difference(self, condition: DifferenceCondition) -> tuple[Truth, str]:
        one, said = self._fact(condition.ref, condition.max_age_seconds)
        other, also_said = self._fact(condition.other.ref, condition.max_age_seconds)
        if one is None or other is None:
            return Truth.UNKNOWN, f"{said}; {also_said}"
        difference = one.value - other.value
        holds = _COMPARE[condition.operator](difference, condition.value)
        detail = f"{said} minus {also_said} is {difference:g}"
        return _truth(holds), f"{detail} {condition.operator} {condition.value:g}"

    def _rate(self, condition: RateCondition) -> tuple[Truth, str]:
        newest, detail = self._fact(condition.ref, condition.max_age_seconds)
        if newest is None:
            return Truth.UNKNOWN, detail
        since = newest.at - condition.window_seconds
        trail = self._facts.trails.get(condition.ref, ())
        oldest = next((fact for fact in trail if fact.at >= since), newest)
        span_s = newest.at - oldest.at
        if span_s < condition.window_seconds / 2:
            return Truth.UNKNOWN, f"{detail}; {span_s:.0f} s of readings are too few for a rate"
        rate = (newest.value - oldest.value) / span_s * 60.0
        holds = _COMPARE[condition.operator](rate, condition.value)
        detail = f"{detail}, {rate:+.3g} a minute over {span_s:.0f} s"
        return _truth(holds), f"{detail} {condition.operator} {condition.value:g}"

    def _window(self, path: str, condition: TimeWindow) -> tuple[Truth, str]:
        now = self._wall
        opened, detail = rule_windows.is_open(condition, now)
        if not condition.catch_up_seconds:
            return _truth(opened), detail
        seen = self._seen.get(path)
        if seen is not None and seen > now:
            # The clock was set back: ignore a sighting of the window in the future.
            seen = None
        if not opened and rule_windows.is_caught_up(condition, seen, now):
            return Truth.TRUE, f"{detail}, which was missed"
        # Only once for each window, because each change of the memory is stored.
        if seen is None or (opened and seen < rule_windows.last_begun(condition, now)[0]):
            self._seen[path] = now
        return _truth(opened), detail

    def _lasting(self, path: str, condition: ForAtLeast) -> tuple[Truth, str]:
        inner = self.truth_of(f"{path}.condition", condition.condition)
        if inner is not Truth.TRUE:
            self._since.pop(path, None)
            return inner, "its condition does not hold now"
        since = min(self._since.get(path, self._now), self._now)
        self._since[path] = since
        held_s = self._now - since
        if self._now < since + condition.seconds:
            self._wake_at = earliest(self._wake_at, since + condition.seconds)
            return Truth.FALSE, f"it holds for {held_s:.0f} of {condition.seconds:g} s"
        return Truth.TRUE, f"it holds for {held_s:.0f} s"


def _truth(holds: bool) -> Truth:
    return Truth.TRUE if holds else Truth.FALSE


def _named(state: bool | None, yes: str, no: str) -> str:
    return "unknown" if state is None else yes if state else no
