"""More readings than can be taken. The kind: health says 'healthy' while the broker's queue fills, until it drops."""

from __future__ import annotations

import json
import threading
import time

import paho.mqtt.client as mqtt

from tests.provision.proxy import Proxy
from tests.system.process import GatewayProcess
from tests.system.storage.test_hard_kill import DEVICE, prepare, stored
from tests.waiting import eventually


def test_readings_that_arrive_late_are_told_long_before_the_broker_drops_one(
    tmp_path, own_mosquitto
):
    """The way to the gateway is narrow, as a slow disk or processor would make it."""
    (tmp_path / "var").mkdir()
    url = f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}"
    database = prepare(url)
    proxy = Proxy(own_mosquitto.port)
    gateway = GatewayProcess(tmp_path, proxy.port, url).start()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="sender")
    dropped: list[int] = []
    client.on_message = lambda _client, _userdata, message: dropped.append(int(message.payload))
    client.connect("127.0.0.1", own_mosquitto.port)
    client.subscribe("$SYS/broker/publish/messages/dropped")
    client.loop_start()
    over = threading.Event()
    sent = 0

    def send():
        nonlocal sent
        while not over.wait(0.01):
            sent += 1
            body = {"esp_id": DEVICE, "seq": sent, "sensor_type": "ds18b20", "gpio": 4, "raw": sent,
                    "ts": time.time(), "time_valid": True}  # fmt: skip
            client.publish(f"kaiser/god/esp/{DEVICE}/sensor/4/data", json.dumps(body), qos=1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        eventually(lambda: len(stored(database)) > 100)
        assert gateway.client.get("/health")["status"] == "healthy"
        proxy.bytes_per_s = 6000
        told = eventually(
            lambda: (now := gateway.client.get("/health"))["status"] == "degraded" and now, 60.0
        )
        assert any("s late" in warning for warning in told["warnings"]), told
        assert not any(dropped)
        over.set()
        sender.join(10)
        proxy.bytes_per_s = 0
        eventually(lambda: len(stored(database)) == sent, 60.0)
        eventually(lambda: gateway.client.get("/health")["status"] == "healthy", 60.0)
    finally:
        over.set()
        sender.join(10)
        client.loop_stop()
        client.disconnect()
        proxy.bytes_per_s = 0
        database.close_all()
        gateway.stop()
        proxy.close()
