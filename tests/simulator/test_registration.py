"""Sections 3, 4, 5 and 6 of the contract: connecting, parser, gate, heartbeat, acknowledgement."""

from __future__ import annotations

import json

import pytest

from godkaiser.protocol import budget, topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.memory import Memory
from godkaiser.simulator.personality import D25, PUBSUB
from tests.simulator.bench import AIR, DEVICE, DS18B20, OWN, PUMP, START, Bench, tails

# ---- 3.3 to 3.6: connection


def test_3_4_the_will_says_offline_with_the_time_of_the_connect():
    topic, payload = Bench().device.will(START + 0.7)
    assert topic == OWN + "system/will"
    assert json.loads(payload) == {
        "status": "offline", "esp_id": DEVICE, "reason": "unexpected_disconnect",
        "timestamp": int(START),
    }  # fmt: skip


def test_3_6_twelve_filters_in_the_order_and_with_the_qos_of_the_firmware():
    assert Bench().device.subscriptions == [
        (OWN + "system/heartbeat/ack", 1), (OWN + "config", 2), (OWN + "system/command", 2),
        ("kaiser/broadcast/emergency", 2), (OWN + "actuator/+/command", 2),
        (OWN + "actuator/emergency", 1), (OWN + "zone/assign", 1), (OWN + "subzone/assign", 1),
        (OWN + "subzone/remove", 1), (OWN + "subzone/safe", 1), (OWN + "sensor/+/command", 2),
        ("kaiser/god/server/status", 1),
    ]  # fmt: skip


# ---- 4.1: topics and QoS of everything that a device says

QOS = {
    Tail.HEARTBEAT: 0, Tail.HEARTBEAT_METRICS: 0, Tail.SESSION_ANNOUNCE: 1, Tail.SENSOR_DATA: 1,
    Tail.SENSOR_RESPONSE: 1, Tail.ACTUATOR_STATUS: 1, Tail.ACTUATOR_RESPONSE: 1,
    Tail.ACTUATOR_ALERT: 1, Tail.EMERGENCY_ACK: 1, Tail.EMERGENCY_RESPONSE: 1,
    Tail.EMERGENCY_ERROR: 1, Tail.RECOVERY_CONFIRM: 1, Tail.CONFIG_RESPONSE: 1, Tail.ZONE_ACK: 1,
    Tail.SUBZONE_ACK: 1, Tail.SYSTEM_RESPONSE: 1, Tail.ONEWIRE_SCAN_RESULT: 1,
    Tail.INTENT_OUTCOME: 1, Tail.LIFECYCLE: 1, Tail.DIAGNOSTICS: 0, Tail.ERROR: 0,
    Tail.QUEUE_PRESSURE: 0,
}  # fmt: skip


def everything_said(personality=None):
    """A life that makes a device say everything there is to say."""
    memory = Memory()
    options = {} if personality is None else {"personality": personality}
    bench = Bench(memory=memory, **options)
    bench.connect()
    bench.ack()
    bench.push(sensors=[DS18B20, AIR])
    bench.wait(1.0)
    bench.device.restart(bench.now)
    bench.connect()
    bench.ack()
    bench.push(actuators=[{**PUMP, "gpio": pin} for pin in (25, 26, 27, 18, 19)])
    bench.send("zone/assign", zone_id="a", master_zone_id="", zone_name="A", kaiser_id="god")
    bench.send("subzone/assign", subzone_id="s", subzone_name="S", parent_zone_id="a",
               assigned_gpios=[25], safe_mode_active=False)  # fmt: skip
    bench.send("system/command", command="onewire/scan", pin=4)
    bench.send("sensor/4/command", command="measure", request_id="r")
    bench.wait(65.0)
    bench.command(33, "ON")
    bench.send("actuator/emergency", command="emergency_stop")
    bench.send("actuator/emergency", command="clear_emergency")
    bench.wait(6.0)
    bench.send("actuator/emergency", command="clear_emergency")
    bench.wait(130.0)
    return bench


@pytest.fixture(scope="module")
def life():
    return everything_said().said


@pytest.mark.parametrize("tail", QOS, ids=lambda tail: tail.value)
def test_4_1_every_kind_of_message_is_said_with_the_qos_of_the_table(life, tail):
    found = [p for p in life if topics.parse(p.topic).tail is tail]
    assert found, f"{tail.value} is never said"
    assert {p.qos for p in found} == {QOS[tail]}


