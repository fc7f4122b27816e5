"""Many simulated devices on a few threads."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from godkaiser.simulator.device import SimulatedDevice
from godkaiser.simulator.driver import TICK_S, Driver
from godkaiser.simulator.greenhouse import device_id

DEVICES_A_THREAD = 100


class Fleet:
    """A fleet: start it, inspect the devices' firmware, wait for a condition, stop it."""

    def __init__(
        self,
        host: str,
        port: int,
        devices: int,
        *,
        first: int = 0,
        seed: int = 1,
        interval_s: float | None = None,
        state_dir: Path | None = None,
        credentials: tuple[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
        ids: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        tick_s: float = TICK_S,
    ) -> None:
        """`ids` replaces the usual ids. `accounts`: the password of each device, whose account name
        is its id; `credentials`: one account for all others.
        """
        now = time.time()
        names = ids or [device_id(index) for index in range(first, first + devices)]
        known = accounts or {}
        self.devices = {
            name: SimulatedDevice(
                name,
                (host, port),
                seed=seed * 10_007 + index,
                now=now,
                state_file=None if state_dir is None else state_dir / f"{name}.json",
                interval_s=interval_s,
                credentials=(name, known[name]) if name in known else credentials,
                tls=tls,
            )
            for index, name in enumerate(names, start=first)
        }
        self._changed = threading.Condition()
        shares = list(self.devices.values())
        self._drivers = [
            Driver(shares[start : start + DEVICES_A_THREAD], self._changed, tick_s=tick_s)
            for start in range(0, len(shares), DEVICES_A_THREAD)
        ]
        self._driver_of = {
            name: self._drivers[number // DEVICES_A_THREAD]
            for number, name in enumerate(self.devices)
        }
        self._threads = [
            threading.Thread(target=driver.run, name=f"fleet-{number}", daemon=True)
            for number, driver in enumerate(self._drivers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        for driver in self._drivers:
            driver.stop()
        for thread in self._threads:
            thread.join(timeout_s)

    def device(self, name: str) -> SimulatedDevice:
        return self.devices[name]

    def do(self, name: str, act: Callable[[SimulatedDevice], None]) -> None:
        """Run `act` on the device soon, in the device's own thread."""
        self._driver_of[name].request(lambda: act(self.devices[name]))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        """Wait until `condition` holds; False after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    @property
    def published(self) -> int:
        return sum(device.published for device in self.devices.values())

    @property
    def registered(self) -> int:
        return sum(device.firmware.gate_open for device in self.devices.values())
