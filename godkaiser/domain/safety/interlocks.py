"""Interlocks: actuators that must never run together, or that need another one.

Declared as data, checked as a whole before they are used, and evaluated by `judge` for each
energising command. An unknown state of the other actuator counts against the command (law 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey
from godkaiser.errors.base import ValidationFailed


class InterlockKind(StrEnum):
    NEVER_WITH = "never_with"
    ONLY_WITH = "only_with"
    ONLY_AFTER = "only_after"


class Interlock(msgspec.Struct, frozen=True, kw_only=True):
    """`actuator` runs never with, only with, or only after `other` has run for `after_s` seconds.

    `never_with` binds both. `only_after` also needs the other one to keep running. `where` is
    the place of the declaration, such as `conf/devices.d/tank.toml:12`.
    """

    kind: InterlockKind
    actuator: ActuatorKey
    other: ActuatorKey
    after_s: float = 0.0
    where: str = ""

    def __str__(self) -> str:
        verb = self.kind.value.replace("_", " ")
        after = f" {self.after_s:g} s of" if self.kind is InterlockKind.ONLY_AFTER else ""
        return f"{_name(self.actuator)} {verb}{after} {_name(self.other)}"


class OtherActuator(msgspec.Struct, frozen=True, kw_only=True):
    """The view of an actuator for the interlocks of another one.

    `on_since` is its newest start, `runs_since` when that start was answered and reported.
    `in_flight`: its last command is not answered, or it has not reported since. `coming`: an
    energising command may be on its way to it. `stuck`: it was sent OFF, has not answered in time,
    and still reports on.
    """

    desired: float = 0.0
    reported: float | None = None
    on_since: float | None = None
    runs_since: float | None = None
    online: bool = True
    in_flight: bool = False
    coming: bool = False
    stuck: bool = False

    @property
    def surely_on(self) -> bool:
        return self.online and self.desired > 0 and self.reported is not None and self.reported > 0

    @property
    def surely_off(self) -> bool:
        return self.online and self.desired == 0 and self.reported == 0 and not self.in_flight

    @property
    def energised(self) -> bool:
        return self.desired > 0 or bool(self.reported) or self.coming


States = Mapping[ActuatorKey, OtherActuator]


class UnusableInterlock(msgspec.Struct, frozen=True):
    """An interlock that cannot be used, and why."""

    interlock: Interlock
    reason: str

    def __str__(self) -> str:
        place = f"{self.interlock.where}: " if self.interlock.where else ""
        return f"{place}{self.interlock}: {self.reason}"


def objection(interlock: Interlock, actuator: ActuatorKey, states: States, now: float) -> str:
    """Why this interlock forbids to energise `actuator` now; empty if it does not.

    Judge both sides of a pair on states with the last desired levels, so that two commands in the
    same instant cannot pass each other.
    """
    never = interlock.kind is InterlockKind.NEVER_WITH
    if actuator == interlock.actuator:
        other = interlock.other
    elif never and actuator == interlock.other:
        other = interlock.actuator
    else:
        return ""
    state = states.get(other)
    if never:
        if state is not None and state.surely_off:
            return ""
        doubt = state is None or not (state.desired > 0 or state.reported)
        return f"never together with {_name(other)}, which is {'in doubt' if doubt else 'on'}"
    if state is None or not state.surely_on:
        return f"only together with {_name(other)}, which is not known to be on"
    if interlock.kind is InterlockKind.ONLY_AFTER:
        ran_s = 0.0 if state.runs_since is None else now - state.runs_since
        if not ran_s >= interlock.after_s:
            return f"only after {interlock.after_s:g} s of {_name(other)}, on for {ran_s:.1f} s"
    return ""


def to_release(interlocks: Sequence[Interlock], states: States) -> tuple[ActuatorKey, ...]:
    """The actuators that must go off because an interlock is violated: dependents first.

    Of two that never run together, the younger one goes off; both if the order is unknown, or if
    the younger one was sent OFF and does not go off. An actuator that lost what it needs goes off.
    A partner without recent reports releases nothing: the liveness of its device covers that case.
    """
    released: set[ActuatorKey] = set()
    for interlock in interlocks:
        mine, other = states.get(interlock.actuator), states.get(interlock.other)
        if mine is None or not mine.energised:
            continue
        if interlock.kind is InterlockKind.NEVER_WITH:
            if other is not None and other.energised:
                released |= _rivals(interlock, mine, other)
        elif other is None or other.desired == 0 or (other.reported == 0 and not other.coming):
            released.add(interlock.actuator)
    needing = _needing(interlocks)
    # Actuators that need a released one also go off, before it.
    order = list(released)
    for key in order:
        order += sorted(
            {
                entry.actuator
                for entry in needing
                if entry.other == key
                and entry.actuator not in released
                and (state := states.get(entry.actuator)) is not None
                and state.energised
            }
        )
        released.update(order)
    return tuple(sorted(order, key=lambda key: (-_depth(key, needing), key)))


def dependents_of(
    interlocks: Sequence[Interlock], key: ActuatorKey, states: States
) -> tuple[ActuatorKey, ...]:
    """The energised actuators that must not run when `key` is off, the furthest dependents first."""
    needing = _needing(interlocks)
    found = [key]
    for one in found:
        found += sorted(
            {
                entry.actuator
                for entry in needing
                if entry.other == one
                and entry.actuator not in found
                and (state := states.get(entry.actuator)) is not None
                and state.energised
            }
        )
    return tuple(reversed(found[1:]))


def _rivals(interlock: Interlock, mine: OtherActuator, other: OtherActuator) -> set[ActuatorKey]:
    both = {interlock.actuator, interlock.other}
    if mine.on_since is None or other.on_since is None or mine.on_since == other.on_since:
        return both
    younger = interlock.actuator if mine.on_since > other.on_since else interlock.other
    state = mine if younger == interlock.actuator else other
    return both if state.stuck else {younger}


def _depth(key: ActuatorKey, needing: Sequence[Interlock]) -> int:
    """The depth of its chain of needs; declarations were checked for circles before."""
    depth, level = 0, {key}
    while level and depth <= len(needing):
        level = {entry.other for entry in needing if entry.actuator in level}
        depth += bool(level)
    return depth


def groups_of(interlocks: Iterable[Interlock]) -> dict[ActuatorKey, tuple[Interlock, ...]]:
    """For each actuator all interlocks to which it is connected, directly or through others."""
    groups: dict[ActuatorKey, list[Interlock]] = {}
    for entry in interlocks:
        mine = groups.setdefault(entry.actuator, [])
        other = groups.setdefault(entry.other, [])
        mine.append(entry)
        if other is not mine:
            small, large = sorted((mine, other), key=len)
            large += small
            for key in {key for one in small for key in (one.actuator, one.other)}:
                groups[key] = large
            groups[entry.actuator] = groups[entry.other] = large
    return {key: tuple(entries) for key, entries in groups.items()}


def problems_of(
    interlocks: Sequence[Interlock], actuators: Mapping[ActuatorKey, ActuatorConfig]
) -> tuple[UnusableInterlock, ...]:
    """All problems of the declarations, taken as a whole, in their order."""
    needs: dict[ActuatorKey, set[ActuatorKey]] = {}
    for entry in _needing(interlocks):
        needs.setdefault(entry.actuator, set()).add(entry.other)
    enemies = {
        frozenset((entry.actuator, entry.other))
        for entry in interlocks
        if entry.kind is InterlockKind.NEVER_WITH
    }
    found = []
    seen: set[tuple[InterlockKind, frozenset[ActuatorKey] | tuple[ActuatorKey, ...]]] = set()
    for entry in interlocks:
        pair = (entry.actuator, entry.other)
        identity = (
            entry.kind,
            frozenset(pair) if entry.kind is InterlockKind.NEVER_WITH else pair,
        )
        reason = _own_problem(entry, actuators) or _joint_problem(entry, needs, enemies)
        if not reason and identity in seen:
            reason = "it is declared twice"
        seen.add(identity)
        if reason:
            found.append(UnusableInterlock(entry, reason))
    return tuple(found)


def validate(
    interlocks: Sequence[Interlock], actuators: Mapping[ActuatorKey, ActuatorConfig]
) -> None:
    """Raises ValidationFailed, naming every entry that is wrong."""
    problems = problems_of(interlocks, actuators)
    if problems:
        raise ValidationFailed(reason="; ".join(str(problem) for problem in problems))


def _own_problem(entry: Interlock, actuators: Mapping[ActuatorKey, ActuatorConfig]) -> str:
    for key in (entry.actuator, entry.other):
        if key not in actuators:
            return f"there is no actuator {_name(key)}"
    if entry.actuator == entry.other:
        return "an actuator cannot be interlocked with itself"
    if entry.kind is not InterlockKind.ONLY_AFTER:
        return "" if entry.after_s == 0 else "after_s belongs to only_after"
    if not (math.isfinite(entry.after_s) and entry.after_s > 0):
        return f"after_s is {entry.after_s:g}; it must be a number of seconds above 0"
    runtime_s = actuators[entry.other].max_runtime_s
    if 0 < runtime_s <= entry.after_s:
        return (
            f"it can never start: {_name(entry.other)} is switched off after its maximum runtime"
            f" of {runtime_s} s"
        )
    return ""


def _joint_problem(
    entry: Interlock,
    needs: Mapping[ActuatorKey, set[ActuatorKey]],
    enemies: set[frozenset[ActuatorKey]],
) -> str:
    """Cycles, and actuators that need what excludes them."""
    if entry.kind is InterlockKind.NEVER_WITH:
        for key in (entry.actuator, entry.other):
            running = _all_needs(key, needs) | {key}
            if {entry.actuator, entry.other} <= running:
                return f"{_name(key)} can never start: it needs an actuator that it excludes"
        for key in needs:
            if {entry.actuator, entry.other} <= _all_needs(key, needs):
                return f"{_name(key)} can never start: it needs both of them"
        return ""
    if entry.actuator in _all_needs(entry.other, needs):
        return f"a cycle: neither {_name(entry.actuator)} nor {_name(entry.other)} can start first"
    if frozenset((entry.actuator, entry.other)) in enemies:
        return f"{_name(entry.actuator)} can never start: it needs an actuator that it excludes"
    return ""


def _all_needs(key: ActuatorKey, needs: Mapping[ActuatorKey, set[ActuatorKey]]) -> set[ActuatorKey]:
    """All actuators that must run for `key` to run, directly or not; `key` itself only in a cycle."""
    found: set[ActuatorKey] = set()
    waiting = list(needs.get(key, ()))
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting.extend(needs.get(need, ()))
    return found


def _name(key: ActuatorKey) -> str:
    return f"{key.esp_id}/{key.gpio}"


def _needing(interlocks: Iterable[Interlock]) -> list[Interlock]:
    """The interlocks whose actuator needs the other one to run."""
    return [entry for entry in interlocks if entry.kind is not InterlockKind.NEVER_WITH]