def test_4_1_nothing_else_is_said(life):
    assert {topics.parse(p.topic).tail for p in life} == set(QOS)


def test_4_2_a_device_never_publishes_where_a_server_does():
    outbox = Bench().registered().device._core.outbox
    for tail in (tail for tail in Tail if tail.to_device):
        with pytest.raises(ValueError, match="never publishes"):
            outbox.put("god", tail, {}, 25)


def test_3_3_a_pubsubclient_build_publishes_everything_at_qos_0_and_announces_nothing():
    said = everything_said(PUBSUB).said
    assert {p.qos for p in said} == {0}
    assert not {Tail.SESSION_ANNOUNCE, Tail.HEARTBEAT_METRICS, Tail.QUEUE_PRESSURE} & set(
        tails(said)
    )


def test_3_3_a_pubsubclient_build_replays_25_readings_and_an_esp_idf_build_none():
    for personality, replayed in ((PUBSUB, 25), (Bench().device.personality, 0)):
        bench = Bench(personality=personality).registered(
            sensors=[{**AIR, "measurement_interval_seconds": 1}]
        )
        bench.disconnect()
        bench.wait(40.0)
        assert len(bench.bodies(Tail.SENSOR_DATA, bench.connect(reconnect=True))) == replayed


# ---- 5.3: seq


def test_5_3_seq_starts_at_one_with_each_boot_counts_over_all_kinds_and_has_gaps():
    bench = Bench().registered(sensors=[AIR])
    bench.said.clear()
    bench.wait(31.0)
    first = bench.bodies(Tail.SENSOR_DATA)[-1]["seq"]
    bench.disconnect()
    bench.wait(61.0)
    bench.connect(reconnect=True)
    bench.ack(epoch=bench.device.active_epoch or 1)
    bench.wait(31.0)
    # What was built and not published has consumed numbers.
    assert bench.bodies(Tail.SENSOR_DATA)[-1]["seq"] > first + 4
    bench.device.restart(bench.now)
    bench.connect()
    bench.said.clear()
    bench.ack()
    bench.wait(1.0)
    assert bench.bodies(Tail.SENSOR_DATA)[0]["seq"] <= 2


@pytest.mark.parametrize("tail", [Tail.HEARTBEAT, Tail.HEARTBEAT_METRICS, Tail.SESSION_ANNOUNCE,
                                  Tail.DIAGNOSTICS, Tail.ERROR, Tail.QUEUE_PRESSURE])  # fmt: skip
def test_5_3_some_messages_carry_no_seq(life, tail):
    bodies = [json.loads(p.payload) for p in life if topics.parse(p.topic).tail is tail]
    assert bodies and not any("seq" in body for body in bodies)


# ---- 5.5: numbers


@pytest.mark.parametrize(
    ("sent", "strict", "lenient"),
    [
        (5, 5, 5), (5.0, 0, 5), ("5", 0, None), (2_147_483_647, 2_147_483_647, 2_147_483_647),
        (2_147_483_648, 0, 2_147_483_648), (1_767_096_500_000, 0, 1_767_096_500_000),
        (1_735_818_000, 1_735_818_000, 1_735_818_000), (None, 0, None), (True, 0, None),
    ],
)  # fmt: skip
def test_5_5_numbers_are_read_as_measured(sent, strict, lenient):
    assert parsing.integer(sent) == strict
    assert parsing.lenient_integer(sent) == lenient


@pytest.mark.parametrize(
    ("sent", "read"),
    [(True, True), (1, True), ("true", True), ("1", True), (False, False), (0, False),
     ("false", False), (None, True)],
)  # fmt: skip
def test_5_5_the_configuration_reads_bools_leniently(sent, read):
    assert parsing.lenient_bool(sent, default=True) is read


def test_5_5_what_is_missing_or_null_becomes_the_text_null():
    assert [parsing.text_or_null(v) for v in (None, 5, "x")] == ["null", "null", "x"]


# ---- 5.6: parser memory


MEASURED = {
    132: {"status": "pending_approval", "config_available": False, "server_time": 1, "handover_epoch": 1},
    200: {"status": "pending_approval", "config_available": False, "server_time": 1, "handover_epoch": 1,
          "correlation_id": "2f0a6d3c-6a5c-4a77-9a30-2f8de3f0d0b1"},
    61: {"status": "online", "handover_epoch": 1},
}  # fmt: skip


