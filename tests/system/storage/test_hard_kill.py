"""kill -9 at any moment: nothing acknowledged is lost or doubled, and a stop stays a stop."""

from __future__ import annotations

import json
import time

import paho.mqtt.client as mqtt
import pytest

from godkaiser.domain.entities import Approval, DeviceRecord, SensorConfig
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.repositories import registry
from tests.system.process import GatewayProcess
from tests.waiting import eventually

DEVICE = "ESP_A00001"
FAN = 25


def prepare(url):
    """An approved device with one sensor: what an operator has set up before."""
    database = open_database(url)
    migrations.migrate(database)
    registry.save_device(
        database, DeviceRecord(device_id=DEVICE, approval=Approval.APPROVED, registered_by="test")
    )
    registry.save_sensor(database, SensorConfig(esp_id=DEVICE, gpio=4, sensor_type="ds18b20"))
    return database


class Publisher:
    """A device that sends numbered readings and knows which of them the broker acknowledged."""

    def __init__(self, port):
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="publisher")
        self._client.max_inflight_messages_set(200)
        self._open: list[mqtt.MQTTMessageInfo] = []
        self.sent = 0
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    @property
    def acknowledged(self):
        self._open = [info for info in self._open if not info.is_published()]
        return self.sent - len(self._open)

    def send(self, count):
        base = int(time.time()) - 3600
        for _ in range(count):
            self.sent += 1
            body = {"esp_id": DEVICE, "seq": self.sent, "sensor_type": "ds18b20", "gpio": 4,
                    "raw": self.sent, "ts": base + self.sent % 3000, "time_valid": True}  # fmt: skip
            topic = f"kaiser/god/esp/{DEVICE}/sensor/4/data"
            self._open.append(self._client.publish(topic, json.dumps(body), qos=1))

    def finish(self):
        eventually(lambda: self.acknowledged == self.sent, 30.0)
        self._client.loop_stop()
        self._client.disconnect()


def stored(database):
    rows = database.fetch("SELECT raw FROM sensor_data")
    return sorted(int(raw) for (raw,) in rows)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_acknowledged_reading_is_lost_or_stored_twice(engine, tmp_path, own_mosquitto, request):
    url = (
        f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}"
        if engine == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    (tmp_path / "var").mkdir()
    database = prepare(url)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url).start()
    publisher = Publisher(own_mosquitto.port)
    for _ in range(4):
        publisher.send(400)
        # In the midst of the batches: some are committed, some are not, some not yet received.
        eventually(lambda: publisher.acknowledged > publisher.sent - 300)
        gateway.kill()
        publisher.send(50)
        gateway.start()
    publisher.finish()
    eventually(lambda: len(stored(database)) >= publisher.sent, 30.0)
    assert stored(database) == list(range(1, publisher.sent + 1))
    assert gateway.stop() == 0
    database.close_all()


def test_a_stop_is_still_latched_after_kill_9(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    gateway.log_in()
    gateway.client.post("/esp/register", {"device_id": DEVICE, "name": "Bench"}, 201)
    gateway.client.post(f"/esp/devices/{DEVICE}/approve", {}, 200)
    gateway.client.post(f"/actuators/{DEVICE}/{FAN}", {"actuator_type": "relay"}, 201)
    # The answer is the promise: killed the instant after, it must hold.
    gateway.client.post("/actuators/emergency_stop", {"reason": "before the kill"}, 200)
    gateway.kill()
    gateway.start()
    gateway.log_in()
    view = gateway.client.get("/safety/status")
    assert view["state"] == "active"
    assert view["stops"][0]["reason"] == "before the kill"
    command = {"esp_id": DEVICE, "gpio": FAN, "command": "ON"}
    status, answer = gateway.client.call("POST", "/actuators/command", command)
    assert (status, answer["error"]["code"]) == (409, "EMERGENCY_STOP_ACTIVE")
    assert gateway.stop() == 0


def test_a_damaged_latch_is_a_stop_that_says_so(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    gateway.log_in()
    gateway.client.post("/actuators/emergency_stop", {"reason": "first"}, 200)
    gateway.kill()
    latch = tmp_path / "var" / "safety.latch"
    latch.write_bytes(latch.read_bytes()[:-7])
    gateway.start()
    gateway.log_in()
    view = gateway.client.get("/safety/status")
    assert view["state"] == "active"
    assert "latch" in view["stops"][0]["reason"]
    assert gateway.stop() == 0
