"""The shipped conf/mosquitto.conf, as a real Mosquitto reads it."""

from __future__ import annotations

import os
import queue
import subprocess

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.domain.entities import Approval
from godkaiser.mqtt.accounts import acl_file, hash_password, password_file
from tests.conftest import need
from tests.provision.install import find
from tests.provision.servers import CONF, Mosquitto, await_port, free_port

NAMES = ("godkaiser", "ESP_4F3A9C", "ESP_0000FF")


@pytest.fixture
def guarded(mosquitto_factory, tmp_path):
    """A broker with an account for each of NAMES (the password is the name) and the ACL that the gateway makes."""
    need("mosquitto_passwd")
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


# What Debian 12 and 13 and Ubuntu install as /etc/mosquitto/mosquitto.conf, with the folder to be filled in.
DEBIAN = """\
# Place your local configuration in /etc/mosquitto/conf.d/
#
# A full description of the configuration file is at
# /usr/share/doc/mosquitto/examples/mosquitto.conf.example

pid_file {0}/mosquitto.pid

persistence true
persistence_location {0}/

log_dest file {0}/mosquitto.log

include_dir {0}/conf.d
"""


@pytest.fixture
def debian(tmp_path):
    """Starts Mosquitto with Debian's configuration and files in conf.d; gives the port of ours."""
    folder = tmp_path / "etc"
    (folder / "conf.d").mkdir(parents=True)
    user = "user root\n" if os.geteuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(DEBIAN.format(folder) + user)
    running = []

    def start(files):
        port = free_port()
        for name, text in files.items():
            here = text.replace("listener 1883\n", f"listener {port} 127.0.0.1\n")
            (folder / "conf.d" / name).write_text(here.replace("/etc/mosquitto/", f"{folder}/"))
        process = subprocess.Popen(
            [find("mosquitto"), "-c", folder / "mosquitto.conf"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        running.append(process)
        try:
            await_port(port, process)
        except OSError:
            pytest.fail(process.communicate(timeout=10)[0].decode())
        return port

    start.folder = folder
    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=20)


def answer_of(port, name=""):
    """The broker's word on a connection."""
    answers = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = lambda _c, _d, _f, reason, _p: answers.put(reason)
    if name:
        client.username_pw_set(name, name)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        return answers.get(timeout=20)
    finally:
        client.disconnect()
        client.loop_stop()


def test_dropped_beside_debians_own_file_it_starts_and_lets_nobody_in(debian):
    """The kind: a setting that stands in both files, or a file that is not there yet, and no broker at all."""
    assert answer_of(debian({"godkaiser.conf": CONF.read_text()})).is_failure


def test_with_the_accounts_beside_it_they_are_let_in(debian):
    hashes = {name: hash_password(name, b"salt" * 3) for name in NAMES}
    files = {
        debian.folder / "passwd": password_file(hashes, ""),
        debian.folder / "acl": acl_file(NAMES[0], dict.fromkeys(NAMES[1:], Approval.APPROVED), ""),
    }
    for file, text in files.items():
        file.write_text(text)
        file.chmod(0o600)
    accounts = (CONF.parent / "mosquitto-accounts.conf").read_text()
    port = debian({"godkaiser.conf": CONF.read_text(), "godkaiser-accounts.conf": accounts})
    assert not answer_of(port, NAMES[1]).is_failure
    assert answer_of(port).is_failure


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
