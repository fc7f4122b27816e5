"""What a rule would have done is what it does, played live."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.replay import MOST_EVENTS, replay
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    Delay,
    ForAtLeast,
    HysteresisCondition,
    RuleDefinition,
    SensorCondition,
    SequenceAction,
    TimeWindow,
)

SENSOR = ("ESP_A00001", 0, "sht31_temp")
OF = {"esp_id": SENSOR[0], "gpio": SENSOR[1], "sensor_type": SENSOR[2]}
MIDNIGHT = 1_767_225_600.0
DAY = 86_400.0
HOT = SensorCondition(**OF, operator=">", value=25.0)
VENT = HysteresisCondition(**OF, activate_above=28.0, deactivate_below=25.0)
ON = ActuatorAction(esp_id="ESP_A00002", gpio=25, command=Verb.ON)


def rule(*conditions, actions=(ON,), **how):
    return RuleDefinition(name="r", conditions=conditions, actions=actions, **how)


def day(value_at, every_s=60.0):
    """A day's readings; `value_at` of the hour."""
    return [
        (MIDNIGHT + n * every_s, SENSOR, value_at(n * every_s / 3600.0))
        for n in range(int(DAY / every_s))
    ]


def warm_at_noon(hour):
    return 20.0 + 10.0 * math.sin((hour - 6.0) / 24.0 * 2.0 * math.pi)


def test_a_vent_over_a_day_opens_once_and_closes_once():
    found = replay(rule(VENT), day(warm_at_noon), MIDNIGHT, MIDNIGHT + DAY)
    assert [(e.kind, e.commands) for e in found.events] == [
        ("fired", ("ON ESP_A00002/25",)),
        ("released", ("OFF ESP_A00002/25",)),
    ]
    opened, closed = (e.at for e in found.events)
    # 28 °C and 25 °C of 20 + 10 sin(...): from 9:32 on, until 16:00.
    assert abs(opened - MIDNIGHT - 9.5423 * 3600.0) <= 61.0
    assert abs(closed - MIDNIGHT - 16.0 * 3600.0) <= 61.0
    assert abs(found.true_s - (closed - opened)) <= 61.0
    assert (found.readings, found.fired) == (1440, 1)


def test_a_switched_off_rule_is_tried_as_if_it_were_on():
    assert replay(rule(VENT, enabled=False), day(warm_at_noon), MIDNIGHT, MIDNIGHT + DAY).fired == 1


def test_a_window_opens_without_a_reading():
    window = TimeWindow(start="06:00", end="08:00")
    found = replay(rule(window), [], MIDNIGHT, MIDNIGHT + DAY)
    assert found.fired == 1
    assert abs(found.events[0].at - MIDNIGHT - 6 * 3600.0) <= 10.0
    assert abs(found.true_s - 7200.0) <= 20.0


def test_what_must_last_fires_when_it_has():
    lasting = ForAtLeast(seconds=600.0, condition=HOT)
    found = replay(rule(lasting), day(warm_at_noon), MIDNIGHT, MIDNIGHT + DAY)
    # 25 °C is passed at 8:00.
    assert abs(found.events[0].at - MIDNIGHT - 8 * 3600.0 - 600.0) <= 70.0


def test_a_sequence_is_shown_step_by_step():
    steps = SequenceAction(
        steps=(ON, Delay(seconds=300), ActuatorAction(esp_id="ESP_A00002", gpio=25, command=Verb.OFF))
    )  # fmt: skip
    found = replay(
        rule(HOT, actions=(steps,), cooldown_seconds=DAY),
        day(warm_at_noon),
        MIDNIGHT,
        MIDNIGHT + DAY,
    )
    assert [(e.kind, e.commands) for e in found.events] == [
        ("fired", ("ON ESP_A00002/25",)),
        ("step", ("OFF ESP_A00002/25",)),
        ("sequence done", ()),
    ]
    assert 300.0 <= found.events[1].at - found.events[0].at < 302.0


def test_the_events_are_bounded_and_the_count_is_not():
    toggling = rule(HOT, actions=(ActuatorAction(esp_id="E", gpio=25, command=Verb.TOGGLE),),
                    cooldown_seconds=60.0)  # fmt: skip
    found = replay(toggling, day(lambda _hour: 30.0), MIDNIGHT, MIDNIGHT + DAY)
    assert (len(found.events), found.fired) == (MOST_EVENTS, 1440)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.1, 400.0), st.floats(15.0, 35.0)), max_size=80))
def test_a_hysteresis_opens_and_closes_in_turn(steps):
    """Against the textbook: a flag that is set at 28 and taken back at 25."""
    at, readings, expected, is_open = MIDNIGHT, [], [], False
    for pause, value in steps:
        at += pause
        readings.append((at, SENSOR, value))
        if not is_open and value > 28.0:
            is_open = True
            expected.append((at, "fired"))
        elif is_open and value < 25.0:
            is_open = False
            expected.append((at, "released"))
    found = replay(rule(VENT, cooldown_seconds=0.0), readings, MIDNIGHT, at + 1.0)
    limit = next((i for i, e in enumerate(found.events) if "suspended" in e.kind), len(expected))
    assert [(e.at, e.kind) for e in found.events][:limit] == expected[:limit]
