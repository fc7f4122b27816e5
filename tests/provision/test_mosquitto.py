"""The shipped conf/mosquitto.conf, as a real Mosquitto reads it."""

from __future__ import annotations

import queue
import subprocess
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.domain.entities import Approval
from godkaiser.mqtt.accounts import acl_file
from tests.provision.install import find
from tests.provision.servers import CONF, Mosquitto

NAMES = ("godkaiser", "ESP_4F3A9C", "ESP_0000FF")


@pytest.fixture
def guarded(mosquitto_factory, tmp_path):
    """A broker with an account for each of NAMES (the password is the name) and the ACL that the gateway makes."""
    if find("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords, acl = tmp_path / "passwd", tmp_path / "acl"
    acl.write_text(acl_file(NAMES[0], dict.fromkeys(NAMES[1:], Approval.APPROVED), ""))
    passwords.touch()
    for name in NAMES:
        subprocess.run([find("mosquitto_passwd"), "-b", passwords, name, name], check=True)
    for file in (passwords, acl):
        file.chmod(0o600)
    return mosquitto_factory(
        accounts=["allow_anonymous false", f"password_file {passwords}", f"acl_file {acl}"]
    )


@pytest.fixture
def connect(guarded):
    clients = []

    def connect(name, password):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        clients.append(client)
        answers = queue.Queue()
        client.messages = queue.Queue()
        client.on_connect = lambda _c, _d, _f, reason, _p: answers.put(reason)
        client.on_subscribe = lambda *_: answers.put(None)
        client.on_message = lambda _c, _d, message: client.messages.put(message.topic)
        if name:
            client.username_pw_set(name, password)
        client.connect(guarded.host, guarded.port)
        client.loop_start()
        client.refused = answers.get(timeout=20).is_failure
        if not client.refused:
            client.subscribe("#", 1)
            answers.get(timeout=20)
        return client

    yield connect
    for client in clients:
        client.disconnect()
        client.loop_stop()


def test_the_settings_that_the_gateway_stands_on_are_there(tmp_path):
    Mosquitto(tmp_path)
    used = (tmp_path / "mosquitto.conf").read_text().splitlines()
    assert "set_tcp_nodelay true" in used
    settings = dict(line.split(maxsplit=1) for line in used if line and line[0] != "#")
    assert int(settings["max_inflight_messages"]) >= 1000
    assert int(settings["max_queued_messages"]) >= 100_000
    assert settings["persistence"] == "true"


def test_nobody_is_let_in_before_there_are_accounts():
    lines = Path(CONF).read_text().splitlines()
    assert "allow_anonymous false" in lines
    assert any(line.startswith("password_file ") for line in lines)


def test_strangers_and_wrong_passwords_are_refused(connect):
    assert connect("", "").refused
    assert connect("ESP_4F3A9C", "ESP_0000FF").refused


def test_a_device_reaches_its_own_topics_and_no_other(connect):
    gateway, device, other = (connect(name, name) for name in NAMES)
    device.publish("kaiser/god/esp/ESP_0000FF/actuator/25/command", b"{}", 1)
    device.publish("kaiser/broadcast/emergency", b"{}", 1)
    device.publish("kaiser/god/esp/ESP_4F3A9C/system/heartbeat", b"{}", 1)
    assert gateway.messages.get(timeout=20) == "kaiser/god/esp/ESP_4F3A9C/system/heartbeat"
    gateway.publish("kaiser/god/esp/ESP_0000FF/actuator/25/command", b"{}", 1)
    gateway.publish("kaiser/broadcast/emergency", b"{}", 1)
    assert other.messages.get(timeout=20) == "kaiser/god/esp/ESP_0000FF/actuator/25/command"
    assert other.messages.get(timeout=20) == "kaiser/broadcast/emergency"
    # In order: whatever else the device was to get would have come before the broadcast.
    assert device.messages.get(timeout=20) == "kaiser/broadcast/emergency"
