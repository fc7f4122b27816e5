"""Accounts of devices, made by the gateway, read by a real Mosquitto, tried by a device that has turned hostile."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import paho.mqtt.client as mqtt
import pytest

from godkaiser.config.settings import BrokerAccountsConfig, MqttConfig
from tests.provision.servers import free_port
from tests.waiting import eventually

GOOD, BAD, NEW = "ESP_A00001", "ESP_BAD001", "ESP_C00001"
NOT_AUTHORISED = 135


class Client:
    """An MQTT client with an account; `heard` are topics, `connected` the reason code of each connection."""

    def __init__(self, port, name, password, *, client_id="", will=None):
        self.heard: list[str] = []
        self.codes: list[int] = []
        self.ended = threading.Event()
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id or name,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(name, password)
        if will:
            self._client.will_set(will, b"{}", qos=1)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self.codes.append(code.value)
        self._client.on_disconnect = lambda *_args: self.ended.set()
        self._client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        eventually(lambda: self.codes)

    def listen(self, *topics):
        done = threading.Event()
        self._client.on_subscribe = lambda *_args: done.set()
        self._client.subscribe([(topic, 1) for topic in topics])
        assert done.wait(10)

    def say(self, topic, body, *, retain=False):
        """On return the broker has it, and has refused it if it does."""
        self._client.publish(topic, json.dumps(body), qos=1, retain=retain).wait_for_publish(10)

    def beat(self, device_id):
        body = {
            "esp_id": device_id,
            "uptime": 5,
            "ts": int(time.time()),
            "heap_free": 90000,
            "wifi_rssi": -50,
        }
        self.say(f"kaiser/god/esp/{device_id}/system/heartbeat", body)

    def vanish(self):
        self._client._sock.close()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def cli(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", *arguments],
        capture_output=True, text=True, check=False, timeout=60, cwd=folder,
    )  # fmt: skip


@pytest.fixture
def guarded(tmp_path, mosquitto_factory, make_site_with):
    """As the operations manual has it: sync before the first start, then broker, then gateway."""
    files = tmp_path / "mosquitto"
    files.mkdir()
    (files / "passwd.extra").write_text("")
    (tmp_path / "password").write_text("the gateway's own password\n")
    inner = free_port()
    configuration = tmp_path / "godkaiser.toml"
    configuration.write_text(
        f"""[gateway]
