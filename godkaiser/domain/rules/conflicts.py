"""Finds rules that work against each other, or in a circle, when one is saved."""

from __future__ import annotations

from collections.abc import Mapping

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.decision import releases
from godkaiser.domain.rules.problems import Problem
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    RuleDefinition,
    SensorRef,
    TimeWindow,
    every_command,
    sensors_of,
)
from godkaiser.domain.rules.windows import DAY_S, length_of, start_of

Rules = Mapping[int, RuleDefinition]


def conflicts_of(rule_id: int, definition: RuleDefinition, others: Rules) -> list[Problem]:
    """Warnings: other rules that command the same actuator differently, and circles of effects."""
    if not definition.enabled:
        return []
    rest = {
        number: other for number, other in others.items() if number != rule_id and other.enabled
    }
    return [*_conflicts(definition, rest), *_circles(rule_id, definition, rest)]


def _conflicts(definition: RuleDefinition, others: Rules) -> list[Problem]:
    found = []
    for path, action in every_command(definition):
        for number, other in others.items():
            if _never_together(definition, other):
                continue
            if any(
                theirs.ref == action.ref and _oppose(action, definition, theirs, other)
                for _, theirs in every_command(other)
            ):
                winner = _winner(definition.priority, other.priority, number)
                text = (
                    f"rule {number} ({other.name}) commands something else for"
                    f" {action.esp_id}/{action.gpio}; {winner}"
                )
                found.append(Problem(path, "warning", text))
    return found


def _never_together(one: RuleDefinition, other: RuleDefinition) -> bool:
    """Whether their time windows never overlap, such as day and night; then they do not contradict."""
    return any(
        mine.timezone == theirs.timezone and not _overlap(mine, theirs)
        for mine in _required_windows(one)
        for theirs in _required_windows(other)
    )


def _required_windows(definition: RuleDefinition) -> list[TimeWindow]:
    if definition.logic_operator != "AND" and len(definition.conditions) > 1:
        return []
    found = [leaf for leaf in definition.conditions if isinstance(leaf, TimeWindow)]
    # A window with catch-up may be open outside of its hours.
    return [window for window in found if not window.catch_up_seconds]


def _overlap(one: TimeWindow, other: TimeWindow) -> bool:
    """Whether the hours overlap, whatever the weekdays."""
    later = (start_of(other) - start_of(one)) % DAY_S
    return later < length_of(one) or (DAY_S - later) % DAY_S < length_of(other)


def _winner(own: int, other: int, number: int) -> str:
    if own == other:
        return (
            f"both have priority {own}, so the later command wins; give one rule a higher priority"
        )
    return f"when both hold, {'this rule' if own > other else f'rule {number}'} wins by priority"


def _oppose(
    one: ActuatorAction, its_rule: RuleDefinition, other: ActuatorAction, others: RuleDefinition
) -> bool:
    def wants(action: ActuatorAction, rule: RuleDefinition) -> set[str]:
        level = f"{action.value:g}" if action.command is Verb.PWM and action.value else ""
        words = {action.command.value + level}
        return words | ({"OFF"} if releases(rule, action) else set())

    return wants(one, its_rule) != wants(other, others)


def _circles(rule_id: int, definition: RuleDefinition, others: Rules) -> list[Problem]:
    """Circles: a rule -> the sensors that its actuators change -> the rules with these sensors ->
    ... -> the rule.
    """
    rules = {**others, rule_id: definition}
    readers: dict[SensorRef, list[int]] = {}
    for number, rule in rules.items():
        for sensor in sensors_of(rule):
            readers.setdefault(sensor, []).append(number)
    wakes = {
        number: {
            reader
            for _, action in every_command(rule)
            for sensor in action.affects
            for reader in readers.get(sensor.ref, ())
        }
        for number, rule in rules.items()
    }
    # A rule with a sensor that it changes itself is a control loop, which is intended.
    came_from: dict[int, int] = {number: rule_id for number in wakes[rule_id] if number != rule_id}
    pending = list(came_from)
    while pending:
        number = pending.pop()
        for woken in wakes[number]:
            if woken == rule_id:
                return [Problem("actions", "warning", _circle(rule_id, number, came_from, rules))]
            if woken not in came_from:
                came_from[woken] = number
                pending.append(woken)
    return []


def _circle(rule_id: int, last: int, came_from: Mapping[int, int], rules: Rules) -> str:
    way = [last]
    while way[-1] != rule_id and came_from[way[-1]] != rule_id:
        way.append(came_from[way[-1]])
    names = " -> ".join(rules[number].name for number in (rule_id, *reversed(way), rule_id))
    return (
        f"a circle: {names}. Each changes a sensor of the next one; leave a gap between their"
        " limits, or they will trigger each other. A rule that does so is suspended."
    )
