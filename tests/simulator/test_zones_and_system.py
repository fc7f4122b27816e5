"""Sections 14 to 17 of the contract: zones, subzones, system commands, outcomes, errors."""

from __future__ import annotations

import pytest

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import states
from tests.simulator.bench import DEVICE, DS18B20, PH, PUMP, ROM, Bench, tails

ZONE = {"zone_id": "greenhouse_1", "master_zone_id": "farm", "zone_name": "Greenhouse One",
        "kaiser_id": "god", "correlation_id": "c"}  # fmt: skip
SUBZONE = {"subzone_id": "bench_a", "subzone_name": "Bench A", "parent_zone_id": "greenhouse_1",
           "assigned_gpios": [4, 25], "safe_mode_active": False, "correlation_id": "s"}  # fmt: skip


def in_zone(**scopes):
    bench = Bench().registered(**scopes)
    bench.send("zone/assign", **ZONE)
    bench.wait(0.5)
    bench.said.clear()
    return bench


# ---- 14.1, 14.2


def test_14_1_an_assignment_is_acknowledged_and_followed_by_a_heartbeat():
    bench = Bench().registered()
    bench.send("zone/assign", **ZONE)
    ack = bench.last(Tail.ZONE_ACK)
    del ack["ts"], ack["seq"]
    assert ack == {"esp_id": DEVICE, "status": "zone_assigned", "zone_id": "greenhouse_1",
                   "master_zone_id": "farm", "correlation_id": "c"}  # fmt: skip
    bench.wait(0.5)
    assert bench.last(Tail.HEARTBEAT)["zone_id"] == "greenhouse_1"
    assert bench.device.state == states.ZONE_CONFIGURED
    bench.ack()
    assert bench.device.state == states.ZONE_CONFIGURED


def test_14_1_it_works_before_registration():
    bench = Bench()
    bench.connect()
    bench.send("zone/assign", **ZONE)
    assert bench.last(Tail.ZONE_ACK)["status"] == "zone_assigned"


@pytest.mark.parametrize("missing", ["zone_id", "master_zone_id", "zone_name", "kaiser_id"])
def test_14_1_what_is_missing_or_null_becomes_the_text_null(missing):
    for body in ({k: v for k, v in ZONE.items() if k != missing}, {**ZONE, missing: None}):
        bench = Bench().registered()
        bench.send("zone/assign", **body)
        assert getattr(bench.device.memory, missing) == "null"


def test_14_1_a_missing_kaiser_id_moves_the_device_to_another_tree():
    bench = Bench().registered()
    bench.send("zone/assign", **{k: v for k, v in ZONE.items() if k != "kaiser_id"})
    said = bench.wait(0.5)
    assert said[0].topic == f"kaiser/null/esp/{DEVICE}/system/heartbeat"
    topic = f"kaiser/null/esp/{DEVICE}/zone/assign"
    repair = b'{"zone_id":"a","master_zone_id":"","zone_name":"","kaiser_id":""}'
    bench.device.on_message(topic, repair, bench.now)
    assert bench.device.memory.kaiser_id == "god"


@pytest.mark.parametrize(
    "wrong",
    [{"zone_id": "with blank"}, {"zone_id": "x" * 33}, {"zone_name": "x" * 65},
     {"kaiser_id": "x" * 64}],
)  # fmt: skip
def test_14_1_what_is_too_long_or_ill_formed_is_an_error(wrong):
    bench = Bench().registered()
    bench.send("zone/assign", **{**ZONE, **wrong})
    ack = bench.last(Tail.ZONE_ACK)
    assert ack["status"] == "error" and ack["correlation_id"] == "c" and "zone_id" not in ack
    assert bench.device.memory.zone_id == ""


def test_14_1_removal_deletes_the_subzones_and_waits_for_the_next_ack():
    bench = in_zone()
    bench.send("subzone/assign", **SUBZONE)
    bench.send("zone/assign", **{**ZONE, "zone_id": ""})
    assert bench.last(Tail.ZONE_ACK)["status"] == "zone_removed"
    assert bench.device.memory.subzones == {} and bench.device.state == states.PENDING_APPROVAL
    bench.ack()
    assert bench.device.state == states.OPERATIONAL


# ---- 14.3 to 14.6


def test_14_4_a_subzone_is_acknowledged_with_timestamp_instead_of_ts():
    bench = in_zone()
    bench.send("subzone/assign", **SUBZONE)
    ack = bench.last(Tail.SUBZONE_ACK)
    assert set(ack) == {"esp_id", "status", "subzone_id", "timestamp", "seq", "correlation_id"}
    assert (ack["status"], ack["correlation_id"]) == ("subzone_assigned", "s")


