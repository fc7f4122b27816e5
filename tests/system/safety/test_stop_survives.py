"""Real processes and kill -9: after a stop nothing energising is on the wire until it is cleared."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading

import pytest

from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.waiting import eventually

DEVICE, BUTTON, FAN, PUMP = "ESP_A00001", 34, 25, 26
SITE = f"""\
[devices.{DEVICE}]
zone = "north"

[[devices.{DEVICE}.sensors]]
gpio = 4
type = "ds18b20"
interval_s = 1

[[devices.{DEVICE}.sensors]]
gpio = {BUTTON}
type = "stop_button"
interval_s = 1

[[devices.{DEVICE}.actuators]]
gpio = {FAN}
type = "relay"

[[devices.{DEVICE}.actuators]]
gpio = {PUMP}
type = "relay"
"""
STOP_INPUT = f"""
[[stop_inputs]]
input = "{DEVICE}/{BUTTON}"
pressed_below = 1000.0
silent_after_s = 3.0
"""
HOT = {"type": "sensor", "esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "operator": ">",
       "value": 30}  # fmt: skip


@pytest.fixture
def make(tmp_path, own_mosquitto):
    """A gateway with a declared site, and its device, which lives on while the gateway dies."""
    made = []

    def make(site=SITE):
        (tmp_path / "devices.d").mkdir()
        (tmp_path / "devices.d" / "site.toml").write_text(site)
        gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
        gateway.log_in()
        device = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))
        made.extend([device.close, gateway.stop])
        return gateway, device

    yield make
    for end in made:
        end()


def settle(gateway, device):
    device.beat()
    device.tell_states()
    eventually(
        lambda: all(a["state"] != "unknown" for a in gateway.client.get("/actuators")["data"])
    )


def order(gateway, gpio=FAN, verb="ON"):
    body = {"command": verb, "duration": 20}
    return gateway.client.call("POST", f"/actuators/{DEVICE}/{gpio}/command?wait=5", body)


def status(gateway):
    return gateway.client.get("/safety/status")


def clear(gateway):
    eventually(lambda: gateway.client.call("POST", "/actuators/clear_emergency", {})[0] == 200)
    eventually(lambda: status(gateway)["state"] == "normal")
    gateway.client.post("/actuators/resume", {}, 200)


def rule(actions, **fields):
    body = {"name": "r", "conditions": [HOT], "actions": actions, "cooldown_seconds": 0.1}
    return {**body, **fields}


def test_nothing_energises_after_a_stop_whatever_dies(make):
    gateway, device = make()
    wants_it_on = rule([{"type": "actuator", "esp_id": DEVICE, "gpio": FAN, "command": "ON"}])
    gateway.client.post("/logic/rules", wants_it_on, 201)
    chances = random.Random(7)
    for _ in range(3):
        settle(gateway, device)
        device.measure(4, "ds18b20", 40 * 16)
        eventually(lambda: device.energised)
        stopping = threading.Thread(
            target=_stop_until_heard, args=(gateway.port, gateway.client.token)
        )
        stopping.start()
        for _ in range(chances.randrange(8)):
            device.measure(4, "ds18b20", 40 * 16)
        stopping.join()
        before = len(device.energised)
        for _ in range(3):
            with contextlib.suppress(OSError, http.client.HTTPException):
                order(gateway, chances.choice([FAN, PUMP]))
        gateway.kill()
        gateway.start()
        gateway.log_in()
        settle(gateway, device)
        for _ in range(3):
            device.measure(4, "ds18b20", 40 * 16)
        assert order(gateway)[1]["error"]["code"] == "EMERGENCY_STOP_ACTIVE"
        eventually(lambda: status(gateway)["stops"][0]["unconfirmed"] == [])
        assert len(device.energised) == before
        clear(gateway)
        device.heard.clear()


def _stop_until_heard(port, token):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/api/v1/actuators/emergency_stop", body=b"{}",
                       headers={"Authorization": f"Bearer {token}",
                                "Content-Type": "application/json"})  # fmt: skip
    assert connection.getresponse().status == 200
    connection.close()


def test_a_stop_button_stops_and_while_it_is_pressed_nothing_is_cleared(make):
    gateway, device = make(SITE + STOP_INPUT)
    device.beat()
    device.measure(BUTTON, "stop_button", 3000)
    eventually(lambda: status(gateway)["inputs"][0]["raw"] == 3000)
    settle(gateway, device)
    device.measure(BUTTON, "stop_button", 12)
    # The monitor shows what is pressed after it has told the stop.
    pressed = eventually(
        lambda: (
            (found := status(gateway))["state"] == "active"
            and found["inputs"][0]["demand"]
            and found
        )
    )
    assert pressed["stops"][0]["by"] == f"input:{DEVICE}/{BUTTON}"
    assert "pressed" in pressed["inputs"][0]["demand"]
    assert pressed["inputs"][0]["where"].endswith("site.toml:22")
    # Killed while it is pressed, it is still stopped.
    gateway.kill()
    gateway.start()
    gateway.log_in()
    assert status(gateway)["state"] == "active"
    device.measure(BUTTON, "stop_button", 12)
    eventually(lambda: status(gateway)["inputs"][0]["raw"] == 12)
    code, answer = gateway.client.call("POST", "/actuators/clear_emergency", {})
    assert (code, answer["error"]["code"]) == (409, "STOP_INPUT_PRESSED")
    device.measure(BUTTON, "stop_button", 3000)
    eventually(lambda: status(gateway)["inputs"][0]["demand"] == "")
    ticking = threading.Event()
    keeper = threading.Thread(target=_press_not, args=(device, ticking))
    keeper.start()
    clear(gateway)
    ticking.set()
    keeper.join()
    # A cut wire between device and gateway is a stop, too.
    silent = eventually(lambda: (found := status(gateway))["state"] == "active" and found)
    assert "silent" in silent["stops"][0]["reason"]


def _press_not(device, until):
    while not until.wait(0.5):
        device.measure(BUTTON, "stop_button", 3000)


def test_a_rule_stops_and_stays_stopped(make):
    gateway, device = make()
    settle(gateway, device)
    stop = {"type": "emergency_stop", "zone_id": "north", "reason": "too hot"}
    gateway.client.post("/logic/rules", rule([stop], cooldown_seconds=3600), 201)
    device.measure(4, "ds18b20", 20 * 16)
    assert order(gateway)[0] == 202
    device.measure(4, "ds18b20", 40 * 16)
    found = eventually(lambda: status(gateway)["stops"])
    assert (found[0]["scope"], found[0]["by"], found[0]["reason"]) == (
        "zone north",
        "rule:1",
        "too hot",
    )
    assert order(gateway)[1]["error"]["code"] == "EMERGENCY_STOP_ACTIVE"
    since = found[0]["told_at"]
    device.measure(4, "ds18b20", 41 * 16)
    eventually(lambda: gateway.client.get("/logic/rules/1")["state"]["last_evaluated"])
    assert status(gateway)["stops"][0]["told_at"] == since
    both = {"type": "emergency_stop", "zone_id": "north", "esp_id": DEVICE}
    code, answer = gateway.client.call("POST", "/logic/rules", rule([both]))
    assert (code, answer["error"]["code"]) == (400, "INVALID_RULE")


def test_what_is_declared_holds_and_cannot_be_changed_by_rest(make):
    gateway, device = make()
    settle(gateway, device)
    (record,) = gateway.client.get("/esp/devices")["data"]
    assert (record["device_id"], record["zone_id"]) == (DEVICE, "north")
    for path, body in (
        (f"/actuators/{DEVICE}/{FAN}", {"actuator_type": "pump"}),
        (f"/sensors/{DEVICE}/4", {"sensor_type": "ds18b20"}),
        (f"/esp/devices/{DEVICE}/reject", {}),
    ):
        code, answer = gateway.client.call("POST", path, body)
        assert (code, answer["error"]["code"]) == (409, "DECLARED_IN_FILE"), answer
        assert "site.toml:" in answer["error"]["message"]
    # What is not declared is free to be added beside it.
    gateway.client.post(f"/actuators/{DEVICE}/27", {"actuator_type": "relay"}, 201)


def test_a_hold_lasts_over_a_restart(make):
    gateway, device = make()
    settle(gateway, device)
    gateway.client.post(f"/actuators/{DEVICE}/{FAN}/hold", {}, 200)
    gateway.client.post(f"/actuators/{DEVICE}/{PUMP}/hold", {"seconds": 3600}, 200)
    gateway.client.call("DELETE", f"/actuators/{DEVICE}/{PUMP}/hold")
    assert gateway.stop() == 0
    gateway.start()
    gateway.log_in()
    settle(gateway, device)
    for gpio in (FAN, PUMP):
        action = {"type": "actuator", "esp_id": DEVICE, "gpio": gpio, "command": "ON"}
        gateway.client.post("/logic/rules", rule([action]), 201)
    device.measure(4, "ds18b20", 40 * 16)
    eventually(lambda: device.energised)
    assert {tail for tail, body in device.heard if body.get("command") == "ON"} == {
        f"actuator/{PUMP}/command"
    }


def test_a_record_of_holds_that_cannot_be_read_is_a_stop(make, tmp_path):
    gateway, device = make()
    settle(gateway, device)
    gateway.client.post(f"/actuators/{DEVICE}/{FAN}/hold", {}, 200)
    gateway.kill()
    record = tmp_path / "var" / "safety.holds"
    record.write_bytes(record.read_bytes()[:-3])
    gateway.start()
    gateway.log_in()
    (stop,) = status(gateway)["stops"]
    assert status(gateway)["state"] == "active" and "record of the holds" in stop["reason"]
    settle(gateway, device)
    clear(gateway)
    assert order(gateway)[1]["outcome"]["state"] == "confirmed"
    # Once it is cleared it is over, also for the next start.
    gateway.kill()
    gateway.start()
    gateway.log_in()
    assert status(gateway)["state"] == "normal"
