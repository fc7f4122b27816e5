"""Replays a rule over past readings: its conditions and its decisions; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.conditions import evaluate
from godkaiser.domain.rules.decision import decide
from godkaiser.domain.rules.evaluation_bounds import Calm, Span
from godkaiser.domain.rules.facts import Fact, Facts, Finding, RuleMemory, extended
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorRef,
    RuleDefinition,
    SensorRef,
    actuators_of,
    depends_on_time,
    longest_window,
    sensors_of,
)

TICK_S = 10.0
MOST_EVENTS = 500

PastReading = tuple[float, SensorRef, float]
"""Unix seconds, the sensor, and its value."""


class ReplayEvent(msgspec.Struct, frozen=True):
    """`kind` is fired, released, step (of a sequence), or a remark of the rule."""

    at: float
    kind: str
    commands: tuple[str, ...]
    findings: tuple[Finding, ...]


class Replay(msgspec.Struct, frozen=True):
    """`true_s`: how long it held. `events` are the first ones; `fired` counts all of them. Not
    `complete`: the limit of evaluations was reached, so it ends before.
    """

    start: float
    end: float
    readings: int
    fired: int
    true_s: float
    events: tuple[ReplayEvent, ...]
    complete: bool = True


def replay(
    definition: RuleDefinition,
    readings: Iterable[PastReading],
    start: float,
    end: float,
    *,
    most_looks: float = math.inf,
) -> Replay:
    """Replay the rule over readings in the order of their time.

    Each command counts as done at once; every actuator is off at the start, and only this rule
    switches it. Readings that cannot change the result are skipped; `most_looks` limits the
    evaluations.
    """
    past = _Past(msgspec.structs.replace(definition, enabled=True), start)
    count = 0
    for at, sensor, value in readings:
        if past.looks > most_looks:
            end = at
            break
        count += 1
        span = past.spans.get(sensor)
        if at < past.calm_until and span is not None and span[0] <= value <= span[1]:
            past.learn(sensor, Fact(value, at))
            continue
        past.pass_time(at)
        past.learn(sensor, Fact(value, at))
        past.look(at, sensor)
    past.pass_time(end)
    past.finish(end)
    return Replay(
        start, end, count, past.fired, past.true_s, tuple(past.events), past.looks <= most_looks
    )


class _Past:
    """`spans` and `calm_until` of `Calm` after the newest evaluation; empty after a command."""

    def __init__(self, definition: RuleDefinition, start: float) -> None:
        self._definition = definition
        self._memory = RuleMemory()
        self._readings: dict[SensorRef, Fact] = {}
        self._trails: dict[SensorRef, tuple[Fact, ...]] = {}
        self._windows = {
            sensor: window
            for sensor in sensors_of(definition)
            if (window := longest_window(definition, sensor))
        }
        self._levels: dict[ActuatorRef, float | None] = dict.fromkeys(actuators_of(definition), 0.0)
        # Built once: it refers to the dictionaries, which change.
        self._facts = Facts(self._readings, self._trails, {}, self._levels, self._levels)
        self._at = start
        self._next_tick = start if depends_on_time(definition) else math.inf
        self._wake_at = math.inf
        self._calm = Calm(definition)
        self.spans: dict[SensorRef, Span | None] = {}
        self.calm_until = -math.inf
        self.looks = 0
        self.events: list[ReplayEvent] = []
        self.fired = 0
        self.true_s = 0.0

    def learn(self, sensor: SensorRef, fact: Fact) -> None:
        self._readings[sensor] = fact
        window = self._windows.get(sensor)
        if window is not None:
            self._trails[sensor] = extended(self._trails.get(sensor, ()), fact, window)

    def pass_time(self, to: float) -> None:
        """Evaluate at the moments that need it without a reading."""
        while min(self._next_tick, self._wake_at) < to:
            if self._wake_at <= self._next_tick:
                self.look(self._wake_at)
                continue
            tick = self._next_tick
            self._next_tick += TICK_S
            if tick >= self.calm_until:
                self.look(tick)

    def look(self, now: float, sensor: SensorRef | None = None) -> None:
        """Evaluate once; `sensor`: whose reading is the reason."""
        self.looks += 1
        self.finish(now)
        before = self._memory
        evaluation = evaluate(self._definition, self._facts, before, now)
        decision = decide(self._definition, evaluation, before, self._facts, now)
        self._memory = decision.memory
        # A command counts as confirmed at the next evaluation.
        self._wake_at = math.inf if decision.wake_at is None else max(decision.wake_at, now + 0.001)
        given = (*decision.released, *decision.actions)
        for action in given:
            self._levels[action.ref] = _level_after(action, self._levels[action.ref])
        self._calm_down(now, sensor, is_moved=bool(given))
        if not (given or decision.is_worth_telling):
            return
        self.fired += decision.fired
        if len(self.events) < MOST_EVENTS:
            kind = decision.remark or (
                "fired" if decision.fired else "released" if decision.released else "step"
            )
            commands = tuple(_shown(action) for action in given)
            self.events.append(ReplayEvent(now, kind, commands, evaluation.findings))

    def _calm_down(self, now: float, sensor: SensorRef | None, *, is_moved: bool) -> None:
        if now < self.calm_until and sensor is not None:
            # The conditions on the other sensors keep their truth.
            changed: Iterable[SensorRef] = (sensor,)
        else:
            changed = tuple(self._readings)
        for one in changed:
            self.spans[one] = self._calm.span(one, self._facts, self._memory, now)
        # The rule's own conditions may depend on the actuators that it moved.
        self.calm_until = (
            -math.inf
            if is_moved
            else min(self._wake_at, self._calm.until(self._facts, self._memory, now))
        )

    def finish(self, now: float) -> None:
        if self._memory.truth == "true":
            self.true_s += max(0.0, now - self._at)
        self._at = now


def _level_after(action: ActuatorAction, level: float | None) -> float:
    match action.command:
        case Verb.OFF:
            return 0.0
        case Verb.ON:
            return 1.0
        case Verb.PWM:
            return action.value or 0.0
        case Verb.TOGGLE:
            return 0.0 if level else 1.0


def _shown(action: ActuatorAction) -> str:
    value = f" {action.value:g}" if action.value is not None else ""
    return f"{action.command.value}{value} {action.esp_id}/{action.gpio}"
