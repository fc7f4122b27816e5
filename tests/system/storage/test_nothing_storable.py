"""Neither the database nor the spool takes anything: control goes on, and nothing acknowledged is lost.

The kind of fault: what control hears (readings of rules and stop inputs, states, answers) waits in the
broker's window behind what cannot be acknowledged.
"""

from __future__ import annotations

import json
import re
import threading
import time

import paho.mqtt.client as mqtt
import psycopg2
import pytest

from tests.provision.servers import PostgreSQL
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import DEVICE, FAN, PUMP, SITE, rule, settle
from tests.waiting import eventually

BOARD = "ESP_B00001"
READINGS = 22_000
"""More than the spool of 1 MiB and the broker's window of 4,000 take."""
MORE = '[spool]\nmax_bytes = 1048576\nwhen_full = "hold"\n'
BOARD_SITE = f"""
[devices.{BOARD}]

[[devices.{BOARD}.sensors]]
gpio = 4
type = "ds18b20"
interval_s = 1
"""


@pytest.fixture
def cluster(postgres):
    made = PostgreSQL()
    made.start()
    yield made
    made.stop()


def test_rules_and_commands_go_on_while_nothing_can_be_stored(tmp_path, own_mosquitto, cluster):
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE + BOARD_SITE)
    url = cluster.create_database()
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url, MORE).start()
    gateway.log_in()
    device = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))
    try:
        settle(gateway, device)
        fan = {"type": "actuator", "esp_id": DEVICE, "gpio": FAN, "command": "ON"}
        gateway.client.post("/logic/rules", rule([fan]), 201)
        cluster.stop()
        sent = threading.Thread(target=_flood, args=(own_mosquitto.port,))
        sent.start()
        eventually(lambda: "readings_not_stored" in gateway.log.read_text(), 60.0)
        sent.join()
        began = time.monotonic()
        device.measure(4, "ds18b20", 40 * 16)
        eventually(lambda: device.energised, 10.0)
        assert time.monotonic() - began < 5.0
        for verb in ("ON", "OFF") * 15:
            body = {"command": verb, "duration": 20}
            path = f"/actuators/{DEVICE}/{PUMP}/command?wait=5"
            assert gateway.client.post(path, body, 202)["outcome"]["state"] == "confirmed"
        assert gateway.client.post("/actuators/emergency_stop", {}, 200)["state"] == "active"
        eventually(lambda: any(body.get("command") == "stop_all" for _, body in device.heard))
        cluster.start()
        # The journal makes room for itself, and says at whose cost.
        eventually(lambda: _count(url) + _thinned(gateway) >= READINGS + 1, 60.0)
        assert _count(url) + _thinned(gateway) == READINGS + 1
        eventually(lambda: gateway.client.get("/health")["status"] == "healthy")
    finally:
        if cluster._process is None:
            cluster.start()
        device.close()
        gateway.stop()


def _thinned(gateway):
    told = re.findall(rf"total (\d+) of {BOARD}", gateway.log.read_text())
    return max(map(int, told), default=0)


def _count(url):
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM sensor_data")
    (count,) = cursor.fetchone()
    connection.close()
    return count


def _flood(port):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=BOARD)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for number in range(1, READINGS + 1):
        body = {"esp_id": BOARD, "seq": number, "sensor_type": "ds18b20", "gpio": 4,
                "raw": number % 2000, "ts": int(time.time()), "time_valid": True}  # fmt: skip
        info = client.publish(f"kaiser/god/esp/{BOARD}/sensor/4/data", json.dumps(body), qos=1)
    info.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
