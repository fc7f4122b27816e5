"""Section 12 of the contract: configuration pushes, case by case."""

from __future__ import annotations

import json

import pytest

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import states
from godkaiser.simulator.firmware.memory import Memory
from godkaiser.simulator.personality import XIAO_C3, Personality
from tests.simulator.bench import AIR, DS18B20, PH, PUMP, ROM, Bench

LED = {**PUMP, "actuator_type": "led"}


def test_12_6_success_has_the_fields_of_the_table():
    bench = Bench().registered()
    name = bench.push(sensors=[DS18B20, AIR, PH], actuators=[PUMP])
    sensor, actuator = bench.bodies(Tail.CONFIG_RESPONSE)
    assert set(sensor) == {
        "seq", "status", "type", "count", "failed_count", "message", "correlation_id",
    }  # fmt: skip
    assert (sensor["status"], sensor["type"], sensor["count"]) == ("success", "sensor", 3)
    assert (actuator["status"], actuator["type"], actuator["count"]) == ("success", "actuator", 1)
    assert sensor["correlation_id"] == actuator["correlation_id"] == name
    assert bench.outcomes() == [("accepted", "COMMAND_ACCEPTED"), ("persisted", "NONE")]
    assert bench.bodies(Tail.ACTUATOR_STATUS)


SENSOR_CASES = [
    ({**PH, "gpio": 34.0}, None),
    ({**PH, "gpio": "34"}, (2010, "TYPE_MISMATCH")),
    ({"sensor_type": "ph", "sensor_name": "x"}, (2011, "MISSING_FIELD")),
    ({"gpio": 34, "sensor_name": "x"}, (2011, "MISSING_FIELD")),
    ({"gpio": 34, "type": "ph", "sensor_name": "x"}, (2011, "MISSING_FIELD")),
    ({"gpio": 34, "sensor_type": "ph", "name": "x"}, (2011, "MISSING_FIELD")),
    ({**PH, "sensor_type": 5}, (2010, "TYPE_MISMATCH")),
    ("ph", (2010, "TYPE_MISMATCH")),
    *(
        ({**PH, "gpio": pin}, (1002, "GPIO_CONFLICT"))
        for pin in (0, 1, 2, 3, 12, 13, 6, 11, 21, 22)
    ),
    ({**PH, "gpio": 25}, (1002, "GPIO_CONFLICT")),
    ({**PH, "gpio": 256 + 34}, None),
    ({**PH, "gpio": 200}, (2010, "VALIDATION_FAILED")),
    ({**AIR, "gpio": 200}, None),
    ({**AIR, "i2c_address": 300}, (2010, "VALIDATION_FAILED")),
    ({**DS18B20, "onewire_address": ROM[:-1]}, (2010, "VALIDATION_FAILED")),
    ({**DS18B20, "onewire_address": "28FF641E8D3C0CZZ"}, (2010, "VALIDATION_FAILED")),
    ({k: v for k, v in DS18B20.items() if k != "onewire_address"}, (2010, "VALIDATION_FAILED")),
    ({**PH, "raw_mode": "true", "interface_type": "x", "sample_interval_ms": 1}, None),
]


@pytest.mark.parametrize(("entry", "failure"), SENSOR_CASES, ids=lambda v: str(v)[:70])
def test_12_2_sensor_entries_case_by_case(entry, failure):
    bench = Bench().registered(actuators=[PUMP])
    bench.push(sensors=[entry])
    answer = bench.bodies(Tail.CONFIG_RESPONSE)[0]
    if failure is None:
        assert (answer["status"], answer["count"]) == ("success", 1)
    else:
        found = answer["failures"][0]
        assert (answer["status"], answer["failed_count"]) == ("error", 1)
        assert (found["error_code"], found["error"]) == failure
        assert bench.last(Tail.CONFIG_RESPONSE)["error_code"] == "COMMIT_FAILED"
        assert bench.outcomes()[-1] == ("failed", "COMMIT_FAILED")


def test_12_2_part_of_a_list_is_partial_success():
    bench = Bench().registered()
    bench.push(sensors=[PH, {**PH, "gpio": 12}])
    answer = bench.bodies(Tail.CONFIG_RESPONSE)[0]
    assert (answer["status"], answer["count"], answer["failed_count"]) == ("partial_success", 1, 1)


def test_12_2_lists_are_incremental_and_an_inactive_entry_removes():
    bench = Bench().registered(sensors=[PH])
    bench.push(sensors=[AIR])
    assert len(bench.device.memory.sensors) == 2
    bench.push(sensors=[])
    assert len(bench.device.memory.sensors) == 2
    assert (bench.last(Tail.CONFIG_RESPONSE)["status"], bench.last(Tail.CONFIG_RESPONSE)["count"]) == (
        "success", 0,
    )  # fmt: skip
    for inactive in (False, 0, "false"):
        bench.push(sensors=[{**PH, "active": inactive}])
        assert [s.sensor_type for s in bench.device.memory.sensors.values()] == ["sht31_temp"]
        bench.push(sensors=[PH])


