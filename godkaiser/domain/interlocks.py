"""Interlocks: which actuators may never run together, and which need another one.

Declared as data, checked as a whole before they are used, and evaluated by `judge` for each
energising command. What is not known of the other actuator counts against the command (law 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey
from godkaiser.errors import ValidationFailed


class InterlockKind(StrEnum):
    NEVER_WITH = "never_with"
    ONLY_WITH = "only_with"
    ONLY_AFTER = "only_after"


class Interlock(msgspec.Struct, frozen=True, kw_only=True):
    """`actuator` never with, only with, or only after `other` has run for `after_s` seconds.

    `never_with` binds both. `only_after` holds while the other one goes on running. `where` is
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
    """What is known of an actuator that another one is interlocked with."""

    desired: float = 0.0
    reported: float | None = None
    on_since: float | None = None
    online: bool = True

    @property
    def surely_on(self) -> bool:
        return self.online and self.desired > 0 and self.reported is not None and self.reported > 0

    @property
    def surely_off(self) -> bool:
        return self.online and self.desired == 0 and self.reported == 0


States = Mapping[ActuatorKey, OtherActuator]


class Problem(msgspec.Struct, frozen=True):
    """`interlock` cannot be used, and why."""

    interlock: Interlock
    reason: str

    def __str__(self) -> str:
        place = f"{self.interlock.where}: " if self.interlock.where else ""
        return f"{place}{self.interlock}: {self.reason}"


def objection(interlock: Interlock, actuator: ActuatorKey, states: States, now: float) -> str:
    """Why `actuator` may not be energised now; empty where this interlock has nothing against it.

    Both sides of a pair are to be judged on states that hold what was wanted last, so that two
    commands in one breath cannot pass each other.
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
        ran_s = 0.0 if state.on_since is None else now - state.on_since
        if not ran_s >= interlock.after_s:
            return f"only after {interlock.after_s:g} s of {_name(other)}, on for {ran_s:.1f} s"
    return ""


def to_release(interlocks: Sequence[Interlock], states: States) -> tuple[ActuatorKey, ...]:
    """Which energised actuators have to go off because an interlock is violated, sorted.

    One that lost what it needs is released, and of two that never go together, both. A partner
    that is merely not heard of for a while releases nothing here: its device is the judge of that.
    """
    energised = {key for key, state in states.items() if state.desired > 0 or state.reported}
    released: set[ActuatorKey] = set()
    for interlock in interlocks:
        if interlock.actuator not in energised:
            continue
        if interlock.kind is InterlockKind.NEVER_WITH:
            if interlock.other in energised:
                released |= {interlock.actuator, interlock.other}
            continue
        needed = states.get(interlock.other)
        if needed is None or needed.desired == 0 or needed.reported == 0:
            released.add(interlock.actuator)
    # What needs a released one goes with it.
    growing = True
    while growing:
        dependent = {
            interlock.actuator
            for interlock in _needing(interlocks)
            if interlock.other in released and interlock.actuator in energised
        }
        growing = not dependent <= released
        released |= dependent
    return tuple(sorted(released))


def problems_of(
    interlocks: Sequence[Interlock], actuators: Mapping[ActuatorKey, ActuatorConfig]
) -> tuple[Problem, ...]:
    """Everything that is wrong with the declarations, taken as a whole, in their order."""
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
            found.append(Problem(entry, reason))
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
    """Cycles, and actuators that need what excludes them: states that cannot be reached."""
    if entry.kind is InterlockKind.NEVER_WITH:
        for key in (entry.actuator, entry.other):
            running = _all_needs(key, needs) | {key}
            if {entry.actuator, entry.other} <= running:
                return f"{_name(key)} can never start: it needs what it excludes"
        for key in needs:
            if {entry.actuator, entry.other} <= _all_needs(key, needs):
                return f"{_name(key)} can never start: it needs both"
        return ""
    if entry.actuator in _all_needs(entry.other, needs):
        return f"a cycle: neither {_name(entry.actuator)} nor {_name(entry.other)} can start first"
    if frozenset((entry.actuator, entry.other)) in enemies:
        return f"{_name(entry.actuator)} can never start: it needs what it excludes"
    return ""


def _all_needs(key: ActuatorKey, needs: Mapping[ActuatorKey, set[ActuatorKey]]) -> set[ActuatorKey]:
    """What has to run for `key` to run, directly or not; `key` itself only in a cycle."""
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
    """Those whose actuator needs the other one to run."""
    return [entry for entry in interlocks if entry.kind is not InterlockKind.NEVER_WITH]
