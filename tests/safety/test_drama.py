"""The real safety actors in hundreds of dramas; `make soak` plays ten thousand."""

from __future__ import annotations

import pytest
import structlog

from godkaiser.domain.safety_state import StopState
from tests.safety.drama import play
from tests.safety.world import World

SEEDS = 240
SHARE = 20


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Thousands of announced crashes."""
    caplog.set_level("CRITICAL", logger="godkaiser.supervision")
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


def _drop(_logger, _name, _event):
    raise structlog.DropEvent


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_nothing_energises_under_a_stop_and_the_site_comes_back(first):
    wrong = {seed: found for seed in range(first, first + SHARE) if (found := play(seed).wrong)}
    assert not wrong


@pytest.mark.parametrize("seed", [5280])
def test_what_once_went_wrong_stays_mended(seed):
    """5280: the clock was set back while an outcome was on its way; its time lay in the future."""
    assert play(seed).wrong == []


def test_dramas_are_dramatic():
    """The test of the test: things are energised, stopped, cleared, killed and crashed."""
    worlds = [play(seed) for seed in range(40)]
    for what, least in (("energised", 200), ("stops", 60), ("clears", 60), ("kills", 10)):
        assert sum(world.counts[what] for world in worlds) > least, what
    assert sum(world.runtime.crashes for world in worlds) > 50


def test_a_device_that_comes_back_during_a_stop_is_stopped_at_once():
    world = World(2)
    for device in world.firmware.values():
        device.on_connect(world.device_time, reconnect=False)
    world.runtime.calm()
    world.pass_time(10.0)
    assert world.stop()
    world.pass_time(10.0)
    device = world.firmware["ESP_A00001"]
    device.on_disconnect(world.device_time)
    device.restart(world.device_time)
    assert not any(actuator.stopped for actuator in device.memory.actuators.values())
    device.on_connect(world.device_time, reconnect=True)
    world.pass_time(15.0)
    assert all(actuator.stopped for actuator in device.memory.actuators.values())


def test_the_check_would_see_an_energising_command_under_a_stop():
    world = World(1)
    world.latch.record = None
    for device in world.firmware.values():
        device.on_connect(world.device_time, reconnect=False)
    world.pass_time(5.0)
    assert world.stop()
    assert world.latch.state.strictest is StopState.ACTIVE
    clearance = world.ports.gate.clear("ESP_A00001", 25, 2**60, world.runtime.monotonic() + 10.0)
    payload = b'{"command":"ON","value":1.0,"issued_by":"nobody"}'
    world.ports.commands.energise("ESP_A00001", 25, payload, clearance, lambda _fate: None)
    assert "while global is active" in world.wrong[0]
