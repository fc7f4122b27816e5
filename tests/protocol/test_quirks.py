"""Section 22 of the contract, the quirks that a tolerant server must bear, as one table; and those of
the contradictions of section 21 which concern the server. Each row is (number, sentence, check).
"""

from __future__ import annotations

import itertools
import json
import math
import time
import uuid

import pytest

from godkaiser.actors.devices.config_push import ConfigPush
from godkaiser.domain.devices import devices, gpio
from godkaiser.domain.devices.device_config import Wanted
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Approval, SensorConfig
from godkaiser.errors.base import GatewayError
from godkaiser.protocol import budget, clock, codec, inbound, outbound, topics
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import Tail
from tests.conftest import need
from tests.protocol.puppet import Puppet
from tests.provision.servers import Mosquitto
from tests.system.site import Site
from tests.waiting import eventually

NOW = 1_767_096_100.0
DEVICE = "ESP_4F3A9C"
READING = {"sensor_type": "ds18b20", "raw": 376, "ts": 1767096090}
BEAT = {"ts": 1767096060, "uptime": 1, "heap_free": 7, "wifi_rssi": -1}


def read(tail, fields):
    payload = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return codec.decode(topics.parse(f"kaiser/god/esp/{DEVICE}/{tail}"), payload)


def refuses(tail, fields):
    try:
        read(tail, fields)
    except PayloadError as error:
        return error.reason
    return ""


def when(fields):
    message = read("sensor/4/data", {**{k: v for k, v in READING.items() if k != "ts"}, **fields})
    return clock.normalise(message.ts, NOW, time_valid=message.time_valid)


def sensor(**fields):
    return SensorConfig(**{"esp_id": DEVICE, "gpio": 34, "sensor_type": "ph", **fields})


def actuator(**fields):
    given = {"esp_id": DEVICE, "gpio": 25, "actuator_type": ActuatorType.PUMP}
    return ActuatorConfig(**{**given, **fields})


def refuses_pin(check, config):
    try:
        check("esp32_wroom", config, {})
    except GatewayError:
        return True
    return False


def pushes(count=1):
    """The bodies of so many attempts of one push."""
    push = ConfigPush()
    push.begin(Wanted(board="esp32_wroom", sensors=(sensor(),), actuators=(actuator(),)), 1)
    return [json.loads(outbound.config_push(push.next_part(NOW))) for _ in range(count)]


COMMAND = json.loads(outbound.actuator_command("ON", 1.0, 2.5, str(uuid.uuid4()), 'eve"\\{}'))
BROADCAST = json.loads(outbound.broadcast_stop('sm"oke', "user:1", "c", NOW))
ZONE = json.loads(outbound.zone_assign("", "", "god", "c"))
LONGEST_ACK = outbound.heartbeat_ack("pending_approval", 2**32 - 1, NOW, reason_code="X" * 99)

