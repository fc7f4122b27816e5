"""What a rule would have done: its conditions and decisions over readings of the past; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.rule_conditions import evaluate
from godkaiser.domain.rule_decision import decide
from godkaiser.domain.rule_facts import Fact, Facts, Finding, RuleMemory, extended
from godkaiser.domain.rule_schema import (
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
    """`kind` is fired, released, step (of a sequence), or what the rule remarks."""

    at: float
    kind: str
    commands: tuple[str, ...]
    findings: tuple[Finding, ...]


class Replay(msgspec.Struct, frozen=True):
    """`true_s`: for how long it held. `events` are the first ones; `fired` counts all of them."""

    start: float
    end: float
    readings: int
    fired: int
    true_s: float
    events: tuple[ReplayEvent, ...]


def replay(
    definition: RuleDefinition, readings: Iterable[PastReading], start: float, end: float
) -> Replay:
    """Over readings in the order of their time.

    Each command is taken as done at once: every actuator is off at the start, and nobody else moves it.
    """
    definition = msgspec.structs.replace(definition, enabled=True)
    past = _Past(definition, start)
    ticks = depends_on_time(definition)
    next_tick = start
    count = 0
    for at, sensor, value in readings:
        while ticks and next_tick < at:
            past.look(next_tick)
            next_tick += TICK_S
        while past.wake_at is not None and past.wake_at < at:
            past.look(past.wake_at)
        past.learn(sensor, Fact(value, at))
        past.look(at)
        count += 1
    while ticks and next_tick < end:
        past.look(next_tick)
        next_tick += TICK_S
    while past.wake_at is not None and past.wake_at < end:
        past.look(past.wake_at)
    past.finish(end)
    return Replay(start, end, count, past.fired, past.true_s, tuple(past.events))


class _Past:
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
        # Built once: it looks at the dictionaries, which change.
        self._facts = Facts(self._readings, self._trails, {}, self._levels, self._levels)
        self._at = start
        self.events: list[ReplayEvent] = []
        self.fired = 0
        self.true_s = 0.0
        self.wake_at: float | None = None

    def learn(self, sensor: SensorRef, fact: Fact) -> None:
        self._readings[sensor] = fact
        window = self._windows.get(sensor)
        if window is not None:
            self._trails[sensor] = extended(self._trails.get(sensor, ()), fact, window)

    def look(self, now: float) -> None:
        self.finish(now)
        evaluation = evaluate(self._definition, self._facts, self._memory, now)
        decision = decide(self._definition, evaluation, self._memory, self._facts, now)
        self._memory = decision.memory
        # What is to be confirmed is so at the next look.
        self.wake_at = None if decision.wake_at is None else max(decision.wake_at, now + 0.001)
        given = (*decision.released, *decision.actions)
        for action in given:
            self._levels[action.ref] = _level_after(action, self._levels[action.ref])
        if not (given or decision.is_worth_telling):
            return
        self.fired += decision.fired
        if len(self.events) < MOST_EVENTS:
            kind = decision.remark or (
                "fired" if decision.fired else "released" if decision.released else "step"
            )
            commands = tuple(_shown(action) for action in given)
            self.events.append(ReplayEvent(now, kind, commands, evaluation.findings))

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
