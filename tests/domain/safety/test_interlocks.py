"""Interlocks: what is refused while it runs, and which declarations can never work."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, ActuatorType
from godkaiser.domain.safety.interlocks import (
    Interlock,
    InterlockKind,
    OtherActuator,
    objection,
    problems_of,
    to_release,
    validate,
)
from godkaiser.errors.base import ValidationFailed
from tests.domain.safety.safety_builders import NOW

PUMP, VALVE, HEATER, FAN = (ActuatorKey("ESP_4F3A9C", gpio) for gpio in (25, 26, 27, 32))
NAMES = {"pump": PUMP, "valve": VALVE, "heater": HEATER, "fan": FAN}
CONFIGS = {
    key: ActuatorConfig(
        esp_id=key.esp_id, gpio=key.gpio, actuator_type=ActuatorType.RELAY, max_runtime_s=600
    )
    for key in NAMES.values()
}
ON = OtherActuator(desired=1.0, reported=1.0, on_since=NOW - 10, runs_since=NOW - 10)
OFF = OtherActuator(desired=0.0, reported=0.0)


def entry(text: str, after_s: float = 0.0) -> Interlock:
    """`pump never_with valve` and the like."""
    actuator, kind, other = text.split()
    return Interlock(
        kind=InterlockKind(kind), actuator=NAMES[actuator], other=NAMES[other], after_s=after_s
    )


IN_DOUBT = [
    OtherActuator(desired=0.0, reported=None),
    OtherActuator(desired=1.0, reported=0.0),
    OtherActuator(desired=0.0, reported=1.0),
    OtherActuator(desired=0.0, reported=0.0, online=False),
]


@pytest.mark.parametrize("mine", [PUMP, VALVE])
def test_two_that_never_go_together_exclude_each_other_both_ways(mine: ActuatorKey) -> None:
    other = VALVE if mine == PUMP else PUMP
    never = entry("pump never_with valve")
    assert objection(never, mine, {other: OFF}, NOW) == ""
    assert "which is on" in objection(never, mine, {other: ON}, NOW)


@pytest.mark.parametrize("state", [*IN_DOUBT, None])
@pytest.mark.parametrize("kind", ["never_with", "only_with", "only_after"])
def test_what_is_in_doubt_counts_against_the_command(
    state: OtherActuator | None, kind: str
) -> None:
    states = {} if state is None else {VALVE: state}
    assert objection(entry(f"pump {kind} valve", 1.0), PUMP, states, NOW)


def test_only_with_binds_the_dependent_one_alone() -> None:
    needs = entry("pump only_with valve")
    assert objection(needs, PUMP, {VALVE: ON}, NOW) == ""
    assert "not known to be on" in objection(needs, PUMP, {VALVE: OFF}, NOW)
    assert objection(needs, VALVE, {PUMP: OFF}, NOW) == ""


@pytest.mark.parametrize(("after_s", "refused"), [(9.9, False), (10.0, False), (10.1, True)])
def test_only_after_waits_for_the_time_on_of_the_other(after_s: float, *, refused: bool) -> None:
    text = objection(entry("pump only_after valve", after_s), PUMP, {VALVE: ON}, NOW)
    assert bool(text) is refused


def test_an_interlock_of_others_has_nothing_to_say() -> None:
    assert objection(entry("pump never_with valve"), FAN, {VALVE: ON, PUMP: ON}, NOW) == ""


def test_who_loses_what_he_needs_is_released_and_so_on_down_the_chain() -> None:
    declared = [entry("pump only_with valve"), entry("heater only_with pump")]
    assert to_release(declared, {VALVE: ON, PUMP: ON, HEATER: ON}) == ()
    assert to_release(declared, {VALVE: OFF, PUMP: ON, HEATER: ON}) == (HEATER, PUMP)


def test_of_two_that_never_run_together_the_younger_goes_and_both_where_that_is_unknown() -> None:
    declared = [entry("pump never_with valve")]
    assert to_release(declared, {VALVE: ON, PUMP: ON}) == (PUMP, VALVE)
    younger = OtherActuator(desired=1.0, reported=1.0, on_since=NOW - 5)
    assert to_release(declared, {VALVE: ON, PUMP: younger}) == (PUMP,)
    unknown = OtherActuator(reported=1.0)
    assert to_release(declared, {VALVE: ON, PUMP: unknown}) == (PUMP, VALVE)
    stuck = OtherActuator(reported=1.0, on_since=NOW - 5, stuck=True)
    assert to_release(declared, {VALVE: ON, PUMP: stuck}) == (PUMP, VALVE)


def test_what_may_be_on_its_way_counts_as_on() -> None:
    declared = [entry("pump never_with valve")]
    coming = OtherActuator(desired=0.0, reported=0.0, coming=True, in_flight=True)
    assert objection(declared[0], PUMP, {VALVE: coming}, NOW)
    assert VALVE in to_release(declared, {VALVE: coming, PUMP: ON})


@pytest.mark.parametrize(
    ("declared", "named", "reason"),
    [
        (["pump never_with pump"], 0, "with itself"),
        (["pump only_with valve", "valve only_with pump"], 0, "a cycle"),
        (
            ["pump only_with valve", "valve only_with heater", "heater only_with pump"],
            2,
            "a cycle",
        ),
        (
            ["pump only_with valve", "valve never_with pump"],
            1,
            "it needs an actuator that it excludes",
        ),
        (
            ["pump only_with valve", "valve only_with fan", "fan never_with pump"],
            2,
            "it needs an actuator that it excludes",
        ),
        (
            ["pump only_with valve", "pump only_with fan", "fan never_with valve"],
            2,
            "it needs both",
        ),
        (["pump never_with valve", "valve never_with pump"], 1, "declared twice"),
    ],
)
def test_declarations_that_cannot_work_are_named(
    declared: list[str], named: int, reason: str
) -> None:
    interlocks = [entry(text) for text in declared]
    problems = problems_of(interlocks, CONFIGS)
    assert any(p.interlock is interlocks[named] and reason in p.reason for p in problems)


def test_an_interlock_that_names_nothing_is_refused_with_its_place() -> None:
    nowhere = Interlock(
        kind=InterlockKind.ONLY_WITH,
        actuator=PUMP,
        other=ActuatorKey("ESP_FFFFFF", 4),
        where="conf/devices.d/tank.toml:12",
    )
    with pytest.raises(ValidationFailed) as caught:
        validate([nowhere], CONFIGS)
    assert caught.value.message == (
        "conf/devices.d/tank.toml:12: ESP_4F3A9C/25 only with ESP_FFFFFF/4:"
        " there is no actuator ESP_FFFFFF/4"
    )


@pytest.mark.parametrize("after_s", [-1.0, 0.0, math.nan, math.inf, 600.0])
def test_a_time_that_never_comes_is_refused(after_s: float) -> None:
    assert problems_of([entry("pump only_after valve", after_s)], CONFIGS)


def test_a_sound_set_of_interlocks_passes() -> None:
    declared = [
        entry("pump only_after valve", 5.0),
        entry("heater only_with pump"),
        entry("heater never_with fan"),
    ]
    validate(declared, CONFIGS)


kinds = st.sampled_from(InterlockKind)
keys = st.sampled_from(sorted(CONFIGS))
interlock_sets = st.lists(
    st.builds(Interlock, kind=kinds, actuator=keys, other=keys).map(
        lambda made: Interlock(
            kind=made.kind,
            actuator=made.actuator,
            other=made.other,
            after_s=5.0 if made.kind is InterlockKind.ONLY_AFTER else 0.0,
        )
    ),
    max_size=5,
    unique=True,
)


@given(interlock_sets)
def test_whatever_passes_lets_every_actuator_start_in_some_order(
    declared: list[Interlock],
) -> None:
    if problems_of(declared, CONFIGS):
        return
    for wanted in CONFIGS:
        states = dict.fromkeys(CONFIGS, OFF)
        waiting = [wanted]
        while waiting:
            key = waiting[-1]
            missing = [
                i.other
                for i in declared
                if i.actuator == key
                and i.kind is not InterlockKind.NEVER_WITH
                and states[i.other] is OFF
            ]
            if missing:
                waiting.append(missing[0])
                continue
            assert not any(objection(i, key, states, NOW) for i in declared)
            states[key] = ON
            waiting.pop()
        assert states[wanted] is ON


@given(
    interlock_sets,
    st.dictionaries(keys, st.sampled_from([ON, OFF, *IN_DOUBT]), min_size=4),
)
def test_nothing_is_allowed_that_would_be_released_at_once(
    declared: list[Interlock], states: dict[ActuatorKey, OtherActuator]
) -> None:
    for key in CONFIGS:
        mine = [i for i in declared if key in {i.actuator, i.other} and i.actuator != i.other]
        others = {other: state for other, state in states.items() if other != key}
        if not any(objection(i, key, others, NOW) for i in mine):
            assert key not in to_release(mine, {**others, key: ON})
