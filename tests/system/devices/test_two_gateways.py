"""Two gateways on one broker, each with a kaiser_id of its own.

The kind of fault: what one says is taken by the other for something new, and answered.
"""

from __future__ import annotations

import json
import threading
import time

import pytest

from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection
from godkaiser.protocol import topics
from tests.system.process import GatewayProcess
from tests.waiting import eventually

NORTH, SOUTH = "north", "south"


@pytest.fixture
def gateways(tmp_path, own_mosquitto):
    made = []
    for kaiser_id in (NORTH, SOUTH):
        folder = tmp_path / kaiser_id
        folder.mkdir()
        gateway = GatewayProcess(folder, own_mosquitto.port)
        text = gateway.config.read_text().replace(
            "[gateway]\n", f'[gateway]\nkaiser_id = "{kaiser_id}"\n'
        )
        gateway.config.write_text(text + '[devices]\napproval = "auto"\n')
        gateway.start().log_in()
        made.append(gateway)
    yield made
    for gateway in made:
        gateway.stop()


class Ear:
    """A client that hears the broadcast topic, and speaks for devices."""

    def __init__(self, port):
        self.heard = []
        self._changed = threading.Condition()
        address = BrokerAddress(host="127.0.0.1", port=port)
        self.connection = Connection(
            address, "ear", 1, on_message=self._note, on_lost=lambda *_details: None
        )
        self.connection.open()
        self.connection.subscribe([topics.BROADCAST_EMERGENCY])

    def _note(self, message):
        self.connection.acknowledge([message.mid])
        if message.payload:
            self.heard.append(json.loads(message.payload))

    def beat(self, kaiser_id, device_id):
        body = {"esp_id": device_id, "uptime": 100, "ts": int(time.time()), "heap_free": 90000,
                "wifi_rssi": -50}  # fmt: skip
        topic = topics.device_topic(kaiser_id, device_id, topics.Tail.HEARTBEAT)
        self.connection.publish(topic, json.dumps(body).encode(), qos=1)


@pytest.fixture
def ear(own_mosquitto):
    made = Ear(own_mosquitto.port)
    yield made
    made.connection.close()


def status(gateway):
    return gateway.client.get("/safety/status")


def devices(gateway):
    return {device["device_id"] for device in gateway.client.get("/esp/devices")["data"]}


def stops_in_the_audit_trail(gateway):
    entries = gateway.client.get("/audit/log?limit=500")["data"]
    return [entry for entry in entries if entry["what"].startswith("emergency_stop")]


def test_a_stop_reaches_the_other_gateway_once_and_does_not_come_back(gateways, ear):
    north, south = gateways
    north.client.post("/actuators/emergency_stop", {"reason": "smoke"}, 200)
    eventually(lambda: status(south)["state"] == "active")
    assert status(south)["stops"][0]["by"].startswith("broadcast:")
    south.client.post("/actuators/emergency_stop", {"reason": "smoke here, too"}, 200)
    eventually(lambda: len(stops_in_the_audit_trail(south)) == 2)
    # What north has heard after the second stop, it has heard after that stop.
    ear.beat(NORTH, "ESP_0000B1")
    eventually(lambda: devices(north))
    eventually(lambda: stops_in_the_audit_trail(north))
    assert len(stops_in_the_audit_trail(north)) == 1
    assert [body["issued_by"] for body in ear.heard] == ["user:admin", "user:admin"]


def test_a_stop_that_was_heard_is_not_said_again_and_can_be_cleared_on_each_side(gateways, ear):
    north, south = gateways
    north.client.post("/actuators/emergency_stop", {"reason": "smoke"}, 200)
    eventually(lambda: status(south)["state"] == "active")
    clear = {}
    eventually(lambda: north.client.call("POST", "/actuators/clear_emergency", clear)[0] == 200)
    before = len(ear.heard)
    assert all(body["correlation_id"].startswith(NORTH) for body in ear.heard)
    eventually(lambda: south.client.call("POST", "/actuators/clear_emergency", clear)[0] == 200)
    assert len(ear.heard) == before


def test_a_device_of_the_other_gateway_is_not_taken_up(gateways, ear):
    north, south = gateways
    ear.beat(SOUTH, "ESP_0000A1")
    ear.beat(NORTH, "ESP_0000B1")
    # While no gateway of that name is there, a device keeps the kaiser_id that it was given last.
    ear.beat("east", "ESP_0000C1")

    eventually(lambda: "ESP_0000A1" in devices(south) and "ESP_0000B1" in devices(north))
    eventually(lambda: "ESP_0000C1" in devices(north) & devices(south))
    assert devices(north) == {"ESP_0000B1", "ESP_0000C1"}
    assert devices(south) == {"ESP_0000A1", "ESP_0000C1"}
