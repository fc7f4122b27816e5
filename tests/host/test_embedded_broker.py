"""The embedded broker, with real MQTT clients: what the gateway and the devices stand on."""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.demo.broker_port import await_listening, check_free
from godkaiser.demo.child_process import ChildProcess
from godkaiser.demo.demo import Demo, DemoSettings
from godkaiser.errors.process import StartupFailed
from tests.provision.servers import free_port

HOST = "127.0.0.1"
SILENCE_S = 0.3


class Client:
    """A connected paho client whose messages wait in a queue."""

    def __init__(self, port, name, *, clean=True, will=None, manual_ack=False):
        self._port = port
        self._messages = queue.Queue()
        self._subscribed = queue.Queue()
        connected = queue.Queue()
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean,
            manual_ack=manual_ack, reconnect_on_failure=False,
        )  # fmt: skip
        self.paho.on_socket_open = _without_nagle
        self.paho.on_message = lambda _client, _data, message: self._messages.put(message)
        self.paho.on_connect = lambda _c, _d, flags, _r, _p: connected.put(flags.session_present)
        self.paho.on_subscribe = lambda *_: self._subscribed.put(True)
        if will is not None:
            self.paho.will_set(*will)
        self.paho.connect(HOST, port, 30)
        self.paho.loop_start()
        self.session_present = connected.get(timeout=20)

    def subscribe(self, topic, qos=1):
        self.paho.subscribe(topic, qos)
        self._subscribed.get(timeout=20)
        return self

    def publish(self, topic, payload, qos=1, *, retain=False):
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(5)

    def next(self, timeout_s=5.0):
        """The next message; None when none came in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def payloads(self, count):
        return [self.next().payload for _ in range(count)]

    def vanish(self):
        """As a device does that loses its power: no DISCONNECT."""
        self.paho.socket().shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()

    def leave(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def _without_nagle(_client, _data, opened):
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.fixture(scope="module")
def port():
    """A broker in a process of its own, as the demo runs it."""
    chosen = free_port()
    process = ChildProcess(["embedded-broker", f"{HOST}:{chosen}"])
    process.start()
    await_listening(HOST, chosen)
    yield chosen
    process.stop()
    assert process.exit_code == 0


@pytest.fixture
def connect(port):
    made = []

    def connect(name, **options):
        made.append(Client(port, name, **options))
        return made[-1]

    yield connect
    for client in made:
        client.leave()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_once_and_in_order_at_each_qos(connect, qos):
    reader = connect(f"reader{qos}").subscribe(f"order{qos}/+", qos)
    writer = connect(f"writer{qos}")
    for number in range(100):
        writer.paho.publish(f"order{qos}/x", str(number), qos)
    assert reader.payloads(100) == [str(number).encode() for number in range(100)]
    assert reader.next(SILENCE_S) is None


def test_a_hop_takes_milliseconds_and_not_the_forty_of_nagle(connect):
    reader = connect("hop-reader").subscribe("hop", 1)
    writer = connect("hop-writer")
    taken = []
    for _ in range(50):
        begun = time.perf_counter()
        writer.paho.publish("hop", b"x", 1)
        assert reader.next() is not None
        taken.append(time.perf_counter() - begun)
    # The quickest: the delay of Nagle would be in each, a busy machine is not.
    assert min(taken) < 0.02


def test_retained_messages_reach_who_subscribes_later_and_nobody_else(connect):
    connect("retain-writer").publish("retained/a", b"kept", retain=True)
    stranger = connect("retain-stranger")
    reader = connect("retain-reader").subscribe("retained/#")
    message = reader.next()
    assert (message.payload, message.retain) == (b"kept", True)
    assert stranger.next(SILENCE_S) is None


def test_an_empty_retained_message_clears_it(connect):
    writer = connect("clear-writer")
    writer.publish("cleared/a", b"kept", retain=True)
    writer.publish("cleared/a", b"", retain=True)
    assert connect("clear-reader").subscribe("cleared/#").next(SILENCE_S) is None


def test_the_will_of_a_client_that_vanishes_is_published_and_retained(connect):
    watcher = connect("will-watcher").subscribe("wills/a")
    connect("will-device", will=("wills/a", b"gone", 1, True)).vanish()
    assert watcher.next().payload == b"gone"
    assert connect("will-late").subscribe("wills/a").next().payload == b"gone"


def test_the_will_of_a_client_that_says_good_bye_is_not_published(connect):
    watcher = connect("bye-watcher").subscribe("wills/b")
    connect("bye-device", will=("wills/b", b"gone", 1, False)).leave()
    assert watcher.next(SILENCE_S) is None


def test_the_will_of_a_client_that_falls_silent_is_published(connect, port):
    watcher = connect("silent-watcher").subscribe("wills/silent")
    with socket.create_connection((HOST, port)) as silent:
        silent.sendall(_connect_packet(b"silent", b"wills/silent", b"gone", keepalive_s=1))
        assert silent.recv(4)[3] == 0
        assert watcher.next().payload == b"gone"


def test_a_persistent_session_gets_what_came_while_it_was_away(connect):
    connect("away", clean=False).subscribe("away/#").vanish()
    # The monitor of sessions runs each second; the session must outlive it.
    time.sleep(1.2)
    writer = connect("away-writer")
    for number in range(3):
        writer.publish("away/x", str(number))
    back = connect("away", clean=False)
    assert back.session_present
    assert back.payloads(3) == [b"0", b"1", b"2"]


def test_what_was_not_acknowledged_is_sent_again_at_the_next_connect(connect):
    first = connect("slow", clean=False, manual_ack=True).subscribe("slow/#")
    connect("slow-writer").publish("slow/x", b"uncommitted")
    assert first.next().payload == b"uncommitted"
    first.vanish()
    second = connect("slow", clean=False, manual_ack=True)
    again = second.next()
    assert (again.payload, again.dup) == (b"uncommitted", True)
    # It reads on meanwhile: a subscription is answered, an acknowledgement ends the matter.
    second.subscribe("slow/other")
    second.paho.ack(again.mid, again.qos)
    second.publish("slow/other", b"after the acknowledgement")
    assert second.next().payload == b"after the acknowledgement"
    second.leave()
    third = connect("slow", clean=False, manual_ack=True)
    assert b"uncommitted" not in {m.payload for m in iter(lambda: third.next(SILENCE_S), None)}


def test_a_connection_that_takes_over_its_session_is_served(connect):
    writer = connect("takeover-writer")
    for number in range(10):
        current = connect("takeover", clean=False).subscribe("takeover/#")
        writer.publish("takeover/x", str(number))
        message = current.next(2.0)
        while message is not None and message.dup:
            # Its acknowledgement was still under way at the take-over.
            message = current.next(2.0)
        assert message.payload == str(number).encode()


def test_clients_that_come_and_go_disturb_nobody(connect, port):
    reader = connect("calm-reader").subscribe("calm/#")
    writer = connect("calm-writer")
    writer.publish("restless/kept", b"x", retain=True)
    over = threading.Event()

    def come_and_go():
        number = 0
        while not over.is_set():
            client = Client(port, f"restless{number % 7}", clean=number % 2 == 0)
            client.subscribe(f"restless/{number}").subscribe("restless/+")
            client.vanish() if number % 3 else client.leave()
            number += 1

    restless = threading.Thread(target=come_and_go)
    restless.start()
    try:
        for number in range(500):
            writer.paho.publish("calm/x", str(number), 1)
        assert reader.payloads(500) == [str(number).encode() for number in range(500)]
    finally:
        over.set()
        restless.join(10)


def test_bytes_that_are_not_mqtt_disturb_nobody(connect, port):
    reader = connect("garbage-reader").subscribe("garbage/#")
    for junk in (b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\x7f", b""):
        with socket.create_connection((HOST, port)) as stranger:
            stranger.sendall(junk)
    connect("garbage-writer").publish("garbage/x", b"fine")
    assert reader.next().payload == b"fine"


def test_a_port_in_use_is_a_clear_error_that_names_it():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupFailed, match=f"{HOST}:{port}.*--mqtt"):
            check_free(HOST, port)
    check_free(HOST, free_port())


def test_a_broker_that_does_not_come_up_is_a_clear_error():
    port = free_port()
    with pytest.raises(StartupFailed, match=f"did not start on {HOST}:{port}"):
        await_listening(HOST, port, timeout_s=0.1)


def _connect_packet(name, topic, payload, keepalive_s):
    """CONNECT of MQTT 3.1.1 with a will at QoS 1."""

    def sized(data):
        return struct.pack("!H", len(data)) + data

    body = sized(b"MQTT") + b"\x04" + bytes([0x02 | 0x04 | 0x08]) + struct.pack("!H", keepalive_s)
    body += sized(name) + sized(topic) + sized(payload)
    return bytes([0x10, len(body)]) + body


def test_the_demo_refuses_the_port_of_its_live_socket(tmp_path):
    """The kind: two parts of one program that want one port."""
    settings = DemoSettings(
        data_dir=tmp_path, http=("127.0.0.1", 18470), mqtt=("127.0.0.1", 18471), devices=1
    )
    with pytest.raises(StartupFailed, match="live socket"):
        Demo(settings, {})