@pytest.mark.parametrize("cost", MEASURED)
def test_5_6_the_cost_of_an_ack_is_what_was_measured(cost):
    # The examples of the contract are rounded by the allocator: within a few bytes.
    assert abs(budget.parse_cost(MEASURED[cost]) - cost) <= 21


def filled(body, limit, *, over):
    """The body with a padding that brings its cost exactly to the limit, or one byte over it."""
    cost = budget.parse_cost({**body, "pad": "~"})
    padded = {**body, "pad": "~" * (limit - cost + over + 1)}
    assert budget.parse_cost(padded) == limit + over
    return json.dumps(padded).encode()


STOP = {"command": "emergency_stop"}
ASSIGN = {"zone_id": "a", "master_zone_id": "", "zone_name": "", "kaiser_id": "god"}
SUBZONE = {"subzone_id": "s", "subzone_name": "S", "parent_zone_id": "", "assigned_gpios": [25],
           "safe_mode_active": False}  # fmt: skip
BUDGETS = {
    "system/command": (256, {"command": "status"}, Tail.SYSTEM_RESPONSE, "error", "JSON_PARSE_ERROR"),
    "zone/assign": (512, ASSIGN, Tail.ZONE_ACK, "status", "error"),
    "subzone/assign": (1024, SUBZONE, Tail.SUBZONE_ACK, "status", "error"),
    "subzone/remove": (256, {"subzone_id": "s"}, Tail.SUBZONE_ACK, "status", "error"),
    "subzone/safe": (512, {"subzone_id": "s", "action": "enable"}, Tail.SUBZONE_ACK, "status", "error"),
    "sensor/4/command": (384, {"command": "measure"}, Tail.INTENT_OUTCOME, "code", "INVALID_JSON"),
    "actuator/emergency": (256, STOP, Tail.INTENT_OUTCOME, "code", "EMERGENCY_PARSE_ERROR"),
}  # fmt: skip


def ready_for_budgets():
    bench = Bench().registered(sensors=[DS18B20], actuators=[PUMP])
    bench.send("zone/assign", **ASSIGN)
    bench.send("subzone/assign", **SUBZONE)
    bench.said.clear()
    return bench


@pytest.mark.parametrize("tail", BUDGETS)
def test_5_6_a_message_within_its_budget_is_read_and_one_byte_more_is_not(tail):
    limit, body, answer, field, refused = BUDGETS[tail]
    within, beyond = ready_for_budgets(), ready_for_budgets()
    within.send(tail, filled(body, limit, over=0))
    beyond.send(tail, filled(body, limit, over=1))
    assert refused not in [b.get(field) for b in within.bodies(answer)]
    assert beyond.last(answer)[field] == refused


def test_5_6_an_ack_over_256_bytes_is_ignored_without_a_word():
    ack = {"status": "online", "handover_epoch": 1}
    for over, opened in ((0, True), (1, False)):
        bench = Bench()
        bench.connect()
        assert bench.send("system/heartbeat/ack", filled(ack, 256, over=over)) == []
        assert bench.device.gate_open is opened
        assert bench.device._core.counts["handover_contract_reject_count"] == 0


def test_5_6_the_reference_servers_seven_field_ack_never_registers_a_pending_device():
    ack = {
        "status": "pending_approval", "config_available": False, "server_time": 1735818000,
        "handover_epoch": 1, "ack_type": "heartbeat", "contract_version": 2,
        "session_id": "god:ESP_4F3A9C:1735818000:0001:ABCDEF",
    }  # fmt: skip
    assert budget.parse_cost(ack) > 256
    bench = Bench()
    bench.connect()
    bench.send("system/heartbeat/ack", **ack)
    assert not bench.device.gate_open


def test_5_6_a_broadcast_stop_over_512_bytes_stops_nothing():
    for over, stopped in ((0, True), (1, False)):
        bench = Bench().registered(actuators=[PUMP])
        bench.broadcast(filled({"command": "stop_all"}, 512, over=over))
        assert bench.device.memory.actuators[25].stopped is stopped


def test_5_6_a_server_status_over_256_bytes_is_ignored():
    bench = Bench().registered()
    for over, mode in ((1, "ONLINE"), (0, "DISCONNECTED")):
        payload = filled({"status": "offline"}, 256, over=over)
        bench.device.on_message("kaiser/god/server/status", payload, bench.now)
        assert bench.device.mode == mode


