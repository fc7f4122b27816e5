"""Texts that a database cannot store, from every side, with PostgreSQL. The kind: a text that one part takes and
the next one crashes on. The gateway goes on, above all in the midst of an emergency.
"""

from __future__ import annotations

import json

import pytest
from paho.mqtt import publish

from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import DEVICE, FAN, SITE
from tests.waiting import eventually

BAD = [
    rb"a\u0000b",
    rb"half \ud800 pair",
    b"not \xff utf-8",
    rb"\u001b[2Jcleared",
    b"\x9b2J",
    rb"turned \u202e round",
]


@pytest.fixture
def gateway(tmp_path, mosquitto_factory, postgres_url):
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE)
    broker = mosquitto_factory()
    process = GatewayProcess(tmp_path, broker.port, postgres_url)
    process.broker_port = broker.port
    process.start()
    process.log_in()
    yield process
    process.stop()


def say(gateway, topic, body):
    publish.single(topic, body, qos=1, hostname="127.0.0.1", port=gateway.broker_port)


@pytest.mark.parametrize("text", BAD)
def test_a_stop_on_the_broadcast_topic_holds_whatever_its_reason_is(gateway, text):
    say(
        gateway,
        "kaiser/broadcast/emergency",
        b'{"command": "stop_all", "issued_by": "' + text + b'", "reason": "' + text + b'"}',
    )
    eventually(lambda: gateway.client.get("/health")["safety"] == "active")

    def stored():
        entries = gateway.client.get("/audit/log")["data"]
        return [entry for entry in entries if "broadcast" in entry["who"]]

    assert eventually(stored)[0]["who"].isprintable()
    goes_on(gateway)


def test_whatever_a_device_says_is_stored_and_nothing_crashes(gateway):
    base = f"kaiser/god/esp/{DEVICE}"
    beat = {"esp_id": DEVICE, "uptime": 60, "heap_free": 90000, "wifi_rssi": -50}
    say(gateway, f"{base}/system/heartbeat", json.dumps(beat))
    eventually(lambda: gateway.client.get(f"/esp/devices/{DEVICE}")["online"])
    for number, text in enumerate(BAD):
        where = b'{"esp_id": "' + DEVICE.encode() + b'", "gpio": 4, '
        say(gateway, f"{base}/sensor/4/data", where + b'"sensor_type": "' + text
            + b'", "raw": %d, "unit": "' % number + text + b'", "zone_id": "' + text + b'"}')  # fmt: skip
        for tail in (f"actuator/{FAN}/alert", f"actuator/{FAN}/response", "system/error"):
            say(gateway, f"{base}/{tail}", where + b'"alert_type": "' + text + b'", "message": "'
                + text + b'", "error_code": 1, "severity": "' + text + b'", "command": "ON",'
                + b' "success": false, "correlation_id": "' + text + b'"}')  # fmt: skip
    good = {"esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "raw": 21.0, "seq": 1}
    say(gateway, f"{base}/sensor/4/data", json.dumps(good))

    def measured():
        answer = gateway.client.get(f"/sensors/data?esp_id={DEVICE}&sensor_type=ds18b20")
        return answer["data"] or answer.get("readings")

    eventually(measured)
    goes_on(gateway)


@pytest.mark.parametrize(
    "path",
    [
        "/audit/log?who=%00",
        "/sensors/data?esp_id=%00&limit=1",
        "/sensors/data?sensor_type=a%00b",
        "/actuators/history?esp_id=%00",
        "/logic/rules?name=%00",
    ],
)
def test_a_query_with_such_a_text_is_answered(gateway, path):
    status, answer = gateway.client.call("GET", path)
    assert status in {200, 400, 404}, answer


def test_a_stop_by_rest_is_not_refused_for_a_character_in_its_reason(gateway):
    for text in BAD:
        body = b'{"reason": "' + text + b'"}'
        status, answer = gateway.client.call("POST", "/actuators/emergency_stop", raw=body)
        assert status == 200, answer
    assert gateway.client.get("/health")["safety"] == "active"
    goes_on(gateway)


def goes_on(gateway):
    tree = gateway.client.get("/system/tree")["data"]
    assert [(a["path"], a["last_error"]) for a in tree if a["restarts"]] == []
    assert gateway.client.get("/health")["database"]["ok"]
    assert json.dumps(gateway.client.get("/system/storage"))