QUIRKS = [
    # What comes in
    (1, "an empty payload on any topic is no fault",
     lambda: all(refuses(t.value.replace("#", "4"), b"") == "EMPTY" for t in Tail)),
    (2, "no JSON, no object, and nan are refused by name",
     lambda: [refuses("sensor/4/data", b) for b in (b"{", b"[]", b'{"raw":nan}')]
     == ["NOT_JSON", "NOT_OBJECT", "NOT_JSON"]),
    (3, "an unknown tail is no topic of ours",
     lambda: topics.parse(f"kaiser/god/esp/{DEVICE}/library/ready") is None),
    (4, "a payload that names another device is refused",
     lambda: refuses("sensor/4/data", {**READING, "esp_id": "ESP_FFFFFF"}) == "ID_MISMATCH"),
    *((5, f"a time of {fields} is made usable", lambda f=fields, at=at: when(f).at == at)
      for fields, at in (
          ({"ts": 1767096090}, 1767096090.0), ({"ts": 1767096090000}, 1767096090.0),
          ({"ts": "1767096090"}, 1767096090.0), ({"timestamp": 1767096090}, 1767096090.0),
          ({"timestamp": "1767096090000"}, 1767096090.0), ({"ts": 0}, NOW), ({}, NOW),
          ({"ts": None}, NOW), ({"ts": -5}, NOW), ({"ts": 946684800}, NOW),
          ({"ts": 1767096090, "time_valid": False}, NOW))),
    (5, "a heartbeat without a time is a heartbeat",
     lambda: read("system/heartbeat", {k: v for k, v in BEAT.items() if k != "ts"}).uptime == 1),
    (5, "a time of yesterday is a replay, one ahead is stored and triggers nothing",
     lambda: when({"ts": NOW - 90_000}).replayed and not when({"ts": NOW + 60}).current),
    *((6, f"raw as {fields} is read", lambda f=fields, raw=raw:
       read("sensor/4/data", {"sensor_type": "ph", "ts": 1, **f}).raw == raw)
      for fields, raw in (({"raw": 5}, 5), ({"raw": -5}, -5), ({"raw": 5.5}, 5.5),
                          ({"raw": "5"}, 5), ({"raw": "-5.5"}, -5.5), ({"raw_value": "7"}, 7))),
    *((7, f"a heartbeat with {alias} is read", lambda a=alias, n=name:
       getattr(read("system/heartbeat", {**{k: v for k, v in BEAT.items() if k != n}, a: 3}), n) == 3)
      for alias, name in (("free_heap", "heap_free"), ("active_sensors", "sensor_count"),
                          ("active_actuators", "actuator_count"))),
    *((8, f"a status of {fields} is read", lambda f=fields, level=level:
       math.isclose(read("actuator/5/status", f).level, level, abs_tol=0.003))
      for fields, level in (
          ({"state": True, "pwm": 255}, 1.0), ({"state": 1, "pwm": 0}, 1.0), ({"state": 0}, 0.0),
          ({"state": "on"}, 1.0), ({"state": "OFF", "pwm": 9}, 0.0),
          ({"state": "on", "pwm": 0.5}, 0.5), ({"state": True, "value": 51}, 0.2),
          ({"state": True, "pwm": 1}, 1 / 255))),
    (9, "actuator_type or type in a status",
     lambda: {read("actuator/5/status", {"state": True, k: "pump"}).type
              for k in ("type", "actuator_type")} == {"pump"}),
    (9, "alert_type or type in an alert",
     lambda: {read("actuator/5/alert", {k: "x"}).alert_type for k in ("type", "alert_type")} == {"x"}),
    (9, "severity and error_code as numbers or texts",
     lambda: [(e.severity, e.error_code) for e in (
         read("system/error", {"severity": 2, "error_code": 1060}),
         read("system/error", {"severity": "2", "error_code": "1060"}))] == [(2, 1060)] * 2
     and read("system/error", {"severity": "critical", "error_code": 1}).severity == "critical"),
    (9, "error_code is a symbol in a config_response, or a number",
     lambda: [read("config_response", {"status": "error", "type": "system", "error_code": c}).error_code
              for c in ("STALE_SCOPE", 17)] == ["STALE_SCOPE", "17"]),
    (10, "i2c_address as a number or in hexadecimal",
     lambda: {read("sensor/0/data", {**READING, "i2c_address": a}).i2c_address
              for a in (68, "68", "0x44")} == {68}),
    (10, "onewire_address in any case, with separators and prefixes of tools",
     lambda: {read("sensor/4/data", {**READING, "onewire_address": a}).onewire_address for a in (
         "28FF641E8D3C0C79", "28ff641e8d3c0c79", "28-FF641E8D3C0C79", "28:FF:64:1E:8D:3C:0C:79",
         "28.FF641E8D3C0C79", "AUTO_28FF641E8D3C0C79")} == {"28FF641E8D3C0C79"}),
    (11, "the degree sign that tools have mangled",
     lambda: read("sensor/4/data", {**READING, "unit": "Â°C"}).unit == "°C"),
    (12, "ids, seq and zones may be missing everywhere",
     lambda: all(read(t, f) for t, f in (
         ("system/heartbeat", BEAT), ("sensor/4/data", READING), ("actuator/4/status", {"state": True}),
         ("actuator/4/response", {"success": True}), ("actuator/4/alert", {"alert_type": "x"}),
         ("config_response", {"status": "success", "type": "sensor"}),
         ("system/intent_outcome", {"outcome": "applied"}), ("system/error", {"error_code": 1}),
         ("actuator/emergency/ack", {}), ("zone/ack", {}), ("onewire/scan_result", {})))),
    (16, "ids in lower case or with dashes in a topic",
     lambda: topics.parse("kaiser/god/esp/esp-4f3a9c/actuator/5/status").device_id == "esp-4f3a9c"),
    (16, "a simulated device has an id of its own kind",
     lambda: devices.validate_device_id("MOCK_TANK01") is None),
    (17, "old spellings of topics",
     lambda: [topics.parse(f"kaiser/god/esp/{DEVICE}/{old}").tail
              for old in ("heartbeat", "config/response", "system/response")]
     == [Tail.HEARTBEAT, Tail.CONFIG_RESPONSE, Tail.SYSTEM_RESPONSE]),
    (17, "the old discovery topic is ignored",
     lambda: topics.parse("kaiser/god/discovery/esp32_nodes") is None),
    (18, "GPIO 0, 255 and those of unknown boards are read",
     lambda: [topics.parse(f"kaiser/god/esp/{DEVICE}/actuator/{g}/alert").gpio for g in (0, 48, 255)]
     == [0, 48, 255]),
    (19, "more than 64 kB is refused without being parsed",
     lambda: refuses("sensor/4/data", b"{" + b" " * 65_536) == "TOO_LARGE"),
    (20, "a boot shows by the uptime, not by its label",
     lambda: devices.Liveness().heartbeat(NOW, 500)[0].heartbeat(NOW + 60, 20)[1]
     and not devices.Liveness().heartbeat(NOW, 500)[0].heartbeat(NOW + 60, 560)[1]),
    # What goes out
    *((21, f"the {status} ack is small, with an integer epoch, no float and no null",
       lambda s=status: all(type(v) in {str, bool, int} for v in json.loads(
           outbound.heartbeat_ack(s, 1, NOW + 0.5)).values()))
      for status in devices.ACK_STATUS.values()),
    (21, "the longest ack costs 220 bytes of the parser's 256 at most",
     lambda: budget.parse_cost(json.loads(LONGEST_ACK)) <= 220),
    (22, "a command is flat, begins with its verb, is ASCII, and has at most 511 bytes",
     lambda: next(iter(COMMAND)) == "command" and COMMAND["duration"] == 3
     and all(not isinstance(v, dict | list) for v in COMMAND.values())
     and json.dumps(COMMAND).isascii() and not set('"\\{}') & set(COMMAND["issued_by"])),
    (22, "a command that would be longer is refused, or cut, never sent",
     lambda: len(outbound.actuator_command("PWM", 1 / 3, 1e9, "c" * 500, "u" * 500)) <= 511),
    (23, "every string of a zone assignment is there, empty ones too",
     lambda: set(ZONE) >= {"zone_id", "master_zone_id", "zone_name", "kaiser_id", "correlation_id"}
     and all(isinstance(v, str) for v in ZONE.values())),
    (24, "emergency verbs are exact, and the time of a broadcast is text",
     lambda: BROADCAST["command"] == "stop_all" and BROADCAST["timestamp"].endswith("Z")
     and json.loads(outbound.device_emergency("clear_emergency", "", "c"))["command"]
     == "clear_emergency"),
    (25, "ids have 63 characters at most",
     lambda: len(json.loads(outbound.config_push(outbound.ConfigPart("c" * 99, 1)))["correlation_id"]) == 63),
    (25, "each attempt of a push has fresh ids and a newer generation that fits 31 bits",
     lambda: len({p["intent_id"] for p in pushes(4)}) == 4
     and all(a["generation"] < b["generation"] <= 2**31 - 1
             for a, b in itertools.pairwise(pushes(4)))),
    (25, "no created_at_ms leaves",
     lambda: not any("created_at_ms" in m for m in (COMMAND, BROADCAST, ZONE, *pushes()))),
    # Section 21: where documents and firmware disagree, the firmware is right
    ("21.8", "fields that only documents know are ignored",
     lambda: read("sensor/4/data", {**READING, "sensor_name": "x", "meta": {}, "error_code": 5})),
    ("21.12", "an unknown kind of alert is kept",
     lambda: read("actuator/5/alert", {"type": "overrun"}).alert_type == "overrun"),
    ("21.17", "a push names sensor_type and sensor_name",
     lambda: {"sensor_type", "sensor_name"} <= set(pushes()[0]["sensors"][0])),
    ("21.19", "a push has a correlation_id", lambda: pushes()[0]["correlation_id"]),
    ("21.20", "the generation is in seconds", lambda: pushes()[0]["generation"] == int(NOW)),
    ("21.28", "diagnostics that tell uptime as ts are read",
     lambda: read("system/diagnostics", {"ts": 1320}).fields["ts"] == 1320),
    *(("21.31", f"GPIO {pin} is refused, for the firmware refuses it",
       lambda p=pin: refuses_pin(gpio.check_sensor, sensor(gpio=p))
       and refuses_pin(gpio.check_actuator, actuator(gpio=p)))
      for pin in (0, 1, 2, 3, 6, 11, 12, 13, 21, 22)),
    ("21.31", "an actuator on an input-only pin is refused",
     lambda: all(refuses_pin(gpio.check_actuator, actuator(gpio=p)) for p in (34, 35, 36, 39))),
    ("12.6", "an answer without an id is one to the push that is under way",
     lambda: _answered_without_id()),
    ("12.7", "an outcome of persisted ends a push as a config_response does",
     lambda: _ended_by_outcome()),
]  # fmt: skip