def test_5_6_an_actuator_command_is_cut_at_511_bytes():
    bench = Bench().registered(actuators=[PUMP])
    pad = "x" * 480
    bench.command(25, "ON", pad=pad, duration=60)
    # Executed, for the verb comes first; what came behind the cut is lost.
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is True
    assert bench.last(Tail.ACTUATOR_RESPONSE)["duration"] == 0


# ---- 5.7: the way out


def test_5_7_a_burst_sheds_statuses_keeps_alerts_and_tells_the_pressure():
    pins = (25, 26, 27, 18, 19, 23, 32, 33)
    bench = Bench().registered(actuators=[{**PUMP, "gpio": pin} for pin in pins[:4]])
    bench.wait(5.0)
    bench.push(actuators=[{**PUMP, "gpio": pin} for pin in pins[4:]])
    bench.wait(5.0)
    bench.said.clear()
    at_once = bench.broadcast(command="stop_all")
    assert len([t for t in tails(at_once) if t is not Tail.QUEUE_PRESSURE]) == 8
    assert bench.bodies(Tail.QUEUE_PRESSURE)[0]["event"] == "entered_pressure"
    bench.wait(2.0, 0.05)
    assert len(bench.bodies(Tail.ACTUATOR_ALERT)) == 8
    assert len(bench.bodies(Tail.ACTUATOR_STATUS)) < 8
    assert bench.bodies(Tail.QUEUE_PRESSURE)[-1]["event"] == "recovered"


# ---- 6.3: the gate


def test_6_3_a_closed_gate_lets_only_the_exempt_through():
    bench = Bench(memory=Memory(approved=True))
    bench.connect()
    bench.device.memory.sensors.clear()
    bench.wait(4.0)
    bench.command(25, "ON")
    bench.send("sensor/4/command", command="measure", request_id="r")
    bench.send("zone/assign", **ASSIGN)
    bench.send("subzone/remove", subzone_id="nothing")
    bench.send("system/command", command="status")
    bench.broadcast(command="stop_all")
    assert set(tails(bench.said)) == {
        Tail.SESSION_ANNOUNCE, Tail.HEARTBEAT, Tail.ACTUATOR_RESPONSE, Tail.ZONE_ACK,
        Tail.SUBZONE_ACK, Tail.SYSTEM_RESPONSE,
    }  # fmt: skip
    assert bench.last(Tail.SYSTEM_RESPONSE)["error"] == "REGISTRATION_PENDING"


@pytest.mark.parametrize(
    "status", ["online", "approved", "pending_approval", "rejected", "error", "?"]
)
def test_6_3_every_valid_ack_opens_the_gate_whatever_its_status(status):
    bench = Bench()
    bench.connect()
    bench.ack(status)
    assert bench.device.gate_open
    bench.disconnect()
    assert not bench.device.gate_open


# ---- 6.2: states

ADMISSION = [
    (states.OPERATIONAL, "", ""),
    (states.ZONE_CONFIGURED, "", ""),
    (states.PENDING_APPROVAL, "PENDING_APPROVAL_BLOCKED", "PENDING_APPROVAL_BLOCKED"),
    (states.CONFIG_PENDING, "CONFIG_PENDING_BLOCKED", "CONFIG_PENDING_BLOCKED"),
    (states.SAFE_MODE, "SAFETY_LOCKED", "SAFETY_LOCKED"),
    (states.LIBRARY_DOWNLOADING, "DEGRADED_MODE_BLOCKED", "DEGRADED_MODE_BLOCKED"),
    (states.SAFE_MODE_PROVISIONING, "DEGRADED_MODE_BLOCKED", "DEGRADED_MODE_BLOCKED"),
    (states.ERROR, "DEGRADED_MODE_BLOCKED", "DEGRADED_MODE_BLOCKED"),
]


@pytest.mark.parametrize(("state", "command", "system"), ADMISSION)
def test_6_2_the_admission_table(state, command, system):
    assert states.blocks_command(state, gate_open=True) == command
    assert states.blocks_command(state, gate_open=False) == "REGISTRATION_PENDING"
    for verb in ("exit_safe_mode", "factory_reset", "onewire/scan", "set_emergency_token"):
        assert states.blocks_system_command(state, verb, gate_open=True) == system
    for verb in ("status", "diagnostics", "get_config", "set_log_level", "safe_mode"):
        assert states.blocks_system_command(state, verb, gate_open=True) == ""


