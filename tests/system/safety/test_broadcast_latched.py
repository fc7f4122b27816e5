"""A stop on the broadcast topic is acknowledged to the broker after it is latched.

The kind of fault: what the broker was told is done is lost with the process.
"""

from __future__ import annotations

import threading

import pytest

from godkaiser.domain.safety.stop_state import SafetyState, StopState
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection
from godkaiser.protocol import outbound, topics
from godkaiser.storage.files.record_file import RecordFile
from tests.mqtt.scripted_broker import PUBACK
from tests.mqtt.wiretap import Wiretap
from tests.system.process import GatewayProcess

ROUNDS = 4


@pytest.fixture
def tap(own_mosquitto):
    made = Wiretap(own_mosquitto.port)
    yield made
    made.close()


def test_kill_9_at_its_acknowledgement_loses_no_stop(tmp_path, own_mosquitto, tap):
    address = BrokerAddress(host=own_mosquitto.host, port=own_mosquitto.port)
    panel = Connection(address, "panel", 1, on_lost=lambda *_details: None)
    panel.open()
    states = []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        gateway = GatewayProcess(folder, tap.port).start()
        killed = threading.Event()

        def kill(packet, gateway=gateway, killed=killed):
            if packet.kind == PUBACK and any(
                heard.packet_id == packet.packet_id and heard.client == packet.client
                for heard in tap.received
                if heard.topic == topics.BROADCAST_EMERGENCY
            ):
                gateway.kill()
                killed.set()

        tap.received.clear()
        tap.at_packet = kill
        payload = outbound.broadcast_stop("the fire alarm", "panel", f"c{number}", 1.7e9)
        panel.publish(topics.BROADCAST_EMERGENCY, payload, qos=1)
        assert killed.wait(20), gateway.log.read_text()
        tap.at_packet = lambda _packet: None
        latch = RecordFile(folder / "var" / "safety.latch", SafetyState).read()
        states.append(None if latch is None else latch.strictest)
    panel.close()
    assert states == [StopState.ACTIVE] * ROUNDS
