"""Paho's client, driven by our own loop: buffered reads, and writes in the thread that publishes.

Paho's own loop makes four system calls for each packet (a byte, a length, the rest, and one more to
see whether there is any), and passes publications to its network thread. Under Python's lock each
of these may switch threads. Publications go through `Outgoing` instead of Paho's store of
messages; the rest of the protocol stays Paho's.

One lock covers the state of `Outgoing` and each write; over TLS each read as well, because an SSL
object must not be used by two threads at once. The socket never blocks, so the lock is held for
microseconds only, and a stop never needs the lock of another connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from godkaiser.mqtt.link_failure import MendedClient
from godkaiser.mqtt.outgoing import Outgoing, Publication

READ_BYTES = 64 * 1024
IDLE_MS = 1000
OVERDUE_S = 20.0
"""If the broker has not confirmed a publication for this time, the connection counts as lost."""
PUBLISH, PUBACK, PUBREL = 0x30, 0x40, 0x62


class BufferedClient(MendedClient):
    """Use `start_driving` and `stop_driving` in place of `loop_start` and `loop_stop`.

    tests/mqtt/test_client.py checks the private parts of Paho that this class overrides
    (`_sock_recv`, `_packet_read`, `_packet_write`, `_handle_pubrec`, `_handle_pubackcomp`).
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._data = b""
        self._at = 0
        self._lock = threading.RLock()
        self._outgoing = Outgoing(self._mid_generate)
        self._has_ended = False
        self._pong = threading.Event()
        # While the connection is renewed: unsent publications, and new ones.
        self._parked: list[Publication] | None = None
        self._successor: BufferedClient | None = None
        self._driver: threading.Thread | None = None
        self._stop_driving = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self.gave_up = ""
        """Why we ended the connection ourselves; empty if the other side did."""
        self.on_worn: Callable[[], None] | None = None
        """Called in the network thread, once, when the connection should be renewed."""

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
            # Paho leaves this to the garbage collector: each failed attempt would keep two sockets
            # open.
            self._reset_sockets()
        self.end_publications()
        self._wake_receiver.close()
        self._wake_sender.close()

    # ---- publishing

    def submit(self, publication: Publication) -> None:
        """Send the publication now, or as soon as window and socket allow.

        Raises:
            ConnectionError: nothing was queued; the text says why.
        """
        with self._lock:
            if self._parked is not None:
                self._parked.append(publication)
                return
            successor = self._successor
            if successor is None:
                self._submit(publication)
        if successor is not None:
            successor.submit(publication)
        self._tell_fates()

    def _submit(self, publication: Publication) -> None:
        if self._has_ended or not self.is_connected():
            msg = "the broker is not connected"
            raise ConnectionError(msg)
        refusal = self._outgoing.add(publication)
        if refusal:
            raise ConnectionError(refusal)
        self._pump()

    def ping(self, timeout_s: float) -> bool:
        """Whether the broker answers a ping in time."""
        self._pong.clear()
        self._send_pingreq()
        return self._pong.wait(timeout_s)

    def write_acknowledgements(self, packet_ids: Sequence[int]) -> None:
        """Send PUBACKs for QoS 1 messages, all in one write.

        Paho has no call for many. One queued packet for each would cost a system call each, which
        is most of the cost of a small message. A PUBACK is four bytes, so they are joined here.
        """
        packets = b"".join(struct.pack("!BBH", PUBACK, 2, packet_id) for packet_id in packet_ids)
        with self._lock:
            self._queue(PUBACK, packets)
            self._pump()

    def flush(self) -> None:
        """Write Paho's queue now; bytes that the socket does not accept are left to the driver."""
        with self._lock:
            self._pump()

    def retire(self) -> bool:
        """Send no more and park new publications, because a successor is about to be opened.

        Returns False, without a change, if something is under way.
        """
        with self._lock:
            if not self._outgoing.is_worn:
                return False
            self._parked = self._outgoing.take_waiting()
            return True

    def hand_over(self, successor: BufferedClient) -> None:
        """Send parked and later publications through `successor`, in this order."""
        with self._lock:
            parked, self._parked = self._parked or [], None
            self._successor = successor
            for publication in parked:
                try:
                    successor.submit(publication)
                except ConnectionError:
                    self._outgoing.give_up(publication)
        self._tell_fates()

    def end_publications(self) -> None:
        """The connection has ended: report the fate of each publication."""
        with self._lock:
            self._has_ended = True
            self._outgoing.end()
        self._tell_fates()

    def abandon(self) -> None:
        """There will be no successor: drop the parked publications."""
        with self._lock:
            parked, self._parked = self._parked or [], None
            for publication in parked:
                self._outgoing.give_up(publication)
        self._tell_fates()

    def _pump(self) -> None:
        """Write as much as the socket accepts. PUBRELs first: each is checked after the bytes
        before it have left, so that none of our bytes are between check and wire.
        """
        while self._writes_all():
            packet_id = self._outgoing.next_release()
            if packet_id is not None:
                if not self._write_release(packet_id):
                    break
                continue
            packets = self._next_publications()
            if not packets:
                break
            self._queue(PUBLISH, packets)
        if self.want_write():
            self._wake()

    def _writes_all(self) -> bool:
        """Write, and return whether nothing is left. Errors are left to the driver, which sees them
        too.
        """
        return not self._out_packet or (
            super()._packet_write() == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._out_packet
        )

    def _write_release(self, packet_id: int) -> bool:
        """False if the socket accepts nothing now: then the clearance is checked again before the
        next try.
        """
        sock = self._sock
        if sock is None or (isinstance(sock, ssl.SSLSocket) and not _takes_bytes(sock)):
            # Bytes that TLS has encrypted will be sent later: so give it none while the socket is
            # full.
            return False
        packet = struct.pack("!BBH", PUBREL, 2, packet_id)
        try:
            written = self._sock_send(packet)
        except BlockingIOError:
            written = len(packet) if isinstance(sock, ssl.SSLSocket) else 0
            if written:
                self._queue(PUBREL, packet)
        except (OSError, ValueError, AttributeError):
            return False
        if not written:
            return False
        self._outgoing.note_released(packet_id)
        if written < len(packet):
            self._queue(PUBREL, packet[written:])
        return True

    def _next_publications(self) -> bytes:
        if self._parked is not None:
            return b""
        now = time.monotonic()
        packets = []
        while (taken := self._outgoing.next_publication(now)) is not None:
            packets.append(_encode(*taken))
        return b"".join(packets)

    def _queue(self, command: int, packet: bytes) -> None:
        # Not with Paho's `_packet_queue`, which would write at once. With QoS 1 Paho reports
        # nothing.
        self._out_packet.append(
            {
                "command": command,
                "mid": 0,
                "qos": 1,
                "pos": 0,
                "to_process": len(packet),
                "packet": packet,
                "info": None,
            }
        )

    def want_write(self) -> bool:
        return bool(self._out_packet) or self._outgoing.has_releases

    def _handle_pubrec(self) -> MQTTErrorCode:
        with self._lock:
            self._outgoing.note_pubrec(self._packet_id())
            self._pump()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, _cmd: object) -> MQTTErrorCode:
        with self._lock:
            self._outgoing.note_end(self._packet_id())
            self._pump()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pingresp(self) -> MQTTErrorCode:
        self._pong.set()
        return super()._handle_pingresp()

    def _packet_id(self) -> int:
        return int.from_bytes(self._in_packet["packet"][:2], "big")

    def _tell_fates(self) -> None:
        fates = self._outgoing.fates
        with contextlib.suppress(IndexError):
            while True:
                listener, fate = fates.popleft()
                listener(fate)

    # ---- the loop

    def _drive(self) -> None:
        try:
            self._run()
        finally:
            self.end_publications()

    def _run(self) -> None:
        sock = self.socket()
        if not isinstance(sock, socket.socket):
            return
        poller = select.poll()
        poller.register(self._wake_receiver, select.POLLIN)
        next_look = time.monotonic() + IDLE_MS / 1000.0
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
            if self.want_write() and not self._write_or_lose():
                return
            self._tell_fates()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + IDLE_MS / 1000.0
                if not self._look_after():
                    return

    def _write_or_lose(self) -> bool:
        """False when the connection has ended."""
        with self._lock:
            self._pump()
            rc = super()._packet_write() if self._out_packet else MQTTErrorCode.MQTT_ERR_SUCCESS
        if rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            return True
        self._loop_rc_handle(rc)
        return False

    def _look_after(self) -> bool:
        """Check the connection, once a second; False if it has ended."""
        self.gave_up = "the broker does not answer a ping"
        if self.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self.gave_up = ""
        with self._lock:
            self._outgoing.sweep()
            since = self._outgoing.overdue_since()
            is_worn = self._outgoing.is_worn
        self._tell_fates()
        if since is not None and time.monotonic() - since > OVERDUE_S:
            self.gave_up = f"the broker has not confirmed a message for {OVERDUE_S:g} s"
            self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
            return False
        on_worn = self.on_worn
        if is_worn and on_worn is not None:
            self.on_worn = None
            on_worn()
        return True

    def _read_all(self) -> bool:
        """Handle every packet that has arrived; False if the connection has ended."""
        while True:
            rc = self._packet_read()
            if rc > 0:
                self._loop_rc_handle(rc)
                return False
            if rc == MQTTErrorCode.MQTT_ERR_AGAIN:
                return True
            if self._at >= len(self._data) and not isinstance(self._sock, ssl.SSLSocket):
                # A short read has emptied the socket, so go back to the poller. It cannot see bytes
                # that TLS has already read from the socket.
                return True

    def _sock_recv(self, bufsize: int) -> bytes:
        end = self._at + bufsize
        chunk = self._data[self._at : end]
        if chunk:
            self._at = end
            return chunk
        if isinstance(self._sock, ssl.SSLSocket):
            with self._lock:
                data = super()._sock_recv(READ_BYTES)
        else:
            data = super()._sock_recv(READ_BYTES)
        if len(data) <= bufsize:
            return data
        self._data = data
        self._at = bufsize
        return data[:bufsize]

    def _handle_on_message(self, message: mqtt.MQTTMessage) -> None:
        """Call the one callback; no topic has to be matched."""
        callback = self.on_message
        if callback is not None:
            callback(self, self._userdata, message)

    def _packet_write(self) -> MQTTErrorCode:
        # Several threads publish, and a packet may go out in two pieces.
        with self._lock:
            return super()._packet_write()

    def _wake(self) -> None:
        # If the pipe is full, a wake is already pending; if it is closed, there is nobody to wake.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"w")

    def _drain_wakes(self) -> None:
        with contextlib.suppress(OSError):
            while self._wake_receiver.recv(4096):
                pass


def _takes_bytes(sock: socket.socket) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return any(events & select.POLLOUT for _fd, events in poller.poll(0))


def _encode(packet_id: int, publication: Publication) -> bytes:
    """The bytes of a PUBLISH of MQTT 3.1.1."""
    topic = publication.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big")
    remaining = len(body) + len(publication.payload)
    header = bytearray([PUBLISH | publication.qos << 1 | publication.retain])
    while True:
        remaining, digit = divmod(remaining, 128)
        header.append(digit | (0x80 if remaining else 0))
        if not remaining:
            return bytes(header) + body + publication.payload
