"""Readings whose own time is of little use. The kind: one whole second that several share, a moment that is
still to come. What is newest must be the same wherever it is asked for.
"""

from __future__ import annotations

import json
import time

import paho.mqtt.client as mqtt
import pytest

from tests.system.process import GatewayProcess
from tests.system.storage.test_hard_kill import DEVICE, prepare
from tests.waiting import eventually

TOPIC = f"kaiser/god/esp/{DEVICE}/sensor/4/data"


@pytest.fixture
def plant(tmp_path, own_mosquitto):
    (tmp_path / "var").mkdir()
    database = prepare(f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}")
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    gateway.log_in()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", own_mosquitto.port)
    client.loop_start()
    numbers = iter(range(1, 1000))

    def measure(ts, raw):
        seq = next(numbers)
        body = {"esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "raw": raw, "ts": ts,
                "time_valid": True, "seq": seq}  # fmt: skip
        client.publish(TOPIC, json.dumps(body), 1).wait_for_publish(10)
        count = seq
        eventually(lambda: database.fetch("SELECT count(*) FROM sensor_data")[0][0] == count)

    yield gateway.client, measure
    client.loop_stop()
    client.disconnect()
    database.close_all()
    assert gateway.stop() == 0


def newest_everywhere(api):
    listed = api.get(f"/sensors/data?esp_id={DEVICE}&gpio=4&limit=1")["data"][0]["raw"]
    latest = api.get(f"/sensors/{DEVICE}/4/ds18b20/latest")["raw"]
    return listed, latest


def test_of_several_in_one_second_the_last_is_the_newest(plant):
    api, measure = plant
    for second in range(4):
        now = int(time.time()) - 40 + second
        for n in range(3):
            measure(now, 16 * (20 + 3 * second + n))
            assert newest_everywhere(api) == (16 * (20 + 3 * second + n),) * 2


@pytest.mark.parametrize("ahead_s", [7200, 10**9])
def test_one_from_the_future_is_stored_as_of_now_and_is_the_newest_until_the_next(plant, ahead_s):
    api, measure = plant
    measure(time.time() + ahead_s, 320)
    assert newest_everywhere(api) == (320, 320)
    found = api.get(f"/sensors/data?esp_id={DEVICE}&gpio=4&limit=1")["data"][0]
    assert found["timestamp"] == pytest.approx(found["received_at"], abs=0.01)
    measure(time.time(), 336)
    assert newest_everywhere(api) == (336, 336)
