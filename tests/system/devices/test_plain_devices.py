"""Devices without clock and sequence number, that say the same again and again. The kind: two measurements that are
taken for one, or one for two, because nothing in them tells. What tells is the delivery: its packet id, in its session.
"""

from __future__ import annotations

import json
import random
import threading

import paho.mqtt.client as mqtt
import pytest

from tests.system.process import GatewayProcess
from tests.system.storage.test_hard_kill import DEVICE, prepare
from tests.waiting import eventually


class PlainDevice:
    def __init__(self, port):
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="plain")
        self._client.max_inflight_messages_set(200)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._open = []
        self.sent = 0

    def say_the_same(self, count, qos=1):
        """So many times, and until the broker has acknowledged each."""
        body = {"esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "raw": 336}
        topic = f"kaiser/god/esp/{DEVICE}/sensor/4/data"
        said = [self._client.publish(topic, json.dumps(body), qos=qos) for _ in range(count)]
        self.sent += count
        for info in said:
            info.wait_for_publish(30)

    def close(self):
        self._client.loop_stop()
        self._client.disconnect()


@pytest.fixture(params=["sqlite", "postgresql"])
def plant(request, tmp_path, own_mosquitto):
    url = (
        f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    (tmp_path / "var").mkdir()
    database = prepare(url)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url).start()
    device = PlainDevice(own_mosquitto.port)
    yield gateway, device, database, own_mosquitto
    device.close()
    database.close_all()
    assert gateway.stop() == 0


def rows(database):
    return database.fetch("SELECT count(*) FROM sensor_data")[0][0]


def test_what_waited_for_the_gateway_is_stored_row_by_row(plant):
    gateway, device, database, _broker = plant
    gateway.stop()
    device.say_the_same(80)
    gateway.start()
    eventually(lambda: rows(database) >= device.sent)
    device.say_the_same(20, qos=0)
    eventually(lambda: rows(database) >= device.sent)
    assert rows(database) == device.sent


def test_kill_9_and_redelivery_neither_lose_nor_double_one(plant):
    gateway, device, database, _broker = plant
    chance = random.Random(5)
    for _ in range(5):
        talking = threading.Thread(target=device.say_the_same, args=(300,))
        talking.start()
        threading.Event().wait(chance.random() * 0.3)
        gateway.kill()
        talking.join(30)
        gateway.start()
    device.say_the_same(1)
    eventually(lambda: rows(database) >= device.sent)
    assert rows(database) == device.sent


def test_packet_ids_of_another_session_prove_nothing(plant):
    """A broker that forgets its sessions counts from 1 again."""
    gateway, device, database, broker = plant
    device.say_the_same(30)
    eventually(lambda: rows(database) >= 30)
    before = (gateway.folder / "var" / "readings.session").read_bytes()
    broker.kill()
    for kept in broker._folder.glob("*.db"):
        kept.unlink()
    broker.start()
    eventually(lambda: (gateway.folder / "var" / "readings.session").read_bytes() != before)
    eventually(lambda: gateway.client.get("/health")["broker"]["connected"])
    again = PlainDevice(broker.port)
    again.say_the_same(30)
    eventually(lambda: rows(database) >= 60)
    again.close()
    assert rows(database) == 60
