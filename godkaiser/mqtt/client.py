"""Paho's client, driven by a loop of ours: buffered reads, and writes in the thread that publishes.

Paho's own loop asks the kernel for each packet four times over (a byte, a length, the rest, and
once more to see whether there is any), and hands what is published to its network thread. Under
Python's lock each of these costs a turn of all other threads. The protocol itself stays Paho's.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from godkaiser.mqtt.gate import Fate, FateListener

MAX_FLIGHTS = 60_000
"""Of the 65,535 packet ids of a connection."""
READ_BYTES = 64 * 1024
IDLE_MS = 1000


class Flight(msgspec.Struct):
    """A publication by QoS 1 or 2 that the broker has not confirmed.

    `may_release` is asked right before its PUBREL is written; None: always.
    """

    qos: int
    may_release: Callable[[], bool] | None
    on_fate: FateListener | None
    is_withheld: bool = False
    is_released: bool = False

    def end(self, fate: Fate) -> None:
        if self.on_fate is not None:
            self.on_fate(fate)


class BufferedClient(mqtt.Client):
    """Use `start_driving` and `stop_driving` in place of `loop_start` and `loop_stop`.

    The seams of Paho that it takes hold of (`_sock_recv`, `_packet_read`, `_packet_write`) are
    watched by tests/mqtt/test_client.py.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._data = b""
        self._at = 0
        self._write_lock = threading.Lock()
        self._flights: dict[int, Flight] = {}
        self._flights_ended = False
        self._driver: threading.Thread | None = None
        self._stop_driving = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)

    def start_driving(self, name: str) -> None:
        self._driver = threading.Thread(target=self._drive, name=name, daemon=True)
        self._driver.start()

    def stop_driving(self, timeout_s: float = 2.0) -> None:
        self._stop_driving = True
        self._wake()
        driver = self._driver
        if driver is not None and driver is not threading.current_thread():
            driver.join(timeout_s)
        if driver is None or not driver.is_alive():
            # Paho leaves this to the garbage collector: each vain attempt would keep two sockets.
            self._reset_sockets()
        self._wake_receiver.close()
        self._wake_sender.close()

    def flush(self) -> None:
        """Write now what is queued; what the socket does not take is left to the driver."""
        if self.want_write():
            self.loop_write()
            if self.want_write():
                self._wake()

    # ---- publications: in place of Paho's store of messages, its window and its locks

    def publish_tracked(self, topic: str, payload: bytes, retain: bool, flight: Flight) -> None:
        """Raises ConnectionError: nothing was queued."""
        if not self.is_connected():
            raise ConnectionError
        mid = self._free_mid()
        self._flights[mid] = flight
        if self._flights_ended and self._flights.pop(mid, None) is not None:
            # The connection ended meanwhile, and the end of the flights may have missed this one.
            raise ConnectionError
        self._send_publish(mid, topic.encode(), payload, flight.qos, retain)
        self.flush()

    def end_flights(self) -> None:
        """The connection has ended: tell each publication what became of it."""
        self._flights_ended = True
        while self._flights:
            try:
                _mid, flight = self._flights.popitem()
            except KeyError:
                return
            if not flight.is_withheld:
                # The session is clean: what the broker has not been told to release, it forgets.
                dead = flight.qos == 2 and not flight.is_released  # noqa: PLR2004
                flight.end(Fate.WITHHELD if dead else Fate.LOST)

    def _free_mid(self) -> int:
        if len(self._flights) > MAX_FLIGHTS:
            msg = "the broker does not acknowledge what was published"
            raise ConnectionError(msg)
        while (mid := self._mid_generate()) in self._flights:
            pass
        return mid

    def _handle_pubrec(self) -> MQTTErrorCode:
        mid = int.from_bytes(self._in_packet["packet"][:2], "big")
        flight = self._flights.get(mid)
        if flight is None or flight.is_withheld:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if flight.may_release is not None and not flight.may_release():
            # The packet id stays taken: the broker still holds the message, and never passes it on.
            flight.is_withheld = True
            flight.end(Fate.WITHHELD)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        flight.is_released = True
        return self._send_pubrel(mid)

    def _handle_pubackcomp(self, _cmd: object) -> MQTTErrorCode:
        mid = int.from_bytes(self._in_packet["packet"][:2], "big")
        flight = self._flights.pop(mid, None)
        if flight is not None:
            flight.end(Fate.DELIVERED)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    # ---- the loop

    def _drive(self) -> None:
        sock = self.socket()
        if not isinstance(sock, socket.socket):
            return
        poller = select.poll()
        poller.register(self._wake_receiver, select.POLLIN)
        next_misc = time.monotonic() + IDLE_MS / 1000.0
        watched = 0
        while not self._stop_driving and sock.fileno() != -1:
            wanted = select.POLLIN | (select.POLLOUT if self.want_write() else 0)
            if wanted != watched:
                poller.register(sock, wanted)
                watched = wanted
            events = dict(poller.poll(IDLE_MS))
            if self._wake_receiver.fileno() in events:
                self._drain_wakes()
            ready = events.get(sock.fileno(), 0)
            if ready & ~select.POLLOUT and not self._read_all():
                return
            if self.want_write():
                self.loop_write()
            if time.monotonic() >= next_misc:
                next_misc = time.monotonic() + IDLE_MS / 1000.0
                if self.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    return

    def _read_all(self) -> bool:
        """Every packet that has come; False when the connection has ended."""
        while True:
            rc = self._packet_read()
            if rc > 0:
                self._loop_rc_handle(rc)
                return False
            if rc == MQTTErrorCode.MQTT_ERR_AGAIN:
                return True
            if self._at >= len(self._data) and not isinstance(self._sock, ssl.SSLSocket):
                # A short read has emptied the socket: the next look belongs to the poller, which
                # cannot see what TLS has already taken from the socket.
                return True

    def _sock_recv(self, bufsize: int) -> bytes:
        end = self._at + bufsize
        chunk = self._data[self._at : end]
        if chunk:
            self._at = end
            return chunk
        data = super()._sock_recv(READ_BYTES)
        if len(data) <= bufsize:
            return data
        self._data = data
        self._at = bufsize
        return data[:bufsize]

    def _handle_on_message(self, message: mqtt.MQTTMessage) -> None:
        """There is one callback for all topics, so nothing has to be matched."""
        callback = self.on_message
        if callback is not None:
            callback(self, self._userdata, message)

    def _packet_write(self) -> MQTTErrorCode:
        # Several threads publish, and a packet may go out in two pieces.
        with self._write_lock:
            return super()._packet_write()

    def _wake(self) -> None:
        # Full means that a wake is on its way already; closed, that nobody is to be woken.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"w")

    def _drain_wakes(self) -> None:
        with contextlib.suppress(OSError):
            while self._wake_receiver.recv(4096):
                pass