@pytest.mark.parametrize(
    "wrong",
    [{"subzone_id": ""}, {"subzone_id": "x" * 33}, {"parent_zone_id": "other"},
     {"parent_zone_id": None}, {"assigned_gpios": None}, {"assigned_gpios": ["4"]},
     {"assigned_gpios": [0]}, {"assigned_gpios": [12]}],
)  # fmt: skip
def test_14_3_a_subzone_that_cannot_be_is_error_2506(wrong):
    bench = in_zone()
    bench.send("subzone/assign", **{**SUBZONE, **wrong})
    assert (bench.last(Tail.SUBZONE_ACK)["status"], bench.last(Tail.SUBZONE_ACK)["error_code"]) == (
        "error", 2506,
    )  # fmt: skip


def test_14_3_it_needs_a_zone_first_and_there_are_eight_at_most():
    bench = Bench().registered()
    bench.send("subzone/assign", **SUBZONE)
    assert bench.last(Tail.SUBZONE_ACK)["message"] == "zone not assigned"
    bench = in_zone()
    for n in range(9):
        bench.send("subzone/assign", **{**SUBZONE, "subzone_id": f"s{n}"})
    assert bench.last(Tail.SUBZONE_ACK)["status"] == "error"
    assert len(bench.device.memory.subzones) == 8


@pytest.mark.parametrize(("safe", "level"), [({}, 0.0), ({"safe_mode_active": False}, 1.0)])
def test_14_3_safe_mode_is_the_default(safe, level):
    bench = in_zone(actuators=[PUMP])
    bench.command(25, "ON")
    body = {k: v for k, v in SUBZONE.items() if k != "safe_mode_active"}
    bench.send("subzone/assign", **{**body, **safe})
    assert bench.device.levels() == {25: level}


def test_14_5_a_subzone_is_removed_once():
    bench = in_zone()
    bench.send("subzone/assign", **SUBZONE)
    bench.send("subzone/remove", subzone_id="bench_a", correlation_id="r")
    assert bench.last(Tail.SUBZONE_ACK)["status"] == "subzone_removed"
    bench.send("subzone/remove", subzone_id="bench_a", correlation_id="r")
    assert bench.last(Tail.SUBZONE_ACK)["reason_code"] == "SUBZONE_NOT_FOUND"


def test_14_6_safe_mode_is_acknowledged_only_when_it_fails():
    bench = in_zone(actuators=[PUMP])
    bench.send("subzone/assign", **SUBZONE)
    bench.command(25, "ON")
    bench.said.clear()
    bench.send("subzone/safe", subzone_id="bench_a", action="enable")
    assert set(tails(bench.said)) == {Tail.ACTUATOR_STATUS} and bench.device.levels() == {25: 0.0}
    assert bench.send("subzone/safe", subzone_id="bench_a", action="disable") == []
    assert bench.device.memory.subzones["bench_a"].safe_mode is False
    bench.send("subzone/safe", subzone_id="bench_a", action="off")
    assert bench.last(Tail.SUBZONE_ACK)["reason_code"] == "VALIDATION_ERROR"
    bench.send("subzone/safe", subzone_id="nothing", action="enable")
    assert bench.last(Tail.SUBZONE_ACK)["reason_code"] == "SUBZONE_NOT_FOUND"


# ---- 15

VITALS = {"command", "success", "esp_id", "state", "uptime", "heap_free", "wifi_rssi",
          "sensor_count", "actuator_count", "zone_id", "zone_assigned", "ts", "seq"}  # fmt: skip