def test_12_6_at_most_ten_failures_are_listed_and_an_overflowing_reply_loses_its_id():
    bench = Bench().registered()
    bench.push(sensors=[{**PH, "gpio": 12, "sensor_name": f"s{n}"} for n in range(12)])
    answer = bench.bodies(Tail.CONFIG_RESPONSE)[0]
    assert len(answer["failures"]) == 10
    assert (answer["failures_truncated"], answer["total_failures"]) == (True, 12)
    rom = "Z" * 200
    bench.push(sensors=[{**DS18B20, "onewire_address": rom} for _ in range(9)])
    answer = bench.bodies(Tail.CONFIG_RESPONSE)[2]
    assert answer["failed_count"] == 9 and "correlation_id" not in answer


ACTUATOR_CASES = [
    ({**PUMP, "gpio": 26}, ""),
    ({"gpio": 26, "type": "relay", "name": "Fan"}, ""),
    ({**PUMP, "actuator_type": "pwm", "inverted": True, "default_pwm": 900}, ""),
    (LED, "UNKNOWN_ERROR"),
    ({**PUMP, "actuator_type": "digital"}, "UNKNOWN_ERROR"),
    ({**PUMP, "gpio": 34}, "UNKNOWN_ERROR"),
    ({**PUMP, "gpio": 12}, "UNKNOWN_ERROR"),
    ({**PUMP, "gpio": 21}, "UNKNOWN_ERROR"),
    ({**PUMP, "gpio": 33}, "GPIO_CONFLICT"),
    ({**PUMP, "gpio": 32, "actuator_type": "valve"}, "GPIO_CONFLICT"),
    ({**PUMP, "gpio": 26, "actuator_type": "valve"}, ""),
    ({**PUMP, "gpio": 32, "actuator_type": "valve", "aux_gpio": 27}, ""),
    ({"actuator_type": "pump", "actuator_name": "P"}, "MISSING_FIELD"),
    ({"gpio": 26, "actuator_type": "pump"}, "MISSING_FIELD"),
    ({**PUMP, "gpio": "26"}, "TYPE_MISMATCH"),
    (7, "TYPE_MISMATCH"),
]


@pytest.mark.parametrize(("entry", "code"), ACTUATOR_CASES, ids=lambda v: str(v)[:70])
def test_12_3_actuator_entries_case_by_case(entry, code):
    bench = Bench().registered(sensors=[{**PH, "gpio": 33}])
    bench.push(actuators=[entry])
    answer = bench.bodies(Tail.CONFIG_RESPONSE)[0]
    assert answer["type"] == "actuator"
    if code:
        assert (answer["status"], answer["error_code"]) == ("error", code)
        assert answer["failed_item"] == (entry if isinstance(entry, dict) else {})
    else:
        assert (answer["status"], answer["count"]) == ("success", 1)


def test_12_6_each_actuator_that_fails_has_an_error_and_there_is_no_success():
    bench = Bench().registered()
    bench.push(actuators=[PUMP, LED, {**LED, "gpio": 26}])
    answers = bench.bodies(Tail.CONFIG_RESPONSE)
    assert [(a["type"], a["status"]) for a in answers] == [
        ("actuator", "error"), ("actuator", "error"), ("system", "error"),
    ]  # fmt: skip


@pytest.mark.parametrize(("ms", "s"), [(600_000, 600.0), (0, 3600.0), (-5, 3600.0), ("9", 3600.0)])
def test_12_3_a_maximum_runtime_that_is_none_is_ignored(ms, s):
    bench = Bench().registered(actuators=[{**PUMP, "max_runtime_ms": ms}])
    assert bench.device.memory.actuators[25].max_runtime_s == s


def test_19_the_limits_of_the_board():
    bench = Bench().registered()
    bench.push(sensors=[{**AIR, "gpio": n, "sensor_name": "x"} for n in range(21)])
    assert bench.bodies(Tail.CONFIG_RESPONSE)[0]["failed_count"] == 1
    free = (4, 5, 14, 15, 16, 17, 18, 19, 23, 25, 26, 27, 32)
    for part in (free[:6], free[6:]):
        bench.push(actuators=[{**PUMP, "gpio": pin} for pin in part])
    assert len(bench.device.memory.actuators) == 12
    small = Bench(personality=Personality("c3", board=XIAO_C3)).registered()
    small.push(sensors=[{**AIR, "gpio": n} for n in range(11)])
    assert small.bodies(Tail.CONFIG_RESPONSE)[0]["count"] == 10