def _answered_without_id():
    push = ConfigPush()
    push.begin(Wanted(board="esp32_wroom", sensors=(sensor(),), knows_rules=False), 1)
    push.next_part(NOW)
    return push.answered(inbound.ConfigResponse(status="success", type="sensor")) and (
        push.sync == "in_sync"
    )


def _ended_by_outcome():
    push = ConfigPush()
    push.begin(Wanted(board="esp32_wroom", sensors=(sensor(),), actuators=(actuator(),)), 1)
    for _ in range(2):
        sent = json.loads(outbound.config_push(push.next_part(NOW)))
        assert not push.persisted("another")
        assert push.persisted(sent["intent_id"])
    return push.sync == "in_sync" and not push.persisted("late")


def _name(row):
    return f"{row[0]}: {row[1]}"[:90]


@pytest.mark.parametrize("row", QUIRKS, ids=_name)
def test_22_the_codec_bears_each_quirk(row):
    assert row[2]()


# ---- those that need a whole gateway


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need("mosquitto")
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    made = Site(tmp_path_factory.mktemp("site"), broker, approval="auto")
    yield made
    made.close()
    broker.stop()


_numbers = itertools.count(0xC00001)


@pytest.fixture
def puppet(site):
    made = Puppet(site.broker.host, site.broker.port, f"ESP_{next(_numbers):06X}")
    yield made
    made.close()


