"""The link against a broker that answers late, never, or does not read.

The kind of fault: a command that was decided before a stop lies somewhere on its way (in the client's
queue, before its PUBREL, in a socket that takes nothing) and leaves after the stop.
"""

from __future__ import annotations

import socket
import threading

import pytest

from godkaiser.mqtt import client as client_module
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection, NotConnected
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.outgoing import HELD_WINDOW, MOST_HELD, WINDOW
from tests.mqtt.scripted_broker import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ScriptedBroker
from tests.waiting import eventually

TOPIC = "kaiser/god/esp/ESP_A00001/actuator/{}/command"
ON, OFF = b"ON", b"OFF"


class Fates:
    """The fates of publications, by name; a second fate of one is a fault."""

    def __init__(self) -> None:
        self.known: dict[str, Fate] = {}
        self._changed = threading.Condition()

    def of(self, name):
        def note(fate):
            with self._changed:
                assert name not in self.known, f"{name} ended twice"
                self.known[name] = fate
                self._changed.notify_all()

        return note

    def until(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.known) >= count, 10.0), self.known
        return self.known


@pytest.fixture
def broker():
    made = ScriptedBroker()
    yield made
    made.close()


@pytest.fixture
def fates():
    return Fates()


@pytest.fixture
def connect():
    opened = []

    def open_one(broker, **options):
        lost = options.pop("on_lost", lambda *_details: None)
        address = BrokerAddress(host=broker.host, port=broker.port)
        connection = Connection(address, "gateway-commands", 1, on_lost=lost, **options)
        connection.open()
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


def delivered(broker):
    return [packet.payload for packet in broker.delivered]


def test_a_command_whose_answer_comes_after_the_stop_is_never_released(broker, connect, fates):
    broker.silent = {PUBREC}
    allowed = [True]
    connection = connect(broker)
    connection.publish_held(TOPIC.format(1), ON, lambda: allowed[0], fates.of("on"))
    connection.publish(TOPIC.format(1), OFF, qos=2, on_fate=fates.of("off"))
    broker.until(lambda: len(broker.of(PUBLISH)) == 2)
    allowed[0] = False
    broker.answer()
    assert fates.until(2) == {"on": Fate.WITHHELD, "off": Fate.DELIVERED}
    assert delivered(broker) == [OFF]


def test_commands_are_released_in_the_order_of_their_calls(broker, connect, fates):
    broker.silent = {PUBREC}
    connection = connect(broker)
    names = [str(number) for number in range(10)]
    for name in names:
        if int(name) % 2:
            connection.publish(TOPIC.format(name), name.encode(), qos=2, on_fate=fates.of(name))
        else:
            connection.publish_held(TOPIC.format(name), name.encode(), lambda: True, fates.of(name))
        # An OFF passes commands that wait; here nothing waits.
        broker.until(lambda name=name: len(broker.of(PUBLISH)) == int(name) + 1)
    broker.answer()
    fates.until(10)
    assert delivered(broker) == [name.encode() for name in names]


def test_a_release_that_the_socket_does_not_take_is_checked_again(connect, fates):
    """The ON is answered while our bytes are stuck; the stop comes before they move again."""
    broker = ScriptedBroker(receive_buffer=4096)
    try:
        broker.silent = {PUBREC}
        allowed = [True]
        connection = connect(broker)
        # A buffer that the kernel does not enlarge while it is full.
        connection._client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.publish_held(TOPIC.format(1), ON, lambda: allowed[0], fates.of("on"))
        connection.publish(TOPIC.format(2), OFF, qos=2, on_fate=fates.of("off"))
        broker.until(lambda: len(broker.of(PUBLISH)) == 2)
        broker.stop_reading()
        connection.publish("filler", b"x" * 400_000, qos=1, on_fate=fates.of("filler"))
        assert connection._client.want_write()
        broker.answer()
        eventually(lambda: connection._client._outgoing.has_releases)
        assert not broker.of(PUBREL)
        allowed[0] = False
        broker.read_again()
        known = fates.until(3)
        assert (known["on"], known["off"]) == (Fate.WITHHELD, Fate.DELIVERED)
        assert ON not in delivered(broker)
    finally:
        broker.close()


