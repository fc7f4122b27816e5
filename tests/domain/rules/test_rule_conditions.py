"""Conditions beyond thresholds: differences, rates, lasting, freshness, states, time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import ActuatorConfig, ActuatorType, SensorKey, Verb
from godkaiser.domain.rules.facts import TRAIL_POINTS
from godkaiser.domain.rules.rules import (
    Fact,
    Facts,
    KnownSite,
    RuleMemory,
    Truth,
    decide,
    depends_on_time,
    evaluate,
    extended,
    problems_of,
)
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    ActuatorCondition,
    DeviceCondition,
    DifferenceCondition,
    ForAtLeast,
    FreshnessCondition,
    Group,
    RateCondition,
    RuleDefinition,
    Sensor,
    SensorCondition,
    TimeWindow,
)

IN, OUT = ("ESP_A00001", 0, "sht31_temp"), ("ESP_A00002", 4, "ds18b20")
FAN = ("ESP_A00001", 25)
NOW = 1_767_096_000.0
ON = ActuatorAction(esp_id=FAN[0], gpio=FAN[1], command=Verb.ON)
BERLIN = ZoneInfo("Europe/Berlin")


def site_with(sensors, actuators):
    return KnownSite(
        sensors=frozenset(SensorKey(*ref) for ref in sensors),
        actuators={
            ref: ActuatorConfig(esp_id=ref[0], gpio=ref[1], actuator_type=ActuatorType.PWM)
            for ref in actuators
        },
    )


def of(sensor):
    return {"esp_id": sensor[0], "gpio": sensor[1], "sensor_type": sensor[2]}


def rule(*conditions, **how):
    return RuleDefinition(name="r", conditions=conditions, actions=(ON,), **how)


def truth(condition, facts, now=NOW, memory=None):
    return evaluate(rule(condition), facts, memory or RuleMemory(), now).truth


HOT = SensorCondition(**of(IN), operator=">", value=25.0)
numbers = st.floats(-50, 50)


@given(numbers, numbers, numbers)
def test_a_difference_is_of_two_fresh_readings(one, other, limit):
    warmer = DifferenceCondition(**of(IN), other=Sensor(**of(OUT)), operator=">", value=limit)
    both = Facts({IN: Fact(one, NOW), OUT: Fact(other, NOW)})
    assert truth(warmer, both) is (Truth.TRUE if one - other > limit else Truth.FALSE)
    assert truth(warmer, Facts({IN: Fact(one, NOW)})) is Truth.UNKNOWN
    old = Facts({IN: Fact(one, NOW), OUT: Fact(other, NOW - 301)})
    assert truth(warmer, old) is Truth.UNKNOWN


@given(st.floats(-2, 2), st.integers(1, 60), st.integers(60, 1200))
def test_the_rate_of_a_steady_change_is_what_it_is(per_minute, every_s, window_s):
    trail: tuple[Fact, ...] = ()
    for n in range(2 * window_s // every_s + 2):
        trail = extended(trail, Fact(per_minute / 60 * n * every_s, NOW + n * every_s), window_s)
    newest = trail[-1]
    facts = Facts({IN: newest}, {IN: trail})
    for limit, wanted in ((per_minute - 0.01, Truth.TRUE), (per_minute + 0.01, Truth.FALSE)):
        rising = RateCondition(**of(IN), operator=">", value=limit, window_seconds=window_s)
        assert truth(rising, facts, newest.at) is wanted
    assert len(trail) <= 2 * TRAIL_POINTS + 3


def test_a_rate_is_unknown_until_half_of_its_window_is_covered():
    rising = RateCondition(**of(IN), operator=">", value=0.0, window_seconds=100)
    trail = (Fact(1.0, NOW - 49), Fact(2.0, NOW))
    assert truth(rising, Facts({IN: trail[-1]}, {IN: trail})) is Truth.UNKNOWN
    trail = (Fact(1.0, NOW - 50), Fact(2.0, NOW))
    assert truth(rising, Facts({IN: trail[-1]}, {IN: trail})) is Truth.TRUE


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([20.0, 30.0, None])), max_size=40))
def test_lasting_is_an_unbroken_time_and_wakes_at_its_end(steps):
    lasting = ForAtLeast(seconds=60, condition=HOT)
    memory, now, hot_since = RuleMemory(), NOW, None
    for pause, value in steps:
        now += pause
        facts = Facts({} if value is None else {IN: Fact(value, now)})
        found = evaluate(rule(lasting), facts, memory, now)
        memory = msgspec.structs.replace(memory, since=found.since)
        hot_since = (hot_since or now) if value == 30.0 else None
        if value is None:
            assert found.truth is Truth.UNKNOWN
        else:
            held = hot_since is not None and now - hot_since >= 60
            assert found.truth is (Truth.TRUE if held else Truth.FALSE)
        waits = hot_since is not None and now - hot_since < 60
        assert found.wake_at == (hot_since + 60 if waits else None)


def test_a_clock_that_was_set_back_does_not_stop_the_waiting():
    lasting = ForAtLeast(seconds=60, condition=HOT)
    memory = RuleMemory(since={"conditions[0]": NOW + 3600})
    found = evaluate(rule(lasting), Facts({IN: Fact(30, NOW)}), memory, NOW)
    assert found.wake_at == NOW + 60


def test_freshness_is_never_unknown():
    fresh = FreshnessCondition(**of(IN), max_age_seconds=60)
    assert truth(fresh, Facts()) is Truth.FALSE
    assert truth(fresh, Facts({IN: Fact(1.0, NOW - 60)})) is Truth.TRUE
    assert truth(fresh, Facts({IN: Fact(1.0, NOW - 61)})) is Truth.FALSE


@pytest.mark.parametrize("is_online", [True, False, None])
def test_states_of_devices_and_actuators(is_online):
    wanted = {True: Truth.TRUE, False: Truth.FALSE, None: Truth.UNKNOWN}
    level = {True: 0.5, False: 0.0, None: None}[is_online]
    facts = Facts(online={IN[0]: is_online}, reported={FAN: level})
    assert truth(DeviceCondition(esp_id=IN[0], state="online"), facts) is wanted[is_online]
    running = ActuatorCondition(esp_id=FAN[0], gpio=FAN[1], state="on")
    assert truth(running, facts) is wanted[is_online]
    if is_online is not None:
        off = ActuatorCondition(esp_id=FAN[0], gpio=FAN[1], state="off")
        assert truth(off, facts) is wanted[not is_online]


@given(st.integers(0, 365 * 24 * 60), st.integers(0, 23), st.integers(1, 23))
def test_a_window_is_of_local_time_over_changes_of_daylight_saving(minute, start, hours):
    """2026 in Berlin has both; what the clock on the wall shows is what counts."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    end = (start + hours) % 24
    window = TimeWindow(start=f"{start:02}:00", end=f"{end:02}:00", timezone="Europe/Berlin")
    wall = moment.astimezone(BERLIN).hour
    is_open = start <= wall < end if start < end else wall >= start or wall < end
    assert (truth(window, Facts(), moment.timestamp()) is Truth.TRUE) == is_open


