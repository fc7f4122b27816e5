"""One actor for each mock ESP: a simulated device on a connection of its own to the real broker.

The device runs in a thread of the actor; when the thread ends by itself, the actor crashes, and its
supervisor starts both again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.actors.message import Message
from godkaiser.domain.devices.mocks import MockFaults, MockRecord
from godkaiser.mqtt.broker_address import BrokerAddress, tls_context
from godkaiser.simulator.device import SimulatedDevice
from godkaiser.simulator.driver import Driver
from godkaiser.simulator.faults import Faults
from godkaiser.simulator.firmware.states import NAMES
from godkaiser.simulator.raw_values import raw_of
from godkaiser.supervision import Actor

TICK_S = 0.25
SHOW_EVERY_S = 1.0
JOIN_TIMEOUT_S = 3.0


class ChangeMock(Message, frozen=True, kw_only=True):
    """From /services/mock_keeper: its measured values and faults from now on."""

    record: MockRecord


class LineEnded(Message, frozen=True, kw_only=True):
    """From the device's thread: the thread has ended by itself."""

    reason: str


class ShowMock(Message, frozen=True, kw_only=True):
    """To oneself: publish the state of the device."""


class MockView(Message, frozen=True, kw_only=True):
    """Published as "view"; `levels` of the actuators by GPIO, 0.0 to 1.0."""

    mock_id: str
    connected: bool = False
    registered: bool = False
    state: str = "BOOT"
    mode: str = "ONLINE"
    boots: int = 0
    published: int = 0
    received: int = 0
    levels: Mapping[int, float] = msgspec.field(default_factory=dict)


class MockActor(Actor):
    def __init__(
        self, record: MockRecord, address: BrokerAddress, kaiser_id: str, state_file: Path
    ) -> None:
        super().__init__()
        self._record = record
        self._address = address
        self._kaiser_id = kaiser_id
        self._state_file = state_file
        self._device: SimulatedDevice
        self._driver: Driver | None = None
        self._thread: threading.Thread | None = None

    def on_start(self) -> None:
        record = self.context.recall("record")
        if isinstance(record, MockRecord):
            self._record = record
        address = self._address
        device = SimulatedDevice(
            self._record.mock_id,
            (address.host, address.port),
            # The seed comes from the id, so that its weather and faults are the same each time.
            seed=int.from_bytes(self._record.mock_id.encode()) % 2**32,
            now=self.context.now(),
            state_file=self._state_file,
            credentials=(address.username, address.password) if address.username else None,
            tls=tls_context(address) if address.tls else None,
            kaiser_id=self._kaiser_id,
        )
        self._device = device
        self._apply(self.context.now())
        driver = Driver([device], threading.Condition(), tick_s=TICK_S, goodbye=False)
        own = self.context.own

        def drive() -> None:
            try:
                driver.run()
            except Exception as error:
                own.tell(LineEnded(reason=repr(error)))

        self._driver = driver
        self._thread = threading.Thread(target=drive, name=self._record.mock_id, daemon=True)
        self._thread.start()
        self._show(MockView(mock_id=self._record.mock_id))
        self.context.schedule(SHOW_EVERY_S, ShowMock(), key="look")

    def on_receive(self, message: object) -> Any:
        match message:
            case ChangeMock(record=record):
                self._record = record
                self.context.publish("record", record)
                now = self.context.now()
                if self._driver is not None:
                    self._driver.request(lambda: self._apply(now))
            case ShowMock():
                self._look()
                self.context.schedule(SHOW_EVERY_S, ShowMock(), key="look")
            case MockView():
                self._show(message)
            case LineEnded(reason=reason):
                raise RuntimeError(f"the device of {self._record.mock_id} ended: {reason}")
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        if self._driver is not None and self._thread is not None:
            self._driver.stop()
            self._thread.join(JOIN_TIMEOUT_S)

    def on_failure(self, *_exc_info: object) -> None:
        self.on_stop()

    def _apply(self, now: float) -> None:
        record, device = self._record, self._device
        device.firmware.sensors.driven.update(
            {
                (v.gpio, v.sensor_type): None if v.value is None else raw_of(v.sensor_type, v.value)
                for v in record.values
            }
        )
        faults = _faults(record.faults)
        if faults != device.faults:
            device.set_faults(faults, now)

    def _look(self) -> None:
        device, own = self._device, self.context.own

        def tell() -> None:
            firmware = device.firmware
            view = MockView(
                mock_id=device.device_id,
                connected=firmware.connected,
                registered=firmware.gate_open,
                state=NAMES[firmware.state],
                mode=firmware.mode,
                boots=firmware.boots,
                published=device.published,
                received=device.received,
                levels=firmware.levels(),
            )
            own.offer(view)

        if self._driver is not None:
            self._driver.request(tell)

    def _show(self, view: MockView) -> None:
        self.context.publish("view", view)


def _faults(wanted: MockFaults) -> Faults:
    return Faults(
        drop=wanted.drop,
        delay_s=wanted.delay_s,
        duplicate=wanted.duplicate,
        reorder=wanted.reorder,
        brown_out=wanted.brown_out,
        offline=wanted.offline,
        clock_error_s=None if wanted.clock_off else 0.0,
    )
