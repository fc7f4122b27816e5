"""The emergency stop: from the HTTP request to the last device, idle and in a flood of readings."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import selectors
import socket
import struct
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks._parts import GatewayProcess, broker, quick_client, sensor_payload
from benchmarks.table import Row, median, percentile
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Approval, DeviceRecord
from godkaiser.protocol.topics import BROADCAST_EMERGENCY
from godkaiser.storage.engine import migrations
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.repositories import registry

PASSWORD = "benchmark-only-password"
FLOOD_PER_S = 5000
SETTLE_S = 60.0


def run(*, quick: bool) -> list[Row]:
    rows = []
    for count, target in ((100, 2.0), (1000, 1.6)):
        rows += _measure(count, target, rounds=5 if quick else 20)
    return rows


def _measure(count: int, target: float, rounds: int) -> list[Row]:
    names = [f"ESP_{n:06X}" for n in range(0xB00000, 0xB00000 + count)]
    with broker() as server, tempfile.TemporaryDirectory() as folder:
        gateway = GatewayProcess(Path(folder), server.port)
        _seed(Path(folder), names)
        ours, theirs = multiprocessing.Pipe()
        fleet = multiprocessing.Process(
            target=_fleet, args=(server.port, names, theirs), daemon=True
        )
        fleet.start()
        ours.recv()
        gateway.start()
        api = _Api(gateway.http_port)
        api.await_online(count)
        publisher = quick_client("floor", server.port)
        floor, idle, floor_flooded, flooded, answered = [], [], [], [], []
        payload = b'{"command":"nothing","note":"floor"}'

        def publish() -> None:
            publisher.publish(BROADCAST_EMERGENCY, payload, 1)

        for _ in range(rounds):
            floor.append(_round(ours, count, publish))
            began = time.perf_counter()
            idle.append(_round(ours, count, api.stop))
            answered.append(api.answered_at - began)
        flood = multiprocessing.Process(target=_flood, args=(server.port, names), daemon=True)
        flood.start()
        time.sleep(2.0)
        for _ in range(rounds):
            floor_flooded.append(_round(ours, count, publish))
            flooded.append(_round(ours, count, api.stop))
        flood.terminate()
        fleet.terminate()
        publisher.disconnect()
        publisher.loop_stop()
        gateway.stop()
    return [
        _row(f"stop to the last of {count:,} devices, idle, p50", idle, 0.5, target, floor),
        _row("... p95", idle, 0.95, None, floor),
        _row(
            f"... in a flood of {FLOOD_PER_S:,} readings/s, p50",
            flooded,
            0.5,
            target,
            floor_flooded,
        ),
        Row(
            what="... until it is answered (latched on disk), p50",
            ours=median(answered) * 1e3,
            unit="ms",
        ),
    ]


def _row(what: str, times: list[float], at: float, target: float | None, floor: list[float]) -> Row:
    ours, least = percentile(times, at), percentile(floor, at)
    return Row(
        what=what,
        ours=ours * 1e3,
        floor=least * 1e3,
        unit="ms",
        target="" if target is None else f"<= {target:g} x",
        reached=None if target is None else ours <= target * least,
    )


def _round(fleet: Connection, count: int, act: Any) -> float:
    """Seconds from the act to the last device that hears of it."""
    fleet.send("arm")
    fleet.recv()
    began = time.perf_counter()
    act()
    if not fleet.poll(20.0):
        raise RuntimeError(f"not all of {count} devices heard of it")
    last = float(fleet.recv())
    time.sleep(0.3)
    return last - began


def _seed(folder: Path, names: list[str]) -> None:
    (folder / "var").mkdir(exist_ok=True)
    database = open_database(f"sqlite:///{folder / 'var' / 'godkaiser.db'}")
    migrations.migrate(database)
    for name in names:
        registry.save_device(database, DeviceRecord(device_id=name, approval=Approval.APPROVED))
        registry.save_actuator(
            database, ActuatorConfig(esp_id=name, gpio=25, actuator_type=ActuatorType.RELAY)
        )
    database.close_all()


class _Api:
    def __init__(self, port: int) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._token = ""
        self.answered_at = 0.0
        user = {"username": "admin", "password": PASSWORD}
        self._token = self._call("POST", "/auth/setup", user)["access_token"]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        self._link.request(method, f"/api/v1{path}", json.dumps(body or {}), headers)
        return json.loads(self._link.getresponse().read())

    def stop(self) -> None:
        answer = self._call("POST", "/actuators/emergency_stop", {"reason": "benchmark"})
        self.answered_at = time.perf_counter()
        if answer.get("state") != "active":
            raise RuntimeError(f"no stop: {answer}")

    def await_online(self, count: int) -> None:
        deadline = time.monotonic() + SETTLE_S
        while self._call("GET", "/health")["devices"]["online"] < count:
            if time.monotonic() > deadline:
                raise RuntimeError("the devices did not come online")
            time.sleep(0.2)


# ---- the devices: sockets that speak just enough MQTT, in a process of their own


def _fleet(port: int, names: list[str], pipe: Connection) -> None:
    chooser = selectors.DefaultSelector()
    links = []
    for name in names:
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = name.encode()
        head = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(client)) + client
        link.sendall(bytes([0x10, len(head)]) + head)
        link.recv(4)
        topic = BROADCAST_EMERGENCY.encode()
        body = struct.pack("!H", 1) + struct.pack("!H", len(topic)) + topic + b"\x00"
        link.sendall(bytes([0x82, len(body)]) + body)
        link.recv(5)
        link.setblocking(False)
        chooser.register(link, selectors.EVENT_READ, name)
        links.append(link)
    chooser.register(pipe, selectors.EVENT_READ, None)
    pipe.send("connected")
    waiting: set[str] = set()
    answers: deque[tuple[Any, str]] = deque()
    beats: Iterator[tuple[socket.socket, str]] = iter(())
    next_beat = 0.0
    while True:
        now = time.monotonic()
        if now >= next_beat:
            next_beat = now + 30.0
            beats = iter(list(zip(links, names, strict=True)))
        for link, name in [pair for _, pair in zip(range(20), beats, strict=False)]:
            link.sendall(_heartbeat(name))
        for key, _ in chooser.select(0.01):
            if key.data is None:
                pipe.recv()
                waiting = set(names)
                pipe.send("armed")
                continue
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            if b"emergency" in data and key.data in waiting:
                waiting.discard(key.data)
                if not waiting:
                    pipe.send(time.perf_counter())
            if b"stop_all" in data:
                answers.append((key.fileobj, key.data))
        # Each real device answers on its own processor; here they share one, and an answer would hold
        # up the next device's hearing.
        while answers and not waiting:
            link, name = answers.popleft()
            link.sendall(_stopped(name))


def _heartbeat(name: str) -> bytes:
    return _packet(
        f"kaiser/god/esp/{name}/system/heartbeat",
        {"esp_id": name, "ts": int(time.time()), "uptime": 60, "heap_free": 1, "wifi_rssi": -50},
    )


def _stopped(name: str) -> bytes:
    return _packet(
        f"kaiser/god/esp/{name}/actuator/25/status",
        {"esp_id": name, "ts": int(time.time()), "state": False, "emergency": "active"},
    )


def _packet(text: str, fields: dict[str, Any]) -> bytes:
    payload = json.dumps(fields).encode()
    topic = text.encode()
    body = struct.pack("!H", len(topic)) + topic + payload
    length = len(body)
    head = bytes([length % 128 | 0x80, length // 128]) if length > 127 else bytes([length])
    return b"\x30" + head + body


def _flood(port: int, names: list[str]) -> None:
    client = quick_client("flood", port)
    seq = 0
    began = time.monotonic()
    while True:
        due = int((time.monotonic() - began) * FLOOD_PER_S)
        while seq < due:
            name = names[seq % len(names)]
            seq += 1
            client.publish(
                f"kaiser/god/esp/{name}/sensor/4/data",
                sensor_payload(name, seq, 400, time.time()),
                1,
            )
        time.sleep(0.005)