conditions = st.recursive(
    st.sampled_from(
        [
            HOT,
            DifferenceCondition(**of(IN), other=Sensor(**of(OUT)), operator=">", value=1.0),
            RateCondition(**of(IN), operator=">", value=1.0),
            DeviceCondition(esp_id=IN[0], state="online"),
            ActuatorCondition(esp_id=FAN[0], gpio=FAN[1], state="on"),
        ]
    ),
    lambda inner: (
        st.builds(
            Group,
            operator=st.sampled_from(["AND", "OR", "NOT"]),
            conditions=st.lists(inner, min_size=1, max_size=3).map(tuple),
        )
        | st.builds(ForAtLeast, seconds=st.just(0.001), condition=inner)
    ),
    max_leaves=8,
)


@given(st.lists(conditions, min_size=1, max_size=3), st.sampled_from(["AND", "OR"]))
def test_nothing_known_never_energises(parts, connective):
    definition = rule(*parts, logic_operator=connective, cooldown_seconds=0)
    nothing = Facts(levels={FAN: 0.0})
    memory = RuleMemory()
    for n in range(3):
        found = evaluate(definition, nothing, memory, NOW + n)
        assert found.truth is Truth.UNKNOWN
        decision = decide(definition, found, memory, nothing, NOW + n)
        assert not decision.fired and not decision.actions
        memory = decision.memory


