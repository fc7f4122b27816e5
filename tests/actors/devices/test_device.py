"""A device and time: presence, readings and what it is told hang on no clock that is set.

The kinds of faults: an interval by the wall clock; the past taken for the present (retained, delivered
again, kept by the device); a number that is no measurement acted upon.
"""

from __future__ import annotations

import msgspec
import pytest

from godkaiser.actors.devices.messages import DeviceView
from godkaiser.domain.entities import (
    Approval,
    DeviceRecord,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.sensors.derived import lost_with
from tests.actors.devices.device_stage import DEVICE, OFFLINE_AFTER_S, ROM, DeviceStage

KEY = SensorKey(DEVICE, 4, "ds18b20", ROM)
JUMPS = pytest.mark.parametrize(
    "jump_s", [-3600.0, 30 * 86_400.0, -56 * 365 * 86_400.0], ids=["back", "forward", "1970"]
)


# ---- presence


@JUMPS
def test_a_device_is_offline_after_its_time_whatever_the_clock_does(jump_s):
    stage = DeviceStage()
    stage.beats(100)
    stage.runtime.jump_clock(jump_s)
    stage.tick(OFFLINE_AFTER_S - 10.0)
    assert stage.view.online
    stage.tick(11.0)
    assert not stage.view.online


@JUMPS
def test_a_clock_that_is_set_is_no_boot_of_the_device(jump_s):
    stage = DeviceStage()
    stage.beats(100)
    stage.runtime.jump_clock(jump_s)
    stage.beats(130, after_s=30.0)
    assert not any(getattr(message, "rebooted", False) for message in stage.safety)
    stage.beats(5, after_s=30.0)
    assert any(getattr(message, "rebooted", False) for message in stage.safety)


def test_presence_counts_from_the_receipt_and_not_from_when_there_was_time_for_it():
    stage = DeviceStage()
    stage.beats(100, waited_s=OFFLINE_AFTER_S - 10.0)
    stage.tick(11.0)
    assert not stage.view.online


def test_what_the_broker_has_kept_shows_no_presence():
    stage = DeviceStage()
    stage.beats(100, retain=True)
    assert not stage.view.online


def test_a_reading_does_not_wait_for_the_bookkeeping_of_a_device_that_is_there():
    stage = DeviceStage()
    told = []
    stage.system.on_publication(lambda _path, _key, value: told.append(type(value)))
    stage.measures(320, after_s=1.0, at=stage.runtime.now() + 1.0)
    # It came back by its reading: that is known before the rules hear of the reading.
    assert told.index(DeviceView) < told.index(Reading)
    stage.runtime.run_for(60.0)
    told.clear()
    stage.measures(330, at=stage.runtime.now())
    assert told.index(Reading) < told.index(DeviceView)


# ---- what it is told of time


def test_the_device_is_told_the_time_when_ours_can_be_right():
    stage = DeviceStage()
    stage.beats(100)
    assert stage.acks[-1]["server_time"] == pytest.approx(stage.runtime.now(), abs=2.0)
    stage.runtime.jump_clock(-stage.runtime.now())
    stage.beats(130, after_s=30.0)
    assert "server_time" not in stage.acks[-1]
    assert stage.acks[-1]["status"] == "online"


def test_a_clock_behind_our_own_records_is_not_passed_on():
    stage = DeviceStage()
    registered = stage.runtime.now() + 86_400.0
    record = DeviceRecord(device_id=DEVICE, approval=Approval.APPROVED, registered_at=registered)
    stage = DeviceStage(record=record)
    stage.beats(100)
    assert "server_time" not in stage.acks[-1]


def test_a_device_is_configured_also_while_our_clock_is_behind():
    """By a clock of 1970 each push would be older than what the device has, and be refused as stale."""
    stage = DeviceStage()
    stage.runtime.jump_clock(-stage.runtime.now())
    stage.beats(100)
    stage.runtime.run_for(5.0)
    (push, *_) = [body for topic, body in stage.wire.sent if topic.endswith("/config")]
    assert not push.get("generation")
    stage = DeviceStage()
    stage.beats(100)
    stage.runtime.run_for(5.0)
    (push, *_) = [body for topic, body in stage.wire.sent if topic.endswith("/config")]
    assert push["generation"] == pytest.approx(stage.runtime.now(), abs=10.0)


# ---- readings


def test_the_latest_is_the_newest_by_its_own_time():
    stage = DeviceStage()
    now = stage.runtime.now()
    stage.measures(400, at=now)
    stage.measures(800, at=now - 60.0, dup=True, after_s=1.0)
    assert stage.latest(KEY).raw == 400
    stage.measures(800, dup=True, after_s=1.0)
    assert stage.latest(KEY).raw == 400
    stage.measures(480, at=now + 5.0, after_s=3.0)
    assert stage.latest(KEY).raw == 480
    # All of them are measurements, and are stored.
    assert len(stage.stored) == 4


@JUMPS
def test_a_reading_is_the_latest_also_after_the_clock_was_set(jump_s):
    """None is the latest for ever, and none is old at once."""
    stage = DeviceStage()
    stage.measures(400, at=stage.runtime.now())
    stage.runtime.jump_clock(jump_s)
    stage.measures(480, after_s=5.0)
    assert stage.latest(KEY).raw == 480
    stage.runtime.jump_clock(-jump_s)
    stage.measures(500, after_s=5.0)
    assert stage.latest(KEY).raw == 500
    assert [reading.raw for reading in stage.rules] == [400, 480, 500]


@JUMPS
def test_a_device_with_the_right_time_is_heard_also_while_our_clock_is_wrong(jump_s):
    """Neither lost as too old, nor of no use to rules as from the future; its past is still the past."""
    stage = DeviceStage()
    true_time = stage.runtime.now
    offset = jump_s
    stage.runtime.jump_clock(offset)

    def device_time():
        return true_time() - offset

    stage.beats(100, ts=device_time())
    stage.measures(400, at=device_time(), after_s=1.0)
    assert used(stage) == [400]
    assert stage.latest(KEY).raw == 400
    stage.measures(800, at=device_time() - 600.0, after_s=1.0)
    assert used(stage) == [400]
    assert stage.latest(KEY).raw == 400
    stage.measures(410, at=device_time(), after_s=1.0)
    assert used(stage) == [400, 410]
    assert [m.reading.raw for m in stage.stored] == [400, 800, 410]
    # The clock is set right in the midst of it.
    stage.runtime.jump_clock(-offset)
    offset = 0.0
    stage.measures(420, at=device_time(), after_s=1.0)
    assert used(stage) == [400, 410, 420]


def test_a_device_whose_clock_is_wrong_is_heard_too():
    stage = DeviceStage()
    for ahead_s in (7200.0, -3 * 86_400.0):
        stage.beats(100, ts=stage.runtime.now() + ahead_s, after_s=1.0)
        stage.measures(400, at=stage.runtime.now() + ahead_s, after_s=1.0)
        assert stage.rules[-1].at == pytest.approx(stage.runtime.now(), abs=1.0)
    assert len(stage.rules) == 2


def test_a_reading_from_the_future_is_not_the_latest_for_ever():
    stage = DeviceStage()
    stage.measures(800, at=stage.runtime.now() + 25.0)
    stage.measures(400, after_s=5.0, at=stage.runtime.now() + 5.0)
    stage.measures(410, after_s=5.0, at=stage.runtime.now() + 5.0)
    assert stage.latest(KEY).raw == 410


def test_what_the_broker_has_kept_of_a_dead_node_is_not_new():
    stage = DeviceStage()
    stage.measures(800, retain=True)
    assert (stage.stored, stage.rules, stage.latest(KEY)) == ([], [], None)
    # With a time of its own it is as old as it is.
    stage.measures(800, retain=True, at=stage.runtime.now() - 600.0)
    assert len(stage.stored) == 1
    assert stage.rules == []


def test_an_error_reaches_the_rules_at_once():
    stage = DeviceStage()
    stage.measures(400)
    stage.measures(-2032, after_s=1.0)
    assert [(r.value, r.quality) for r in stage.rules] == [
        (25.0, Quality.GOOD),
        (None, Quality.ERROR),
    ]


def test_what_is_computed_of_a_chip_is_unknown_with_it():
    chip = [
        SensorConfig(esp_id=DEVICE, gpio=4, sensor_type=kind)
        for kind in ("sht31_temp", "sht31_humidity")
    ]
    stage = DeviceStage(sensors=chip)
    stage.measures(26214, "sht31_temp")
    stage.measures(32768, "sht31_humidity")
    assert [r.key.sensor_type for r in stage.rules][-1] == "vpd"
    failed = msgspec.structs.replace(stage.rules[0], value=None, quality=Quality.ERROR)
    assert lost_with(failed).key.sensor_type == "vpd"
    assert lost_with(failed).value is None
    assert lost_with(stage.rules[0]) is None


def test_what_a_device_kept_is_computed_from_what_belongs_together():
    chip = [
        SensorConfig(esp_id=DEVICE, gpio=4, sensor_type=kind)
        for kind in ("sht31_temp", "sht31_humidity")
    ]
    stage = DeviceStage(sensors=chip)
    now = stage.runtime.now()
    stage.measures(30000, "sht31_temp", at=now)
    stage.measures(26214, "sht31_temp", at=now - 100.0)
    stage.measures(39321, "sht31_humidity", at=now - 99.0)
    (deficit,) = [m.reading for m in stage.stored if m.reading.key.sensor_type == "vpd"]
    assert deficit.value == pytest.approx(1.267, abs=0.01)
    assert stage.latest(SensorKey(DEVICE, 4, "sht31_temp")).raw == 30000


# ---- 85 °C


def used(stage):
    return [reading.raw for reading in stage.rules]


def test_85_degrees_after_power_on_never_act():
    stage = DeviceStage()
    stage.beats(100)
    stage.measures(1360)
    assert used(stage) == []
    stage.measures(400, after_s=2.0)
    stage.beats(5, after_s=30.0)
    stage.measures(1360, after_s=2.0)
    assert used(stage) == [400]
    # Stored all the same, as suspect.
    assert [m.reading.quality for m in stage.stored] == [
        Quality.SUSPECT,
        Quality.GOOD,
        Quality.SUSPECT,
    ]


def test_a_lone_85_degrees_after_a_jump_never_acts_and_a_real_one_does():
    stage = DeviceStage()
    stage.measures(400)
    stage.measures(1360, after_s=2.0)
    stage.measures(401, after_s=2.0)
    assert used(stage) == [400, 401]
    for _ in range(3):
        stage.measures(1360, after_s=2.0)
    assert used(stage) == [400, 401, 1360]
    # Near it, it is a measurement like any other.
    stage.measures(1352, after_s=2.0)
    stage.measures(1360, after_s=2.0)
    assert used(stage)[-2:] == [1352, 1360]
