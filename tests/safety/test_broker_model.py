"""The broker of the simulation does what MQTT and the two supported brokers do: handshakes, order, faults.

`tests/mqtt` shows the same of Mosquitto and of the gateway's real client.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.outgoing import WORN_AT
from tests.safety.world.agenda import Agenda
from tests.safety.world.broker_model import Broker, DeviceLink
from tests.safety.world.gateway_connection import GatewayConnection
from tests.safety.world.packets import Packet

COMMAND = "kaiser/god/esp/ESP_A00001/actuator/25/command"
STATUS = "kaiser/god/esp/ESP_A00001/actuator/25/status"
WITHHELD, DELIVERED, LOST = Fate.WITHHELD, Fate.DELIVERED, Fate.LOST


class Net:
    """A broker, one device, and what happened in its order."""

    def __init__(self, **broker):
        self.time = 0.0
        self.agenda = Agenda(lambda: self.time)
        self.seen = []
        self.received = []
        self.fates = []
        witness = SimpleNamespace(
            **{word: self._note(word) for word in ("handed", "left", "withheld", "lost")}
        )
        self.broker = Broker(self.agenda, witness, lambda: (self.time, self.time), **broker)
        device = SimpleNamespace(
            device_id="ESP_A00001", receive=lambda _topic, payload, _ticket: self.received.append(payload)
        )  # fmt: skip
        self.link = DeviceLink(self.broker, device, lambda: 0.1, Packet("PUBLISH", 0, "will"))
        self.broker.connect_device(self.link)

    def _note(self, word):
        return lambda _ticket, _topic, payload: self.seen.append((word, payload))

    def connection(self, delay_s=0.1, **more):
        return GatewayConnection(self.broker, "c", 1, lambda: delay_s, **more)

    def wait(self, seconds):
        end = self.time + seconds
        while (due := self.agenda.next_due) is not None and due <= end:
            self.time = max(due, self.time)
            self.agenda.run_due()
        self.time = end


def test_qos_1_is_passed_on_at_publish_and_qos_2_at_pubrel():
    net = Net()
    connection = net.connection()
    connection.publish(COMMAND, b"two", qos=2, on_fate=net.fates.append)
    connection.publish(COMMAND, b"one", qos=1)
    net.wait(0.25)
    assert net.received == [b"one"]
    assert ("left", b"two") in net.seen
    net.wait(1.0)
    assert net.received == [b"one", b"two"]
    assert net.fates == [DELIVERED]


@pytest.mark.parametrize("may", [True, False])
def test_the_last_moment_is_pubrec(may):
    net = Net()
    asked = []

    def may_release():
        asked.append(net.time)
        return may or net.time < 0.1

    net.connection().publish_held(COMMAND, b"on", may_release, net.fates.append)
    net.wait(0.15)
    assert asked == [0.0]
    net.wait(2.0)
    assert asked == [0.0, pytest.approx(0.2)]
    assert net.received == ([b"on"] if may else [])
    assert net.fates == [DELIVERED if may else WITHHELD]
    assert (("left" if may else "withheld"), b"on") in net.seen


def test_a_withheld_message_blocks_nothing_behind_it():
    net = Net()
    connection = net.connection()
    connection.publish_held(COMMAND, b"on", lambda: False, net.fates.append)
    connection.publish(COMMAND, b"off", qos=2)
    net.wait(2.0)
    assert net.received == [b"off"]


def test_one_connection_keeps_its_order_and_two_do_not():
    net = Net()
    delays = iter([2.0, 0.0, 0.0, 0.0])
    slow = GatewayConnection(net.broker, "s", 1, lambda: next(delays))
    for payload in (b"1", b"2", b"3"):
        slow.publish(COMMAND, payload, qos=0)
    net.connection(0.01).publish(COMMAND, b"other", qos=0)
    net.wait(5.0)
    assert net.received == [b"other", b"1", b"2", b"3"]


def test_a_frozen_broker_goes_on_with_everything_in_its_order():
    net = Net()
    net.broker.freeze(8.0)
    connection = net.connection()
    connection.publish(COMMAND, b"1", qos=1, on_fate=net.fates.append)
    net.wait(4.0)
    connection.publish(COMMAND, b"2", qos=1)
    net.wait(3.9)
    assert not net.received
    assert not net.fates
    net.wait(1.0)
    assert net.received == [b"1", b"2"]
    assert net.fates == [DELIVERED]


def test_a_broker_that_withholds_acknowledgements_passes_on():
    net = Net()
    net.broker.withhold(5.0)
    connection = net.connection()
    connection.publish(COMMAND, b"1", qos=1, on_fate=net.fates.append)
    net.wait(4.0)
    assert net.received == [b"1"]
    assert not net.fates
    net.wait(2.0)
    assert net.fates == [DELIVERED]


def test_a_worn_connection_hands_over_what_waits():
    net = Net()
    worn = []
    connection = net.connection(on_worn=lambda: worn.append(True))
    for _ in range(WORN_AT):
        connection.publish_held(COMMAND, b"old", lambda: net.time < 0.1, net.fates.append)
    net.wait(3.0)
    connection.publish_held(COMMAND, b"on", lambda: True, net.fates.append)
    successor = net.connection()
    assert worn
    assert connection.hand_over(successor)
    net.wait(2.0)
    assert net.received == [b"on"]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_connection_tells_each_message_its_fate(arrives):
    net = Net()
    connection = net.connection(will=Packet("PUBLISH", 0, "kaiser/god/server/status", b"gone", 1))
    connection.publish(COMMAND, b"held", qos=2, on_fate=net.fates.append)
    connection.publish(COMMAND, b"sent", qos=1, on_fate=net.fates.append)
    net.broker.lose(connection, arrives=arrives)
    assert net.fates == [WITHHELD, LOST]
    with pytest.raises(NotConnected):
        connection.publish(COMMAND, b"late", qos=1)
    net.wait(1.0)
    assert net.received == ([b"gone", b"sent"] if arrives else [b"gone"])
    assert (("lost", b"sent") in net.seen) is not arrives


def test_what_nobody_acknowledged_comes_again_on_the_next_connection():
    net = Net()
    got = []
    connection = net.connection()
    net.broker.control.attach(connection, lambda i: got.append((i.payload, i.dup, i.mid)))
    net.link.publish(STATUS, b"1", 1)
    net.link.publish(STATUS, b"2", 1)
    net.wait(1.0)
    assert [(payload, dup) for payload, dup, _ in got] == [(b"1", False), (b"2", False)]
    connection.acknowledge([got[0][2]])
    net.wait(1.0)
    net.broker.lose(connection, arrives=False)
    net.link.publish(STATUS, b"3", 1)
    net.wait(1.0)
    after = []
    net.broker.control.attach(net.connection(), lambda i: after.append((i.payload, i.dup)))
    net.wait(1.0)
    assert after == [(b"2", True), (b"3", False)]


def test_a_device_that_is_away_loses_what_comes():
    net = Net()
    connection = net.connection()
    connection.publish(COMMAND, b"1", qos=0)
    net.wait(0.15)
    net.broker.lose_device("ESP_A00001", will_after_s=None)
    connection.publish(COMMAND, b"2", qos=0)
    net.wait(1.0)
    assert not net.received
    assert [payload for word, payload in net.seen if word == "lost"] == [b"1", b"2"]


def test_retained_messages_are_there_for_who_comes_later():
    net = Net()
    net.connection().publish("kaiser/god/server/status", b"online", qos=1, retain=True)
    net.wait(1.0)
    net.received.clear()
    device = SimpleNamespace(
        device_id="ESP_A00002",
        receive=lambda _topic, payload, _ticket: net.received.append(payload),
    )
    net.broker.connect_device(DeviceLink(net.broker, device, lambda: 0.1, Packet("PUBLISH")))
    net.wait(1.0)
    assert net.received == [b"online"]