# ---- 6.4: heartbeat

FIELDS = {
    "esp_id": str, "zone_id": str, "master_zone_id": str, "zone_assigned": bool, "ts": int,
    "time_valid": bool, "boot_sequence_id": str, "reset_reason": str, "segment_start_ts": int,
    "uptime": int, "heap_free": int, "wifi_rssi": int, "sensor_count": int, "actuator_count": int,
    "wifi_ip": str, "active_handover_epoch": int, "handover_completed_epoch": int,
    "persistence_degraded": bool, "persistence_degraded_reason": str,
    "runtime_state_degraded": bool, "mqtt_circuit_breaker_open": bool,
    "wifi_circuit_breaker_open": bool, "network_degraded": bool, "config_status": dict,
}  # fmt: skip


def test_6_4_the_heartbeat_has_the_fields_of_the_table_and_no_others():
    bench = Bench()
    bench.connect()
    bench.wait(0.5)
    body = bench.last(Tail.HEARTBEAT)
    assert {name: type(value) for name, value in body.items()} == FIELDS
    assert set(body["config_status"]) == {
        "wifi_configured", "zone_assigned", "system_configured", "subzone_count", "boot_count",
        "state",
    }  # fmt: skip
    assert body["boot_sequence_id"] == f"{DEVICE}-b1-r1"


def test_6_4_the_heartbeat_of_december_2025_has_ten_fields_and_needs_no_ack():
    bench = Bench(personality=D25)
    bench.connect()
    bench.wait(0.5)
    assert set(bench.last(Tail.HEARTBEAT)) == {
        "esp_id", "zone_id", "master_zone_id", "zone_assigned", "ts", "uptime", "heap_free",
        "wifi_rssi", "sensor_count", "actuator_count",
    }  # fmt: skip
    bench.send("config", sensors=[AIR])
    assert bench.last(Tail.CONFIG_RESPONSE)["status"] == "success"
    bench.wait(1.0)
    assert "seq" not in bench.last(Tail.SENSOR_DATA)


def test_24_heartbeats_come_every_5_s_until_registered_then_every_60_s():
    bench = Bench()
    bench.connect()
    assert len(bench.bodies(Tail.HEARTBEAT, bench.wait(20.0))) == 4
    bench.ack()
    assert len(bench.bodies(Tail.HEARTBEAT, bench.wait(59.0))) == 0
    assert len(bench.bodies(Tail.HEARTBEAT, bench.wait(2.0))) == 1


def test_6_4_the_boot_counter_returns_to_0_after_a_minute_and_labels_recur():
    bench = Bench()
    bench.device.restart(bench.now, "BROWNOUT")
    bench.connect()
    bench.wait(0.5)
    assert bench.last(Tail.HEARTBEAT)["boot_sequence_id"] == f"{DEVICE}-b2-r9"
    assert bench.last(Tail.HEARTBEAT)["reset_reason"] == "BROWNOUT"
    bench.wait(61.0)
    assert bench.device.memory.boot_count == 0


def test_5_2_a_clock_that_is_not_set_says_0_until_the_ack_tells_the_time():
    bench = Bench(clock_error_s=None)
    bench.connect()
    bench.wait(0.5)
    beat = bench.last(Tail.HEARTBEAT)
    assert (beat["ts"], beat["time_valid"], beat["segment_start_ts"]) == (0, False, 0)
    bench.ack(server_time=1.0e9)
    assert bench.device._core.unix == 0
    bench.ack(server_time=int(bench.now) + 100)
    assert bench.device._core.unix == int(bench.now) + 100


# ---- 6.5, 6.8


def test_6_5_metrics_follow_registered_heartbeats_when_they_changed_or_every_fifth():
    bench = Bench().registered()
    bench.answers_heartbeats = True
    bench.wait(61.0)
    assert set(bench.last(Tail.HEARTBEAT_METRICS)) >= {
        "esp_id", "ts", "metrics_schema_version", "handover_contract_last_reject",
        "publish_queue_hwm", "emergency_rejected_no_token_total",
    }  # fmt: skip
    bench.said.clear()
    bench.wait(299.0)
    assert len(bench.bodies(Tail.HEARTBEAT_METRICS)) <= 1
    bench.ack(epoch=0)
    bench.said.clear()
    bench.wait(61.0)
    metrics = bench.last(Tail.HEARTBEAT_METRICS)
    assert metrics["handover_contract_reject_count"] == 1
    assert metrics["handover_contract_last_reject"] == "INVALID_HANDOVER_EPOCH"


