"""Decides when a rule need not be evaluated: for which readings, and until when, its result cannot
change.

After an evaluation a rule is calm until one of its readings leaves the span within which all
conditions on that sensor keep their truth, or until a moment at which time alone may change them.
"""

from __future__ import annotations

import math
from collections import defaultdict

from godkaiser.domain.rules.decision import settled_until
from godkaiser.domain.rules.facts import Facts, RuleMemory
from godkaiser.domain.rules.schema import (
    Condition,
    DifferenceCondition,
    FreshnessCondition,
    HysteresisCondition,
    RateCondition,
    RuleDefinition,
    SensorCondition,
    SensorRef,
    TimeWindow,
    leaves,
)

Span = tuple[float, float]
"""The lowest and the highest value, both included."""

_ANY = (-math.inf, math.inf)
_MINUTE_S = 60.0
_Aged = SensorCondition | HysteresisCondition | FreshnessCondition


class Calm:
    """The calm spans of one rule; queried after each evaluation."""

    def __init__(self, definition: RuleDefinition) -> None:
        self._definition = definition
        self._of: defaultdict[SensorRef, list[tuple[str, _Aged]]] = defaultdict(list)
        self._restless: set[SensorRef] = set()
        self._ages: defaultdict[SensorRef, set[float]] = defaultdict(set)
        self._windows = False
        self._is_ever = True
        for path, leaf in leaves(definition):
            self._note(path, leaf)

    def _note(self, path: str, leaf: Condition) -> None:
        match leaf:
            case SensorCondition() | HysteresisCondition() | FreshnessCondition():
                self._of[leaf.ref].append((path, leaf))
                self._ages[leaf.ref].add(leaf.max_age_seconds)
            case DifferenceCondition():
                for ref in (leaf.ref, leaf.other.ref):
                    self._restless.add(ref)
                    self._ages[ref].add(leaf.max_age_seconds)
            case RateCondition():
                self._restless.add(leaf.ref)
                self._ages[leaf.ref].add(leaf.max_age_seconds)
            case TimeWindow():
                self._windows = True
                # The catch-up of a missed window may end at any second.
                self._is_ever = self._is_ever and not leaf.catch_up_seconds
            case _:
                # Devices and actuators change by events that are not readings.
                pass

    def span(self, sensor: SensorRef, facts: Facts, memory: RuleMemory, now: float) -> Span | None:
        """The span of values that change nothing; None if any reading may change the result, even
        by its arrival.
        """
        fact = facts.readings.get(sensor)
        if fact is None or sensor in self._restless:
            return None
        if any(now - fact.at > max_age_s for max_age_s in self._ages.get(sensor, ())):
            return None
        low, high = _ANY
        for path, leaf in self._of.get(sensor, ()):
            lower, upper = _span_of(leaf, fact.value, active=memory.hysteresis.get(path, False))
            low, high = max(low, lower), min(high, upper)
        return low, high

    def until(self, facts: Facts, memory: RuleMemory, now: float) -> float:
        """Until this moment (unix seconds) time alone changes nothing; it may be in the past."""
        if not self._is_ever:
            return -math.inf
        moments = [settled_until(self._definition, memory, facts)]
        for sensor, ages in self._ages.items():
            fact = facts.readings.get(sensor)
            if fact is not None:
                # A reading that is too old stays so until a new one arrives.
                moments += [fact.at + age_s for age_s in ages if now - fact.at <= age_s]
        if self._windows:
            # Windows open and close at full minutes, and time zones change at full minutes.
            moments.append((now // _MINUTE_S + 1.0) * _MINUTE_S)
        return min(moments)


def _span_of(leaf: _Aged, value: float, *, active: bool) -> Span:
    match leaf:
        case SensorCondition():
            return _span_of_threshold(leaf, value)
        case HysteresisCondition():
            return _span_of_hysteresis(leaf, active=active)
        case FreshnessCondition():
            return _ANY


def _span_of_threshold(leaf: SensorCondition, value: float) -> Span:
    if leaf.operator == "between":
        assert leaf.min is not None
        assert leaf.max is not None
        if value < leaf.min:
            return -math.inf, _below(leaf.min)
        return (leaf.min, leaf.max) if value <= leaf.max else (_above(leaf.max), math.inf)
    limit = leaf.value
    assert limit is not None
    if leaf.operator in {"==", "!="}:
        if value == limit:
            return limit, limit
        return (_above(limit), math.inf) if value > limit else (-math.inf, _below(limit))
    if leaf.operator in {">", "<="}:
        return (_above(limit), math.inf) if value > limit else (-math.inf, limit)
    return (limit, math.inf) if value >= limit else (-math.inf, _below(limit))


def _span_of_hysteresis(leaf: HysteresisCondition, *, active: bool) -> Span:
    if leaf.activate_above is not None and leaf.deactivate_below is not None:
        return (leaf.deactivate_below, math.inf) if active else (-math.inf, leaf.activate_above)
    assert leaf.activate_below is not None
    assert leaf.deactivate_above is not None
    return (-math.inf, leaf.deactivate_above) if active else (leaf.activate_below, math.inf)


def _above(value: float) -> float:
    return math.nextafter(value, math.inf)


def _below(value: float) -> float:
    return math.nextafter(value, -math.inf)
