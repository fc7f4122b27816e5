"""Stop inputs: pressed, broken or silent, they stop; nothing but a good reading releases them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import SensorKey
from godkaiser.domain.safety.stop_inputs import InputState, StopInput, demand, demands, is_pressed
from godkaiser.domain.safety.stop_state import GLOBAL, Scope, ScopeKind

KEY = SensorKey("ESP_A00001", 34, "stop_button")
OTHER = SensorKey("ESP_A00002", 34, "stop_button")
NORTH = Scope(ScopeKind.ZONE, "north")
CLOSED = StopInput(sensor=KEY, scope=GLOBAL, pressed_below=1000.0, silent_after_s=10.0)
numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(raw=numbers, heard_at=st.floats(0, 1e6), waited=st.floats(-1e6, 1e6))
def test_an_input_is_released_only_by_a_good_and_fresh_reading(raw, heard_at, waited):
    released = demand(CLOSED, InputState(heard_at, raw), heard_at + waited) == ""
    silent_s = (heard_at + waited) - heard_at
    assert released == (math.isfinite(raw) and raw >= 1000.0 and 0.0 <= silent_s <= 10.0)


@given(level=st.floats(0, 4095), raw=st.floats(0, 4095))
def test_below_and_above_are_opposites_but_for_the_level_itself(level, raw):
    below = StopInput(sensor=KEY, scope=GLOBAL, pressed_below=level)
    above = StopInput(sensor=KEY, scope=GLOBAL, pressed_above=level)
    assert not (is_pressed(below, raw) and is_pressed(above, raw))
    assert (is_pressed(below, raw) or is_pressed(above, raw)) == (raw != level)


def test_an_input_that_was_never_heard_has_its_time_and_then_stops():
    waiting = InputState(100.0)
    assert demand(CLOSED, waiting, 110.0) == ""
    assert demand(CLOSED, waiting, 110.5) == "the stop input ESP_A00001/34 has been silent for 10 s"


def test_each_scope_is_demanded_by_its_own_inputs():
    north = StopInput(sensor=OTHER, scope=NORTH, pressed_above=3000.0)
    states = {KEY: InputState(0.0, 4000.0), OTHER: InputState(0.0, 3500.0)}
    found = demands([CLOSED, north], states, 1.0)
    assert list(found) == [NORTH]
    assert found[NORTH].reason == "the stop input ESP_A00002/34 is pressed (raw value 3500)"
