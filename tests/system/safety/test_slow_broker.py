"""A broker that is slow to answer, with a whole gateway before it and a device behind it.

The kind of fault: what was decided before a stop leaves after it, from wherever it lay; a stop waits
behind what is not answered.
"""

from __future__ import annotations

import time

import pytest

from godkaiser.protocol import topics
from tests.mqtt.scripted_broker import PUBACK, PUBLISH, PUBREC
from tests.mqtt.wiretap import Wiretap
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import DEVICE, FAN, PUMP, SITE, settle
from tests.waiting import eventually

COMMANDS = 30
"""More than the link has under way at once: some wait in the gateway."""


@pytest.fixture
def tap(own_mosquitto):
    made = Wiretap(own_mosquitto.port)
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path, tap):
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE)
    made = GatewayProcess(tmp_path, tap.port).start()
    made.log_in()
    yield made
    made.stop()


@pytest.fixture
def device(own_mosquitto, gateway):
    made = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))
    settle(gateway, made)
    made.heard.clear()
    yield made
    made.close()


def is_stopped(device):
    return any(body.get("command") == "stop_all" for _, body in device.heard)


def test_commands_that_are_not_answered_before_a_stop_never_arrive(gateway, tap, device):
    tap.held, tap.held_for = {PUBREC}, ("-commands",)
    for number in range(COMMANDS):
        gpio = (FAN, PUMP)[number % 2]
        body = {"command": "ON", "duration": 20}
        gateway.client.post(f"/actuators/{DEVICE}/{gpio}/command", body, 202)
    tap.until(lambda: any(_is_command(packet) for packet in tap.seen))
    began = time.monotonic()
    gateway.client.post("/actuators/emergency_stop", {}, 200)
    eventually(lambda: is_stopped(device))
    assert time.monotonic() - began < 2.0
    tap.let_go()
    # The OFF of each actuator took the same way as the commands before it.
    for gpio in (FAN, PUMP):
        eventually(lambda gpio=gpio: _verbs(device, gpio)[-1:] == ["OFF"])
    assert device.energised == []


def test_a_stop_that_the_broker_does_not_acknowledge_goes_out_by_a_second_connection(
    gateway, tap, device
):
    tap.held, tap.held_for = {PUBACK}, ("-stops",)
    gateway.client.post("/actuators/emergency_stop", {}, 200)
    tap.until(
        lambda: any(
            packet.kind == PUBLISH
            and packet.topic == topics.BROADCAST_EMERGENCY
            and packet.client.endswith("-commands")
            for packet in tap.seen
        )
    )
    assert is_stopped(device)


def _is_command(packet):
    return packet.kind == PUBLISH and packet.topic.endswith("/command") and packet.qos == 2


def _verbs(device, gpio):
    return [body["command"] for tail, body in device.heard if tail == f"actuator/{gpio}/command"]