@pytest.fixture
def known(site, puppet):
    """A puppet that is registered and online."""
    puppet.beat()
    puppet.hear("heartbeat/ack")
    eventually(lambda: device(site, puppet)["online"])
    puppet.silence()
    return puppet


def device(site, puppet):
    found = [
        d for d in site.client.get("/esp/devices")["data"] if d["device_id"] == puppet.device_id
    ]
    return found[0] if found else {"online": False}


def stored(site, puppet):
    return site.client.get(f"/sensors/data?esp_id={puppet.device_id}")["data"]


def no_crash(site):
    return not [a for a in site.client.get("/system/tree")["data"] if a["last_error"]]


def bears_empty_payloads(site, known):
    for tail in ("sensor/4/data", "system/will", "config", "system/heartbeat", "nothing/known"):
        known.say(tail, b"", retain=True)
    known.say("sensor/4/data", READING | {"ts": int(time.time())})
    eventually(lambda: stored(site, known))


def bears_an_unknown_device(site, known):
    for tail in ("sensor/4/data", "actuator/5/status", "config_response", "session/announce"):
        known.publish(f"kaiser/god/esp/ESP_DDDDDD/{tail}", json.dumps(READING).encode())
    known.say("sensor/4/data", READING | {"ts": int(time.time())})
    eventually(lambda: stored(site, known))
    assert "ESP_DDDDDD" not in {d["device_id"] for d in site.client.get("/esp/devices")["data"]}


def the_gpio_of_the_topic_wins(site, known):
    known.say("sensor/4/data", READING | {"ts": int(time.time()), "gpio": 7})
    assert [r["gpio"] for r in eventually(lambda: stored(site, known))] == [4]


