"""A proxy in front of a broker that sees each packet, can hold answers back, and act at a packet."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.mqtt.scripted_broker import CONNECT, Packet, read_packet

WAIT_S = 10.0


class Wiretap:
    """Give clients `port` in place of the broker's.

    `seen` is what clients sent, `received` what the broker sent them. `at_packet` is called for each
    packet of a client before it is passed on. Answers of the kinds in
    `held` are kept back for the clients whose id ends with one of `held_for`, until `let_go`.
    """

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.at_packet: Callable[[Packet], None] = lambda _packet: None
        self.held: set[int] = set()
        self.held_for: tuple[str, ...] = ("",)
        self.seen: list[Packet] = []
        self.received: list[Packet] = []
        self._changed = threading.Condition()
        self._waiting: list[tuple[socket.socket, bytes]] = []
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def let_go(self) -> None:
        with self._changed:
            self.held = set()
            waiting, self._waiting = self._waiting, []
        for sock, packet in waiting:
            with contextlib.suppress(OSError):
                sock.sendall(packet)

    def until(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S), "it did not happen"

    def close(self) -> None:
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:
                return
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [near, far]
            client = [""]
            for tap in (self._from_client, self._from_broker):
                threading.Thread(target=tap, args=(near, far, client), daemon=True).start()

    def _from_client(self, near: socket.socket, far: socket.socket, client: list[str]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                packet, raw = read_packet(near, client[0])
                if packet.kind == CONNECT:
                    client[0] = packet.client
                with self._changed:
                    self.seen.append(packet)
                    self._changed.notify_all()
                self.at_packet(packet)
                far.sendall(raw)
        _hang_up(far)

    def _from_broker(self, near: socket.socket, far: socket.socket, client: list[str]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                packet, raw = read_packet(far, client[0])
                with self._changed:
                    self.received.append(packet)
                    self._changed.notify_all()
                    if packet.kind in self.held and client[0].endswith(self.held_for):
                        self._waiting.append((near, raw))
                        continue
                near.sendall(raw)
        _hang_up(near)


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
