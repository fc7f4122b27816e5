"""When a rule need not be looked at: which readings, until when, leave it and what it does as they are.

A rule is calm after a look until one of its readings leaves the span within which all conditions on that
sensor come out as they did, or a moment comes at which time alone may change them.
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
"""From the lowest to the highest value, both within."""

_ANY = (-math.inf, math.inf)
_MINUTE_S = 60.0
_Aged = SensorCondition | HysteresisCondition | FreshnessCondition


class Calm:
    """What is calm about one rule; asked after each look at it."""

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
                # What was missed ends at any second.
                self._is_ever = self._is_ever and not leaf.catch_up_seconds
            case _:
                # Devices and actuators change by what is no reading.
                pass

    def span(self, sensor: SensorRef, facts: Facts, memory: RuleMemory, now: float) -> Span | None:
        """Within which its values change nothing; None if each may: that it is heard of does."""
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
        """Before this moment (unix seconds) time changes nothing; it may be past."""
        if not self._is_ever:
            return -math.inf
        moments = [settled_until(self._definition, memory, facts)]
        for sensor, ages in self._ages.items():
            fact = facts.readings.get(sensor)
            if fact is not None:
                # What is too old stays so until it is heard of again.
                moments += [fact.at + age_s for age_s in ages if now - fact.at <= age_s]
        if self._windows:
            # They open and close at full minutes, and so do the time zones.
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
