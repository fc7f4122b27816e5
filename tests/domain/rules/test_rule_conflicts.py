"""Rules against each other and in a circle, as they are told of at save."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.conflicts import conflicts_of
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    Delay,
    HysteresisCondition,
    RuleDefinition,
    Sensor,
    SensorCondition,
    SequenceAction,
    TimeWindow,
)


def sensor(number):
    return Sensor(esp_id="ESP_A00001", gpio=number, sensor_type="ds18b20")


def reads(number):
    return SensorCondition(
        esp_id="ESP_A00001", gpio=number, sensor_type="ds18b20", operator=">", value=1.0
    )


def turns(gpio, verb=Verb.ON, moves=(), **how):
    affects = tuple(sensor(number) for number in moves)
    return ActuatorAction(esp_id="ESP_A00002", gpio=gpio, command=verb, affects=affects, **how)


def rule(name, condition, *actions, **how):
    return RuleDefinition(name=name, conditions=(condition,), actions=actions, **how)


def messages(rule_id, definition, others):
    return [p.message for p in conflicts_of(rule_id, definition, others)]


def test_two_that_want_different_things_of_one_actuator():
    day, night = rule("day", reads(1), turns(25)), rule("night", reads(2), turns(25, Verb.OFF))
    (told,) = messages(2, night, {1: day})
    assert told.startswith(
        "rule 1 (day) commands something else for ESP_A00002/25; both have priority"
    )
    (told,) = messages(2, rule("night", reads(2), turns(25, Verb.OFF), priority=500), {1: day})
    assert told.endswith("this rule wins by priority")
    (told,) = messages(2, rule("night", reads(2), turns(25, Verb.OFF), priority=5), {1: day})
    assert told.endswith("rule 1 wins by priority")


def test_two_that_want_the_same_do_not_conflict():
    assert messages(2, rule("b", reads(2), turns(25)), {1: rule("a", reads(1), turns(25))}) == []
    assert (
        messages(2, rule("b", reads(2), turns(26)), {1: rule("a", reads(1), turns(25, Verb.OFF))})
        == []
    )


def test_one_that_releases_wants_it_off_too():
    vent = HysteresisCondition(
        esp_id="ESP_A00001", gpio=1, sensor_type="ds18b20", activate_above=9.0, deactivate_below=8.0
    )
    assert len(messages(2, rule("vent", vent, turns(25)), {1: rule("a", reads(2), turns(25))})) == 1


def test_what_is_deep_in_a_sequence_counts():
    steps = SequenceAction(steps=(Delay(seconds=5), turns(25, Verb.OFF)))
    (problem,) = conflicts_of(2, rule("b", reads(2), steps), {1: rule("a", reads(1), turns(25))})
    assert problem.path == "actions[0].steps[1]"
    assert problem.severity == "warning"


def test_one_that_is_switched_off_and_oneself_are_no_others():
    off = rule("a", reads(1), turns(25, Verb.OFF), enabled=False)
    on = rule("b", reads(2), turns(25))
    assert messages(2, on, {1: off}) == []
    assert messages(1, off, {2: on}) == []
    assert messages(2, on, {2: rule("b", reads(2), turns(25, Verb.OFF))}) == []


def test_a_circle_over_three_rules_is_named_in_its_order():
    others = {
        1: rule("heat", reads(1), turns(21, moves=(2,))),
        2: rule("vent", reads(2), turns(22, moves=(3,))),
        4: rule("aside", reads(2), turns(24, moves=(9,))),
    }
    (told,) = messages(3, rule("mist", reads(3), turns(23, moves=(1,))), others)
    assert told.startswith("a circle: mist -> heat -> vent -> mist.")


def test_a_control_loop_of_its_own_is_as_it_should_be():
    assert messages(1, rule("heat", reads(1), turns(21, moves=(1,))), {}) == []


edges = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=18)


@given(edges)
def test_a_circle_is_told_exactly_when_there_is_one(found):
    """Rule n reads sensor n and moves those that its edges lead to; checked by reachability."""
    moves = {n: {to for start, to in found if start == n and to != n} for n in range(7)}
    rules = {n: rule(f"r{n}", reads(n), turns(10 + n, moves=tuple(moves[n]))) for n in range(7)}
    reachable = {n: set(to) for n, to in moves.items()}
    for _ in range(7):
        for n in range(7):
            reachable[n] |= {far for near in tuple(reachable[n]) for far in reachable[near]}
    for n in range(7):
        told = messages(n, rules[n], rules)
        assert bool(told) == (n in reachable[n])
        if told:
            names = [
                int(x.strip(" r."))
                for x in told[0].removeprefix("a circle:").split(".")[0].split("->")
            ]
            assert names[0] == names[-1] == n
            assert all(b in moves[a] for a, b in itertools.pairwise(names))


def hours(start, end, **how):
    return TimeWindow(start=start, end=end, **how)


def test_two_whose_hours_never_meet_do_not_contradict():
    day = rule("day", hours("06:00", "22:00"), turns(25))
    for window, conflict in (
        (hours("22:00", "06:00"), False),
        (hours("21:59", "06:00"), True),
        (hours("22:00", "06:01"), True),
        (hours("10:00", "11:00"), True),
        # Another clock, or hours that last longer when they were missed.
        (hours("22:00", "06:00", timezone="Europe/Berlin"), True),
        (hours("22:00", "06:00", catch_up_seconds=600.0), True),
    ):
        night = rule("night", window, turns(25, Verb.OFF))
        assert bool(messages(2, night, {1: day})) is conflict
        assert bool(messages(1, day, {2: night})) is conflict
