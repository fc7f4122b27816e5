"""Bad input: told to its author, counted, and nothing else changes."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
from urllib.parse import quote, urlencode

import paho.mqtt.client as mqtt
import pytest

from godkaiser.http.access.permissions import ROLES
from godkaiser.http.endpoints import BY_KEY
from godkaiser.http.services import MOST_WAITERS
from tests.provision.servers import free_port
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25
ON = {"esp_id": BENCH, "gpio": FAN, "command": "ON"}


@pytest.fixture
def site(make_site):
    made = make_site(devices=1)
    made.disable_rules()
    made.start_fleet(interval_s=0.5)
    made.wait_in_sync()
    return made


def test_requests_that_cannot_be_meant(site):
    """One site for all: nothing that one of these does may spoil the next."""
    call = site.client.call
    rule = {"name": "r", "conditions": [], "actions": []}
    cases = [
        ("POST", "/actuators/command", b"{not json", 400, "MALFORMED_BODY", "JSON"),
        ("POST", "/actuators/command", b"", 400, "VALIDATION_ERROR", "command"),
        ("POST", "/actuators/command", b"[]", 400, "VALIDATION_ERROR", "object"),
        ("POST", "/actuators/command", b"\xff\xfe", 400, "MALFORMED_BODY", ""),
        ("POST", "/actuators/command", b"[" * 100_000, 400, None, ""),
        ("POST", "/actuators/command", {"esp_id": BENCH}, 400, "VALIDATION_ERROR", "command"),
        ("POST", "/actuators/command", {**ON, "gpio": "25"}, 400, "VALIDATION_ERROR", "gpio"),
        ("POST", "/actuators/command", {**ON, "surprise": 1}, 400, "VALIDATION_ERROR", "surprise"),
        ("POST", "/actuators/command", {**ON, "gpio": 99}, 400, "INVALID_GPIO", "99"),
        ("POST", "/actuators/command", {**ON, "command": "EXPLODE"}, 400, "UNKNOWN_COMMAND", "TOGGLE"),
        ("POST", "/actuators/command", {**ON, "command": "PWM", "value": 80}, 400,
         "VALUE_OUT_OF_RANGE", "0.8"),
        ("POST", "/actuators/command", b'{"esp_id":"%s","gpio":25,"command":"PWM","value":NaN}'
         % BENCH.encode(), 400, "MALFORMED_BODY", ""),
        ("POST", "/actuators/command", {**ON, "duration": -1}, 400, "VALUE_OUT_OF_RANGE", "duration"),
        ("POST", "/actuators/command", {**ON, "duration": 31_536_000}, 400, "VALUE_OUT_OF_RANGE", ""),
        ("POST", "/actuators/command", {**ON, "esp_id": "ESP_FFFFFF"}, 404, None, "ESP_FFFFFF"),
        ("POST", "/actuators/command", {**ON, "gpio": 33}, 404, None, "33"),
        ("POST", "/actuators/clear_emergency", {}, 409, "NO_EMERGENCY_STOP", ""),
        ("POST", "/esp/register", {"device_id": "../etc"}, 400, "INVALID_DEVICE_ID", "ESP_"),
        ("POST", "/esp/register", {"device_id": BENCH}, 409, None, BENCH),
        ("POST", "/esp/devices/ESP_FFFFFF/approve", {}, 404, None, "ESP_FFFFFF"),
        ("POST", f"/sensors/{BENCH}/99", {"sensor_type": "ph"}, 400, "INVALID_GPIO", "99"),
        ("POST", f"/sensors/{BENCH}/x", {"sensor_type": "ph"}, 400, "INVALID_GPIO", "x"),
        ("POST", f"/actuators/{BENCH}/33", {"actuator_type": "laser"}, 400,
         "UNKNOWN_ACTUATOR_TYPE", "pump"),
        ("POST", f"/actuators/{BENCH}/34", {"actuator_type": "relay"}, 400, "INVALID_GPIO", "34"),
        ("POST", "/logic/rules", rule, 400, "INVALID_RULE", "condition"),
        ("GET", "/logic/rules/999", None, 404, None, "999"),
        ("GET", "/sensors/data?limit=-1", None, 400, "VALIDATION_ERROR", "limit"),
        ("GET", "/sensors/data?start=yesterday", None, 400, "VALIDATION_ERROR", "start"),
        ("GET", "/sensors/data?limit=0000000000010000000", None, 400, "VALIDATION_ERROR", "limit"),
        ("GET", "/sensors/data?start=1e308", None, 400, "VALIDATION_ERROR", "start"),
        ("GET", "/sensors/data?start=200&end=100", None, 400, "INVALID_TIME_RANGE", "start"),
        ("POST", f"/actuators/{BENCH}/{'0' * 5000}25/command", {"command": "OFF"}, 400,
         "INVALID_GPIO", ""),
        ("POST", "/actuators/command?wait=abc", ON, 400, "VALIDATION_ERROR", "wait"),
        ("POST", "/actuators/emergency_stop", {"zone_id": "NOPE"}, 400, "VALIDATION_ERROR", "NOPE"),
        ("POST", "/actuators/emergency_stop", {"zone_id": "z", "esp_id": BENCH}, 400,
         "VALIDATION_ERROR", "neither"),
        ("POST", "/esp/register", {"device_id": "ESP_C00001", "name": "a\0b"}, 400,
         "VALIDATION_ERROR", "NUL"),
        ("POST", "/sensors/data", {"esp_id": BENCH, "gpio": 0, "sensor_type": "sht31_temp",
                                   "address": "0x44", "raw": 27000, "timestamp": 1e18}, 400,
         "VALUE_OUT_OF_RANGE", "timestamp"),
        ("GET", "/nothing/here", None, 404, "NOT_FOUND", ""),
        ("DELETE", "/health", None, 405, "METHOD_NOT_ALLOWED", ""),
        ("POST", "/system/actors/restart", {"path": "/nobody"}, 404, None, "/nobody"),
    ]  # fmt: skip
    wrong = []
    before = site.client.get("/actuators")["data"]
    for method, path, body, status, code, says in cases:
        how = {"raw": body} if isinstance(body, bytes) else {"body": body}
        got, answer = call(method, path, **how)
        error = answer["error"]
        told = error["message"] + json.dumps(error["details"])
        if (
            got != status
            or answer["success"] is not False
            or not error["request_id"]
            or code not in {None, error["code"]}
            or says not in told
        ):
            wrong.append((method, path, str(body)[:60], got, error))
    assert not wrong, "\n".join(map(str, wrong))
    assert call(
        "POST", "/actuators/command", raw=b'{"a":1}', headers={"Content-Type": "text/plain"}
    )[0] in {400, 415}
    huge = b'{"esp_id":"' + b"x" * 3_000_000 + b'"}'
    try:
        assert call("POST", "/actuators/command", raw=huge)[0] in {400, 413}
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        # The server answers in words, or cuts the body off: as good.
        site.client.close()
    after = site.client.get("/actuators")["data"]
    steady = ("esp_id", "gpio", "desired_value", "owner")
    assert [[a.get(k) for k in steady] for a in before] == [
        [a.get(k) for k in steady] for a in after
    ]
    crashed = [i for i in site.client.get("/system/tree")["data"] if i["last_error"]]
    assert not crashed


ODD = [
    None, True, -1, 0, 1, 40, 255, 1e308, -1e308, 2**63, "", "\x00", "\ud83d\ude00" * 50, "x" * 5000,
    "../..", "%00", [], {}, [[]], {"": None}, {"type": "sensor"}, "ON", BENCH, "NaN",
]  # fmt: skip
NEVER = {"/actuators/emergency_stop", "/auth/logout", "/system/actors/crash"}


def test_no_request_whatsoever_is_an_internal_error(site):
    """Every endpoint, with odd values in every field that any of them has."""
    dice = random.Random(1)
    fields = [
        "esp_id", "gpio", "command", "value", "duration", "device_id", "name", "board", "zone_id",
        "sensor_type", "raw", "username", "password", "refresh_token", "actuator_type",
        "max_runtime_s", "min_value", "conditions", "actions", "enabled", "priority",
        "cooldown_seconds", "reason", "path", "calibration", "interval_s", "address",
        "accept_unconfirmed",
    ]  # fmt: skip
    wrong = []
    for method, path in BY_KEY:
        if path in NEVER:
            continue
        for _ in range(25):
            odd = [
                quote(str(dice.choice(ODD))[:60].encode("utf-8", "replace"), safe="")
                for _ in "1234"
            ]
            target = re.sub(r"{\w+}", lambda _m, odd=odd: odd.pop() or "x", path)
            if method == "GET":
                names = ("limit", "start", "end", "esp_id", "gpio", "sensor_type", "wait")
                chosen = {n: str(dice.choice(ODD))[:50] for n in dice.sample(names, 3)}
                target += "?" + urlencode(chosen, errors="replace")
                body = None
            else:
                body = {n: dice.choice(ODD) for n in dice.sample(fields, dice.randrange(1, 9))}
            status, answer = site.client.call(method, target, body)
            if status >= 500 and status != 503:
                wrong.append((method, target, body, answer))
    assert not wrong, wrong[:3]
    crashed = [i for i in site.client.get("/system/tree")["data"] if i["last_error"]]
    assert not crashed


def test_who_may_not_is_told_why(site):
    now = site.gateway.system.runtime.now()
    for role in ("viewer", "operator"):
        site.gateway.tokens.create_user(role, PASSWORD, ROLES[role], now)
    anonymous = Client(site.gateway.http_port)
    for path in ("/esp/devices", "/system/tree", "/sensors/data"):
        status, answer = anonymous.call("GET", path)
        assert (status, answer["error"]["code"]) == (401, "NOT_AUTHENTICATED"), answer
    assert anonymous.call("GET", "/esp/devices", token="garbage")[0] == 401
    forged = site.client.token.rsplit(".", 1)[0] + ".AAAA"
    assert anonymous.call("GET", "/esp/devices", token=forged)[0] == 401
    viewer = Client(site.gateway.http_port)
    login = {"username": "viewer", "password": PASSWORD}
    viewer.token = viewer.post("/auth/login", login, 200)["access_token"]
    assert viewer.call("GET", "/esp/devices")[0] == 200
    status, answer = viewer.call("POST", "/actuators/command", ON)
    assert status == 403 and "operator" in answer["error"]["message"]
    status, answer = viewer.call("POST", "/system/actors/restart", {"path": "/control/devices"})
    assert status == 403
    # To stop is everybody's right who is known.
    assert viewer.call("POST", "/actuators/emergency_stop", {})[0] in {200, 403}
    wrong = anonymous.call("POST", "/auth/login", {"username": "admin", "password": "wrong"})
    unknown = anonymous.call("POST", "/auth/login", {"username": "nobody", "password": "wrong"})
    assert wrong[0] == unknown[0] == 401
    assert wrong[1]["error"]["message"] == unknown[1]["error"]["message"]
    setup = anonymous.call("POST", "/auth/setup", {"username": "second", "password": PASSWORD})
    assert (setup[0], setup[1]["error"]["code"]) == (403, "SETUP_CLOSED"), setup
    anonymous.close()
    viewer.close()


def test_what_devices_should_not_send(site):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(site.broker.host, site.broker.port)
    client.loop_start()
    eventually(client.is_connected)
    data = f"kaiser/god/esp/{BENCH}/sensor/4/data"
    bad = [
        (data, b""), (data, b"\x00\xff"), (data, b"[1]"), (data, b'{"raw":1}'), (data, b'{"sensor_type":"ds18b20","raw":1,"ts":1e300}'),
        (data, b'{"sensor_type":"ds18b20","raw":"warm","ts":1}'),
        (data, b'{"esp_id":"ESP_FFFFFF","sensor_type":"ds18b20","raw":1,"ts":1}'),
        ("kaiser/god/esp/ESP_FFFFFF/sensor/4/data", b'{"sensor_type":"ph","raw":1,"ts":1}'),
        ("kaiser/god/esp/not a device/system/heartbeat", b"{}"),
        (f"kaiser/god/esp/{BENCH}/nonsense/topic", b"{}"),
        (f"kaiser/god/esp/{BENCH}/sensor/999/data", b'{"sensor_type":"ph","raw":1,"ts":1}'),
        (f"kaiser/god/esp/{BENCH}/actuator/99/status", b'{"state":true}'),
        (f"kaiser/god/esp/{BENCH}/actuator/{FAN}/response",
         b'{"success":true,"correlation_id":"forged"}'),
        (f"kaiser/god/esp/{BENCH}/actuator/emergency/ack", b'{"correlation_id":"forged"}'),
        (f"kaiser/god/esp/{BENCH}/actuator/recovery_confirm", b'{"state":"cleared"}'),
        ("kaiser/god/esp/ESP_A00009/system/heartbeat", b"{}"),
    ]  # fmt: skip
    for topic, payload in bad:
        client.publish(topic, payload, qos=1).wait_for_publish(5)

    def counted():
        letters = site.client.get("/system/dead-letters?limit=1000")["data"]
        return len(letters) >= 6 and letters

    letters = eventually(counted)
    assert any("MALFORMED" in letter["detail"] for letter in letters), letters
    client.loop_stop()
    client.disconnect()
    devices = {d["device_id"] for d in site.client.get("/esp/devices")["data"]}
    assert devices == {BENCH}, "no device is made of what is not a heartbeat"
    assert site.client.get("/safety/status")["state"] == "normal"
    newest = site.client.get(f"/sensors/data?esp_id={BENCH}&limit=1")["data"][0]["received_at"]
    eventually(
        lambda: (
            site.client.get(f"/sensors/data?esp_id={BENCH}&limit=1")["data"][0]["received_at"]
            > newest
        )
    )
    crashed = [i for i in site.client.get("/system/tree")["data"] if i["last_error"]]
    assert not crashed


# ---- what is wrong around the gateway


def start(tmp_path, text, *arguments):
    config = tmp_path / "godkaiser.toml"
    config.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", "run", "--config", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_a_port_in_use_is_named(tmp_path, site):
    text = (
        f'[gateway]\ndata_dir = "{tmp_path / "other"}"\n'
        f'[http]\nlisten = "127.0.0.1:{site.gateway.http_port}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {site.broker.port}\n'
    )
    ended = start(tmp_path, text)
    assert ended.returncode == 75
    assert str(site.gateway.http_port) in ended.stderr and "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_gateway_on_the_same_data_is_refused(tmp_path, site):
    """Each would undo the other's stop."""
    text = (
        f'[gateway]\ndata_dir = "{site.config.gateway.data_dir}"\n'
        f'[http]\nlisten = "127.0.0.1:{free_port()}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {site.broker.port}\n'
    )
    ended = start(tmp_path, text)
    assert ended.returncode == 75
    assert f"another gateway (process {os.getpid()})" in ended.stderr


