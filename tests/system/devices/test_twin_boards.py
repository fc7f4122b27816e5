"""Two boards with one device id are told, with the address of each, and are not set up in turn."""

from __future__ import annotations

import json

from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection
from godkaiser.protocol import topics
from tests.system.process import GatewayProcess
from tests.waiting import eventually

DEVICE = "ESP_0000A1"
BOARDS = (("192.168.1.10", 5000), ("192.168.1.11", 60))


def test_two_boards_that_take_turns_are_told_with_both_addresses(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, more='[devices]\napproval = "auto"\n')
    gateway.start().log_in()
    address = BrokerAddress(host=own_mosquitto.host, port=own_mosquitto.port)
    boards = Connection(address, DEVICE, 1, on_lost=lambda *_details: None)
    boards.open()

    def device():
        return gateway.client.get(f"/esp/devices/{DEVICE}")

    try:
        for turn in range(3):
            ip, uptime_s = BOARDS[turn % 2]
            body = {"esp_id": DEVICE, "uptime": uptime_s, "heap_free": 90000, "wifi_rssi": -50,
                    "wifi_ip": ip}  # fmt: skip
            topic = topics.device_topic("god", DEVICE, topics.Tail.HEARTBEAT)
            boards.publish(topic, json.dumps(body).encode(), qos=1)
            eventually(lambda: gateway.client.call("GET", f"/esp/devices/{DEVICE}")[0] == 200)
            eventually(lambda uptime_s=uptime_s: device()["uptime_s"] == uptime_s)
        told = " ".join(device()["health_reasons"])
        assert "two boards use this id" in told
        assert all(ip in told for ip, _ in BOARDS)
        assert "two_boards_with_one_id" in gateway.log.read_text()
    finally:
        boards.close()
        gateway.stop()