data_dir = "{tmp_path / "var"}"
[mqtt]
port = {inner}
username = "godkaiser"
password_file = "{tmp_path / "password"}"
[broker_accounts]
folder = "{files}"
pid_file = "{tmp_path / "mosquitto.pid"}"
"""
    )
    # Mosquitto does not run yet: the files are written, and it cannot be told.
    first = cli(tmp_path, "mqtt", "sync", "--config", str(configuration))
    assert first.returncode == 73, first.stderr
    assert "could not be signalled" in first.stderr
    broker = mosquitto_factory(
        accounts=(
            "use_username_as_clientid true",
            f"listener {inner} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {files / 'passwd'}",
            f"acl_file {files / 'acl'}",
            f"pid_file {tmp_path / 'mosquitto.pid'}",
        )
    )
    site = make_site_with(
        broker,
        mqtt=MqttConfig(port=inner, username="godkaiser", password_file=str(tmp_path / "password")),
        broker_accounts=BrokerAccountsConfig(
            folder=str(files), pid_file=str(tmp_path / "mosquitto.pid")
        ),
    )
    eventually(lambda: site.client.get("/health")["broker"]["connected"])
    return SimpleNamespace(site=site, port=broker.port, files=files, config=str(configuration))


def in_sync(site):
    eventually(lambda: site.client.get("/system/broker-accounts")["state"] == "in_sync")


def let_in(guarded, device_id, *, approve=True):
    """The password of its new account; Mosquitto knows of it."""
    post = guarded.site.client.post
    post("/esp/register", {"device_id": device_id}, 201)
    if approve:
        post(f"/esp/devices/{device_id}/approve", {}, 200)
    made = post(f"/esp/devices/{device_id}/broker-account", {}, 201)
    assert made["username"] == device_id
    assert len(made["password"]) <= 63, "the portal of a device takes no more"
    in_sync(guarded.site)
    connected = []

    def knows():
        # SIGHUP is handled when Mosquitto comes to it.
        client = Client(guarded.port, device_id, made["password"])
        connected.append(client)
        client.close()
        return client.codes == [0]

    eventually(knows)
    return made["password"]


def known(site, device_id):
    return site.client.get(f"/esp/devices/{device_id}")


def test_a_hostile_device_reaches_nothing_but_its_own(guarded):
    site = guarded.site
    passwords = {name: let_in(guarded, name) for name in (GOOD, BAD)}
    for device_id in (GOOD, BAD):
        site.client.post(f"/sensors/{device_id}/4", {"sensor_type": "ds18b20"}, 201)
    victim = Client(guarded.port, GOOD, passwords[GOOD])
    victim.listen(f"kaiser/god/esp/{GOOD}/#", "kaiser/broadcast/#", "kaiser/god/server/status")
    victim.beat(GOOD)
    eventually(lambda: known(site, GOOD)["online"])
    hostile = Client(
        guarded.port, BAD, passwords[BAD], client_id=GOOD, will=f"kaiser/god/esp/{GOOD}/system/will"
    )
    hostile.listen("#", "$SYS/#", f"kaiser/god/esp/{GOOD}/#", f"kaiser/god/esp/{BAD}/#")
    hostile.beat(BAD)
    eventually(lambda: known(site, BAD)["online"])
    before = site.client.get("/system/dead-letters")["totals"]
    victim.heard.clear()
    reading = {
        "esp_id": GOOD,
        "gpio": 4,
        "sensor_type": "ds18b20",
        "raw": 9.0,
        "ts": int(time.time()),
    }
    hostile.say(f"kaiser/god/esp/{GOOD}/sensor/4/data", reading)
    hostile.say(f"kaiser/god/esp/{GOOD}/system/will", {"status": "offline", "esp_id": GOOD})
    hostile.say(f"kaiser/god/esp/{GOOD}/actuator/25/command", {"command": "ON", "value": 1.0})
    hostile.say(f"kaiser/god/esp/{BAD}/actuator/25/command", {"command": "ON", "value": 1.0})
    hostile.say(f"kaiser/god/esp/{GOOD}/system/heartbeat", {"esp_id": GOOD})
    hostile.say("kaiser/broadcast/emergency", {"command": "EMERGENCY_STOP"})
    hostile.say("kaiser/god/server/status", {"status": "offline"}, retain=True)
    hostile.say("kaiser/god/esp/ESP_FFFFFF/system/heartbeat", {"esp_id": "ESP_FFFFFF"})
    hostile.say("something/else", {})
    # What is its own, it may say; messages of one client keep their order, so the rest was decided on before.
    own = {**reading, "esp_id": BAD, "raw": 21.0}
    hostile.say(f"kaiser/god/esp/{BAD}/sensor/4/data", own)
    eventually(lambda: site.client.get(f"/sensors/data?esp_id={BAD}")["count"] == 1)
    hostile.vanish()
    # When its successor is heard, its will has been published, or refused.
    back = Client(guarded.port, BAD, passwords[BAD])
    back.say(f"kaiser/god/esp/{BAD}/sensor/4/data", {**own, "raw": 22.0, "seq": 2})
    eventually(lambda: site.client.get(f"/sensors/data?esp_id={BAD}")["count"] == 2)
    back.close()
    assert site.client.get(f"/sensors/data?esp_id={GOOD}")["count"] == 0
    assert known(site, GOOD)["online"]
    assert site.client.get("/safety/status")["state"] == "normal"
    assert site.client.get("/system/dead-letters")["totals"] == before
    assert site.client.call("GET", "/esp/devices/ESP_FFFFFF")[0] == 404
    assert all(f"/{GOOD}/" not in topic and not topic.startswith("$SYS") for topic in hostile.heard)
    assert victim.heard == []
    assert not victim.ended.is_set(), "it was pushed out by its client id"
    victim.close()


def test_what_is_decided_on_a_device_changes_its_rights_and_its_account_ends_with_it(guarded):
    site = guarded.site
    password = let_in(guarded, NEW, approve=False)
    client = Client(guarded.port, NEW, password)
    client.listen(f"kaiser/god/esp/{NEW}/#")
    client.beat(NEW)
    eventually(lambda: f"kaiser/god/esp/{NEW}/system/heartbeat/ack" in client.heard)
    rights = site.client.get("/system/broker-accounts")["data"]
    assert [(a["device_id"], a["rights"]) for a in rights] == [(NEW, "registration")]
    error = {
        "error_code": 1001,
        "esp_id": NEW,
        "severity": 2,
        "message": "x",
        "ts": int(time.time()),
    }

    def told():
        client.say(f"kaiser/god/esp/{NEW}/system/error", error)
        client.beat(NEW)
        return site.client.get(f"/esp/devices/{NEW}/diagnostics").get("errors")

    assert not told()
    site.client.post(f"/esp/devices/{NEW}/approve", {}, 200)
    eventually(told)
    assert not client.ended.is_set()
    status, _ = site.client.call("DELETE", f"/esp/devices/{NEW}", {"confirm": NEW})
    assert status == 204
    assert client.ended.wait(15), "the device is gone, its client is not"
    in_sync(site)
    assert site.client.get("/system/broker-accounts")["data"] == []
    again = Client(guarded.port, NEW, password)
    assert again.codes == [NOT_AUTHORISED]


def test_a_new_password_ends_the_old_one_and_passwords_are_kept_nowhere(guarded, tmp_path):
    old = let_in(guarded, GOOD)
    made = json.loads(
        cli(tmp_path, "mqtt", "account", GOOD, "--json", "--config", guarded.config,
            "--http", f"127.0.0.1:{guarded.site.gateway.http_port}").stdout
    )  # fmt: skip
    in_sync(guarded.site)
    eventually(lambda: Client(guarded.port, GOOD, made["password"]).codes == [0])
    assert Client(guarded.port, GOOD, old).codes != [0]
    kept = b"".join(
        path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "password"
    )
    assert old.encode() not in kept
    assert made["password"].encode() not in kept
    listed = cli(tmp_path, "mqtt", "accounts", "--config", guarded.config,
                 "--http", f"127.0.0.1:{guarded.site.gateway.http_port}")  # fmt: skip
    assert GOOD in listed.stdout
    assert "in_sync" in listed.stdout
    what = [entry["what"] for entry in guarded.site.client.get("/audit/log")["data"]]
    assert what.count(f"broker account of {GOOD} made") == 2


def test_sync_writes_the_same_files_and_tells_only_of_changes(guarded, tmp_path):
    let_in(guarded, GOOD)
    before = {name: (guarded.files / name).read_bytes() for name in ("passwd", "acl")}
    again = cli(tmp_path, "mqtt", "sync", "--config", guarded.config)
    assert again.returncode == 0, again.stderr
    assert "up to date, 1 accounts" in again.stdout
    assert {name: (guarded.files / name).read_bytes() for name in before} == before
    (guarded.files / "acl.extra").write_text("user grafana\ntopic read kaiser/#")
    assert "written" in cli(tmp_path, "mqtt", "sync", "--config", guarded.config).stdout
    assert (guarded.files / "acl").read_text().startswith("user grafana\n")
    assert (guarded.files / "acl").stat().st_mode & 0o777 == 0o640


def test_trouble_with_the_files_is_shown_and_ends_by_itself(guarded):
    site = guarded.site
    let_in(guarded, GOOD)
    (guarded.files / "passwd.extra").write_text("grafana:$7$x\n\nESP_A00001:$7$101$a$b\n")
    site.client.post(f"/esp/devices/{GOOD}/broker-account", {}, 201)
    found = eventually(
        lambda: (view := site.client.get("/system/broker-accounts"))["state"] == "failed" and view
    )
    assert (
        "passwd.extra:3: ESP_A00001 is an account that the gateway itself writes" in found["error"]
    )
    (guarded.files / "passwd.extra").write_text("grafana:$7$x\n")
    in_sync(site)
    assert "grafana:$7$x" in (guarded.files / "passwd").read_text()


def test_a_gateway_that_makes_no_accounts_says_so(site):
    for method, path in (
        ("GET", "/system/broker-accounts"),
        ("POST", f"/esp/devices/{GOOD}/broker-account"),
        ("DELETE", f"/esp/devices/{GOOD}/broker-account"),
    ):
        status, answer = site.client.call(method, path)
        assert (status, answer["error"]["code"]) == (409, "BROKER_ACCOUNTS_OFF")


def test_accounts_without_one_for_the_gateway_are_a_mistake_of_the_configuration(tmp_path):
    file = tmp_path / "godkaiser.toml"
    file.write_text(f'[broker_accounts]\nfolder = "{tmp_path}"\n')
    done = cli(tmp_path, "mqtt", "sync", "--config", str(file))
    assert done.returncode == 78
    assert f"{file}:2: [broker_accounts] folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["godkaiser.toml"]
