"""The real safety actors in hundreds of dramas; `make soak` plays twenty thousand.

A violation is reported with the seed; `play(seed)` shows it again.
"""

from __future__ import annotations

from collections import Counter

import pytest

from godkaiser.domain.safety.stop_state import GLOBAL
from tests.safety.world.quiet import quiet
from tests.safety.world.scenes import SCENES, play
from tests.safety.world.stage import Stage

SEEDS = 200
SHARE = 20


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_whatever_happens_the_promises_hold_and_the_site_comes_back(first):
    seeds = range(first, first + SHARE)
    wrong = {seed: found for seed in seeds if (found := play(seed).plant.wrong)}
    assert not wrong


def test_a_seed_is_always_the_same_drama():
    one, other = play(7), play(7)
    assert (one.counts, one.plant.counts, one.runtime.steps) == (
        other.counts, other.plant.counts, other.runtime.steps,
    )  # fmt: skip


def test_dramas_are_dramatic():
    """The test of the test: every scene is played, and things do move, stop and break."""
    stages = [play(seed) for seed in range(40)]
    counts: Counter[str] = Counter()
    for stage in stages:
        counts.update(stage.counts)
        counts.update(stage.plant.counts)
        counts["crashes"] += stage.crashes + stage.runtime.crashes
    for scene, _ in SCENES:
        assert counts[scene.__name__] > 0, scene.__name__
    least = {"energised": 200, "withheld": 10, "stops": 60, "clears": 60, "kills": 2, "crashes": 50}
    for what, number in least.items():
        assert counts[what] > number, what


def test_a_device_that_comes_back_during_a_stop_is_stopped_at_once():
    stage = Stage(2)
    stage.calm()
    for device_id in stage.site.devices:
        stage.connect(device_id, reconnect=False)
    stage.pass_time(10.0)
    assert stage.people.stop(GLOBAL)
    stage.pass_time(10.0)
    stage.disconnect("ESP_A00001", reboots=True)
    device = stage.devices["ESP_A00001"]
    assert not any(actuator.stopped for actuator in device.memory.actuators.values())
    stage.connect("ESP_A00001", reconnect=True)
    stage.pass_time(15.0)
    assert all(actuator.stopped for actuator in device.memory.actuators.values())
    assert not stage.plant.wrong


def test_the_stage_would_see_a_command_that_leaves_under_a_stop():
    """By the gateway's own port, with a clearance that only the safety actor should make."""
    stage = Stage(1)
    stage.calm()
    for device_id in stage.site.devices:
        stage.connect(device_id, reconnect=False)
    stage.pass_time(5.0)
    assert stage.people.stop(GLOBAL)
    ports = stage.gateway.ports
    clearance = ports.gate.clear("ESP_A00001", 25, 2**60, stage.runtime.monotonic() + 10.0)
    payload = b'{"command":"ON","value":1.0,"correlation_id":"x","issued_by":"nobody"}'
    ports.commands.energise("ESP_A00001", 25, payload, clearance, lambda _fate: None)
    stage.pass_time(3.0)
    assert "left under a stop" in stage.plant.wrong[0]
