"""Rules, people and stops want the same actuator; and rule actors die in the midst of a sequence.

The real actors on the stage of `stage.py`, where every command is checked: a hold beats rules, and of two
rules the one of higher priority keeps what it has on.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from godkaiser import paths
from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, ActuatorType, SensorConfig, Verb
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    Delay,
    RuleDefinition,
    SensorCondition,
    SequenceAction,
)
from godkaiser.domain.safety.stop_state import GLOBAL
from godkaiser.simulator.personality import ESP_IDF
from godkaiser.simulator.raw_values import raw_of
from tests.safety.world import scenes
from tests.safety.world.quiet import quiet
from tests.safety.world.site import ROM, Site
from tests.safety.world.stage import Stage

DEVICE, FAN, PUMP, SENSOR = "ESP_A00001", 25, 26, 4
FAN_KEY = ActuatorKey(DEVICE, FAN)


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


def on_stage(seed, rules):
    """One device with a fan and a pump, and these rules."""
    actuators = [
        ActuatorConfig(
            esp_id=DEVICE, gpio=gpio, actuator_type=ActuatorType.PWM, max_runtime_s=20
        )
        for gpio in (FAN, PUMP)
    ]  # fmt: skip
    sensor = SensorConfig(
        esp_id=DEVICE, gpio=SENSOR, sensor_type="ds18b20", address=ROM, interval_s=2
    )
    site = Site(
        zones={DEVICE: "north"}, personalities={DEVICE: ESP_IDF}, actuators=tuple(actuators),
        interlocks=(), sensors=(sensor,), rules=tuple(rules), doses=frozenset(), stop_inputs=(),
    )  # fmt: skip
    stage = Stage(seed, site)
    stage.connect(DEVICE, reconnect=False)
    stage.pass_time(5.0)
    return stage


def when(operator, degrees):
    return SensorCondition(
        esp_id=DEVICE, gpio=SENSOR, sensor_type="ds18b20", operator=operator, value=degrees
    )


def turn(gpio, command, value=None, release=None):
    return ActuatorAction(esp_id=DEVICE, gpio=gpio, command=command, value=value, release=release)


def wants(name, priority, condition, action):
    return RuleDefinition(
        name=name, conditions=(condition,), actions=(action,), priority=priority,
        cooldown_seconds=0.5, suspend_after=0,
    )  # fmt: skip


COMPETITORS = [
    wants("urgent", 800, when(">", 30.0), turn(FAN, Verb.PWM, 1.0, release=True)),
    wants("usual", 100, when(">", 20.0), turn(FAN, Verb.PWM, 0.4, release=True)),
    wants("rival", 100, when(">", 25.0), turn(FAN, Verb.PWM, 0.7)),
    wants("saver", 50, when("<", 22.0), turn(FAN, Verb.OFF)),
]


class Competition(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed):
        self.stage = on_stage(seed, COMPETITORS)

    @rule(
        degrees=st.sampled_from([15, 21, 24, 28, 35, 40]), seconds=st.sampled_from([0.5, 2.5, 6.0])
    )
    def it_is(self, degrees, seconds):
        self.stage.raw["ds18b20"] = raw_of("ds18b20", degrees)
        self.stage.pass_time(seconds)

    @rule(seconds=st.sampled_from([None, None, 0.0]))
    def hold_or_release(self, seconds):
        self.stage.people.hold(FAN_KEY, seconds)

    @rule(verb=st.sampled_from([Verb.ON, Verb.OFF]))
    def a_person_commands(self, verb):
        self.stage.people.command(FAN_KEY, verb)

    @rule(victim=st.sampled_from([paths.rule(1), paths.rule(2), paths.RULES, paths.SAFETY,
                                  paths.actuator(DEVICE, FAN), paths.device(DEVICE)]))  # fmt: skip
    def crash(self, victim):
        self.stage.system.crash(victim)

    @rule()
    def stop_and_go_on(self):
        self.stage.people.stop(GLOBAL)
        self.stage.pass_time(6.0)
        self.stage.people.clear(GLOBAL)
        self.stage.pass_time(3.0)
        self.stage.people.resume()

    @rule()
    def break_the_link(self):
        scenes.break_link(self.stage)

    @rule(seconds=st.sampled_from([0.05, 1.0, 4.0]))
    def wait(self, seconds):
        self.stage.pass_time(seconds)

    @invariant()
    def nothing_has_gone_wrong(self):
        if hasattr(self, "stage"):
            assert not self.stage.plant.wrong


Competition.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestCompetition = Competition.TestCase


def test_the_competition_is_one():
    """Each rule has its way when it is its turn: what is checked above does happen."""
    stage = on_stage(1, COMPETITORS)
    stage.calm()
    stage.pass_time(5.0)

    def level_at(degrees):
        stage.raw["ds18b20"] = raw_of("ds18b20", degrees)
        stage.pass_time(12.0)
        return round(stage.devices[DEVICE].levels()[FAN], 1)

    assert level_at(35) == 1.0
    assert level_at(15) == 0.0
    assert level_at(24) == 0.4
    stage.people.hold(FAN_KEY, None)
    stage.people.command(FAN_KEY, Verb.OFF)
    assert level_at(35) == 0.0
    stage.people.hold(FAN_KEY, 0.0)
    assert level_at(36) == 1.0
    assert not stage.plant.wrong


# ---- crashes in the midst of a sequence

WATERING = RuleDefinition(
    name="watering",
    conditions=(when(">", -50.0),),
    actions=(
        SequenceAction(
            steps=(
                turn(FAN, Verb.ON), Delay(seconds=2), turn(PUMP, Verb.ON), Delay(seconds=2),
                turn(PUMP, Verb.OFF), turn(FAN, Verb.OFF),
            )
        ),
    ),
    cooldown_seconds=30.0,
    suspend_after=0,
)  # fmt: skip
ORDER = [(FAN, "ON"), (PUMP, "ON"), (PUMP, "OFF"), (FAN, "OFF")]


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_no_step_is_done_twice_or_out_of_turn_whatever_crashes(first):
    """At any moment: the actor of the rule, all of them, safety, an actuator, the device, the router."""
    ended = 0
    for seed in range(first, first + 20):
        stage = on_stage(seed, [WATERING])
        stage.raw["ds18b20"] = raw_of("ds18b20", 20.0)
        stage.pass_time(3.0)
        victims = [paths.rule(1), paths.RULES, paths.SAFETY, paths.actuator(DEVICE, PUMP),
                   paths.device(DEVICE), paths.ROUTER]  # fmt: skip
        for _ in range(stage.choices.randrange(1, 6)):
            stage.pass_time(stage.choices.choice([0.05, 0.3, 1.0, 2.0]))
            stage.system.crash(stage.choices.choice(victims))
        stage.calm()
        stage.pass_time(40.0)
        assert not stage.plant.wrong, seed
        ended += _one_at_a_time(stage, seed)
        # Whatever became of it, nothing is left on for good.
        stage.pass_time(60.0)
        assert not stage.plant.wrong, seed
    assert ended > 0


def _one_at_a_time(stage, seed):
    """The number of firings that came to their end; each begins with the first step."""
    ended = 0
    at = 0
    sent = sorted(
        (s for pin in stage.plant.pins.values() for s in pin.sent), key=lambda s: s.ticket
    )
    for command in sent:
        if command.issuer != "rule:1":
            continue
        step = (command.key.gpio, "ON" if command.energises else "OFF")
        if step == ORDER[0]:
            assert at in {0, len(ORDER)} or at == -1, (seed, "begun again", sent)
            at = 1
        elif 0 < at < len(ORDER) and step == ORDER[at]:
            at += 1
            ended += at == len(ORDER)
        else:
            # Broken, or an OFF that is repeated: never an ON out of its turn.
            assert step[1] == "OFF", (seed, step, at)
            at = at if step == ORDER[at - 1] else -1
    return ended
