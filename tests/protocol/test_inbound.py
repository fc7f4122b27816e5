"""What devices send: the contract's own examples, section by section, and what must be tolerated."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.protocol import inbound, topics
from godkaiser.protocol.codec import MAX_PAYLOAD_BYTES, decode
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import DeviceTopic, Tail

DEVICE = "ESP_4F3A9C"


def read(tail: str, payload: bytes | dict) -> inbound.DeviceMessageBody:
    topic = topics.parse(f"kaiser/god/esp/{DEVICE}/{tail}")
    assert topic is not None
    return decode(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode())


def refused(tail: str, payload: bytes | dict) -> str:
    with pytest.raises(PayloadError) as caught:
        read(tail, payload)
    return caught.value.reason


# ---- the examples of the contract, by section

EXAMPLES = {
    "3.4 will": (
        "system/will",
        b'{"status":"offline","esp_id":"ESP_4F3A9C","reason":"unexpected_disconnect","timestamp":1767096000}',
        inbound.Will,
        {"status": "offline", "reason": "unexpected_disconnect"},
    ),
    "6.4 heartbeat": (
        "system/heartbeat",
        b'{"esp_id":"ESP_4F3A9C","zone_id":"greenhouse_1","master_zone_id":"farm","zone_assigned":true,'
        b'"ts":1767096060,"time_valid":true,"boot_sequence_id":"ESP_4F3A9C-b1-r1","reset_reason":"POWERON",'
        b'"segment_start_ts":1767095400,"uptime":660,"heap_free":141208,"wifi_rssi":-58,"sensor_count":3,'
        b'"actuator_count":2,"wifi_ip":"192.168.10.41","active_handover_epoch":0,"handover_completed_epoch":0,'
        b'"persistence_degraded":false,"persistence_degraded_reason":"NONE","runtime_state_degraded":false,'
        b'"config_status":{"wifi_configured":true,"state":9}}',
        inbound.Heartbeat,
        {"uptime": 660, "heap_free": 141208, "wifi_rssi": -58, "actuator_count": 2},
    ),
    "6.4 heartbeat, D25": (
        "system/heartbeat",
        b'{"esp_id":"ESP_4F3A9C","zone_id":"","master_zone_id":"","zone_assigned":false,"ts":1766836800,'
        b'"uptime":120,"heap_free":245760,"wifi_rssi":-65,"sensor_count":0,"actuator_count":0}',
        inbound.Heartbeat,
        {"ts": 1766836800, "sensor_count": 0},
    ),
    "6.8 session": (
        "session/announce",
        b'{"esp_id":"ESP_4F3A9C","handover_epoch":2,"session_epoch":2,"reason":"reconnect",'
        b'"ts_ms":1767099660123,"boot_ts":"1767095400"}',
        inbound.SessionAnnounce,
        {"handover_epoch": 2, "reason": "reconnect"},
    ),
    "8.1 sensor data": (
        "sensor/4/data",
        '{"esp_id":"ESP_4F3A9C","seq":412,"zone_id":"greenhouse_1","subzone_id":"bench_a","gpio":4,'
        '"sensor_type":"ds18b20","raw":376,"value":23.50,"unit":"°C","quality":"good","ts":1767096090,'
        '"time_valid":true,"raw_mode":true,"onewire_address":"28FF641E8D3C0C79"}'.encode(),
        inbound.SensorData,
        {"raw": 376, "seq": 412, "onewire_address": "28FF641E8D3C0C79", "unit": "°C"},
    ),
    "8.3 sensor response": (
        "sensor/34/response",
        b'{"request_id":"req_7f3a","gpio":34,"command":"measure","success":true,"measurement_ok":true,'
        b'"reason_code":"NONE","quality":"good","sensor_type":"ph","raw":2150,"ts":1767096120}',
        inbound.SensorResponse,
        {"request_id": "req_7f3a", "success": True},
    ),
    "10.3 status": (
        "actuator/25/status",
        b'{"esp_id":"ESP_4F3A9C","seq":501,"zone_id":"greenhouse_1","subzone_id":"","ts":1767096201,'
        b'"gpio":25,"type":"pump","state":true,"pwm":255,"runtime_ms":40,"emergency":"normal",'
        b'"command_source":"user:4"}',
        inbound.ActuatorStatus,
        {"state": True, "pwm": 255, "level": 1.0, "emergency": "normal"},
    ),
    "10.4 response": (
        "actuator/25/response",
        b'{"esp_id":"ESP_4F3A9C","seq":502,"ts":1767096201,"gpio":25,"command":"ON","value":1.000,'
        b'"duration":60,"success":true,"message":"Command executed","correlation_id":"2f0a",'
        b'"issued_by":"user:4"}',
        inbound.ActuatorResponse,
        {"success": True, "correlation_id": "2f0a", "command": "ON"},
    ),
    "10.5 alert": (
        "actuator/25/alert",
        b'{"esp_id":"ESP_4F3A9C","seq":640,"ts":1767099800,"gpio":25,"alert_type":"runtime_protection",'
        b'"message":"Actuator exceeded max runtime"}',
        inbound.ActuatorAlert,
        {"alert_type": "runtime_protection"},
    ),
    "11.4 stop acknowledged": (
        "actuator/emergency/ack",
        b'{"ts":1767096300,"esp_id":"ESP_4F3A9C","correlation_id":"5f1b","command":"emergency_stop",'
        b'"gpio_count":2,"outcome":"executed","seq":650}',
        inbound.EmergencyAck,
        {"correlation_id": "5f1b", "outcome": "executed", "gpio_count": 2},
    ),
    "11.5 cleared": (
        "actuator/emergency/response",
        b'{"status":"emergency_cleared","timestamp":123456,"seq":3}',
        inbound.EmergencyResponse,
        {"status": "emergency_cleared"},
    ),
    "11.5 clear failed": (
        "actuator/emergency/error",
        b'{"error":"clear_failed","message":"verification","seq":4}',
        inbound.EmergencyError,
        {"error": "clear_failed"},
    ),
    "11.5 recovery": (
        "actuator/recovery_confirm",
        b'{"ts":1767096420,"esp_id":"ESP_4F3A9C","correlation_id":"6a2c","command":"clear_emergency",'
        b'"state":"cleared","seq":671}',
        inbound.RecoveryConfirm,
        {"state": "cleared", "correlation_id": "6a2c"},
    ),
    "12.6 config response": (
        "config_response",
        b'{"seq":80,"status":"error","type":"actuator","count":0,"message":"Failed to configure actuator",'
        b'"error_code":"UNKNOWN_ERROR","failed_item":{"gpio":34,"actuator_type":"pump"},"correlation_id":"aa11"}',
        inbound.ConfigResponse,
        {"status": "error", "error_code": "UNKNOWN_ERROR", "failed_item": {"gpio": 34, "actuator_type": "pump"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("section", EXAMPLES)
def test_the_contracts_own_examples_are_read(section):
    tail, payload, kind, fields = EXAMPLES[section]
    message = read(tail, payload)
    assert type(message) is kind
    assert {name: getattr(message, name) for name in fields} == fields


# ---- what old firmware, simulators and tools send

READING = {"sensor_type": "ds18b20", "raw": 376, "ts": 1767096090}


@pytest.mark.parametrize(
    ("tail", "payload", "field", "expected"),
    [
        ("system/heartbeat", {"ts": 1, "uptime": 1, "free_heap": 7, "wifi_rssi": -1}, "heap_free", 7),
        ("system/heartbeat", {"ts": 1, "uptime": 1, "heap_free": 7, "wifi_rssi": -1,
                              "active_sensors": 4}, "sensor_count", 4),
        ("sensor/4/data", {**READING, "raw": "376"}, "raw", 376.0),
        ("sensor/4/data", {"sensor_type": "ph", "raw_value": 2, "timestamp": 5}, "raw", 2.0),
        ("sensor/4/data", {**READING, "quality": "splendid"}, "quality", "unknown"),
        ("sensor/4/data", {**READING, "unit": "Â°C"}, "unit", "°C"),
        ("sensor/4/data", {**READING, "i2c_address": "0x44"}, "i2c_address", 0x44),
        ("sensor/4/data", {**READING, "sensor_type": " SHT31_Temp "}, "sensor_type",
         "sht31_temp"),
        ("sensor/4/data", {**READING, "onewire_address": "AUTO_28-ff641e8d3c0c79"},
         "onewire_address", "28FF641E8D3C0C79"),
        ("sensor/4/data", {**READING, "value": None}, "value", None),
        ("sensor/4/data", {**READING, "library_name": "x", "meta": {"a": [1]}}, "raw", 376.0),
        ("actuator/5/status", {"state": "ON", "pwm": 0}, "state", True),
        ("actuator/5/status", {"state": "off"}, "state", False),
        ("actuator/5/status", {"state": 1, "pwm": 0.5}, "pwm", 128),
        ("actuator/5/status", {"state": True, "value": 51}, "level", 0.2),
        ("actuator/5/status", {"state": True}, "level", 1.0),
        ("actuator/5/status", {"state": False, "pwm": 200}, "level", 0.0),
        ("system/error", {"error_code": "1040", "severity": "3"}, "error_code", 1040),
        ("config_response", {"status": "error", "type": "sensor", "error_code": 17}, "error_code", "17"),
    ],
)  # fmt: skip
def test_known_deviations_are_tolerated(tail, payload, field, expected):
    assert getattr(read(tail, payload), field) == expected


# ---- what is refused, and as what


@pytest.mark.parametrize(
    ("tail", "payload", "reason"),
    [
        ("sensor/4/data", b"", "EMPTY"),
        ("sensor/4/data", b"{" + b" " * MAX_PAYLOAD_BYTES + b"}", "TOO_LARGE"),
        ("sensor/4/data", b"{not json", "NOT_JSON"),
        ("sensor/4/data", b"\xff\xfe\x00", "NOT_JSON"),
        ("sensor/4/data", b"[" * 30_000, "NOT_JSON"),
        ("sensor/4/data", b"[1, 2]", "NOT_OBJECT"),
        ("sensor/4/data", {"raw": 1, "ts": 1}, "MALFORMED"),
        ("sensor/4/data", {**READING, "raw": [1]}, "MALFORMED"),
        ("sensor/4/data", {**READING, "raw": "warm"}, "MALFORMED"),
        ("sensor/4/data", b'{"sensor_type":"ph","raw":1e999,"ts":1}', "NOT_JSON"),
        ("sensor/4/data", b'{"sensor_type":"ph","raw":NaN,"ts":1}', "NOT_JSON"),
        ("sensor/4/data", {**READING, "raw": "NaN"}, "MALFORMED"),
        ("sensor/4/data", {**READING, "esp_id": "ESP_FFFFFF"}, "ID_MISMATCH"),
        ("system/heartbeat", {"ts": 1}, "MALFORMED"),
        ("actuator/5/status", {"state": "perhaps"}, "MALFORMED"),
        ("actuator/5/response", {"success": "of course"}, "MALFORMED"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(tail, payload, reason):
    assert refused(tail, payload) == reason


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELD_NAMES = sorted(
    {name for kind in inbound.DeviceMessageBody.__subclasses__() for name in kind.__struct_fields__}
    | {"timestamp", "raw_value", "free_heap", "value"}
)
tails_from_devices = st.sampled_from([tail for tail in Tail if not tail.to_device])


@given(tails_from_devices, st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_a_payload_error(tail, payload):
    try:
        decode(DeviceTopic("god", DEVICE, tail, 4), payload)
    except PayloadError as error:
        assert error.reason.isupper() and error.detail


@given(tails_from_devices, st.dictionaries(st.sampled_from(FIELD_NAMES), anything, max_size=12))
def test_random_fields_raise_nothing_but_a_payload_error(tail, fields):
    try:
        message = decode(DeviceTopic("god", DEVICE, tail, 4), json.dumps(fields).encode())
    except PayloadError as error:
        assert error.reason.isupper() and error.detail
    else:
        assert message.esp_id in {"", DEVICE}


# ---- topics


@given(st.sampled_from(list(Tail)), st.integers(0, 255))
def test_a_topic_is_read_as_it_was_made(tail, gpio):
    with_gpio = gpio if "#" in tail.value else None
    made = topics.device_topic("god", DEVICE, tail, with_gpio)
    assert topics.parse(made) == DeviceTopic("god", DEVICE, tail, with_gpio)


@pytest.mark.parametrize(
    "topic",
    [
        "", "/", "kaiser", "kaiser/god/esp/X", "other/god/esp/X/system/heartbeat",
        "kaiser/god/esp//system/heartbeat", "kaiser//esp/X/system/heartbeat",
        "kaiser/god/esp/X/sensor/256/data", "kaiser/god/esp/X/sensor/-1/data",
        "kaiser/god/esp/X/sensor/1e1/data", "kaiser/god/esp/X/sensor/٣/data",
        "kaiser/god/esp/X/sensor/#/data", "kaiser/god/esp/X/sensor/4/data/more",
        f"kaiser/god/esp/{'X' * 32}/system/heartbeat", "kaiser/god/esp/X/sensor/0004/data",
    ],
)  # fmt: skip
def test_other_topics_are_not_ours(topic):
    assert topics.parse(topic) is None


@given(st.text(max_size=80))
def test_any_topic_is_read_or_not_ours(topic):
    found = topics.parse(topic)
    assert found is None or isinstance(found, DeviceTopic)


@pytest.mark.parametrize(
    ("old", "tail"),
    [
        ("heartbeat", Tail.HEARTBEAT),
        ("config/response", Tail.CONFIG_RESPONSE),
        ("system/response", Tail.SYSTEM_RESPONSE),
    ],
)
def test_old_spellings_of_topics_are_known(old, tail):
    found = topics.parse(f"kaiser/god/esp/{DEVICE}/{old}")
    assert found is not None and found.tail is tail


@pytest.mark.parametrize(
    ("tail", "field"),
    [
        ("actuator/25/status", '"state": true, "runtime_ms"'),
        ("system/heartbeat", '"uptime"'),
        ("actuator/25/response", '"success": true, "seq"'),
        ("sensor/4/data", '"sensor_type": "ds18b20", "raw": 1, "seq"'),
    ],
)
def test_a_number_of_four_hundred_digits_is_refused_where_it_enters(tail, field):
    """The kind: a number that no float, no clock and no database takes."""
    topic = topics.parse(f"kaiser/god/esp/ESP_4F3A9C/{tail}")
    payload = f'{{"esp_id": "ESP_4F3A9C", {field}: 1{"0" * 400}}}'.encode()
    with pytest.raises(PayloadError) as refused:
        decode(topic, payload)
    assert refused.value.reason == "MALFORMED"