# ---- the envelope

OK = {"sensors": [PH]}
ENVELOPES = [
    (json.dumps({"sensors": [PH]}).encode(), "CONTRACT_MISSING_CORRELATION"),
    (b"{not json", "CONTRACT_MISSING_CORRELATION"),
    (json.dumps({"correlation_id": "c", "pad": "x" * 4352, **OK}).encode(), "PAYLOAD_TOO_LARGE"),
    (json.dumps({"correlation_id": "c", "pad": [1] * 700, **OK}).encode(), "JSON_PARSE_ERROR"),
]


@pytest.mark.parametrize(("payload", "code"), ENVELOPES, ids=[code for _, code in ENVELOPES])
def test_12_1_a_push_that_cannot_be_taken_in_is_answered_for_the_system(payload, code):
    bench = Bench().registered()
    bench.send("config", payload)
    answer = bench.last(Tail.CONFIG_RESPONSE)
    assert (answer["type"], answer["status"], answer["error_code"]) == ("system", "error", code)
    assert answer["correlation_id"].startswith("fw_")
    assert not bench.device.memory.sensors


def test_12_1_the_id_may_stand_in_a_nested_object_and_is_cut_to_63_characters():
    bench = Bench().registered()
    bench.send("config", data={"correlation_id": "nested"}, **OK)
    assert bench.last(Tail.CONFIG_RESPONSE)["correlation_id"] == "nested"
    bench.push("x" * 80, **OK)
    assert bench.last(Tail.CONFIG_RESPONSE)["correlation_id"] == "x" * 63


def test_12_5_beyond_8191_bytes_there_is_no_answer_at_all():
    bench = Bench().registered()
    bench.send("config", json.dumps({"correlation_id": "c", "pad": "x" * 8192}).encode())
    assert bench.said == []


def test_12_1_ids_alone_are_persisted_without_effect_and_unknown_keys_ignored():
    bench = Bench().registered()
    bench.push(zone="z", wifi={}, sensor_config=PH)
    assert bench.outcomes()[-1] == ("persisted", "NONE")
    assert not bench.bodies(Tail.CONFIG_RESPONSE)


def test_12_5_a_closed_gate_gives_no_visible_answer_and_an_outcome_later():
    bench = Bench()
    bench.connect()
    bench.said.clear()
    bench.push(**OK)
    assert bench.said == []
    bench.ack()
    bench.wait(1.0)
    assert bench.outcomes() == [("rejected", "REGISTRATION_PENDING")]


def test_6_2_a_pending_device_takes_configuration():
    bench = Bench()
    bench.connect()
    bench.ack("pending_approval")
    bench.push(**OK)
    assert bench.outcomes() == [
        ("accepted", "PENDING_APPROVAL_CONFIG_ACCEPTED"), ("persisted", "NONE"),
    ]  # fmt: skip


# ---- 12.4: the fence


def stale_answer(bench):
    return [(a["type"], a.get("error_code")) for a in bench.bodies(Tail.CONFIG_RESPONSE)]


def test_12_4_a_generation_that_is_not_newer_is_refused():
    bench = Bench().registered()
    bench.push(generation=100, **OK)
    for generation in (100, 99):
        bench.said.clear()
        bench.push(generation=generation, **OK)
        assert stale_answer(bench) == [("system", "STALE_SCOPE")]
        assert bench.outcomes()[-1] == ("rejected", "STALE_SCOPE")
    for generation in (101, 0, -5, 1_767_096_500_000, 102.0, None):
        bench.said.clear()
        bench.push(generation=generation, **OK)
        assert stale_answer(bench) == [("sensor", None)], generation


def test_12_4_only_the_stale_scopes_are_skipped_and_the_first_terminal_outcome_wins():
    bench = Bench().registered()
    bench.push(generation=100, **OK)
    bench.said.clear()
    bench.push(generation=100, sensors=[AIR], actuators=[PUMP])
    assert stale_answer(bench) == [("actuator", None)]
    assert bench.outcomes() == [
        ("accepted", "COMMAND_ACCEPTED"), ("rejected", "STALE_SENSOR_SCOPE"),
    ]  # fmt: skip
    assert len(bench.device.memory.sensors) == 1 and bench.device.memory.actuators


def test_12_4_a_failed_push_may_be_repeated_with_the_same_generation():
    bench = Bench().registered()
    bench.push(generation=100, actuators=[LED])
    bench.push(generation=100, actuators=[PUMP])
    assert bench.last(Tail.CONFIG_RESPONSE)["status"] == "success"


