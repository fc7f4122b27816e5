"""The whole site as a state machine: Hypothesis looks for a sequence that breaks it, and shrinks it.

The real safety, actuator, device, rule and router actors, as in `world.py`; the model is what an
operator would say of the stops. Every publication and every write of the latch is checked there.
"""

from __future__ import annotations

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from godkaiser import paths
from godkaiser.domain.entities import Verb
from godkaiser.domain.safety_state import StopState
from tests.safety.drama import VICTIMS, break_link, peace
from tests.safety.world import DEVICES, FAN, PUMP, World

SCOPES = st.sampled_from([{}, {"esp_id": DEVICES[0]}, {"zone_id": "north"}, {"zone_id": "south"}])
PAUSES = st.sampled_from([0.05, 0.5, 2.5, 6.0])


class SiteMachine(RuleBasedStateMachine):
    """`stopped` is the model: the scopes whose stop was answered and that nobody has cleared."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed):
        self.world = World(seed)
        self.stopped: set[str] = set()
        for device in self.world.firmware.values():
            device.on_connect(self.world.device_time, reconnect=False)
        self.world.pass_time(5.0)

    @rule(scope=SCOPES)
    def stop(self, scope):
        if self.world.stop(**scope):
            self.stopped.add(_name(scope))

    @rule(scope=SCOPES, commands=st.integers(1, 6), steps=st.integers(0, 12))
    def stop_in_the_midst_of_commands(self, scope, commands, steps):
        self.world.race(commands, steps)
        if "global" in self.world.answered:
            self.stopped.add("global")

    @rule(scope=SCOPES)
    def clear(self, scope):
        self.world.clear(**scope)
        self.stopped.discard(_name(scope))

    @rule()
    def resume(self):
        self.world.resume()

    @rule(device=st.sampled_from(DEVICES), gpio=st.sampled_from([FAN, PUMP]),
          verb=st.sampled_from(list(Verb)), value=st.sampled_from([None, 0.0, 0.5, 1.0, 80.0]))  # fmt: skip
    def command(self, device, gpio, verb, value):
        self.world.command(device, gpio, verb, value)

    @rule(victim=st.sampled_from(VICTIMS))
    def crash(self, victim):
        if self.world.system.find(victim) is not None:
            self.world.system.crash(victim)

    @rule()
    def kill_the_gateway(self):
        self.world.kill()

    @rule()
    def break_or_mend_the_link(self):
        break_link(self.world)

    @rule()
    def take_or_return_the_database(self):
        self.world.storage_away = not self.world.storage_away

    @rule(seconds=st.sampled_from([-3600.0, -2.0, 2.0, 3600.0]))
    def set_the_clock(self, seconds):
        self.world.runtime.jump_clock(seconds)

    @rule(device=st.sampled_from(DEVICES), reboots=st.booleans())
    def lose_a_device(self, device, reboots):
        firmware = self.world.firmware[device]
        if firmware.connected:
            firmware.on_disconnect(self.world.device_time)
            if reboots:
                firmware.restart(self.world.device_time)

    @precondition(lambda self: not all(d.connected for d in self.world.firmware.values()))
    @rule()
    def find_a_device_again(self):
        lost = next(d for d in self.world.firmware.values() if not d.connected)
        lost.on_connect(self.world.device_time, reconnect=True)

    @rule(seconds=PAUSES)
    def wait(self, seconds):
        self.world.pass_time(seconds)

    @invariant()
    def nothing_has_gone_wrong(self):
        if hasattr(self, "world"):
            assert not self.world.wrong

    @invariant()
    def every_stop_that_was_answered_is_latched(self):
        if hasattr(self, "world"):
            latched = {
                str(record.scope)
                for record in self.world.latch.state.records
                if record.state is StopState.ACTIVE
            }
            assert self.stopped <= latched

    def teardown(self):
        if hasattr(self, "world") and not self.world.wrong:
            peace(self.world)
            assert not self.world.wrong
            assert self.world.system.find(paths.SAFETY) is not None


def _name(scope):
    if "esp_id" in scope:
        return f"device {scope['esp_id']}"
    return f"zone {scope['zone_id']}" if scope else "global"


@pytest.fixture(autouse=True, scope="module")
def quiet():
    """Hundreds of announced crashes."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


def _drop(_logger, _name, _event):
    raise structlog.DropEvent


SiteMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=15,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestSite = SiteMachine.TestCase
