"""The verdict: what is refused, why, and what is always allowed."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import ActuatorType, Approval, Issuer, Verb
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind, OtherActuator
from godkaiser.domain.safety.safety import (
    CHECKS,
    DEFAULT_MAX_RUNTIME_S,
    ActuatorFacts,
    CommandFacts,
    DeviceFacts,
    Hold,
    Verdict,
    judge,
)
from godkaiser.domain.safety.stop_state import StopState
from godkaiser.http.resources.actuators.commands import REFUSALS
from tests.domain.safety.safety_builders import (
    NOW,
    PUMP,
    RULE,
    VALVE,
    a_command,
    a_config,
    a_device,
    a_stop,
    an_actuator,
    facts,
)

FAN = a_config(actuator_type=ActuatorType.PWM, max_value=0.9, min_value=0.2)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_an_on_for_a_healthy_device_is_allowed_and_lists_every_check() -> None:
    verdict = judge(a_command(), facts(), NOW)
    assert (verdict.allowed, verdict.energising, verdict.value) == (True, True, 1.0)
    assert tuple(check.name for check in verdict.checks) == CHECKS


@pytest.mark.parametrize(
    ("changes", "check", "code"),
    [
        ({"stop": a_stop()}, "emergency_stop", "EMERGENCY_STOP_ACTIVE"),
        ({"record_ok": False}, "safety_record", "COMMAND_REFUSED"),
        ({"link_up": False}, "link", "BROKER_UNAVAILABLE"),
        (
            {"device": a_device(approval=Approval.PENDING)},
            "device_approved",
            "DEVICE_NOT_APPROVED",
        ),
        ({"device": a_device(online=False)}, "device_online", "DEVICE_OFFLINE"),
        ({"actuator": an_actuator(reported=None)}, "state_known", "COMMAND_REFUSED"),
        ({"actuator": an_actuator(limit_locked=True)}, "device_limit", "COMMAND_REFUSED"),
        ({"pin_user": "sensor ph"}, "gpio", "GPIO_CONFLICT"),
        (
            {"actuator": an_actuator(a_config(min_off_s=30), off_since=NOW - 10)},
            "min_off_time",
            "COMMAND_REFUSED",
        ),
        (
            {"actuator": an_actuator(a_config(min_on_s=4000))},
            "min_on_time",
            "COMMAND_REFUSED",
        ),
        (
            {"actuator": an_actuator(a_config(max_on_s_per_hour=60), on_seconds_last_hour=60)},
            "on_time_per_hour",
            "COMMAND_REFUSED",
        ),
        (
            {"actuator": an_actuator(a_config(max_switches_per_hour=3), switches_last_hour=3)},
            "switching_rate",
            "COMMAND_REFUSED",
        ),
    ],
)
def test_each_doubt_alone_refuses_an_on_but_not_an_off(
    changes: dict[str, Any], check: str, code: str
) -> None:
    verdict = judge(a_command(), facts(**changes), NOW)
    assert not verdict.allowed
    assert (failed(verdict), verdict.code) == ([check], code)
    assert judge(a_command(Verb.OFF), facts(**changes), NOW).allowed


def test_an_unknown_actuator_is_refused_even_for_an_off() -> None:
    verdict = judge(a_command(Verb.OFF), facts(actuator=None), NOW)
    assert (verdict.allowed, verdict.code) == (False, "ACTUATOR_NOT_FOUND")
    assert tuple(check.name for check in verdict.checks) == CHECKS


def test_a_device_that_nobody_knows_gets_no_energising_command() -> None:
    verdict = judge(a_command(), facts(device=None), NOW)
    assert failed(verdict) == ["device_approved", "device_online"]


@pytest.mark.parametrize("state", [StopState.ACTIVE, StopState.CLEARING, StopState.RESUMING])
def test_nothing_is_energised_in_any_phase_of_a_stop(state: StopState) -> None:
    stop = msgspec.structs.replace(a_stop(), state=state)
    verdict = judge(a_command(), facts(stop=stop), NOW)
    assert verdict.code == "EMERGENCY_STOP_ACTIVE"
    assert "leak" in verdict.message


def test_a_percentage_is_refused_with_the_fraction_that_was_meant() -> None:
    verdict = judge(a_command(Verb.PWM, value=80), facts(actuator=an_actuator(FAN)), NOW)
    assert verdict.code == "VALUE_OUT_OF_RANGE"
    assert verdict.message == "value 80 is out of range 0.0-1.0; for 80 % send 0.8"


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -math.inf, -1, 80, 1e300, 10**400, "0.5", True, [0.5]]
)
def test_what_is_not_a_level_is_refused_and_never_taken_for_an_off(value: Any) -> None:
    verdict = judge(a_command(Verb.PWM, value=value), facts(actuator=an_actuator(FAN)), NOW)
    assert (verdict.allowed, verdict.energising) == (False, False)
    assert verdict.code == "VALUE_OUT_OF_RANGE"


@pytest.mark.parametrize(
    "duration", [-1, math.nan, math.inf, 365 * 86400, 3601, 10**400, "60", None]
)
def test_a_duration_that_is_not_one_or_too_long_is_refused(duration: Any) -> None:
    verdict = judge(a_command(duration_s=duration), facts(), NOW)
    assert (verdict.allowed, verdict.code) == (False, "VALUE_OUT_OF_RANGE")


def test_an_unknown_verb_is_refused_by_its_name() -> None:
    verdict = judge(a_command("STOP"), facts(), NOW)  # type: ignore[arg-type]
    assert verdict.code == "UNKNOWN_COMMAND"
    assert "'STOP'" in verdict.message


@pytest.mark.parametrize(("value", "allowed"), [(0.19, False), (0.2, True), (0.95, False)])
def test_the_limits_of_the_actuator_hold(value: float, *, allowed: bool) -> None:
    verdict = judge(a_command(Verb.PWM, value=value), facts(actuator=an_actuator(FAN)), NOW)
    assert verdict.allowed is allowed


def test_on_never_exceeds_the_maximum_of_a_dimmed_actuator() -> None:
    # The firmware takes ON as full power, so the limited level has to be sent as a PWM.
    verdict = judge(a_command(Verb.ON), facts(actuator=an_actuator(FAN)), NOW)
    assert (verdict.allowed, verdict.verb, verdict.value) == (True, Verb.PWM, 0.9)


def test_on_with_a_fraction_for_a_dimmed_actuator_is_refused_with_the_way_out() -> None:
    verdict = judge(a_command(Verb.ON, value=0.3), facts(actuator=an_actuator(FAN)), NOW)
    assert not verdict.allowed
    assert verdict.message == "ON switches fully on and takes no value; for 0.3 send PWM"


@pytest.mark.parametrize(
    ("kind", "asked", "level", "verb"),
    [
        (ActuatorType.PUMP, 0.49, 0.0, Verb.OFF),
        (ActuatorType.PUMP, 0.5, 1.0, Verb.ON),
        (ActuatorType.RELAY, 0.7, 1.0, Verb.ON),
        (ActuatorType.VALVE, 0.2, 0.0, Verb.OFF),
        (ActuatorType.VALVE, 0.33, 0.5, Verb.PWM),
        (ActuatorType.VALVE, 0.66, 1.0, Verb.ON),
        (ActuatorType.PWM, 0.35, 0.35, Verb.PWM),
    ],
)
def test_a_level_becomes_what_the_firmware_makes_of_it(
    kind: ActuatorType, asked: float, level: float, verb: Verb
) -> None:
    actuator = an_actuator(a_config(actuator_type=kind))
    verdict = judge(a_command(Verb.PWM, value=asked), facts(actuator=actuator), NOW)
    assert verdict.allowed
    assert (verdict.value, verdict.verb) == (level, verb)


@pytest.mark.parametrize(
    ("desired", "reported", "level"),
    [(0.0, 0.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, None, 0.0)],
)
def test_a_toggle_switches_off_whenever_it_is_not_surely_off(
    desired: float, reported: float | None, level: float
) -> None:
    actuator = an_actuator(desired=desired, reported=reported)
    verdict = judge(a_command(Verb.TOGGLE), facts(actuator=actuator), NOW)
    assert verdict.allowed
    assert verdict.value == level
    assert verdict.verb is (Verb.ON if level else Verb.OFF)


def test_every_energising_command_has_an_end_even_without_a_declared_one() -> None:
    actuator = an_actuator(a_config(max_runtime_s=0))
    assert judge(a_command(), facts(actuator=actuator), NOW).lease_s == DEFAULT_MAX_RUNTIME_S
    assert judge(a_command(duration_s=60), facts(actuator=actuator), NOW).lease_s == 60


def test_the_clock_of_a_runtime_does_not_begin_again_with_a_second_on() -> None:
    running: dict[str, Any] = {"desired": 1.0, "reported": 1.0}
    late = judge(a_command(), facts(actuator=an_actuator(on_since=NOW - 3000, **running)), NOW)
    assert (late.allowed, late.lease_s) == (True, 600)
    over = judge(a_command(), facts(actuator=an_actuator(on_since=NOW - 3600, **running)), NOW)
    assert (over.allowed, failed(over)) == (False, ["duration"])


def test_a_lease_ends_with_the_time_on_that_is_left_of_the_hour() -> None:
    actuator = an_actuator(a_config(max_on_s_per_hour=600), on_seconds_last_hour=450)
    verdict = judge(a_command(duration_s=300), facts(actuator=actuator), NOW)
    assert (verdict.allowed, verdict.lease_s) == (True, 150)


def test_a_command_that_waited_too_long_is_not_carried_out() -> None:
    assert failed(judge(a_command(decided_at=NOW - 6), facts(), NOW)) == ["age"]
    assert failed(judge(a_command(decided_at=NOW + 1), facts(), NOW)) == ["age"]
    assert failed(judge(a_command(decided_at=NOW - 3, max_age_s=2.0), facts(), NOW)) == ["age"]
    assert failed(judge(a_command(decided_at=NOW - 6, max_age_s=60.0), facts(), NOW)) == ["age"]
    assert judge(a_command(decided_at=NOW - 3), facts(), NOW).allowed


def test_a_manual_hold_beats_rules_until_it_expires_and_never_a_person() -> None:
    held = facts(actuator=an_actuator(hold=Hold(by="user:1", until=NOW + 10)))
    by_rule = a_command(issuer=RULE)
    assert failed(judge(by_rule, held, NOW)) == ["owner"]
    assert judge(a_command(), held, NOW).allowed
    assert judge(a_command(issuer=RULE, decided_at=NOW + 10), held, NOW + 10).allowed
    forever = facts(actuator=an_actuator(hold=Hold(by="user:1", until=math.inf)))
    assert judge(by_rule, forever, NOW).message == "held by user:1 until it is released"


@pytest.mark.parametrize(("priority", "allowed"), [(99, False), (100, True), (101, True)])
def test_between_rules_the_higher_priority_keeps_the_actuator(
    priority: int, *, allowed: bool
) -> None:
    actuator = an_actuator(
        desired=1.0, reported=1.0, owner_kind="rule", owner_name="1", owner_priority=100
    )
    command = a_command(issuer=Issuer("rule", "2", priority))
    assert judge(command, facts(actuator=actuator), NOW).allowed is allowed
    own = a_command(issuer=Issuer("rule", "1", 0))
    assert judge(own, facts(actuator=actuator), NOW).allowed


def test_after_a_stop_rules_wait_for_an_operator_and_people_do_not() -> None:
    held = facts(automation_held=True)
    assert judge(a_command(issuer=RULE), held, NOW).code == "AUTOMATION_HELD"
    assert judge(a_command(), held, NOW).allowed


def test_an_interlock_refuses_and_names_the_other_actuator() -> None:
    never = Interlock(kind=InterlockKind.NEVER_WITH, actuator=VALVE, other=PUMP)
    running = {VALVE: OtherActuator(desired=1.0, reported=1.0)}
    verdict = judge(a_command(), facts(interlocks=(never,), others=running), NOW)
    assert failed(verdict) == ["interlocks"]
    assert verdict.message == "never together with ESP_4F3A9C/26, which is on"


def test_every_code_of_a_verdict_is_the_code_of_an_error_class() -> None:
    used = {"VALUE_OUT_OF_RANGE", "UNKNOWN_COMMAND", "ACTUATOR_NOT_FOUND", "COMMAND_REFUSED",
            "EMERGENCY_STOP_ACTIVE", "BROKER_UNAVAILABLE", "DEVICE_NOT_APPROVED",
            "DEVICE_OFFLINE", "GPIO_CONFLICT", "AUTOMATION_HELD"}  # fmt: skip
    assert used == set(REFUSALS)


# Whatever comes in

anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)
)
numbers = st.floats() | st.sampled_from([0.0, 0.5, 1.0, NOW, NOW - 10, NOW + 10])
levels = st.sampled_from([0.0, 0.5, 1.0, math.nan])
commands = st.builds(
    a_command,
    verb=st.sampled_from(Verb) | st.just("STOP"),
    value=anything,
    duration_s=anything | st.sampled_from([0, 30]),
    issuer=st.builds(
        Issuer, st.sampled_from(["user", "rule", "schedule", "system"]), st.just("2"), st.integers()
    ),
    requested_at=numbers,
    decided_at=numbers,
)
configs = st.builds(
    a_config,
    actuator_type=st.sampled_from(ActuatorType),
    max_runtime_s=st.integers(-1, 10**6),
    min_value=numbers,
    max_value=numbers,
    min_on_s=numbers,
    min_off_s=numbers,
    max_on_s_per_hour=numbers,
    max_switches_per_hour=st.integers(-1, 5),
)
actuators = st.builds(
    ActuatorFacts,
    config=configs | st.just(a_config()),
    desired=levels,
    reported=levels | st.none(),
    on_since=numbers | st.none(),
    off_since=numbers | st.none(),
    on_seconds_last_hour=numbers,
    switches_last_hour=st.integers(0, 9),
    hold=st.none() | st.builds(Hold, by=st.just("user:1"), until=numbers),
    owner_kind=st.sampled_from(["", "rule", "user"]),
    owner_name=st.just("1"),
    owner_priority=st.integers(),
)
all_facts = st.builds(
    CommandFacts,
    stop=st.none()
    | st.sampled_from(StopState).map(lambda state: msgspec.structs.replace(a_stop(), state=state)),
    device=st.none()
    | st.builds(DeviceFacts, approval=st.sampled_from(Approval), online=st.booleans()),
    actuator=actuators,
    link_up=st.booleans(),
    automation_held=st.booleans(),
    record_ok=st.booleans(),
    pin_user=st.sampled_from(["", "sensor ph"]),
    interlocks=st.lists(
        st.builds(
            Interlock,
            kind=st.sampled_from(InterlockKind),
            actuator=st.sampled_from([PUMP, VALVE]),
            other=st.sampled_from([PUMP, VALVE]),
            after_s=numbers,
        ),
        max_size=2,
    ).map(tuple),
    others=st.dictionaries(
        st.sampled_from([PUMP, VALVE]),
        st.builds(
            OtherActuator, desired=levels, reported=levels | st.none(), on_since=numbers | st.none()
        ),
    ),
)


@given(commands, all_facts, numbers)
def test_a_verdict_never_raises_and_is_whole(command: Any, known: CommandFacts, now: float) -> None:
    verdict = judge(command, known, now)
    assert tuple(check.name for check in verdict.checks) == CHECKS
    assert verdict.allowed == (not failed(verdict))
    assert 0.0 <= verdict.value <= 1.0
    if not verdict.allowed:
        assert verdict.code
        assert verdict.message
    assert msgspec.json.encode(verdict)


@given(commands, all_facts | st.just(facts()))
def test_an_allowed_energising_command_has_no_doubt_and_an_end(
    command: Any, known: CommandFacts
) -> None:
    verdict = judge(command, known, NOW)
    if verdict.allowed and verdict.energising:
        actuator = known.actuator
        assert actuator is not None
        assert actuator.reported is not None
        assert known.stop is None or known.stop.state is StopState.NORMAL
        assert known.link_up
        assert known.record_ok
        limit_s = actuator.config.max_runtime_s
        assert 0.0 < verdict.lease_s <= (limit_s if limit_s > 0 else DEFAULT_MAX_RUNTIME_S)


@given(commands, all_facts, numbers, st.sampled_from([Verb.OFF, Verb.PWM]))
def test_an_off_is_always_allowed_when_the_actuator_is_known(
    command: Any, known: CommandFacts, now: float, verb: Verb
) -> None:
    value = 0.0 if verb is Verb.PWM else command.value
    verdict = judge(msgspec.structs.replace(command, verb=verb, value=value), known, now)
    assert verdict.allowed
    assert not verdict.energising
