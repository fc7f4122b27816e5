"""One thread for the sockets and clocks of many simulated devices."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

from godkaiser.simulator.device import SimulatedDevice

TICK_S = 0.05
CONNECTS_A_TICK = 20


class Driver:
    """Runs until `stop`. `requests` are called between two ticks, in this thread; `changed` is
    called whenever a device may have changed. Without `goodbye` the devices disconnect as if
    unplugged.
    """

    def __init__(
        self,
        devices: Sequence[SimulatedDevice],
        changed: threading.Condition,
        *,
        tick_s: float = TICK_S,
        goodbye: bool = True,
    ) -> None:
        self._devices = list(devices)
        self._changed = changed
        self._tick_s = tick_s
        self._goodbye = goodbye
        self._stopping = threading.Event()
        self._requests: list[Callable[[], None]] = []
        self._selector = selectors.DefaultSelector()
        self._by_fd: dict[int, socket.socket] = {}

    def request(self, act: Callable[[], None]) -> None:
        with self._changed:
            self._requests.append(act)

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Returns after `stop`, with every device disconnected."""
        next_tick = 0.0
        try:
            while not self._stopping.is_set():
                now = time.time()
                if now >= next_tick:
                    next_tick = now + self._tick_s
                    self._tick(now)
                events = self._selector.select(max(next_tick - time.time(), 0.0))
                for key, mask in events:
                    ready: SimulatedDevice = key.data
                    if mask & selectors.EVENT_WRITE:
                        ready.write()
                    if mask & selectors.EVENT_READ:
                        ready.read(time.time())
                if events:
                    self._watch_sockets([key.data for key, _ in events])
                    self._notify()
        finally:
            for device in self._devices:
                if not self._goodbye:
                    device.unplug(time.time())
                device.close()
            self._selector.close()

    def _tick(self, now: float) -> None:
        with self._changed:
            requests, self._requests = self._requests, []
        for act in requests:
            act()
        connects = CONNECTS_A_TICK
        for device in self._devices:
            device.tick(now)
            if connects and device.connect_if_due(now):
                connects -= 1
        self._watch_sockets(self._devices)
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _watch_sockets(self, devices: Sequence[SimulatedDevice]) -> None:
        """Watch each open socket, for writing only if data waits to be written."""
        for fd, sock in tuple(self._by_fd.items()):
            if sock.fileno() == -1:
                self._selector.unregister(fd)
                del self._by_fd[fd]
        for device in devices:
            sock_now = device.sock
            if sock_now is None or sock_now.fileno() == -1:
                continue
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if device.wants_write else 0)
            fd = sock_now.fileno()
            if fd in self._by_fd:
                self._selector.modify(fd, mask, device)
            else:
                self._selector.register(fd, mask, device)
                self._by_fd[fd] = sock_now