def test_a_database_that_cannot_be_written_is_named(tmp_path):
    blocker = tmp_path / "blocker"
    blocker.write_text("a file where a folder is needed")
    text = (
        f'[gateway]\ndata_dir = "{tmp_path / "var"}"\n'
        f'[http]\nlisten = "127.0.0.1:{free_port()}"\n'
        f'[database]\nurl = "sqlite:///{blocker}/x.db"\n'
    )
    ended = start(tmp_path, text)
    assert ended.returncode == 78
    assert str(blocker) in ended.stderr and "Traceback" not in ended.stderr


def test_a_broker_that_is_not_there_is_waited_for_and_told(make_site, own_mosquitto):
    own_mosquitto.stop()
    site = make_site(devices=1)
    health = site.client.call("GET", "/health")
    assert health[1]["status"] != "healthy" and str(own_mosquitto.port) in json.dumps(health[1])
    status, answer = site.client.call("POST", "/actuators/command", ON)
    assert status in {409, 503}, answer
    own_mosquitto.start()
    eventually(lambda: site.client.call("GET", "/health")[1]["status"] == "healthy", 40.0)


def test_requests_that_wait_leave_room_for_others(site):
    """Eight of them, on eight threads of the server: as many as may wait, the rest is answered at once."""
    site.fleet.stop()
    site.fleet = None
    clients = [Client(site.gateway.http_port) for _ in range(8)]
    for client in clients:
        client.token = site.client.token
    waits = [
        threading.Thread(
            target=client.call, args=("POST", f"/sensors/{BENCH}/{gpio}/measure?wait=6", {})
        )
        for gpio, client in enumerate(clients, start=12)
    ]
    for wait in waits:
        wait.start()
    eventually(lambda: sum(wait.is_alive() for wait in waits) == MOST_WAITERS)
    site.client.post("/actuators/emergency_stop", {}, 200)
    assert site.client.get("/health")["safety"] == "active"
    # None of them had to end for it.
    assert sum(wait.is_alive() for wait in waits) == MOST_WAITERS
    for wait in waits:
        wait.join(20)
    for client in clients:
        client.close()