def test_6_8_the_announcement_goes_to_the_fixed_tree_with_the_epoch_to_come():
    bench = Bench(memory=Memory(kaiser_id="other"))
    (announced,) = bench.connect()
    assert announced.topic == f"kaiser/god/esp/{DEVICE}/session/announce"
    body = json.loads(announced.payload)
    assert (body["handover_epoch"], body["session_epoch"], body["reason"]) == (1, 1, "boot")
    assert isinstance(body["boot_ts"], str) and body["ts_ms"] == int(START) * 1000
    bench = Bench().registered()
    for epoch, reason in ((1, "boot"), (2, "reconnect")):
        bench.disconnect()
        bench.wait(31.0)
        body = json.loads(bench.connect(reconnect=True)[0].payload)
        assert (body["handover_epoch"], body["reason"]) == (epoch, reason)


# ---- 6.6: acknowledgement

REFUSED_ACKS = [
    ({"handover_epoch": 1}, "MISSING_ACK_STATUS"),
    ({"status": "online"}, "MISSING_HANDOVER_EPOCH"),
    ({"status": "online", "handover_epoch": "1"}, "INVALID_HANDOVER_EPOCH_TYPE"),
    ({"status": "online", "handover_epoch": 1.0}, "INVALID_HANDOVER_EPOCH_TYPE"),
    ({"status": "online", "handover_epoch": None}, "INVALID_HANDOVER_EPOCH_TYPE"),
    ({"status": "online", "handover_epoch": -1}, "INVALID_HANDOVER_EPOCH_TYPE"),
    ({"status": "online", "handover_epoch": 2**32}, "INVALID_HANDOVER_EPOCH_TYPE"),
    ({"status": "online", "handover_epoch": 0}, "INVALID_HANDOVER_EPOCH"),
]


@pytest.mark.parametrize(("ack", "code"), REFUSED_ACKS)
def test_6_6_a_bad_ack_is_counted_and_leaves_gate_and_timer_untouched(ack, code):
    bench = Bench()
    bench.connect()
    heard_at = bench.device._offline.last_ack_at
    bench.wait(1.0)
    bench.send("system/heartbeat/ack", **ack)
    assert bench.device._registration._last_reject == code
    assert not bench.device.gate_open and bench.device._offline.last_ack_at == heard_at


def test_6_6_the_states_that_acks_lead_to():
    bench = Bench()
    bench.connect()
    for status, state, approved in (
        ("approved", states.OPERATIONAL, True),
        ("pending_approval", states.PENDING_APPROVAL, False),
        ("online", states.OPERATIONAL, True),
        ("rejected", states.ERROR, False),
        ("error", states.ERROR, False),
        ("online", states.OPERATIONAL, True),
        ("offline", states.OPERATIONAL, True),
    ):
        bench.ack(status)
        assert (bench.device.state, bench.device.memory.approved) == (state, approved), status


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "HEARTBEAT_REJECTED"),
        ({"reason_code": "REJECTED_BY_OPERATOR"}, "HEARTBEAT_REJECTED"),
        ({"reason_code": "DEVICE_DELETED"}, "UPSTREAM_DELETE_REVOKED"),
        ({"revocation_source": "tombstone"}, "UPSTREAM_DELETE_REVOKED"),
        ({"upstream_deleted": True}, "UPSTREAM_DELETE_REVOKED"),
        ({"delete_intent": True}, "UPSTREAM_DELETE_REVOKED"),
    ],
)
def test_6_6_a_rejection_is_told_with_its_code(fields, code):
    bench = Bench().registered()
    bench.wait(61.0)
    bench.ack("rejected", **fields)
    told = bench.last(Tail.INTENT_OUTCOME)
    assert (told["flow"], told["outcome"], told["code"]) == ("heartbeat", "rejected", code)
    assert bench.last(Tail.ERROR)["error_code"] == 4200


def test_21_37_a_pending_device_measures_and_publishes_but_reports_no_status_by_itself():
    bench = Bench().registered(sensors=[AIR], actuators=[PUMP])
    bench.ack("pending_approval")
    bench.wait(65.0)
    assert bench.bodies(Tail.SENSOR_DATA) and not bench.bodies(Tail.ACTUATOR_STATUS)
