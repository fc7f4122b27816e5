"""A TCP proxy on loopback: a network that stops forwarding, or loses an answer."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

CHUNK = 65_536
NARROW = 1024


class Proxy:
    """Forwards to a port until told otherwise. A frozen one takes connections and bytes, and forwards nothing."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._table: bytes | None = None
        self._going = threading.Event()
        self._going.set()
        self._over = threading.Event()
        self.bytes_per_s = 0
        """How much goes to each client; 0: as much as comes."""
        self.losses = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._going.clear()

    def thaw(self) -> None:
        self._going.set()

    def lose_commit_of(self, table: bytes) -> None:
        """Once: the COMMIT of a transaction that wrote to the table arrives, its answer does not; the link is cut."""
        self._table = table

    def close(self) -> None:
        self._over.set()
        self._going.set()
        self._listener.close()
        with self._lock:
            for one in list(self._pairs):
                one.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._going.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        with self._lock:
            self._pairs.update({client: server, server: client})
        with suppress(OSError), selectors.DefaultSelector() as selector:
            for one in (client, server):
                selector.register(one, selectors.EVENT_READ)
            self._forward(selector, client)
        for one in (client, server):
            one.close()
        with self._lock:
            self._pairs.pop(client, None)
            self._pairs.pop(server, None)

    def _forward(self, selector: selectors.BaseSelector, client: socket.socket) -> None:
        """Until one end closes. Raises OSError."""
        is_meant = False
        while not self._over.is_set():
            for key, _ in selector.select(0.2):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                self._going.wait()
                data = one.recv(NARROW if self.bytes_per_s else CHUNK)
                if not data:
                    return
                other = self._pairs[one]
                other.sendall(data)
                if self.bytes_per_s and one is not client:
                    # It reads no more meanwhile, and TCP slows who sends.
                    self._over.wait(len(data) / self.bytes_per_s)
                if one is client and self._table is not None and self._table in data:
                    is_meant = True
                if one is client and is_meant and b"COMMIT" in data:
                    self._table = None
                    # It has arrived when the server answers.
                    other.recv(CHUNK)
                    self.losses += 1
                    return


class ProxiedPostgreSQL:
    """A cluster behind a proxy, for `OutageSite`."""

    def __init__(self, cluster) -> None:
        self._cluster = cluster
        self.proxy = Proxy(cluster.port)
        self.direct_url = ""

    def create_database(self) -> str:
        self.direct_url = self._cluster.create_database()
        return self.direct_url.replace(f":{self._cluster.port}/", f":{self.proxy.port}/")

    def close(self) -> None:
        self.proxy.close()
