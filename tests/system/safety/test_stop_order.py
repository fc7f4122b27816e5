"""The order of commands, stops and clears on a real broker that stands still for a while.

The kind: what was decided before a stop is not carried out after it, wherever it waited meanwhile.
"""

from __future__ import annotations

import pytest

from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.waiting import eventually

DEVICE, FAN, PUMP = "ESP_A00001", 25, 26
SITE = f"""\
[devices.{DEVICE}]

[[devices.{DEVICE}.actuators]]
gpio = {FAN}
type = "relay"

[[devices.{DEVICE}.actuators]]
gpio = {PUMP}
type = "relay"
"""
LOCKOUT_S = 5.0


@pytest.fixture
def plant(tmp_path, own_mosquitto):
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    gateway.log_in()
    device = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))
    device.beat()
    device.tell_states()
    eventually(
        lambda: all(a["state"] != "unknown" for a in gateway.client.get("/actuators")["data"])
    )
    yield gateway, device, own_mosquitto
    device.close()
    gateway.stop()


def order(gateway, command="ON"):
    body = {"esp_id": DEVICE, "gpio": FAN, "command": command, "duration": 60}
    return gateway.client.call("POST", "/actuators/command", body)[0]


def words(device):
    return [body["command"] for _, body in device.heard if "command" in body]


@pytest.mark.parametrize("clears", [True, False])
def test_an_on_that_waits_in_a_frozen_broker_is_not_carried_out(plant, clears):
    gateway, device, broker = plant
    device.heard.clear()
    broker.freeze()
    try:
        assert order(gateway) == 202
        gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
        if clears:
            eventually(
                lambda: gateway.client.call("POST", "/actuators/clear_emergency", {})[0] == 200,
                LOCKOUT_S + 20.0,
            )
    finally:
        broker.thaw()
    wanted = "normal" if clears else "active"
    device.beat()
    eventually(
        lambda: (
            (found := gateway.client.get("/safety/status"))["state"] == wanted
            and (clears or not found["stops"][0]["unconfirmed"])
        )
    )
    heard = words(device)
    assert "ON" not in heard
    assert heard.index("stop_all") < heard.index("OFF")
    if clears:
        assert heard.index("stop_all") < heard.index("clear_emergency")
        eventually(lambda: order(gateway) == 202)
        eventually(lambda: words(device)[-1] == "ON")


def test_an_on_that_the_device_has_is_undone_before_the_clear(plant):
    gateway, device, broker = plant
    assert order(gateway) == 202
    eventually(lambda: "ON" in words(device))
    broker.freeze()
    try:
        gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
    finally:
        broker.thaw()
    eventually(lambda: gateway.client.get("/safety/status")["stops"][0]["confirmed"] == [DEVICE])
    eventually(
        lambda: gateway.client.call("POST", "/actuators/clear_emergency", {})[0] == 200,
        LOCKOUT_S + 20.0,
    )
    eventually(lambda: gateway.client.get("/safety/status")["state"] == "normal")
    assert words(device)[-1] != "ON"
    assert gateway.client.get(f"/actuators/{DEVICE}/{FAN}")["desired_value"] == 0.0
