"""Real brokers pass on a message of QoS 2 at its PUBREL, not at its PUBLISH: what is withheld never
arrives, and an OFF on the same topic passes it. The gateway stands on this (docs/operations.md names
the brokers that were tested).

The kind of fault: a broker that has more unreleased messages than its window confirms what it then
loses. Mosquitto 2.0.11 does so with its default window of 20.
"""

from __future__ import annotations

import queue

import pytest

from godkaiser.demo.broker_port import await_listening
from godkaiser.demo.child_process import ChildProcess
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.outgoing import HELD_WINDOW
from tests.mqtt.test_client import OFF, ON, TOPIC, Fates
from tests.provision.servers import free_port

BROKERS = ("mosquitto as shipped", "mosquitto with its default window", "embedded")
HOST = "127.0.0.1"


@pytest.fixture(params=BROKERS)
def address(request):
    if request.param != "embedded":
        make = request.getfixturevalue("mosquitto_factory")
        yield _address(make(default_window="default" in request.param).port)
        return
    port = free_port()
    process = ChildProcess(["embedded-broker", f"{HOST}:{port}"])
    process.start()
    await_listening(HOST, port)
    yield _address(port)
    process.stop()


def _address(port):
    return BrokerAddress(host=HOST, port=port)


class Listener:
    """A device: what arrives on the topics of commands, in order."""

    def __init__(self, address):
        self._messages = queue.SimpleQueue()
        self._connection = Connection(
            address, "device", 1, on_lost=lambda *_details: None,
            on_message=self._messages.put,
        )  # fmt: skip
        self._connection.open()
        self._connection.subscribe([TOPIC.format("+")])

    def next(self):
        message = self._messages.get(timeout=10.0)
        self._connection.acknowledge([message.mid])
        return bytes(message.payload)

    def close(self):
        self._connection.close()


@pytest.fixture
def device(address):
    listener = Listener(address)
    yield listener
    listener.close()


@pytest.fixture
def commands(address):
    connection = Connection(address, "commands", 2, on_lost=lambda *_details: None)
    connection.open()
    yield connection
    connection.close()


def _until_published():
    """Current when the PUBLISH is written, and no more when the PUBREL would be."""
    answers = iter([True])
    return lambda: next(answers, False)


def test_what_is_withheld_never_arrives_and_an_off_passes_it(address, device, commands):
    fates = Fates()
    for number in range(HELD_WINDOW):
        commands.publish_held(TOPIC.format(7), ON, _until_published(), fates.of(f"on {number}"))
    commands.publish(TOPIC.format(7), OFF, qos=2, on_fate=fates.of("off"))
    assert device.next() == OFF
    known = fates.until(HELD_WINDOW + 1)
    assert known.pop("off") is Fate.DELIVERED
    assert set(known.values()) == {Fate.WITHHELD}
    # Nor when the connection ends and another one takes its client id.
    again = Connection(address, "commands", 3, on_lost=lambda *_details: None)
    again.open()
    again.publish(TOPIC.format(7), b"last", qos=2)
    assert device.next() == b"last"
    again.close()


def test_beside_withheld_commands_everything_else_arrives_once_and_in_order(device, commands):
    fates = Fates()
    for number in range(HELD_WINDOW):
        commands.publish_held(TOPIC.format(7), ON, _until_published(), fates.of(f"on {number}"))
    fates.until(HELD_WINDOW)
    for number in range(200):
        commands.publish(
            TOPIC.format(number), str(number).encode(), qos=2, on_fate=fates.of(f"off {number}")
        )
    assert [device.next() for _ in range(200)] == [str(number).encode() for number in range(200)]
    assert all(
        fates.until(HELD_WINDOW + 200)[f"off {number}"] is Fate.DELIVERED for number in range(200)
    )