REPLIES = [
    ({"command": "status"}, VITALS),
    ({"command": "diagnostics"}, VITALS | {
        "heap_min", "chip_model", "chip_revision", "flash_size", "sdk_version", "wifi_ssid",
        "wifi_ip", "wifi_mac", "master_zone_id", "kaiser_id", "boot_count", "config_status"}),
    ({"command": "get_config"}, {"command", "success", "esp_id", "zone", "sensors", "sensor_count",
                                 "actuators", "actuator_count", "ts", "seq"}),
    ({"command": "safe_mode"}, {"command", "success", "esp_id", "message", "ts", "seq"}),
    ({"command": "exit_safe_mode"}, {"command", "success", "esp_id", "message", "ts", "seq"}),
    ({"command": "set_log_level", "level": "DEBUG"},
     {"command", "esp_id", "success", "level", "message", "persisted", "ts", "seq"}),
    ({"command": "set_log_level", "params": {"level": "INFO"}},
     {"command", "esp_id", "success", "level", "message", "persisted", "ts", "seq"}),
    ({"command": "set_log_level", "level": "loud"},
     {"success", "error", "message", "requested_level", "ts", "seq"}),
    ({"command": "set_emergency_token", "token": "t"},
     {"command", "esp_id", "success", "token_type", "message", "ts", "seq"}),
    ({"command": "set_emergency_token", "token": ""},
     {"command", "esp_id", "success", "error", "ts", "seq"}),
    ({"command": "factory_reset", "confirm": True}, {"status", "esp_id", "seq"}),
    ({"command": "factory_reset"}, {"command", "success", "esp_id", "error", "ts", "seq"}),
    ({"command": "STATUS"}, {"command", "success", "esp_id", "error", "ts", "seq"}),
    ({"command": "reboot"}, {"command", "success", "esp_id", "error", "ts", "seq"}),
    ({"command": "onewire/scan"}, {"command", "status", "found_count", "pin", "seq"}),
    ({"command": "onewire/scan", "pin": 5}, {"error", "pin", "seq"}),
    ({"command": "onewire/scan", "params": {"pin": 12}},
     {"error", "requested_pin", "active_pin", "seq"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_body", "fields"),
    REPLIES,
    ids=lambda v: str(sorted(v) if isinstance(v, set) else v)[:70],
)
def test_15_2_each_reply_has_a_shape_of_its_own_and_echoes_no_correlation(request_body, fields):
    bench = Bench().registered(sensors=[DS18B20], actuators=[PUMP])
    bench.send("system/command", **request_body, correlation_id="c")
    assert set(bench.last(Tail.SYSTEM_RESPONSE)) == fields


def test_15_2_a_request_that_cannot_be_parsed_is_answered_with_a_correlation():
    bench = Bench().registered()
    bench.send("system/command", b"{")
    answer = bench.last(Tail.SYSTEM_RESPONSE)
    assert (answer["command"], answer["error"]) == ("", "JSON_PARSE_ERROR")
    assert answer["correlation_id"]


def test_15_2_a_rejection_always_says_the_same_state():
    bench = Bench().registered()
    bench.ack("pending_approval")
    bench.send("system/command", command="exit_safe_mode")
    answer = bench.last(Tail.SYSTEM_RESPONSE)
    assert answer["error"] == answer["reason_code"] == "PENDING_APPROVAL_BLOCKED"
    assert answer["state"] == "CONFIG_PENDING_AFTER_RESET"


def test_16_3_system_commands_have_outcomes_only_in_limited_states():
    bench = Bench().registered()
    bench.send("system/command", command="status")
    assert bench.outcomes() == []
    bench.ack("pending_approval")
    bench.send("system/command", command="status")
    assert bench.outcomes() == [
        ("accepted", "PENDING_APPROVAL_ALLOWLIST_ACCEPTED"), ("applied", "NONE"),
    ]  # fmt: skip


def test_15_1_safe_mode_stops_and_leaving_it_is_answered_well_even_when_refused():
    bench = Bench().registered(actuators=[PUMP])
    bench.send("system/command", command="safe_mode")
    assert bench.device.memory.actuators[25].stopped
    bench.send("system/command", command="exit_safe_mode")
    assert bench.last(Tail.SYSTEM_RESPONSE)["success"] is True
    bench.wait(3.0)
    assert bench.device.memory.actuators[25].stopped
    bench.wait(3.0)
    bench.send("system/command", command="exit_safe_mode")
    bench.wait(3.0)
    assert not bench.device.memory.actuators[25].stopped


def test_15_3_a_scan_tells_the_bus_before_the_answer_and_on_the_fixed_tree():
    bench = Bench().registered(sensors=[DS18B20])
    bench.device.memory.kaiser_id = "other"
    topic = f"kaiser/other/esp/{DEVICE}/system/command"
    said = bench.device.on_message(topic, b'{"command":"onewire/scan"}', bench.now)
    assert [p.topic.split("/", 4)[1::3] for p in said] == [
        ["god", "onewire/scan_result"], ["other", "system/command/response"],
    ]  # fmt: skip
    result = bench.bodies(Tail.ONEWIRE_SCAN_RESULT, said)[0]
    assert set(result) == {"devices", "found_count", "seq"}
    assert result["devices"] == [{"rom_code": ROM, "device_type": "ds18b20", "pin": 4}]


def test_15_1_a_factory_reset_clears_the_zone_and_reboots_after_3_s_but_keeps_tokens():
    bench = in_zone()
    bench.send("system/command", command="set_emergency_token", token="t")
    bench.send("system/command", command="factory_reset", confirm=True)
    bench.wait(2.5)
    assert bench.device.boots == 1
    bench.wait(1.0)
    assert bench.device.boots == 2
    assert (bench.device.memory.zone_id, bench.device.memory.tokens) == ("", {"esp": "t"})


# ---- 16

OUTCOME = {
    "seq", "flow", "intent_id", "correlation_id", "generation", "created_at_ms", "ttl_ms", "epoch",
    "outcome", "contract_version", "semantic_mode", "legacy_status", "target_status", "code",
    "reason", "retryable", "critical", "retry_limit", "retry_count", "recovered", "delivery_mode",
    "outcome_retry_count", "outcome_recovered_count", "outcome_drop_count_critical",
    "outcome_final_confirmed_count", "ts",
}  # fmt: skip


def test_16_1_an_outcome_has_the_fields_of_the_table():
    bench = Bench().registered()
    bench.push(sensors=[PH], generation=7)
    accepted, persisted = bench.bodies(Tail.INTENT_OUTCOME)
    assert set(persisted) == set(accepted) == OUTCOME
    assert (persisted["legacy_status"], persisted["target_status"]) == ("success", "persisted")
    assert (accepted["legacy_status"], accepted["critical"]) == ("processing", False)
    assert (persisted["flow"], persisted["generation"], persisted["critical"]) == (
        "config", 7, True,
    )  # fmt: skip


def test_5_4_the_last_32_finished_intents_are_told_no_second_time():
    bench = Bench().registered(actuators=[PUMP])
    for n in (0, 0, *range(1, 33), 0):
        bench.command(25, "TOGGLE", intent_id=f"i{n}")
    ended = [b["intent_id"] for b in bench.bodies(Tail.INTENT_OUTCOME) if b["critical"]]
    assert ended == [*(f"i{n}" for n in range(33)), "i0"]


def test_5_4_missing_ids_are_invented():
    bench = Bench().registered(actuators=[PUMP], sensors=[PH])
    bench.send("actuator/25/command", command="ON")
    bench.send("sensor/34/command", command="measure")
    bench.send("actuator/emergency", command="?")
    found = [b["intent_id"].split("_")[0] for b in bench.bodies(Tail.INTENT_OUTCOME)]
    assert found == ["act", "act", "sensor", "sensor", "emergency"]


def test_16_3_forty_eight_outcomes_are_kept_through_a_restart_and_replayed_two_at_a_time():
    bench = Bench().registered(actuators=[PUMP])
    bench.disconnect()
    bench.connect(reconnect=True)
    for _ in range(50):
        bench.command(25, "ON")
    assert len(bench.device.memory.outcomes) == 48
    bench.device.restart(bench.now)
    bench.connect()
    bench.ack()
    bench.said.clear()
    assert len(bench.bodies(Tail.INTENT_OUTCOME, bench.wait(0.5))) == 2
    bench.wait(15.0)
    told = bench.bodies(Tail.INTENT_OUTCOME)
    assert len(told) == 48 and all(b["recovered"] for b in told)


# ---- 17


def test_17_2_no_error_leaves_in_the_first_minute_and_then_one_a_slot_a_minute():
    bench = Bench().registered()
    bench.answers_heartbeats = True
    bench.command(25, "ON")
    bench.wait(59.0)
    assert bench.bodies(Tail.ERROR) == []
    bench.wait(2.0)
    for _ in range(3):
        bench.command(25, "ON")
    assert len(bench.bodies(Tail.ERROR)) == 1
    event = bench.last(Tail.ERROR)
    assert set(event) == {"error_code", "severity", "category", "message", "context", "ts"}
    assert (event["category"], event["context"]["esp_id"]) == ("HARDWARE", DEVICE)


def test_17_1_diagnostics_tell_uptime_as_ts_and_come_only_when_something_changed():
    bench = Bench().registered(sensors=[PH])
    bench.answers_heartbeats = True
    bench.wait(65.0)
    body = bench.last(Tail.DIAGNOSTICS)
    assert body["ts"] == body["uptime_seconds"] < 100
    assert body["system_state"] == "OPERATIONAL"
    bench.said.clear()
    bench.wait(200.0)
    assert bench.bodies(Tail.DIAGNOSTICS) == []
    bench.push(actuators=[PUMP])
    bench.wait(65.0)
    assert len(bench.bodies(Tail.DIAGNOSTICS)) == 1