def stores_a_redelivery_once(site, known):
    reading = READING | {"ts": int(time.time()), "seq": 5}
    for _ in range(3):
        known.say("sensor/4/data", reading)
    known.say("sensor/5/data", reading)
    eventually(lambda: [r for r in stored(site, known) if r["gpio"] == 5])
    assert len([r for r in stored(site, known) if r["gpio"] == 4]) == 1


def with_pump(site, known):
    """A configured pump whose first push has been answered."""
    path = f"/actuators/{known.device_id}/25"
    site.client.post(path, {"actuator_type": "pump"}, 201)
    push = json.loads(known.hear("/config").payload)
    known.say("config_response", {"status": "success", "type": "actuator", "count": 1,
                                  "correlation_id": push["correlation_id"]})  # fmt: skip
    known.say("actuator/25/status", {"state": False, "pwm": 0, "ts": int(time.time())})
    eventually(lambda: site.actuator(known.device_id, 25)["reported_value"] == 0.0)
    eventually(lambda: device(site, known)["config_sync"] == "in_sync")


def bears_answers_in_any_order(site, known):
    with_pump(site, known)
    site.client.post(f"/actuators/{known.device_id}/25/command", {"command": "ON"}, 202)
    message = known.hear("actuator/25/command")
    command = json.loads(message.payload)
    assert (message.qos, message.retain) == (2, False)
    outcome = {"intent_id": command["intent_id"], "correlation_id": command["correlation_id"],
               "flow": "command"}  # fmt: skip
    now = int(time.time())
    # The end first, then the answer, twice, then the beginning; the status last.
    known.say("system/intent_outcome", {**outcome, "outcome": "applied"})
    answer = {"success": True, "command": "ON", "correlation_id": command["correlation_id"]}
    known.say("actuator/25/response", answer)
    known.say("actuator/25/response", answer)
    known.say("system/intent_outcome", {**outcome, "outcome": "accepted"})
    known.say("actuator/25/status", {"state": True, "pwm": 255, "ts": now})
    eventually(lambda: site.actuator(known.device_id, 25)["reported_value"] == 1.0)
    last = site.actuator(known.device_id, 25)["last_outcome"]
    assert (last["state"], last["correlation_id"]) == ("confirmed", command["correlation_id"])


def bears_a_retained_will(site, known):
    will = {"status": "offline", "reason": "unexpected_disconnect", "timestamp": 0}
    known.say("system/will", will, retain=True)
    eventually(lambda: not device(site, known)["online"])
    known.beat(uptime=200)
    eventually(lambda: device(site, known)["online"])
    # Cleared at the broker, and our own clearing is borne.
    late = Puppet(site.broker.host, site.broker.port, "late")
    late._client.subscribe(f"kaiser/god/esp/{known.device_id}/system/will", 1)
    late.say("system/heartbeat/ack", b"end")
    assert late.hear("").payload == b"end"
    late.close()


def takes_a_legacy_heartbeat(site, puppet):
    puppet.say("heartbeat", BEAT)
    ack = puppet.hear("heartbeat/ack")
    assert (ack.qos, ack.retain) == (1, False)
    assert type(json.loads(ack.payload)["handover_epoch"]) is int


def takes_pins_0_and_255(site, known):
    known.say("actuator/255/alert", {"alert_type": "verification_failed"})
    known.say("sensor/0/data", READING | {"ts": int(time.time()), "sensor_type": "sht31_temp"})
    known.say(
        "sensor/48/data", READING | {"ts": int(time.time()), "sensor_type": "ph", "raw": 2000}
    )
    eventually(lambda: {r["gpio"] for r in stored(site, known)} == {0, 48})


def acknowledges_before_it_configures(site, known):
    with_pump(site, known)
    known.silence()
    known.beat(uptime=1)
    began = time.monotonic()
    assert known.heard.get(timeout=20).topic.endswith("heartbeat/ack")
    pushed = known.hear("/config")
    assert time.monotonic() - began >= 0.4
    assert (pushed.qos, pushed.retain) == (2, False)


def echoes_the_epoch_of_the_device(site, known):
    for epoch, answered in ((0, 1), (7, 7)):
        known.beat(active_handover_epoch=epoch)
        assert json.loads(known.hear("heartbeat/ack").payload)["handover_epoch"] == answered
    known.publish(f"kaiser/god/esp/{known.device_id}/session/announce",
                  b'{"handover_epoch":3,"session_epoch":3,"reason":"reconnect"}')  # fmt: skip
    known.beat(active_handover_epoch=0)
    assert json.loads(known.hear("heartbeat/ack").payload)["handover_epoch"] == 3