def test_what_must_be_looked_at_without_a_reading():
    assert not depends_on_time(rule(HOT))
    assert depends_on_time(rule(Group(operator="NOT", conditions=(DeviceCondition(
        esp_id="ESP_A00001", state="online"),))))  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (DifferenceCondition(**of(IN), other=Sensor(**of(IN)), operator=">", value=1.0), "same"),
        (Group(operator="AND", conditions=()), "without conditions"),
        (RateCondition(**of(IN), operator=">", value=float("nan")), "finite"),
        (Group(operator="AND", conditions=(SensorCondition(**of(IN), operator=">", value=5.0),
               SensorCondition(**of(IN), operator="<", value=5.0))), "never be true"),
        (Group(operator="AND", conditions=(DeviceCondition(esp_id="E", state="online"),
               DeviceCondition(esp_id="E", state="offline"))), "never be true"),
    ],
)  # fmt: skip
def test_conditions_that_cannot_be_meant_are_refused(condition, says):
    found = problems_of(rule(condition), site_with([IN, OUT], [FAN]))
    assert any(says in p.message for p in found if p.severity == "error"), found


def test_bounds_that_meet_are_no_contradiction_and_what_is_out_of_reach_is_a_warning():
    both = Group(operator="AND", conditions=(
        SensorCondition(**of(IN), operator=">=", value=5.0),
        SensorCondition(**of(IN), operator="<=", value=5.0)))  # fmt: skip
    assert problems_of(rule(both), site_with([IN], [FAN])) == []
    far = SensorCondition(**of(IN), operator=">", value=900.0)
    (found,) = problems_of(rule(far), site_with([IN], [FAN]))
    assert found.severity == "warning" and "-40 to 125" in found.message


# ---- windows that were missed


def at_clock(day, clock, zone=BERLIN):
    hour, minute = clock.split(":")
    return datetime(2026, 3, day, int(hour), int(minute), tzinfo=zone).timestamp()


def seen_at(window, moments, memory=None):
    """The truths at these moments; between two of them the gateway may have been away."""
    memory, found = memory or RuleMemory(), []
    for moment in moments:
        evaluation = evaluate(rule(window), Facts(), memory, moment)
        memory = msgspec.structs.replace(memory, seen=evaluation.seen)
        found.append(evaluation.truth is Truth.TRUE)
    return found


MORNING = TimeWindow(
    start="06:00", end="09:00", timezone="Europe/Berlin", catch_up_seconds=2 * 3600.0
)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        # The gateway was away from before the window until after it.
        ([(3, "05:00"), (3, "09:30"), (3, "10:59"), (3, "11:00")], [False, True, True, False]),
        # Too late, or it saw a part of the window, or the rule is new: nothing is made up for.
        ([(3, "05:00"), (3, "11:30")], [False, False]),
        ([(3, "08:59"), (3, "09:30")], [True, False]),
        ([(3, "09:30"), (3, "10:00")], [False, False]),
        # Only the newest window counts, and the next one opens as ever.
        ([(3, "05:00"), (5, "10:00"), (5, "12:00"), (6, "07:00")], [False, True, False, True]),
    ],
)
def test_a_missed_window_is_made_up_for_by_policy(looks, expected):
    assert seen_at(MORNING, [at_clock(*look) for look in looks]) == expected
    skipping = msgspec.structs.replace(MORNING, catch_up_seconds=0.0)
    inside = [6 <= int(clock[:2]) < 9 for _, clock in looks]
    assert seen_at(skipping, [at_clock(*look) for look in looks]) == inside


def test_a_missed_window_across_midnight_and_the_change_of_the_clock():
    night = TimeWindow(
        start="22:00", end="02:30", timezone="Europe/Berlin", catch_up_seconds=3600.0
    )
    # On 29 March the clock goes from 2:00 to 3:00: half past two is half past three.
    assert seen_at(night, [at_clock(28, "21:00"), at_clock(29, "03:45")]) == [False, True]
    assert seen_at(night, [at_clock(28, "21:00"), at_clock(29, "04:31")]) == [False, False]


@given(st.lists(st.integers(0, 4 * 24 * 60), min_size=1, max_size=40))
def test_a_window_that_was_seen_is_never_open_afterwards(minutes):
    """And inside the window the policy changes nothing."""
    moments = [at_clock(2, "00:00") + 60.0 * minute for minute in sorted(minutes)]
    plain = seen_at(msgspec.structs.replace(MORNING, catch_up_seconds=0.0), moments)
    found = seen_at(MORNING, moments)
    seen_days = {
        int((m - at_clock(2, "00:00")) // 86_400) for m, p in zip(moments, plain, strict=True) if p
    }
    for moment, was_open, truth in zip(moments, plain, found, strict=True):
        assert truth or not was_open
        if truth and not was_open:
            assert int((moment - at_clock(2, "00:00")) // 86_400) not in seen_days