def test_12_4_the_fence_outlives_a_restart_and_a_factory_reset():
    bench = Bench().registered(sensors=[PH], actuators=[PUMP])
    bench.push(generation=100, **OK)
    bench.send("system/command", command="factory_reset", confirm=True)
    bench.wait(4.0)
    assert bench.device.boots == 2
    bench.connect()
    bench.ack()
    bench.push(generation=100, **OK)
    assert bench.last(Tail.CONFIG_RESPONSE)["error_code"] == "STALE_SCOPE"


# ---- 12.5: the lane


def test_12_5_the_lane_holds_one_push_and_shares_it_with_zones():
    bench = Bench().registered()
    bench.device.stall(bench.now + 1.0)
    bench.push(**OK)
    bench.push(**OK)
    assert bench.last(Tail.CONFIG_RESPONSE)["error_code"] == "QUEUE_FULL"
    told = bench.last(Tail.INTENT_OUTCOME)
    assert (told["outcome"], told["code"], told["retryable"]) == ("rejected", "QUEUE_FULL", True)
    bench.send("zone/assign", zone_id="a", master_zone_id="", zone_name="", kaiser_id="god")
    assert bench.last(Tail.ZONE_ACK)["reason_code"] == "CONFIG_LANE_BUSY"
    bench.send("subzone/remove", subzone_id="a")
    assert bench.last(Tail.SUBZONE_ACK)["reason_code"] == "CONFIG_LANE_BUSY"
    bench.wait(2.0)
    assert bench.bodies(Tail.CONFIG_RESPONSE)[-1]["status"] == "success"


def test_12_5_an_accepted_push_is_applied_again_after_a_crash():
    bench = Bench().registered()
    bench.device.stall(bench.now + 60.0)
    name = bench.push(**OK)
    bench.device.restart(bench.now, "PANIC")
    bench.connect()
    bench.said.clear()
    bench.ack()
    bench.wait(1.0)
    assert bench.outcomes() == [("accepted", "REPLAY"), ("persisted", "NONE")]
    assert bench.last(Tail.CONFIG_RESPONSE)["correlation_id"] == name
    assert bench.device.memory.unfinished_configs == []


# ---- 12.8, 16.4

PARTIAL = [
    ({"sensors": [PH]}, states.CONFIG_PENDING),
    ({"actuators": [PUMP]}, states.CONFIG_PENDING),
    ({"sensors": [PH], "actuators": [PUMP]}, states.OPERATIONAL),
    ({"sensors": [PH], "offline_rules": [{"actuator_gpio": 25}]}, states.OPERATIONAL),
    ({"offline_rules": [{"actuator_gpio": 25}]}, states.OPERATIONAL),
    ({"actuators": [PUMP], "offline_rules": [{"actuator_gpio": 25}]}, states.CONFIG_PENDING),
    ({}, states.OPERATIONAL),
]


@pytest.mark.parametrize(("scopes", "state"), PARTIAL, ids=lambda v: str(v)[:60])
def test_12_8_a_partial_configuration_is_pending_after_a_reboot_and_not_before(scopes, state):
    bench = Bench().registered(**scopes)
    assert bench.device.state == states.OPERATIONAL
    bench.device.restart(bench.now)
    assert bench.device.state == state


def test_12_8_the_trap_is_left_by_a_push_that_completes_the_configuration():
    bench = Bench().registered(sensors=[PH])
    bench.device.restart(bench.now)
    bench.said.clear()
    bench.connect()
    entered = bench.last(Tail.LIFECYCLE)
    assert (entered["event_type"], entered["ts"]) == ("entered_config_pending", 0)
    bench.ack()
    bench.push(**OK)
    assert bench.last(Tail.LIFECYCLE)["event_type"] == "exit_blocked_config_pending"
    assert bench.last(Tail.LIFECYCLE)["readiness_decision"] == "MISSING_ACTUATORS"
    bench.command(25, "ON")
    assert "CONFIG_PENDING_BLOCKED" in bench.last(Tail.ACTUATOR_RESPONSE)["message"]
    bench.push(actuators=[PUMP])
    left = bench.last(Tail.LIFECYCLE)
    assert (left["event_type"], left["state_after"]) == ("exited_config_pending", "OPERATIONAL")
    assert left["schema"] == "config_pending_lifecycle_v1"
    bench.command(25, "ON")
    assert bench.device.levels() == {25: 1.0}


def test_12_8_without_an_approval_it_is_left_for_pending_approval():
    bench = Bench(memory=Memory()).registered(sensors=[PH])
    bench.device.restart(bench.now)
    bench.connect()
    bench.ack("pending_approval")
    assert bench.device.state == states.CONFIG_PENDING
    bench.push(actuators=[PUMP])
    assert bench.device.state == states.PENDING_APPROVAL