def configures_old_firmware_that_sends_no_ids(site, known):
    site.client.post(f"/actuators/{known.device_id}/25", {"actuator_type": "pump"}, 201)
    known.hear("/config")
    known.say("config_response", {"status": "success", "type": "actuator", "count": 1})
    eventually(lambda: device(site, known)["config_sync"] == "in_sync")


def never_clears_the_broadcast_without_need(site, known):
    known._client.subscribe(topics.BROADCAST_EMERGENCY, 1)
    site.stop_gateway()
    site.start_gateway()
    eventually(lambda: site.client.get("/health")["broker"]["connected"])
    known.beat()
    known.hear("heartbeat/ack")
    assert not [m for m in _drained(known) if m.topic == topics.BROADCAST_EMERGENCY]


def _drained(puppet):
    found = []
    while not puppet.heard.empty():
        found.append(puppet.heard.get())
    return found


ON_THE_WIRE = [
    (1, bears_empty_payloads, "known"),
    (3, bears_an_unknown_device, "known"),
    (4, the_gpio_of_the_topic_wins, "known"),
    (13, stores_a_redelivery_once, "known"),
    (14, bears_answers_in_any_order, "known"),
    (15, bears_a_retained_will, "known"),
    (17, takes_a_legacy_heartbeat, "puppet"),
    (18, takes_pins_0_and_255, "known"),
    (21, echoes_the_epoch_of_the_device, "known"),
    (28, acknowledges_before_it_configures, "known"),
    ("23, D25", configures_old_firmware_that_sends_no_ids, "known"),
    (29, never_clears_the_broadcast_without_need, "known"),
]


@pytest.mark.parametrize(
    ("check", "who"),
    [row[1:] for row in ON_THE_WIRE],
    ids=[f"{number}: {check.__name__.replace('_', ' ')}" for number, check, _ in ON_THE_WIRE],
)
def test_22_the_gateway_bears_each_quirk(site, request, check, who):
    check(site, request.getfixturevalue(who))
    assert no_crash(site)


def test_22_every_number_of_the_checklist_is_in_the_tables():
    tested = {row[0] for row in (*QUIRKS, *ON_THE_WIRE)}
    # 26 and 27 have tests of their own, below.
    assert set(range(1, 30)) - tested == {26, 27}


def test_22_26_no_port_retains_commands_configuration_stops_or_acks(site, known):
    with_pump(site, known)
    site.client.post("/actuators/emergency_stop", {"esp_id": known.device_id}, 200)
    known.beat(uptime=500)
    kept = Puppet(site.broker.host, site.broker.port, "kept")
    kept._client.subscribe("#", 1)
    kept.say("end", b"end")
    retained = []
    while (message := kept.hear("")).topic != "kaiser/god/esp/kept/end":
        retained.append(message.topic)
    kept.close()
    assert {t for t in retained if not t.endswith("/will")} <= {
        "kaiser/god/server/status", *(t for t in retained if "nothing/known" in t),
    }  # fmt: skip
    assert "kaiser/god/server/status" in retained


def test_22_27_the_next_part_waits_for_the_answer_to_the_one_before(site, known):
    path = f"/esp/devices/{known.device_id}"
    site.client.post(f"/sensors/{known.device_id}/34", {"sensor_type": "ph"}, 201)
    site.client.post(f"/actuators/{known.device_id}/25", {"actuator_type": "pump"}, 201)
    first = json.loads(known.hear("/config").payload)
    known.beat(uptime=101)
    known.hear("heartbeat/ack")
    assert "sensors" in first and known.heard.empty()
    assert site.client.get(path)["config_sync"] == "pending"
    known.say("config_response", {"status": "success", "type": "sensor", "count": 1,
                                  "correlation_id": first["correlation_id"]})  # fmt: skip
    assert "actuators" in json.loads(known.hear("/config").payload)


def test_6_7_the_statuses_of_acks_are_those_of_the_contract():
    assert {a: devices.ACK_STATUS[a] for a in Approval} == {
        Approval.PENDING: "pending_approval", Approval.APPROVED: "online",
        Approval.REJECTED: "rejected",
    }  # fmt: skip
