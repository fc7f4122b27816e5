"""Stop inputs: pins of devices that stop the site, or a part of it, when they are pressed or
silent.

A normally closed button on an analogue pin: a pressed button, a cut wire and a dead device all read
as a stop (ISO 13850: the stop of a machine does not depend on power). The delay is the interval of
the sensor; a stop that has to act within milliseconds is wired to the machine itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from godkaiser.domain.entities import Reading, SensorKey
from godkaiser.domain.safety.stop_state import Scope

FUTURE_S = 5.0
"""The clocks of devices and gateway may differ by this much."""


class StopInput(msgspec.Struct, frozen=True, kw_only=True):
    """`sensor` stops `scope` while its raw value is below or above a level, or while it is silent.

    `silent_after_s` without a reading counts as pressed. `where` is the place of the declaration.
    """

    sensor: SensorKey
    scope: Scope
    pressed_below: float | None = None
    pressed_above: float | None = None
    silent_after_s: float = 30.0
    where: str = ""

    def __str__(self) -> str:
        return f"{self.sensor.esp_id}/{self.sensor.gpio}"


class InputState(msgspec.Struct, frozen=True):
    """`heard_at` is monotonic; before the first reading it is the start of waiting. `raw` is that
    of the newest reading by its timestamp, `at` that timestamp in unix seconds.
    """

    heard_at: float
    raw: float | None = None
    at: float = -math.inf


class Demand(msgspec.Struct, frozen=True):
    """A demand of `entry` to stop its scope, with the reason."""

    entry: StopInput
    reason: str


def is_pressed(entry: StopInput, raw: float) -> bool:
    """Whether `raw` means pressed; a value that is not a number counts as pressed."""
    if not math.isfinite(raw):
        return True
    below, above = entry.pressed_below, entry.pressed_above
    return (below is not None and raw < below) or (above is not None and raw > above)


def heard(entry: StopInput, state: InputState, reading: Reading, now: float) -> InputState:
    """The state after a reading.

    Only a newer reading releases an input, and only a newer one shows that it is alive; an older one
    that arrives late, or again, can only press it. If two readings have the same second of the
    device's clock, the second one to arrive counts as newer.
    """
    raw, at = reading.raw, reading.at
    known = state.at
    if known > reading.received_at + FUTURE_S:
        # Its timestamp is from a wrong clock: a stored time must not be in the future.
        known = -math.inf
    if at > known or (at == known and not reading.redelivered):
        return InputState(now, raw, at)
    if is_pressed(entry, raw) and (state.raw is None or not is_pressed(entry, state.raw)):
        return InputState(state.heard_at, raw, state.at)
    return state


def demand(entry: StopInput, state: InputState, now: float) -> str:
    """Why this input demands a stop at `now`; empty while it does not."""
    if state.raw is not None and is_pressed(entry, state.raw):
        return f"the stop input {entry} is pressed (raw value {state.raw:g})"
    silent_s = now - state.heard_at
    # A clock that went back also counts as silence.
    if not 0.0 <= silent_s <= entry.silent_after_s:
        return f"the stop input {entry} has been silent for {silent_s:.0f} s"
    return ""


def demands(
    inputs: Iterable[StopInput], states: Mapping[SensorKey, InputState], now: float
) -> dict[Scope, Demand]:
    """The scopes that must be stopped now; every input has a state."""
    found: dict[Scope, Demand] = {}
    for entry in inputs:
        reason = demand(entry, states[entry.sensor], now)
        if reason:
            found.setdefault(entry.scope, Demand(entry, reason))
    return found