def test_when_the_connection_ends_each_publication_has_exactly_one_fate(broker, connect, fates):
    broker.silent = {PUBREC, PUBCOMP, PUBACK}
    lost = threading.Event()
    connection = connect(broker, on_lost=lambda *_details: lost.set())
    connection.publish_held(TOPIC.format(1), ON, lambda: True, fates.of("released"))
    broker.until(lambda: len(broker.of(PUBLISH)) == 1)
    broker.answer()
    broker.silent = {PUBREC, PUBCOMP, PUBACK}
    broker.until(lambda: broker.of(PUBREL))
    connection.publish_held(TOPIC.format(2), ON, lambda: True, fates.of("not released"))
    connection.publish(TOPIC.format(3), OFF, qos=2, on_fate=fates.of("off"))
    connection.publish("stop", b"", qos=1, on_fate=fates.of("stop"))
    broker.until(lambda: len(broker.of(PUBLISH)) == 4)
    broker.hang_up("gateway-commands")
    known = fates.until(4)
    assert lost.wait(10)
    connection.close()
    # The first PUBCOMP may have come before it was held back: then it was delivered, not lost.
    assert known.pop("released") in {Fate.LOST, Fate.DELIVERED}
    assert known == {"not released": Fate.WITHHELD, "off": Fate.WITHHELD, "stop": Fate.LOST}
    with pytest.raises(NotConnected):
        connection.publish(TOPIC.format(1), OFF, qos=2)


def test_the_broker_never_has_more_than_it_can_release(broker, connect, fates):
    """And what does not fit waits here: a stop passes it at once, an OFF passes the other commands."""
    broker.silent = {PUBREC}
    allowed = [True]
    connection = connect(broker)
    for number in range(100):
        connection.publish_held(
            TOPIC.format(number), ON, lambda: allowed[0], fates.of(f"on {number}")
        )
    broker.until(lambda: len(broker.of(PUBLISH)) == HELD_WINDOW)
    for number in range(50, 60):
        connection.publish(TOPIC.format(number), OFF, qos=2, on_fate=fates.of(f"off {number}"))
    connection.publish("stop", b"", qos=1, on_fate=fates.of("stop"))
    broker.until(lambda: any(packet.topic == "stop" for packet in broker.delivered))
    assert len([packet for packet in broker.of(PUBLISH) if packet.qos == 2]) == WINDOW
    allowed[0] = False
    broker.answer()
    known = fates.until(111)
    assert all(known[f"on {number}"] is Fate.WITHHELD for number in range(100))
    assert all(known[f"off {number}"] is Fate.DELIVERED for number in range(50, 60))
    assert ON not in delivered(broker)


def test_an_off_replaces_a_command_to_its_actuator_that_still_waits(broker, connect, fates):
    broker.silent = {PUBREC}
    connection = connect(broker)
    for number in range(HELD_WINDOW):
        connection.publish_held(TOPIC.format(number), ON, lambda: True, fates.of(f"{number}"))
    connection.publish_held(TOPIC.format(99), ON, lambda: True, fates.of("waits"))
    connection.publish(TOPIC.format(99), OFF, qos=2, on_fate=fates.of("off"))
    assert fates.until(1) == {"waits": Fate.WITHHELD}
    broker.answer()
    fates.until(HELD_WINDOW + 2)
    assert [packet.payload for packet in broker.delivered if packet.topic == TOPIC.format(99)] == [
        OFF
    ]


