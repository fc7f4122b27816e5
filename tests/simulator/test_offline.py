"""Sections 7, 13, 18 and 6.9 of the contract: server or link away, offline rules, handover."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from godkaiser.protocol.topics import Tail
from tests.simulator.bench import AIR, PH, PUMP, Bench, tails

LAMP = {**PUMP, "gpio": 26, "default_state": True}
FAN = {**PUMP, "gpio": 27}
COOL = {"actuator_gpio": 27, "sensor_gpio": 0, "sensor_value_type": "sht31_temp",
        "activate_above": 28.0, "deactivate_below": 25.0}  # fmt: skip
HEAT = {**COOL, "activate_above": 0.0, "deactivate_below": 0.0, "activate_below": 20.0,
        "deactivate_above": 22.0}  # fmt: skip


def celsius(value):
    return round((value + 45.0) / 175.0 * 65535.0)


def running(rules=None, **scopes):
    """Pump and fan on, lamp off: the opposite of their defaults."""
    found = {"sensors": [{**AIR, "measurement_interval_seconds": 1}, PH],
             "actuators": [PUMP, LAMP, FAN]} | scopes  # fmt: skip
    bench = Bench().registered(**found)
    if rules is not None:
        bench.push(offline_rules=rules)
    bench.command(25, "ON")
    bench.command(27, "ON")
    bench.command(26, "OFF")
    bench.wait(1.0)
    bench.said.clear()
    return bench


DEFAULTS = {25: 0.0, 26: 1.0, 27: 0.0}
LOST = {
    "link": lambda bench: bench.disconnect(),
    "P1": lambda bench: bench.wait(121.0),
    "P5": lambda bench: bench.server("offline"),
}


@pytest.mark.parametrize("path", LOST)
def test_18_2_without_rules_everything_falls_to_its_default_at_once(path):
    bench = running()
    LOST[path](bench)
    assert bench.device.mode == "DISCONNECTED"
    assert bench.device.levels() == DEFAULTS


@pytest.mark.parametrize("path", ["P1", "P5"])
def test_18_2_with_rules_a_silent_server_changes_nothing_at_once(path):
    bench = running(rules=[COOL])
    before = bench.device.levels()
    LOST[path](bench)
    assert bench.device.mode == "DISCONNECTED" and bench.device.levels() == before


def test_18_2_with_rules_a_lost_link_releases_what_no_rule_covers():
    bench = running(rules=[COOL])
    bench.disconnect()
    assert bench.device.levels() == {25: 0.0, 26: 1.0, 27: 1.0}


def test_18_1_the_liveness_timer_is_120_s_from_the_last_valid_ack():
    bench = running()
    bench.wait(60.0)
    bench.ack()
    bench.wait(119.0)
    assert bench.device.mode == "ONLINE"
    bench.ack(epoch=0)
    bench.wait(2.0)
    assert bench.device.mode == "DISCONNECTED"


@pytest.mark.parametrize("back", ["ack", "online", "reconnect"])
def test_18_3_within_the_grace_anything_brings_it_back(back):
    bench = running()
    bench.disconnect() if back == "reconnect" else bench.server("offline")
    bench.wait(29.0)
    {"ack": bench.ack, "online": lambda: bench.server("online"),
     "reconnect": lambda: bench.connect(reconnect=True)}[back]()  # fmt: skip
    assert (bench.device.mode, bench.device.active_epoch) == ("ONLINE", 0)


def test_18_3_the_whole_handover_after_a_lost_link():
    bench = running()
    bench.disconnect()
    bench.wait(31.0)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    bench.connect(reconnect=True)
    assert (bench.device.mode, bench.device.active_epoch) == ("RECONNECTING", 1)
    bench.ack(epoch=2)
    assert not bench.device.gate_open
    bench.said.clear()
    said = bench.ack(epoch=1)
    assert bench.device.mode == "ADOPTING" and tails(said).count(Tail.ACTUATOR_STATUS) == 3
    bench.wait(1.5)
    assert bench.device.mode == "ADOPTING"
    bench.wait(1.0)
    assert bench.device.mode == "ONLINE"
    bench.wait(60.0)
    beat = bench.last(Tail.HEARTBEAT)
    assert (beat["active_handover_epoch"], beat["handover_completed_epoch"]) == (1, 1)


def test_18_3_a_disconnect_while_reconnecting_is_offline_again():
    bench = running()
    bench.disconnect()
    bench.wait(31.0)
    bench.connect(reconnect=True)
    bench.disconnect()
    assert bench.device.mode == "OFFLINE_ACTIVE"
    bench.connect(reconnect=True)
    assert bench.device.active_epoch == 2


@pytest.mark.parametrize(
    ("epoch", "code"), [(1, "MISSING_ACTIVE_SESSION_EPOCH"), (7, "MISSING_ACTIVE_SESSION_EPOCH")]
)
def test_6_9_a_stalled_server_must_say_online_before_its_acks_count_again(epoch, code):
    bench = running()
    bench.wait(155.0)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    bench.ack(epoch=epoch)
    assert bench.device._registration._last_reject == code
    bench.server("online")
    assert (bench.device.mode, bench.device.active_epoch) == ("RECONNECTING", 1)
    bench.ack(epoch=1)
    bench.wait(3.0)
    assert bench.device.mode == "ONLINE"


def test_18_4_an_ack_for_a_completed_epoch_feeds_the_timer_and_leaves_it_offline():
    bench = running()
    bench.disconnect()
    bench.wait(31.0)
    bench.connect(reconnect=True)
    bench.ack(epoch=1)
    bench.wait(155.0)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    bench.ack(epoch=1)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    assert bench.device._offline.last_ack_at == bench.now


def test_6_9_booted_without_a_broker_it_waits_for_the_retained_online():
    bench = Bench()
    bench.wait(31.0)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    bench.connect()
    bench.ack(epoch=1)
    assert not bench.device.gate_open
    bench.server("online")
    bench.ack(epoch=1)
    assert bench.device.gate_open


def test_7_a_stale_offline_right_after_a_reconnect_is_ignored():
    for seconds, reason, mode in (
        (14.0, "unexpected_disconnect", "ONLINE"),
        (14.0, "graceful_shutdown", "DISCONNECTED"),
        (15.5, "unexpected_disconnect", "DISCONNECTED"),
    ):
        bench = running()
        bench.disconnect()
        bench.connect(reconnect=True)
        bench.wait(seconds)
        bench.server("offline", reason=reason)
        assert bench.device.mode == mode, (seconds, reason)


def test_7_after_the_ack_an_offline_counts_at_once():
    bench = running()
    bench.disconnect()
    bench.connect(reconnect=True)
    bench.ack()
    bench.server("offline", reason="unexpected_disconnect")
    assert bench.device.mode == "DISCONNECTED"


# ---- 13: rules

RULES = [
    (COOL, 30.0, True), (COOL, 26.0, True), (COOL, 24.0, False),
    (HEAT, 19.0, True), (HEAT, 23.0, False), (HEAT, 21.0, True),
    ({**COOL, "sensor_value_type": "x" * 24}, 24.0, True),
    ({**COOL, "sensor_value_type": "sht31_temperature"}, 24.0, True),
    ({**COOL, "sensor_value_type": "ph", "sensor_gpio": 34}, 24.0, False),
    ({**COOL, "sensor_value_type": "soil_x"}, 24.0, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "temperature", "on"), RULES, ids=lambda v: str(v)[40:110])
def test_13_what_a_rule_makes_of_a_fan_that_ran(rule, temperature, on):
    bench = running(rules=[{**rule, "current_state_active": True}])
    bench.server("offline")
    bench.raw["sht31_temp"] = celsius(temperature)
    bench.wait(45.0)
    assert bench.device.mode == "OFFLINE_ACTIVE"
    assert bench.device.levels()[27] == (1.0 if on else 0.0)


def test_13_three_samples_are_needed_after_going_offline():
    bench = running(
        rules=[COOL], sensors=[{**AIR, "measurement_interval_seconds": 10}],
    )  # fmt: skip
    bench.raw["sht31_temp"] = celsius(20.0)
    bench.server("offline")
    bench.wait(30.5)
    bench.wait(19.0)
    assert bench.device.levels()[27] == 1.0
    bench.wait(20.0)
    assert bench.device.levels()[27] == 0.0


def test_13_a_value_older_than_five_minutes_counts_as_missing():
    bench = running(rules=[COOL])
    bench.raw["sht31_temp"] = celsius(30.0)
    bench.server("offline")
    bench.wait(40.0)
    bench.raw["sht31_temp"] = None
    bench.wait(310.0)
    assert bench.device.sensors.cached(0, "sht31_temp") is None
    assert bench.device.levels()[27] == 1.0


def test_18_3_a_command_while_offline_overrides_the_rule_until_it_is_online_again():
    bench = running(rules=[COOL])
    bench.raw["sht31_temp"] = celsius(20.0)
    bench.server("offline")
    bench.wait(45.0)
    assert bench.device.levels()[27] == 0.0
    bench.command(27, "ON")
    bench.wait(20.0)
    assert bench.device.levels()[27] == 1.0
    bench.server("online")
    bench.ack(epoch=1)
    bench.wait(3.0)
    assert bench.device.memory.actuators[27].overridden is False


# 13: 2025-12-30 12:00 UTC is a Tuesday (bit 2); 13:00 in Berlin.
NOON = datetime(2025, 12, 30, 12, 0, tzinfo=UTC).timestamp()
WINDOWS = [
    ({}, "__twindow_on", False), ({"start_hour": 11, "end_hour": 13}, "__twindow_on", True),
    ({"start_hour": 11, "end_hour": 13}, "__twindow_off", False),
    ({"start_hour": 22, "end_hour": 13}, "__twindow_on", True),
    ({"start_hour": 22, "end_hour": 6}, "__twindow_on", False),
    ({"start_hour": 13, "end_hour": 14}, "__twindow_on", False),
    ({"start_hour": 13, "end_hour": 14, "timezone": "Europe/Berlin"}, "__twindow_on", True),
    ({"start_hour": 13, "end_hour": 14, "timezone": "CET"}, "__twindow_on", True),
    ({"start_hour": 13, "end_hour": 14, "timezone": "Asia/Tokyo"}, "__twindow_on", False),
    ({"start_hour": 11, "end_hour": 13, "days_of_week_mask": 4}, "__twindow_on", True),
    ({"start_hour": 11, "end_hour": 13, "days_of_week_mask": 123}, "__twindow_on", False),
    ({"start_hour": 12, "start_minute": 2, "end_hour": 13}, "__twindow_on", False),
]  # fmt: skip


@pytest.mark.parametrize(("window", "kind", "on"), WINDOWS, ids=lambda v: str(v))
def test_13_time_windows(window, kind, on):
    rule = {"actuator_gpio": 27, "sensor_gpio": 255, "sensor_value_type": kind,
            "time_filter": {"enabled": True, **window}}  # fmt: skip
    bench = running(rules=[rule])
    bench.now = NOON
    bench.device._core.booted_at = NOON
    bench.disconnect()
    bench.wait(40.0)
    assert bench.device.levels()[27] == (1.0 if on else 0.0)


def test_13_more_than_eight_rules_are_cut_and_an_empty_list_deletes_them():
    bench = running(rules=[COOL] * 9)
    assert len(bench.device.memory.offline_rules) == 8
    bench.said.clear()
    bench.push(offline_rules=[])
    assert bench.device.memory.offline_rules == []
    # No config_response for this scope, only the outcome.
    assert set(tails(bench.said)) == {Tail.INTENT_OUTCOME}
