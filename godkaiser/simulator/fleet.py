"""Many simulated devices over few threads, each with a selector over the sockets of its share."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from godkaiser.simulator.device import SimulatedDevice
from godkaiser.simulator.greenhouse import device_id

DEVICES_A_THREAD = 100
TICK_S = 0.05
CONNECTS_A_TICK = 20


class Fleet:
    """Start, look at the devices' firmware, wait for something to be true of them, stop."""

    def __init__(
        self,
        host: str,
        port: int,
        devices: int,
        *,
        seed: int = 1,
        interval_s: float | None = None,
        state_dir: Path | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        now = time.time()
        self.devices = {
            device_id(index): SimulatedDevice(
                device_id(index),
                (host, port),
                seed=seed * 10_007 + index,
                now=now,
                state_file=None if state_dir is None else state_dir / f"{device_id(index)}.json",
                interval_s=interval_s,
                credentials=credentials,
            )
            for index in range(devices)
        }
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._requests: list[tuple[str, Callable[[SimulatedDevice], None]]] = []
        shares = list(self.devices.values())
        self._threads = [
            threading.Thread(
                target=self._drive,
                args=(shares[start : start + DEVICES_A_THREAD],),
                name=f"fleet-{start}",
                daemon=True,
            )
            for start in range(0, len(shares), DEVICES_A_THREAD)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def device(self, name: str) -> SimulatedDevice:
        return self.devices[name]

    def do(self, name: str, act: Callable[[SimulatedDevice], None]) -> None:
        """Have the device's own thread act on it soon."""
        with self._changed:
            self._requests.append((name, act))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        """Wait until the devices are such that `condition` holds; False when time ran out."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    @property
    def published(self) -> int:
        return sum(device.published for device in self.devices.values())

    @property
    def registered(self) -> int:
        return sum(device.firmware.gate_open for device in self.devices.values())

    def _drive(self, share: list[SimulatedDevice]) -> None:
        selector = selectors.DefaultSelector()
        by_fd: dict[int, tuple[SimulatedDevice, socket.socket]] = {}
        next_tick = 0.0
        while not self._stopping.is_set():
            now = time.time()
            if now >= next_tick:
                next_tick = now + TICK_S
                self._take_requests(share)
                connects = CONNECTS_A_TICK
                for device in share:
                    device.tick(now)
                    if connects and device.connect_if_due(now):
                        connects -= 1
                self._watch_sockets(selector, by_fd, share)
                self._notify()
            events = selector.select(max(next_tick - time.time(), 0.0))
            for key, mask in events:
                ready: SimulatedDevice = key.data
                if mask & selectors.EVENT_WRITE:
                    ready.write()
                if mask & selectors.EVENT_READ:
                    ready.read(time.time())
            if events:
                self._watch_sockets(selector, by_fd, [key.data for key, _ in events])
                self._notify()
        for device in share:
            device.close()
        selector.close()

    def _take_requests(self, share: list[SimulatedDevice]) -> None:
        names = {device.device_id for device in share}
        with self._changed:
            mine = [request for request in self._requests if request[0] in names]
            self._requests = [request for request in self._requests if request[0] not in names]
        for name, act in mine:
            act(self.devices[name])

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    @staticmethod
    def _watch_sockets(
        selector: selectors.BaseSelector,
        by_fd: dict[int, tuple[SimulatedDevice, socket.socket]],
        share: list[SimulatedDevice],
    ) -> None:
        """Watch each live socket, for writing only where something waits to be written."""
        for fd, (_device, sock) in tuple(by_fd.items()):
            if sock.fileno() == -1:
                selector.unregister(fd)
                del by_fd[fd]
        for device in share:
            sock_now = device.sock
            if sock_now is None or sock_now.fileno() == -1:
                continue
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if device.wants_write else 0)
            fd = sock_now.fileno()
            if fd in by_fd:
                selector.modify(fd, mask, device)
            else:
                selector.register(fd, mask, device)
                by_fd[fd] = (device, sock_now)