def test_too_many_waiting_commands_are_refused_with_the_reason_an_off_and_a_stop_are_not(
    broker, connect, fates
):
    broker.silent = {PUBREC}
    connection = connect(broker)
    for number in range(HELD_WINDOW + MOST_HELD):
        connection.publish_held(TOPIC.format(number), ON, lambda: True, fates.of(f"on {number}"))
    with pytest.raises(NotConnected, match="does not acknowledge"):
        connection.publish_held(TOPIC.format(0), ON, lambda: True, pytest.fail)
    connection.publish(TOPIC.format(5000), OFF, qos=2, on_fate=fates.of("off"))
    connection.publish("stop", b"", qos=1, on_fate=fates.of("stop"))
    broker.until(lambda: any(packet.payload == OFF for packet in broker.of(PUBLISH)))
    broker.until(lambda: any(packet.topic == "stop" for packet in broker.delivered))


def test_what_has_become_void_is_told_without_an_answer_of_the_broker(broker, connect, fates):
    broker.silent = {PUBREC}
    allowed = [True]
    connection = connect(broker)
    for number in range(HELD_WINDOW + 5):
        connection.publish_held(
            TOPIC.format(number), ON, lambda: allowed[0], fates.of(f"on {number}")
        )
    broker.until(lambda: len(broker.of(PUBLISH)) == HELD_WINDOW)
    allowed[0] = False
    assert set(fates.until(HELD_WINDOW + 5).values()) == {Fate.WITHHELD}
    broker.answer()
    connection.publish(TOPIC.format(1), OFF, qos=2, on_fate=fates.of("off"))
    assert fates.until(HELD_WINDOW + 6)["off"] is Fate.DELIVERED
    assert delivered(broker) == [OFF]


def test_a_broker_that_confirms_nothing_is_as_good_as_gone(broker, connect, monkeypatch, fates):
    monkeypatch.setattr(client_module, "OVERDUE_S", 0.5)
    broker.silent = {PUBACK}
    lost = threading.Event()
    connection = connect(broker, on_lost=lambda *_details: lost.set())
    connection.publish("stop", b"", qos=1, on_fate=fates.of("stop"))
    assert lost.wait(10)
    assert fates.until(1) == {"stop": Fate.LOST}


def test_a_renewed_connection_sends_what_was_published_meanwhile_in_order(broker, connect, fates):
    broker.silent = {PUBREC}
    worn = threading.Event()
    allowed = [True]
    old = connect(broker, on_worn=worn.set)
    for number in range(4):
        old.publish_held(TOPIC.format(number), ON, lambda: allowed[0], fates.of(f"on {number}"))
    broker.until(lambda: len(broker.of(PUBLISH)) == 4)
    assert not old.retire()
    allowed[0] = False
    broker.answer()
    fates.until(4)
    assert worn.wait(10)
    assert old.retire()
    old.publish(TOPIC.format(7), b"first", qos=2, on_fate=fates.of("first"))
    fresh = connect(broker)
    old.hand_over(fresh)
    old.publish(TOPIC.format(7), b"second", qos=2, on_fate=fates.of("second"))
    known = fates.until(6)
    old.close()
    assert (known["first"], known["second"]) == (Fate.DELIVERED, Fate.DELIVERED)
    assert delivered(broker) == [b"first", b"second"]


def test_what_waits_for_a_renewal_that_fails_is_dead(broker, connect, fates):
    broker.silent = {PUBREC}
    old = connect(broker)
    for number in range(4):
        old.publish_held(TOPIC.format(number), ON, lambda: False, fates.of(f"on {number}"))
        old.publish_held(TOPIC.format(number), ON, _once(), fates.of(f"once {number}"))
    broker.until(lambda: len(broker.of(PUBLISH)) == 4)
    broker.answer()
    fates.until(8)
    assert old.retire()
    old.publish(TOPIC.format(7), OFF, qos=2, on_fate=fates.of("off"))
    old.close()
    assert fates.until(9)["off"] is Fate.WITHHELD
    assert delivered(broker) == []


def _once():
    """True at its PUBLISH, False at its PUBREL."""
    answers = iter([True])
    return lambda: next(answers, False)
