"""A boot storm: 1,000 simulated devices appear at once and are registered, approved and configured.

The devices run in processes of their own. The floor is the same storm of heartbeats against a bare paho
client that answers each with a fixed acknowledgement, and knows nothing of devices or configuration.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from benchmarks._parts import GatewayProcess, broker, quick_client
from benchmarks.table import Row, percentile
from godkaiser.domain.entities import ActuatorConfig, SensorConfig
from godkaiser.protocol.topics import Tail, device_topic
from godkaiser.simulator.device import SimulatedDevice
from godkaiser.simulator.fleet import Fleet
from godkaiser.simulator.greenhouse import device_id, equipment
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.repositories import registry

PROCESSES = 2
TICK_S = 0.25
STORM_TIMEOUT_S = 90.0
REST_S, REST_BEATS_PER_S = 10.0, 20
USER = {"username": "admin", "password": "benchmark-only-password"}
HEARTBEATS = "kaiser/+/esp/+/system/heartbeat"


def run(*, quick: bool) -> list[Row]:
    count = 200 if quick else 1000
    with broker() as server:
        floor = _against_echo(server.port, count)
    with broker() as server, tempfile.TemporaryDirectory() as folder:
        ours = _against_gateway(server.port, Path(folder), count)
    return [
        Row(
            what=f"boot storm, {count:,} devices: all registered and approved",
            ours=ours.registered_s, floor=floor.registered_s, unit="s",
        ),
        Row(
            what="... and all in sync with their configuration",
            ours=ours.in_sync_s, unit="s", target="<= 30 s", reached=ours.in_sync_s <= 30.0,
        ),
        _latency("heartbeat acknowledged in the storm", ours.storm, floor.storm, 1000.0),
        _latency("heartbeat acknowledged at rest", ours.rest, floor.rest, 20.0),
    ]  # fmt: skip


class _Storm(msgspec.Struct):
    """Seconds since the boot; latencies in seconds."""

    registered_s: float
    in_sync_s: float
    storm: list[float]
    rest: list[float]


def _latency(what: str, ours: list[float], floor: list[float], target_ms: float) -> Row:
    value = percentile(ours, 0.99) * 1e3
    return Row(
        what=f"{what}, p99", ours=value, floor=percentile(floor, 0.99) * 1e3, unit="ms",
        target=f"< {target_ms:g} ms", reached=value < target_ms,
    )  # fmt: skip


def _against_echo(port: int, count: int) -> _Storm:
    ready, stop = multiprocessing.Event(), multiprocessing.Event()
    echo = multiprocessing.Process(target=_echo, args=(port, ready, stop), daemon=True)
    echo.start()
    ready.wait(10)
    crew = _Crew(port, count, configured=False)
    began = crew.boot()
    registered_s = crew.await_all("registered") - began
    storm, rest = crew.latencies()
    crew.dismiss()
    stop.set()
    echo.join(5)
    return _Storm(registered_s, registered_s, storm, rest)


def _echo(port: int, ready: Any, stop: Any) -> None:
    client = quick_client("echo", port)
    ack = (
        b'{"status":"online","config_available":false,"server_time":1767096061,"handover_epoch":1}'
    )
    client.on_message = lambda c, _u, m: c.publish(f"{m.topic}/ack", ack, 1)
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe(HEARTBEATS, 1)
    stop.wait()
    client.disconnect()


def _against_gateway(port: int, folder: Path, count: int) -> _Storm:
    _seed(folder, count)
    gateway = GatewayProcess(folder, port, more='[devices]\napproval = "auto"\n')
    gateway.start()
    api = http.client.HTTPConnection("127.0.0.1", gateway.http_port, timeout=30)
    token = _call(api, "POST", "/auth/setup", USER)["access_token"]
    crew = _Crew(port, count, configured=True)
    try:
        began = crew.boot()
        registered_s = crew.await_all("registered") - began
        crew.await_all("configured")
        while not _in_sync(api, token, count):
            if time.perf_counter() - began > STORM_TIMEOUT_S:
                raise RuntimeError("the gateway does not hold all devices to be in sync")
            time.sleep(0.1)
        in_sync_s = time.perf_counter() - began
        storm, rest = crew.latencies()
    finally:
        crew.dismiss()
        gateway.stop()
    return _Storm(registered_s, in_sync_s, storm, rest)


def _seed(folder: Path, count: int) -> None:
    """What the devices are to have; the devices themselves are unknown until they appear."""
    (folder / "var").mkdir(exist_ok=True)
    database = open_database(f"sqlite:///{folder / 'var' / 'godkaiser.db'}")
    migrate(database)
    with database.transaction():
        for index in range(count):
            sensors, actuators = equipment(index)
            own = {"esp_id": device_id(index)}
            for fields in sensors:
                registry.save_sensor(database, msgspec.convert({**fields, **own}, SensorConfig))
            for fields in actuators:
                registry.save_actuator(database, msgspec.convert({**fields, **own}, ActuatorConfig))
    database.close_all()


def _call(
    api: http.client.HTTPConnection, method: str, path: str, body: Any, token: str = ""
) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    api.request(method, f"/api/v1{path}", json.dumps(body), headers)
    return json.loads(api.getresponse().read())


def _in_sync(api: http.client.HTTPConnection, token: str, count: int) -> bool:
    found = _call(api, "GET", "/esp/devices", {}, token)["data"]
    good = sum(
        d["status"] == "approved" and d["online"] and d["config_sync"] == "in_sync" for d in found
    )
    return good == count


# ---- the devices


class _Crew:
    """The processes of the devices, each told by a word what to do next."""

    def __init__(self, port: int, count: int, *, configured: bool) -> None:
        share = count // PROCESSES
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(
                target=_devices, args=(port, number * share, share, theirs, configured), daemon=True
            )
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        self._each("ready")

    def boot(self) -> float:
        began = time.perf_counter()
        for pipe in self._pipes:
            pipe.send("boot")
        return began

    def await_all(self, what: str) -> float:
        """When the last device was so."""
        return max(self._each(what))

    def latencies(self) -> tuple[list[float], list[float]]:
        """In the storm, and at rest: which is brought about now."""
        storm, rest = [], []
        for pipe in self._pipes:
            pipe.send("rest")
        for in_storm, at_rest in self._each("latencies"):
            storm += in_storm
            rest += at_rest
        return storm, rest

    def dismiss(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send("end")
            process.join(15)

    def _each(self, what: str) -> list[Any]:
        found = []
        for pipe in self._pipes:
            if not pipe.poll(STORM_TIMEOUT_S):
                raise RuntimeError(f"devices: not {what} within {STORM_TIMEOUT_S:g} s")
            word, value = pipe.recv()
            if word != what or value is None:
                raise RuntimeError(f"devices: {word} instead of {what}")
            found.append(value)
        return found


def _devices(port: int, first: int, count: int, pipe: Connection, configured: bool) -> None:
    fleet = Fleet("127.0.0.1", port, count, first=first, tick_s=TICK_S)
    latencies: list[float] = []
    for device in fleet.devices.values():
        _time_acknowledgements(device, latencies)
    wanted = {device_id(n): len(equipment(n)[1]) for n in range(first, first + count)}
    pipe.send(("ready", True))
    pipe.recv()
    fleet.start()
    good = fleet.wait_until(lambda: fleet.registered == count, STORM_TIMEOUT_S)
    pipe.send(("registered", time.perf_counter() if good else None))
    if configured:
        good = fleet.wait_until(
            lambda: all(
                len(device.firmware.memory.actuators) == wanted[name]
                for name, device in fleet.devices.items()
            ),
            STORM_TIMEOUT_S,
        )
        pipe.send(("configured", time.perf_counter() if good else None))
    pipe.recv()
    storm = latencies.copy()
    # What the storm has left under way shall have settled.
    time.sleep(3.0)
    latencies.clear()
    _beat_one_by_one(fleet)
    pipe.send(("latencies", (storm, latencies.copy())))
    pipe.recv()
    fleet.stop()


def _beat_one_by_one(fleet: Fleet) -> None:
    names = list(fleet.devices)
    pause_s = PROCESSES / REST_BEATS_PER_S
    for number in range(int(REST_S / pause_s)):
        name = names[number * 7 % len(names)]
        fleet.do(name, lambda device: device.firmware._registration.force_heartbeat())
        time.sleep(pause_s)
    time.sleep(1.0)


def _time_acknowledgements(device: SimulatedDevice, latencies: list[float]) -> None:
    """From the heartbeat's hand-over to the socket to its acknowledgement's arrival."""
    heartbeat = device_topic("god", device.device_id, Tail.HEARTBEAT)
    transmit, on_message = device._transmit, device.firmware.on_message
    sent: list[float] = []

    def transmitted(publications: Any) -> None:
        if any(publication.topic == heartbeat for publication in publications):
            sent.append(time.perf_counter())
        transmit(publications)

    def heard(topic: str, payload: bytes, now: float) -> Any:
        if sent and topic.endswith("/heartbeat/ack"):
            latencies.append(time.perf_counter() - sent.pop(0))
            sent.clear()
        return on_message(topic, payload, now)

    device._transmit = transmitted  # type: ignore[method-assign]
    device.firmware.on_message = heard  # type: ignore[method-assign]
