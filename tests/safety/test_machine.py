"""The whole site as a state machine: Hypothesis looks for a sequence that breaks it, and shrinks it.

The stage of `stage.py`, on which every event is checked; the order of the scenes is Hypothesis's.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from godkaiser import paths
from godkaiser.domain.entities import Verb
from tests.safety.peace import peace
from tests.safety.world import scenes
from tests.safety.world.quiet import quiet
from tests.safety.world.stage import Stage

PAUSES = st.sampled_from([0.05, 0.5, 2.5, 6.0])
NUMBER = st.integers(0, 11)


def one_of(things, number):
    return things[number % len(things)]


class SiteMachine(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed):
        self.stage = Stage(seed)
        for device_id in self.stage.site.devices:
            self.stage.connect(device_id, reconnect=False)
        self.stage.pass_time(4.0)

    @rule(number=NUMBER)
    def stop(self, number):
        self.stage.people.stop(one_of(self.stage.site.scopes(), number))

    @rule(number=NUMBER, accept=st.booleans())
    def clear(self, number, accept):
        self.stage.people.clear(one_of(self.stage.site.scopes(), number), accept=accept)

    @rule(
        number=NUMBER,
        verb=st.sampled_from(list(Verb)),
        value=st.sampled_from([None, 0.0, 0.5, 80.0]),
    )
    def command(self, number, verb, value):
        self.stage.people.command(one_of(self.stage.site.keys, number), verb, value)

    @rule(number=NUMBER)
    def crash(self, number):
        victims = [paths.SAFETY, paths.ACTUATORS, paths.DEVICES, paths.RULES, paths.ROUTER]
        self.stage.system.crash(one_of(victims, number))

    @rule(
        scene=st.sampled_from([
            scenes.race, scenes.resume, scenes.pair, scenes.stop_and_go, scenes.weather,
            scenes.weather_changes, scenes.break_link, scenes.kill, scenes.storage, scenes.disk,
            scenes.set_clock, scenes.come_or_go, scenes.by_hand, scenes.own_stop, scenes.trouble,
        ])
    )  # fmt: skip
    def scene(self, scene):
        scene(self.stage)

    @rule(seconds=PAUSES)
    def wait(self, seconds):
        self.stage.pass_time(seconds)

    @invariant()
    def nothing_has_gone_wrong(self):
        if hasattr(self, "stage"):
            assert not self.stage.plant.wrong

    def teardown(self):
        if hasattr(self, "stage") and not self.stage.plant.wrong:
            peace(self.stage)
            assert not self.stage.plant.wrong


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


SiteMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=15,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestSite = SiteMachine.TestCase
