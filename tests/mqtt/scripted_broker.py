"""A broker on a socket that answers as a test wants: late, never, or without reading on.

It has no subscriptions. `delivered` is what it would have passed on: QoS 1 at PUBLISH, QoS 2 at PUBREL.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

import msgspec

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14
WAIT_S = 10.0


class Packet(msgspec.Struct, frozen=True):
    client: str
    kind: int
    packet_id: int = 0
    qos: int = 0
    topic: str = ""
    payload: bytes = b""


class ScriptedBroker:
    """Kinds of answers in `silent` are not given until `answer` is called."""

    host = "127.0.0.1"

    def __init__(self, *, receive_buffer: int = 0) -> None:
        self._listener = socket.socket()
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((self.host, 0))
        self._listener.listen(16)
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self.silent: set[int] = set()
        self.received: list[Packet] = []
        self.delivered: list[Packet] = []
        self.connected: list[str] = []
        self._unanswered: list[tuple[socket.socket, int, bytes]] = []
        self._stored: dict[tuple[str, int], Packet] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._reads = threading.Event()
        self._reads.set()
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- what a test does

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), "it did not happen"

    def answer(self) -> None:
        """Give all answers that were held back, and hold back none from now on."""
        with self._changed:
            self.silent.clear()
            waiting, self._unanswered = self._unanswered, []
        for sock, _kind, packet in waiting:
            with contextlib.suppress(OSError):
                sock.sendall(packet)

    def stop_reading(self) -> None:
        self._reads.clear()

    def read_again(self) -> None:
        self._reads.set()

    def hang_up(self, client: str) -> None:
        with contextlib.suppress(OSError):
            self._sockets[client].shutdown(socket.SHUT_RDWR)

    def refuse_connections(self) -> None:
        self._listener.close()

    def open_clients(self) -> set[str]:
        """Of those whose connection was taken over, the newest counts."""
        return {client for client, sock in self._sockets.items() if sock.fileno() != -1}

    def of(self, kind: int, client: str | None = None) -> list[Packet]:
        return [
            packet
            for packet in self.received
            if packet.kind == kind and client in {None, packet.client}
        ]

    def close(self) -> None:
        self._is_closed = True
        self._reads.set()
        self._listener.close()
        for sock in list(self._sockets.values()):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    # ---- what it does

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        client = ""
        with contextlib.suppress(OSError, EOFError, ValueError):
            while not self._is_closed:
                select.select([sock], [], [])
                self._reads.wait()
                packet, raw = read_packet(sock, client)
                if packet.kind == CONNECT:
                    client = packet.client
                    self._take_over(client, sock)
                self._handle(sock, client, packet, raw)
        with self._changed:
            sock.close()
            self._changed.notify_all()

    def _take_over(self, client: str, sock: socket.socket) -> None:
        with self._changed:
            before = self._sockets.get(client)
            self._sockets[client] = sock
            self.connected.append(client)
            for key in [key for key in self._stored if key[0] == client]:
                del self._stored[key]
        if before is not None:
            with contextlib.suppress(OSError):
                before.shutdown(socket.SHUT_RDWR)

    def _handle(self, sock: socket.socket, client: str, packet: Packet, raw: bytes) -> None:
        kind = packet.kind
        with self._changed:
            if kind == PUBLISH and packet.qos == 1:
                self.delivered.append(packet)
            elif kind == PUBLISH:
                self._stored[client, packet.packet_id] = packet
            elif kind == PUBREL and (client, packet.packet_id) in self._stored:
                self.delivered.append(self._stored.pop((client, packet.packet_id)))
            self.received.append(packet)
            self._changed.notify_all()
        number = packet.packet_id.to_bytes(2, "big")
        if kind == CONNECT:
            sock.sendall(b"\x20\x02\x00\x00")
        elif kind == SUBSCRIBE:
            filters = _count_filters(raw)
            sock.sendall(bytes([SUBACK << 4, 2 + filters]) + number + b"\x01" * filters)
        elif kind == PINGREQ:
            sock.sendall(b"\xd0\x00")
        elif kind == PUBLISH:
            self._reply(sock, PUBACK if packet.qos == 1 else PUBREC, number)
        elif kind == PUBREL:
            self._reply(sock, PUBCOMP, number)

    def _reply(self, sock: socket.socket, kind: int, number: bytes) -> None:
        packet = bytes([kind << 4, 2]) + number
        with self._changed:
            if kind in self.silent:
                self._unanswered.append((sock, kind, packet))
                return
        sock.sendall(packet)


def read_packet(sock: socket.socket, client: str) -> tuple[Packet, bytes]:
    """The next packet, and its bytes. Raises EOFError, OSError."""
    head = _exactly(sock, 1)
    length = shift = 0
    while True:
        digit = _exactly(sock, 1)
        head += digit
        length |= (digit[0] & 127) << shift
        shift += 7
        if not digit[0] & 128:
            break
    body = _exactly(sock, length)
    return _parse(client, head[0], body), head + body


def _exactly(sock: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = sock.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _parse(client: str, first: int, body: bytes) -> Packet:
    kind, qos = first >> 4, first >> 1 & 3
    if kind == CONNECT:
        return Packet(body[12 : 12 + int.from_bytes(body[10:12], "big")].decode(), kind)
    if kind == PUBLISH:
        end = 2 + int.from_bytes(body[:2], "big")
        numbered = end + 2 if qos else end
        return Packet(
            client, kind, int.from_bytes(body[end:numbered], "big"), qos,
            body[2:end].decode(errors="replace"), body[numbered:],
        )  # fmt: skip
    return Packet(client, kind, int.from_bytes(body[:2], "big"))


def _count_filters(raw: bytes) -> int:
    """Of a SUBSCRIBE: after its head and packet id, each filter has a length and a QoS."""
    at = 1
    while raw[at] & 128:
        at += 1
    at += 3
    count = 0
    while at < len(raw):
        at += 2 + int.from_bytes(raw[at : at + 2], "big") + 1
        count += 1
    return count
