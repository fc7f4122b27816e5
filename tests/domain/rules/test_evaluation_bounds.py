"""Not to look at what cannot change anything changes nothing."""

from __future__ import annotations

import math
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.evaluation_bounds import Calm
from godkaiser.domain.rules.replay import replay
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorCondition,
    Delay,
    DeviceCondition,
    DifferenceCondition,
    ForAtLeast,
    FreshnessCondition,
    Group,
    HysteresisCondition,
    NotificationAction,
    RateCondition,
    RuleDefinition,
    Sensor,
    SensorCondition,
    SequenceAction,
    StopAction,
    TimeWindow,
    WaitUntil,
)

MIDNIGHT = 1_767_225_600.0
SENSORS = [
    {"esp_id": "ESP_A00001", "gpio": gpio, "sensor_type": "sht31_temp"} for gpio in (4, 5, 6)
]
LEVELS = (18.0, 20.0, 22.0)
FAN = {"esp_id": "ESP_A00002", "gpio": 25}

sensors = st.sampled_from(SENSORS)
levels = st.sampled_from(LEVELS)
ages = st.sampled_from([30.0, 60.0, 300.0])
comparisons = st.sampled_from([">", ">=", "<", "<=", "==", "!="])


@st.composite
def thresholds(draw):
    of = draw(sensors) | {"max_age_seconds": draw(ages)}
    if draw(st.booleans()):
        return SensorCondition(**of, operator=draw(comparisons), value=draw(levels))
    return SensorCondition(**of, operator="between", min=18.0, max=draw(st.sampled_from([18.0, 22.0])))  # fmt: skip


@st.composite
def hystereses(draw):
    of = draw(sensors) | {"max_age_seconds": draw(ages)}
    if draw(st.booleans()):
        return HysteresisCondition(**of, activate_above=22.0, deactivate_below=draw(st.sampled_from([18.0, 20.0])))  # fmt: skip
    return HysteresisCondition(**of, activate_below=18.0, deactivate_above=draw(st.sampled_from([20.0, 22.0])))  # fmt: skip


@st.composite
def others(draw):
    of = draw(sensors) | {"max_age_seconds": draw(ages)}
    match draw(st.integers(0, 5)):
        case 0:
            return FreshnessCondition(**of)
        case 1:
            other = Sensor(**draw(sensors))
            return DifferenceCondition(**of, other=other, operator=draw(comparisons), value=2.0)
        case 2:
            return RateCondition(**of, operator=draw(comparisons), value=1.0, window_seconds=60.0)
        case 3:
            caught = draw(st.sampled_from([0.0, 0.0, 45.0]))
            return TimeWindow(start="00:03", end="00:10", catch_up_seconds=caught)
        case 4:
            return ActuatorCondition(**FAN, state=draw(st.sampled_from(["on", "off"])))
        case _:
            return DeviceCondition(esp_id=FAN["esp_id"], state="online")


def nested(inner):
    return st.one_of(
        st.builds(Group, operator=st.sampled_from(["AND", "OR", "NOT"]),
                  conditions=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(ForAtLeast, seconds=st.sampled_from([15.0, 60.0]), condition=inner),
    )  # fmt: skip


leaf = st.one_of(thresholds(), thresholds(), hystereses(), others())
conditions = st.recursive(leaf, nested, max_leaves=4)
commands = st.builds(
    ActuatorAction, esp_id=st.just(FAN["esp_id"]), gpio=st.sampled_from([25, 26]),
    command=st.sampled_from([Verb.ON, Verb.OFF, Verb.TOGGLE]), release=st.sampled_from([None, True]),
)  # fmt: skip
sequences = st.builds(
    SequenceAction,
    steps=st.tuples(
        st.just(ActuatorAction(**FAN, command=Verb.ON)),
        st.one_of(
            st.builds(Delay, seconds=st.sampled_from([5.0, 70.0])),
            st.builds(WaitUntil, condition=leaf, timeout_seconds=st.just(90.0)),
        ),
        st.just(ActuatorAction(**FAN, command=Verb.OFF)),
    ),
    abort_when_false=st.booleans(),
)
actions = st.one_of(
    commands,
    commands,
    sequences,
    st.just(StopAction(esp_id=FAN["esp_id"])),
    st.just(NotificationAction(channel="mqtt", target="t")),
)
rules = st.builds(
    RuleDefinition, name=st.just("r"), conditions=st.lists(conditions, min_size=1, max_size=3).map(tuple),
    actions=st.lists(actions, min_size=1, max_size=2).map(tuple),
    logic_operator=st.sampled_from(["AND", "OR"]), cooldown_seconds=st.sampled_from([0.0, 30.0, 600.0]),
    max_per_hour=st.sampled_from([0, 3]), suspend_after=st.sampled_from([0, 4]),
)  # fmt: skip
values = st.one_of(
    levels, st.floats(17.0, 23.0), st.sampled_from([math.nextafter(v, 99.0) for v in LEVELS])
)
pauses = st.sampled_from([0.0, 0.5, 1.0, 10.0, 10.0, 15.0, 30.0, 60.0, 61.0, 200.0])
readings = st.lists(st.tuples(pauses, st.integers(0, 2), values), max_size=60)


def played(rule, steps, **how):
    at, past = MIDNIGHT, []
    for pause, which, value in steps:
        at += pause
        of = SENSORS[which]
        past.append((at, (of["esp_id"], of["gpio"], of["sensor_type"]), value))
    return replay(rule, past, MIDNIGHT, at + 120.0, **how)


@settings(max_examples=600)
@given(rules, readings)
def test_who_looks_at_what_may_matter_sees_what_who_looks_at_all_sees(rule, steps):
    found = played(rule, steps)
    with mock.patch.object(Calm, "until", return_value=-math.inf):
        every = played(rule, steps)
    assert found.events == every.events
    assert (found.fired, found.readings) == (every.fired, every.readings)
    assert math.isclose(found.true_s, every.true_s, abs_tol=1e-3)


def test_what_may_not_matter_is_not_looked_at():
    hot = SensorCondition(**SENSORS[0], operator=">", value=22.0)
    rule = RuleDefinition(name="r", conditions=(hot,), actions=(ActuatorAction(**FAN, command=Verb.ON),))  # fmt: skip
    steps = [(10.0, 0, 20.0 + n % 2) for n in range(10_000)]
    # One in a while: at the latest when the newest that it has looked at is too old.
    found = played(rule, steps, most_looks=400)
    assert (found.complete, found.readings, found.fired) == (True, 10_000, 0)
    # Each one of these crosses.
    found = played(rule, [(10.0, 0, 20.0 + 4.0 * (n % 2)) for n in range(100)], most_looks=20)
    assert (found.complete, found.readings) == (False, 21)
    assert found.end == MIDNIGHT + 220.0
