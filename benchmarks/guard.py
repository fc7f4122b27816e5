"""The safety actor by itself: a stop of a big site, and what its confirmations cost.

The actor is real; everything around it takes what it is told and does nothing, so the time is the
guard's own. Nothing may grow faster than the site: the small site beside the big one shows it.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

from benchmarks.table import Row
from godkaiser.actors.devices.messages import DevicePresence, DeviceReport
from godkaiser.actors.safety.messages import RequestCommand, StopAll
from godkaiser.actors.safety.safety_actor import SafetyActor, SafetyRecord
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Command, Issuer, Verb
from godkaiser.mqtt.gate import CommandGate, Fate
from godkaiser.mqtt.ports import StopPort
from godkaiser.protocol import inbound

PINS = (25, 26)
OPERATOR = Issuer("user", "benchmark")


class Nobody:
    """Every actor but the safety actor: takes everything."""

    path = "/nobody"

    def tell(self, message: object) -> None:
        pass

    tell_urgent = tell


class Context:
    """The place of the actor in a tree that has nobody else in it."""

    incarnation = 1

    def __init__(self) -> None:
        self.own = Nobody()
        self._published: dict[Hashable, Any] = {}
        self.planned: dict[Hashable, Any] = {}

    def now(self) -> float:
        return time.time()

    monotonic = staticmethod(time.monotonic)

    def boot_id(self) -> str:
        return "benchmark"

    def random(self) -> float:
        return 0.5

    def handle(self, _path: str) -> Nobody:
        return self.own

    def find(self, _path: str) -> None:
        return None

    def adopt(self, _path: str, _spec: Any) -> Nobody:
        return self.own

    def publish(self, key: Hashable, value: Any) -> None:
        self._published[key] = value

    def recall(self, key: Hashable) -> Any:
        return self._published.get(key)

    def recall_all(self) -> dict[Hashable, Any]:
        return dict(self._published)

    def withdraw(self, key: Hashable) -> None:
        self._published.pop(key, None)

    def look(self, _path: str, _key: Hashable) -> None:
        return None

    def children(self, _path: str) -> list[str]:
        return []

    def members(self, _group: Hashable) -> tuple[()]:
        return ()

    def join(self, _group: Hashable) -> None:
        pass

    def schedule(self, delay_s: float, message: Any, key: Hashable = None) -> None:
        self.planned[key] = (time.monotonic() + delay_s, message)

    def due(self, key: Hashable) -> Any:
        """The message of a timer that is over."""
        at, message = self.planned.get(key, (float("inf"), None))
        if time.monotonic() < at:
            return None
        del self.planned[key]
        return message

    def cancel(self, key: Hashable) -> None:
        self.planned.pop(key, None)


class Outlet:
    is_open = True

    def publish(self, *_arguments: Any, on_fate: Any = None, **_options: Any) -> None:
        if on_fate is not None:
            on_fate(Fate.DELIVERED)


class Control:
    def require(self) -> Any:
        return self

    commands = stops = devices = Outlet()


class Record:
    unwritten = False

    def read(self) -> None:
        return None

    def write(self, _value: Any) -> None:
        pass

    insist = write

    def retry(self) -> None:
        pass

    check = retry


def run(*, quick: bool) -> list[Row]:
    small = _measure(200)
    rows = []
    for devices in (1000,) if quick else (1000, 4000):
        stop_s, confirm_s, verdict_us = _measure(devices)
        each, each_small = confirm_s / devices, small[1] / 200
        rows += [
            Row(
                what=f"confirmations of a stop by {devices} devices with {2 * devices} actuators",
                ours=confirm_s,
                unit="s",
                target="< 1 s at 4,000",
                reached=confirm_s < 1.0 if devices == 4000 else None,
            ),
            Row(
                what=f"one device of {devices}, beside one of 200",
                ours=each * 1e6,
                floor=each_small * 1e6,
                unit="µs",
                target="<= 2 x",
                reached=each <= 2.0 * each_small,
            ),
            Row(what=f"the stop itself, {2 * devices} actuators running", ours=stop_s, unit="s"),
            Row(
                what=f"a command at {2 * devices} actuators, verdict and order",
                ours=verdict_us,
                unit="µs",
            ),
        ]
    return rows


def _measure(devices: int) -> tuple[float, float, float]:
    names = [f"ESP_{n:06X}" for n in range(0xC00000, 0xC00000 + devices)]
    actor, context = _guard(names)
    for name in names:
        for pin in PINS:
            actor.on_receive(_status(name, pin, 0, 0, "normal"))
    began = time.perf_counter()
    for name in names:
        for pin in PINS:
            verdict = actor.on_receive(RequestCommand(command=_command(name, pin)))
            if not verdict.allowed:
                raise RuntimeError(verdict.message)
    verdict_us = (time.perf_counter() - began) / (2 * devices) * 1e6
    for name in names:
        for pin in PINS:
            actor.on_receive(_status(name, pin, 1, 1, "normal"))
            actor.on_receive(_answer(name, pin))
    began = time.perf_counter()
    actor.on_receive(StopAll(issuer=OPERATOR, reason="benchmark"))
    stop_s = time.perf_counter() - began
    began = time.perf_counter()
    for name in names:
        for pin in PINS:
            actor.on_receive(_status(name, pin, 0, 4, "active"))
        show = context.due("show")
        if show is not None:
            actor.on_receive(show)
    confirm_s = time.perf_counter() - began
    actor._display.show()
    view = context.recall("view")
    if view.stops[0].unconfirmed:
        raise RuntimeError("not every device has confirmed")
    return stop_s, confirm_s, verdict_us


def _guard(names: list[str]) -> tuple[SafetyActor, Context]:
    context = Context()
    gate = CommandGate(time.monotonic)
    actuators = tuple(
        ActuatorConfig(esp_id=name, gpio=pin, actuator_type=ActuatorType.RELAY)
        for name in names
        for pin in PINS
    )
    stops: Any = StopPort(Control(), "god", time.monotonic)  # type: ignore[arg-type]
    nothing: Any = Record()
    actor = SafetyActor(
        SafetyRecord(actuators=actuators),
        lambda _config, _guard: None,  # type: ignore[arg-type,return-value]
        stops,
        gate,
        nothing,
        nothing,
        nothing,
        kaiser_id="god",
    )
    actor.context = context  # type: ignore[assignment]
    actor.on_start()
    actor._link_up = True
    for name in names:
        actor.on_receive(
            DevicePresence(
                device_id=name, zone_id="", approved=True, online=True, rebooted=False, told_at=0.0
            )
        )
    return actor, context


def _command(name: str, pin: int) -> Command:
    return Command(
        esp_id=name,
        gpio=pin,
        verb=Verb.ON,
        issuer=OPERATOR,
        correlation_id=f"{name}:{pin}",
        requested_at=0.0,
        decided_at=time.monotonic(),
    )


def _status(name: str, pin: int, on: int, seq: int, emergency: str) -> DeviceReport:
    status = inbound.ActuatorStatus(
        esp_id=name, state=bool(on), pwm=255 * on, emergency=emergency, seq=seq
    )
    return DeviceReport(device_id=name, gpio=pin, payload=status, heard_at=time.monotonic())


def _answer(name: str, pin: int) -> DeviceReport:
    answer = inbound.ActuatorResponse(
        esp_id=name, success=True, correlation_id=f"{name}:{pin}", seq=2
    )
    return DeviceReport(device_id=name, gpio=pin, payload=answer, heard_at=time.monotonic())
