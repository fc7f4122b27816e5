"""The stop inputs as the safety actor watches them."""

from __future__ import annotations

from collections.abc import Iterable

from godkaiser.domain.entities import Reading, SensorKey
from godkaiser.domain.safety_state import Scope
from godkaiser.domain.stop_inputs import Demand, InputState, StopInput, demand, demands
from godkaiser.messages import StopInputView


class InputWatch:
    """Times are of a clock that is never set."""

    def __init__(self, inputs: Iterable[StopInput]) -> None:
        self._inputs = tuple(inputs)
        self._states: dict[SensorKey, InputState] = {}

    @property
    def devices(self) -> frozenset[str]:
        return frozenset(entry.sensor.esp_id for entry in self._inputs)

    def begin(self, now: float, remembered: dict[SensorKey, float | None]) -> None:
        """Each input has its time to be heard (again); a button that was pressed still is."""
        for entry in self._inputs:
            self._states[entry.sensor] = InputState(now, remembered.get(entry.sensor))

    def hear(self, reading: Reading, now: float) -> bool:
        """Take in a reading; whether it was one of an input and its value is new."""
        key = reading.key
        known = self._states.get(key)
        if known is None:
            return False
        self._states[key] = InputState(now, reading.raw)
        return reading.raw != known.raw

    def remembered(self) -> dict[SensorKey, float | None]:
        return {key: state.raw for key, state in self._states.items()}

    def demands(self, now: float) -> dict[Scope, Demand]:
        """The scopes that have to be stopped."""
        return demands(self._inputs, self._states, now)

    def views(self, now: float) -> tuple[StopInputView, ...]:
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
