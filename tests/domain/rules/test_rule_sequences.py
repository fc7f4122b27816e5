"""Sequences and ramps: step by step, each confirmed; and what follows when one breaks."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.rules import Fact, Facts, RuleMemory, decide, evaluate
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    Delay,
    NotificationAction,
    RampAction,
    RuleDefinition,
    Sensor,
    SensorCondition,
    SequenceAction,
    WaitUntil,
)
from godkaiser.domain.rules.sequences import CONFIRM_S, MOST_RAMP_STEPS, steps_of

SENSOR = Sensor(esp_id="ESP_A00001", gpio=0, sensor_type="sht31_temp")
PUMP, VALVE = ("ESP_A00002", 25), ("ESP_A00002", 26)
NOW = 1_767_096_000.0
WARM = SensorCondition(
    esp_id=SENSOR.esp_id, gpio=SENSOR.gpio, sensor_type=SENSOR.sensor_type,
    operator=">", value=20.0, max_age_seconds=1e6,
)  # fmt: skip
TELL = NotificationAction(channel="mqtt", target="watering")


def turn(ref, verb=Verb.ON, duration=0.0, value=None):
    return ActuatorAction(esp_id=ref[0], gpio=ref[1], command=verb, duration=duration, value=value)


def until(value, timeout=30.0, **how):
    condition = msgspec.structs.replace(WARM, value=value)
    return WaitUntil(condition=condition, timeout_seconds=timeout, **how)


class Play:
    """A rule with one sequence, the actuators that it commands, and the clock."""

    def __init__(self, *steps, temperature=25.0, action=None, **how):
        action = action or SequenceAction(steps=steps, **how)
        self.rule = RuleDefinition(
            name="r", conditions=(WARM,), actions=(action,), cooldown_seconds=3600.0
        )
        self.memory = RuleMemory()
        self.reported = {PUMP: 0.0, VALVE: 0.0}
        self.temperature = temperature
        self.now = NOW
        self.obeys = True
        self.log: list[str] = []
        self.notified = 0
        self.outcome = ""
        self.wake_at: float | None = NOW

    def look(self, after_s=0.0):
        self.now += after_s
        facts = Facts(
            {WARM.ref: Fact(self.temperature, self.now)},
            levels=dict(self.reported),
            reported=dict(self.reported),
        )
        evaluation = evaluate(self.rule, facts, self.memory, self.now)
        decision = decide(self.rule, evaluation, self.memory, facts, self.now)
        # As it comes back from the database.
        self.memory = msgspec.json.decode(msgspec.json.encode(decision.memory), type=RuleMemory)
        self.wake_at = decision.wake_at
        self.notified += len(decision.notifications)
        for command in decision.actions:
            self.log.append(f"{command.command.value} {command.gpio}")
            if self.obeys:
                self.obey(command)
        if decision.remark:
            self.outcome = decision.remark
        return decision

    def obey(self, command):
        level = {Verb.ON: 1.0, Verb.OFF: 0.0}.get(command.command, command.value)
        self.reported[command.esp_id, command.gpio] = level

    def finish(self, most=500):
        """As the rule actor does: looks again when it is due, until it is over."""
        for _ in range(most):
            self.look(max(0.0, (self.wake_at or self.now) - self.now))
            if self.memory.progress is None:
                return self
        raise AssertionError(self.memory.progress)


def test_a_sequence_goes_through_its_steps_in_order():
    play = Play(turn(PUMP), Delay(seconds=10), turn(VALVE), TELL, turn(VALVE, Verb.OFF),
                turn(PUMP, Verb.OFF)).finish()  # fmt: skip
    assert play.log == ["ON 25", "ON 26", "OFF 26", "OFF 25"]
    assert (play.outcome, play.notified) == ("sequence done", 1)
    assert 10.0 <= play.now - NOW < 13.0


def test_it_waits_for_each_confirmation_and_gives_up_in_time():
    play = Play(turn(PUMP), turn(VALVE))
    play.obeys = False
    play.look()
    play.look(CONFIRM_S - 1.0)
    assert play.log == ["ON 25"]
    play.look(1.0)
    assert play.outcome == "sequence aborted: ESP_A00002/25 did not confirm ON"
    # It may have been done, and only its confirmation is missing.
    assert play.log == ["ON 25", "OFF 25"]


def test_it_waits_until_a_condition_holds():
    play = Play(turn(PUMP), until(30.0), turn(PUMP, Verb.OFF))
    play.look()
    play.look(0.5)
    play.look(20.0)
    assert play.log == ["ON 25"]
    play.temperature = 31.0
    play.look(1.0)
    assert play.log == ["ON 25", "OFF 25"]


@pytest.mark.parametrize(
    ("on_timeout", "log", "outcome"),
    [
        ("abort", ["ON 25", "OFF 25"], "sequence aborted: step 1 timed out after 30 s"),
        ("continue", ["ON 25", "ON 26"], "sequence done"),
    ],
)
def test_what_is_waited_for_in_vain(on_timeout, log, outcome):
    play = Play(turn(PUMP), until(30.0, on_timeout=on_timeout), turn(VALVE)).finish()
    assert (play.log, play.outcome) == (log, outcome)


def test_it_is_broken_by_who_switches_off_what_it_has_switched_on():
    play = Play(turn(PUMP), Delay(seconds=60), turn(VALVE))
    play.look()
    play.look(0.5)
    play.reported[PUMP] = 0.0
    play.look(5.0)
    assert play.outcome == "sequence aborted: ESP_A00002/25 is no longer on"
    assert "ON 26" not in play.log


def test_what_ran_for_its_own_duration_may_be_off():
    play = Play(turn(PUMP, duration=5.0), Delay(seconds=60), turn(VALVE))
    play.look()
    play.look(0.5)
    play.reported[PUMP] = 0.0
    play.finish()
    assert (play.log, play.outcome) == (["ON 25", "ON 26"], "sequence done")


def test_a_broken_one_goes_its_own_way_out():
    play = Play(
        turn(PUMP), until(99.0, 10.0), on_abort=(turn(VALVE, Verb.OFF), turn(PUMP, Verb.OFF))
    )
    play.finish()
    assert play.log == ["ON 25", "OFF 26", "OFF 25"]


@pytest.mark.parametrize(
    ("asked", "log"), [(True, ["ON 25", "OFF 25"]), (False, ["ON 25", "ON 26"])]
)
def test_its_conditions_end_it_only_where_that_is_asked(asked, log):
    play = Play(turn(PUMP), Delay(seconds=30), turn(VALVE), abort_when_false=asked)
    play.look()
    play.look(0.5)
    play.temperature = 10.0
    play.finish()
    assert play.log == log


def test_while_it_runs_the_rule_does_not_fire_again():
    play = Play(Delay(seconds=100), turn(PUMP))
    play.rule = msgspec.structs.replace(play.rule, cooldown_seconds=0.0)
    for _ in range(9):
        play.look(10.0)
    assert (play.log, play.memory.fired_count) == ([], 1)


def test_a_rule_that_is_switched_off_ends_its_sequence():
    play = Play(turn(PUMP), Delay(seconds=100), turn(VALVE))
    play.look()
    play.look(0.5)
    play.rule = msgspec.structs.replace(play.rule, enabled=False)
    play.look(1.0)
    assert play.log == ["ON 25", "OFF 25"]
    assert play.outcome == "sequence aborted: the rule is disabled"


def test_a_clock_that_is_set_back_prolongs_no_step():
    play = Play(turn(PUMP), Delay(seconds=10), turn(PUMP, Verb.OFF))
    play.look()
    play.look(0.5)
    play.look(-3600.0)
    play.look(10.5)
    assert play.log == ["ON 25", "OFF 25"]


def test_a_ramp_is_equal_steps_and_ends_where_it_should():
    ramp = RampAction(esp_id=PUMP[0], gpio=PUMP[1], start=0.2, end=1.0, seconds=40, step_seconds=10)
    play = Play(action=ramp).finish()
    assert play.log == ["PWM 25"] * 5
    assert play.reported[PUMP] == 1.0
    assert 40.0 <= play.now - NOW < 45.0


def test_a_ramp_that_is_where_it_should_be_does_not_begin_again():
    ramp = RampAction(esp_id=PUMP[0], gpio=PUMP[1], start=0.0, end=1.0, seconds=40)
    play = Play(action=ramp)
    play.reported[PUMP] = 1.0
    play.look()
    assert play.memory.progress is None
    assert play.log == []


ramps = st.builds(
    RampAction,
    esp_id=st.just(PUMP[0]),
    gpio=st.just(PUMP[1]),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    seconds=st.floats(0.1, 86_400),
    step_seconds=st.floats(1, 3600),
)


@given(ramps)
def test_any_ramp_is_bounded_and_goes_one_way(ramp):
    steps = steps_of(ramp)
    values = [s.value for s in steps if isinstance(s, ActuatorAction)]
    assert 2 <= len(values) <= MOST_RAMP_STEPS + 1
    assert (values[0], values[-1]) == (round(ramp.start, 4), round(ramp.end, 4))
    assert values == sorted(values, reverse=ramp.start > ramp.end)
    assert sum(s.seconds for s in steps if isinstance(s, Delay)) == pytest.approx(ramp.seconds)


refs = st.sampled_from([PUMP, VALVE])
any_step = st.one_of(
    st.builds(turn, refs, st.sampled_from([Verb.ON, Verb.OFF]), st.sampled_from([0.0, 5.0])),
    st.builds(turn, refs, st.just(Verb.PWM), st.just(0.0), st.sampled_from([0.0, 0.5])),
    st.builds(Delay, seconds=st.floats(0.5, 60)),
    st.builds(until, st.floats(20, 40), st.floats(1, 60), on_timeout=st.sampled_from(["abort", "continue"])),
    st.just(TELL),
)  # fmt: skip
events = st.lists(
    st.tuples(
        st.sampled_from(["pass", "pass", "deaf", "obey", "lose", "warm", "cold", "back"]),
        st.floats(0, 40),
    ),
    max_size=30,
)


@settings(max_examples=300)
@given(st.lists(any_step, min_size=1, max_size=8), events, st.booleans())
def test_whatever_happens_nothing_is_sent_twice_and_nothing_is_left_on(steps, events, abort):
    """Every step at most once and in order; what a broken one has switched on is switched off."""
    play = Play(*steps, abort_when_false=abort)
    wanted = [f"{s.command.value} {s.gpio}" for s in steps if isinstance(s, ActuatorAction)]
    for what, seconds in events:
        match what:
            case "deaf" | "obey":
                play.obeys = what == "obey"
            case "lose":
                play.reported[PUMP] = 0.0
            case "warm" | "cold":
                play.temperature = 35.0 if what == "warm" else 5.0
            case "back":
                play.now -= 600.0
        play.look(seconds)
        if play.outcome:
            break
    if play.memory.fired_count == 0:
        assert play.log == []
        return
    if not play.outcome:
        play.obeys = True
        play.finish()
    assert play.memory.fired_count == 1
    if play.outcome == "sequence done":
        assert play.log == wanted
        return
    done = next(
        count
        for count in range(len(play.log), -1, -1)
        if play.log[:count] == wanted[:count]
        and all(entry.startswith("OFF") for entry in play.log[count:])
    )
    left_on = {}
    for step in [s for s in steps if isinstance(s, ActuatorAction)][:done]:
        on = step.command is Verb.ON or (step.command is Verb.PWM and step.value)
        left_on[step.ref] = bool(on) and not step.duration
    for ref, on in left_on.items():
        if on and play.reported[ref]:
            assert f"OFF {ref[1]}" in play.log[done:]
