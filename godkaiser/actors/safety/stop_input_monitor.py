"""Watches the stop inputs, and tells the safety actor to stop while one is pressed or silent.

It is an actor of its own, so that no flood of readings fills a lane of the safety actor. It
publishes the states of the inputs, which the safety actor checks before it clears a stop.
"""

from __future__ import annotations

from collections.abc import Iterable

from godkaiser import paths
from godkaiser.actors.devices.messages import ReadingAccepted
from godkaiser.actors.message import Message
from godkaiser.actors.safety.messages import StopAll, StopInputView
from godkaiser.domain.entities import Issuer, Reading, SensorKey
from godkaiser.domain.safety.stop_inputs import (
    Demand,
    InputState,
    StopInput,
    demand,
    demands,
    heard,
)
from godkaiser.domain.safety.stop_state import Scope, ScopeKind
from godkaiser.supervision import Actor, Handle

TICK_S = 1.0


class CheckInputs(Message, frozen=True, kw_only=True):
    """To oneself: an input may have fallen silent."""


class StopInputMonitor(Actor):
    def __init__(self, inputs: Iterable[StopInput]) -> None:
        super().__init__()
        self._inputs = tuple(inputs)
        self._states: dict[SensorKey, InputState] = {}
        self._guard: Handle

    def on_start(self) -> None:
        self._guard = self.context.handle(paths.SAFETY)
        now = self.context.monotonic()
        remembered = self.context.recall("states") or {}
        for entry in self._inputs:
            known = remembered.get(entry.sensor, InputState(now))
            # Each input gets its time for a new reading; a pressed button stays pressed.
            self._states[entry.sensor] = InputState(now, known.raw, known.at)
            self.context.join(("stop_input", entry.sensor))
        self._demand_stops()
        if self._inputs:
            self.context.schedule(TICK_S, CheckInputs(), key="tick")

    def on_receive(self, message: object) -> None:
        match message:
            case ReadingAccepted(reading=reading):
                self._hear(reading)
            case CheckInputs():
                self._demand_stops()
                self.context.schedule(TICK_S, CheckInputs(), key="tick")
            case _:
                self.context.unhandled(message)

    def _hear(self, reading: Reading) -> None:
        known = self._states.get(reading.key)
        if known is None:
            return
        for entry in self._inputs:
            if entry.sensor == reading.key:
                state = self._states[reading.key]
                self._states[reading.key] = heard(entry, state, reading, self.context.monotonic())
        if self._states[reading.key].raw != known.raw:
            self._demand_stops()

    def _demand_stops(self) -> None:
        now = self.context.monotonic()
        found = demands(self._inputs, self._states, now)
        before = self.context.recall("demands") or {}
        self.context.publish("states", dict(self._states))
        self.context.publish("demands", found)
        self.context.publish("views", self._views(now))
        stopped = self.context.look(paths.SAFETY, "stopped") or frozenset()
        for scope, wanted in found.items():
            if scope not in stopped or scope not in before:
                self._guard.tell_urgent(_stop_of(scope, wanted))

    def _views(self, now: float) -> tuple[StopInputView, ...]:
        return tuple(
            StopInputView(
                input=str(entry),
                stops=str(entry.scope),
                raw=self._states[entry.sensor].raw,
                demand=demand(entry, self._states[entry.sensor], now),
                where=entry.where,
            )
            for entry in self._inputs
        )


def _stop_of(scope: Scope, wanted: Demand) -> StopAll:
    return StopAll(
        issuer=Issuer("input", str(wanted.entry)),
        reason=wanted.reason,
        esp_id=scope.name if scope.kind is ScopeKind.DEVICE else None,
        zone_id=scope.name if scope.kind is ScopeKind.ZONE else None,
    )
