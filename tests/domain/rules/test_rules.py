"""Rules: their truth, what follows from it, and what is wrong with them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import ActuatorConfig, ActuatorType, SensorKey, Verb
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    Fact,
    Facts,
    Group,
    HysteresisCondition,
    KnownSite,
    RuleDefinition,
    RuleMemory,
    SensorCondition,
    TimeWindow,
    Truth,
    combine,
    decide,
    evaluate,
    negate,
    problems_of,
)

SENSOR = ("ESP_A00001", 0, "sht31_temp")
FAN = ("ESP_A00002", 25)
KNOWN = {
    FAN: ActuatorConfig(
        esp_id=FAN[0],
        gpio=FAN[1],
        actuator_type=ActuatorType.PWM,
        max_runtime_s=60,
        min_value=0.2,
    )
}
SITE = KnownSite(sensors=frozenset({SensorKey(*SENSOR)}), actuators=KNOWN)
NOW = 1_767_096_000.0
truths = st.lists(st.sampled_from(Truth), max_size=6)


def threshold(operator=">", value=25.0, **how):
    return SensorCondition(
        esp_id=SENSOR[0],
        gpio=SENSOR[1],
        sensor_type=SENSOR[2],
        operator=operator,
        value=value,
        **how,
    )


COOLING = HysteresisCondition(
    esp_id=SENSOR[0], gpio=SENSOR[1], sensor_type=SENSOR[2],
    activate_above=28.0, deactivate_below=25.0,
)  # fmt: skip
ON = ActuatorAction(esp_id=FAN[0], gpio=FAN[1], command=Verb.ON)


def rule(*conditions, actions=(ON,), **how):
    return RuleDefinition(name="r", conditions=conditions, actions=actions, **how)


def truth_of(definition, value, *, age_s=0.0, memory=RuleMemory()):
    facts = {} if value is None else {SENSOR: Fact(value, NOW - age_s)}
    return evaluate(definition, Facts(facts), memory, NOW)


class Site:
    """Plays a rule over time: what it does with each reading."""

    def __init__(self, definition):
        self.definition = definition
        self.memory = RuleMemory()
        self.level: float | None = 0.0
        self.now = NOW

    def reads(self, value, after_s=1.0):
        self.now += after_s
        facts = {} if value is None else {SENSOR: Fact(value, self.now)}
        known = Facts(facts, levels={FAN: self.level})
        evaluation = evaluate(self.definition, known, self.memory, self.now)
        decision = decide(self.definition, evaluation, self.memory, known, self.now)
        self.memory = decision.memory
        done = (*decision.actions, *decision.released)
        for action in done:
            self.level = 0.0 if action.command is Verb.OFF else 1.0
        return [action.command.value for action in done]


# ---- truth


@given(truths)
def test_kleenes_logic(values):
    conjunction, disjunction = combine("AND", values), combine("OR", values)
    if values:
        assert negate(conjunction) is combine("OR", [negate(v) for v in values])
        assert negate(disjunction) is combine("AND", [negate(v) for v in values])
    else:
        assert conjunction is disjunction is Truth.UNKNOWN
    assert combine("NOT", values) is negate(disjunction)
    if Truth.UNKNOWN not in values and values:
        assert (conjunction is Truth.TRUE) == all(v is Truth.TRUE for v in values)
        assert (disjunction is Truth.TRUE) == any(v is Truth.TRUE for v in values)


@given(st.sampled_from([">", ">=", "<", "<=", "==", "!="]), st.floats(-50, 50), st.floats(-50, 50))
def test_thresholds_mean_what_they_say(operator, limit, value):
    holds = {
        ">": value > limit, ">=": value >= limit, "<": value < limit,
        "<=": value <= limit, "==": value == limit, "!=": value != limit,
    }[operator]  # fmt: skip
    found = truth_of(rule(threshold(operator, limit)), value).truth
    assert found is (Truth.TRUE if holds else Truth.FALSE)


def test_between_includes_both_ends():
    between = threshold("between", None, min=10.0, max=20.0)
    for value, truth in ((9.9, "false"), (10, "true"), (20, "true"), (20.1, "false")):
        assert truth_of(rule(between), value).truth == truth


def test_no_reading_and_an_old_one_are_unknown():
    assert truth_of(rule(threshold()), None).truth is Truth.UNKNOWN
    assert truth_of(rule(threshold(max_age_seconds=60)), 30.0, age_s=61).truth is Truth.UNKNOWN
    assert truth_of(rule(threshold(max_age_seconds=60)), 30.0, age_s=59).truth is Truth.TRUE


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-06-15T05:59:59", False),
        ("2026-06-15T06:00:00", True),
        ("2026-06-15T21:59:59", True),
        ("2026-06-15T22:00:00", False),
    ],
)
def test_a_time_window_begins_and_ends(at, opens):
    window = TimeWindow(start="06:00", end="22:00")
    now = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    assert (evaluate(rule(window), Facts(), RuleMemory(), now).truth is Truth.TRUE) is opens


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts():
    window = TimeWindow(start="22:00", end="06:00", weekdays=(4,), timezone="Europe/Berlin")
    saturday_early = datetime(2026, 1, 3, 2, 0, tzinfo=UTC).timestamp()
    friday_early = datetime(2026, 1, 2, 2, 0, tzinfo=UTC).timestamp()
    assert evaluate(rule(window), Facts(), RuleMemory(), saturday_early).truth is Truth.TRUE
    assert evaluate(rule(window), Facts(), RuleMemory(), friday_early).truth is Truth.FALSE


def test_groups_and_the_findings_say_why():
    both = Group(operator="AND", conditions=(threshold(">", 20), threshold("<", 30)))
    found = truth_of(rule(both), 35.0)
    assert found.truth is Truth.FALSE
    by_path = {f.path: f for f in found.findings}
    assert by_path["conditions[0].conditions[1]"].truth is Truth.FALSE
    assert "35" in by_path["conditions[0].conditions[1]"].detail


# ---- what follows


def test_it_fires_once_and_not_again_while_the_actuator_is_as_wanted():
    site = Site(rule(threshold(), cooldown_seconds=10))
    assert [site.reads(v) for v in (20, 26, 27, 28)] == [[], ["ON"], [], []]
    site.level = 0.0
    assert site.reads(28, after_s=20) == ["ON"], "somebody switched it off: it is wanted on"


def test_the_cooldown_bounds_how_often_it_fires():
    site = Site(rule(threshold(), cooldown_seconds=60))
    fired = 0
    for _ in range(600):
        site.level = 0.0
        fired += site.reads(30) == ["ON"]
    assert fired == 10


def test_hysteresis_switches_at_its_two_thresholds_and_releases():
    site = Site(rule(COOLING, cooldown_seconds=0))
    did = [site.reads(v) for v in (26, 27.9, 28.1, 27, 25.1, 24.9, 26)]
    assert did == [[], [], ["ON"], [], [], ["OFF"], []]


def test_what_somebody_else_switched_on_is_not_released():
    site = Site(rule(COOLING, cooldown_seconds=0))
    site.level = 1.0
    assert site.reads(30) == []
    assert site.reads(20) == []


def test_unknown_neither_fires_nor_releases():
    site = Site(rule(COOLING, cooldown_seconds=0))
    assert site.reads(30) == ["ON"]
    assert site.reads(None) == []
    assert site.level == 1.0
    assert site.reads(20) == ["OFF"]


@given(st.lists(st.floats(15, 35) | st.none(), max_size=60), st.floats(0, 30))
def test_a_rule_never_commands_what_is_so_already_nor_faster_than_its_cooldown(values, cooldown):
    site = Site(rule(COOLING, cooldown_seconds=cooldown))
    fired_at = []
    for value in values:
        before = site.level
        for verb in site.reads(value):
            assert (verb == "ON") != (before == 1.0)
            if verb == "ON":
                fired_at.append(site.now)
    gaps = [b - a for a, b in itertools.pairwise(fired_at)]
    assert all(gap >= cooldown for gap in gaps)


def test_its_memory_survives_being_written_down():
    site = Site(rule(COOLING, cooldown_seconds=0))
    site.reads(30)
    site.memory = msgspec.json.decode(msgspec.json.encode(site.memory), type=RuleMemory)
    assert site.reads(26) == []
    assert site.reads(24) == ["OFF"]


# ---- what is wrong with a rule


def errors(definition):
    found = problems_of(definition, SITE)
    return [f"{p.path}: {p.message}" for p in found if p.severity == "error"]


@pytest.mark.parametrize(
    ("definition", "where", "what"),
    [
        (rule(), "conditions", "at least one condition"),
        (rule(threshold(), actions=()), "actions", "at least one action"),
        (rule(threshold(value=None)), "conditions[0]", "needs a finite value"),
        (rule(threshold(value=float("nan"))), "conditions[0]", "needs a finite value"),
        (rule(threshold("between", None, min=3.0, max=1.0)), "conditions[0]", "must not be above"),
        (rule(threshold(">", 30), threshold("<", 20)), "conditions", "never be true"),
        (rule(TimeWindow(start="08:00+01:00", end="20:00")), "conditions[0]", "has an offset"),
        (rule(TimeWindow(start="08:00", end="08:00:00")), "conditions[0]", "never opens"),
        (rule(threshold(max_age_seconds=-1.0)), "conditions[0]", "must be above 0"),
        (rule(threshold(), actions=(ON, msgspec.structs.replace(ON, command=Verb.OFF))),
         "actions[1]", "at once"),
        (rule(threshold(), actions=(msgspec.structs.replace(ON, value=80.0),)), "actions[0]",
         "out of range"),
        (rule(threshold(), actions=(ON,) * 65), "actions", "at most 64"),
        (rule(TimeWindow(start="25:00", end="6")), "conditions[0]", "not a time of day"),
        (rule(TimeWindow(start="06:00", end="07:00", timezone="Mars")), "conditions[0]", "time zone"),
        (rule(threshold(), actions=(msgspec.structs.replace(ON, command=Verb.PWM, value=80),)),
         "actions[0]", "did you mean 0.8?"),
        (rule(threshold(), actions=(msgspec.structs.replace(ON, duration=-1.0),)), "actions[0]",
         "must be 0 to 86400 seconds"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(definition, where, what):
    assert any(text.startswith(f"{where}: ") and what in text for text in errors(definition))


def test_groups_too_deep_are_refused_without_a_stack_overflow():
    condition = threshold()
    for _ in range(500):
        condition = Group(operator="AND", conditions=(condition,))
    assert "nested" in errors(rule(condition))[0]


def test_a_sensible_rule_has_no_errors_and_unknown_parts_are_warnings():
    assert errors(rule(COOLING)) == []
    found = problems_of(rule(threshold()), KnownSite())
    assert {p.severity for p in found} == {"warning"} and len(found) == 2


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ({"duration": 61.0}, "runs at most 60 s"),
        ({"duration": 60.0}, ""),
        ({"command": Verb.PWM, "value": 0.1}, "takes 0.2 to 1"),
        ({"command": Verb.PWM, "value": 0.2}, ""),
        ({"command": Verb.OFF, "duration": 61.0}, ""),
    ],
)
def test_what_the_limits_of_an_actuator_never_allow_is_told(action, told):
    chosen = ActuatorAction(**{"esp_id": FAN[0], "gpio": FAN[1], "command": Verb.ON, **action})
    found = problems_of(rule(threshold(), actions=(chosen,)), SITE)
    assert [p.severity for p in found] == (["warning"] if told else [])
    assert all(told in p.message and p.path == "actions[0]" for p in found)
