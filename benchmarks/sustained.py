"""A steady flood, for long: readings beside rules and people who ask; backlog and memory all the while.

Part of `make soak` (`ARGS="--sustained 30"` to try it): `make bench` leaves it out.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import struct
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import msgspec
import psutil

from benchmarks._parts import GatewayProcess, broker, mqtt_packet, seed_device, sensor_payload
from benchmarks.table import median, percentile
from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.rules import ActuatorAction, HysteresisCondition, RuleDefinition
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.repositories.rules import insert_rule
from tests.provision.servers import PostgreSQL

DEVICES = 100
TICKS_A_SECOND = 100
PASSWORD = "correct horse battery"
ASKED = (
    "/sensors/data?limit=100",
    f"/sensors/{device_id(1)}/4/ds18b20/readings",
    f"/sensors/{device_id(2)}/4/ds18b20/statistics",
    f"/sensors/{device_id(3)}/4/ds18b20/latest",
    "/sensors",
    "/esp/devices",
    "/logic/rules",
    "/system/tree",
    "/system/storage",
    "/health",
)
MOST_BACKLOG_S = 1.0
MOST_GROWTH = 0.10
"""Of the memory, between the second and the last fifth."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    rate: int
    rules: int
    requests: int
    postgresql: bool


class Sample(msgspec.Struct, frozen=True):
    at_s: float
    sent: int
    stored: int
    memory_mb: float


def hold(load: Load) -> bool:
    """Whether there was no backlog, memory was flat, and each reading is stored once."""
    with tempfile.TemporaryDirectory() as name, broker() as server:
        folder = Path(name)
        cluster = None
        url = f"sqlite:///{folder / 'var' / 'godkaiser.db'}"
        if load.postgresql:
            cluster = PostgreSQL(durable=True)
            cluster.start()
            url = cluster.create_database()
        try:
            _seed(url, load.rules)
            gateway = GatewayProcess(folder, server.port, url)
            gateway.start()
            try:
                return _flood(load, gateway, server.port, url)
            finally:
                gateway.stop()
        finally:
            if cluster is not None:
                cluster.stop()


def _seed(url: str, rules: int) -> None:
    database = open_database(url)
    migrate(database)
    for index in range(DEVICES):
        name = device_id(index)
        seed_device(database, name)
    for number in range(rules):
        # Looked at with each reading of its device; what is sent never reaches it.
        condition = HysteresisCondition(
            esp_id=device_id(number % DEVICES), gpio=4, sensor_type="ds18b20",
            activate_above=80.0, deactivate_below=70.0,
        )  # fmt: skip
        action = ActuatorAction(
            esp_id=device_id(number % DEVICES), gpio=25, command=Verb.ON, duration=10.0
        )
        definition = RuleDefinition(
            name=f"Rule {number}", conditions=(condition,), actions=(action,)
        )
        insert_rule(database, definition, "benchmark", time.time())
    database.close_all()


def _flood(load: Load, gateway: GatewayProcess, port: int, url: str) -> bool:
    sent = multiprocessing.Value("q", 0)
    publisher = multiprocessing.Process(
        target=publish_steadily, args=(port, load.rate, load.seconds, sent), daemon=True
    )
    api = f"http://127.0.0.1:{gateway.http_port}/api/v1"
    token = log_in(api)
    stop = threading.Event()
    asking = _Asking(api, token, load.requests, stop)
    process = psutil.Process(gateway.pid)
    publisher.start()
    asking.start()
    samples = _watch(load, api, token, process, sent)
    publisher.join(60)
    stop.set()
    asking.join(10)
    final = sent.value
    deadline = time.monotonic() + 30
    while stored(api, token) < final and time.monotonic() < deadline:
        time.sleep(0.1)
    database = open_database(url)
    rows = int(database.fetch("SELECT count(*) FROM sensor_data")[0][0])
    database.close_all()
    return _tell(load, samples, asking, final, rows)


def _watch(load: Load, api: str, token: str, process: psutil.Process, sent) -> list[Sample]:
    samples = []
    began = time.monotonic()
    step = max(1.0, load.seconds / 60)
    while (at := time.monotonic() - began) < load.seconds:
        # What was sent is read first: what is on its way meanwhile does not count as backlog twice.
        was_sent = sent.value
        sample = Sample(at, was_sent, stored(api, token), process.memory_info().rss / 1e6)
        samples.append(sample)
        if len(samples) % 10 == 1:
            print(
                f"sustained: {at:5.0f} s, {sample.stored:>9,} stored,"
                f" {max(0, sample.sent - sample.stored):>6,} under way,"
                f" {sample.memory_mb:6.1f} MB",
                flush=True,
            )
        time.sleep(step)
    return samples


def _tell(load: Load, samples: list[Sample], asking: _Asking, sent: int, rows: int) -> bool:
    fifth = max(1, len(samples) // 5)
    backlog = max(max(0, s.sent - s.stored) for s in samples[fifth:])
    early = median([s.memory_mb for s in samples[fifth : 2 * fifth]])
    late = median([s.memory_mb for s in samples[-fifth:]])
    growth = late / early - 1
    kept_pace = sent >= 0.98 * load.rate * load.seconds
    held = (
        kept_pace
        and rows == sent
        and backlog <= MOST_BACKLOG_S * load.rate
        and growth <= MOST_GROWTH
        and not asking.failed
    )
    times = sorted(asking.times)
    engine = "PostgreSQL" if load.postgresql else "SQLite"
    print(
        f"sustained, {engine}: {sent:,} readings at {sent / load.seconds:,.0f}/s for"
        f" {load.seconds:.0f} s beside {load.rules} rules and {len(times)} requests:"
        f" {rows:,} rows (each once: {rows == sent}); most under way {backlog:,}"
        f" ({1000 * backlog / load.rate:.0f} ms); memory {early:.1f} -> {late:.1f} MB"
        f" ({100 * growth:+.1f} %); requests p50 {percentile(times, 0.5) * 1000:.0f} ms,"
        f" p99 {percentile(times, 0.99) * 1000:.0f} ms, {asking.failed} failed:"
        f" {'held' if held else 'FAILED'}",
        flush=True,
    )
    return held


class _Asking(threading.Thread):
    """So many requests a second, one after the other."""

    def __init__(self, api: str, token: str, rate: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = [0.0]
        self.failed = 0
        self._api = api
        self._token = token
        self._rate = rate
        self._ended = stop

    def run(self) -> None:
        number = 0
        began = time.monotonic()
        while self._rate and not self._ended.is_set():
            pause = began + number / self._rate - time.monotonic()
            if pause > 0 and self._ended.wait(pause):
                return
            asked = time.perf_counter()
            try:
                _get(self._api + ASKED[number % len(ASKED)], self._token)
            except OSError as error:
                self.failed += 1
                print(f"sustained: {ASKED[number % len(ASKED)]}: {error}", flush=True)
            self.times.append(time.perf_counter() - asked)
            number += 1


def publish_steadily(port: int, rate: int, seconds: float, sent, first: int = 0) -> None:
    """Readings of `DEVICES` devices from the `first` on; MQTT by hand, at QoS 1, a hundredth of a second's
    worth at a time. `sent` is counted up.
    """
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = b"sustained"
    head = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack("!H", len(name)) + name
    link.sendall(bytes([0x10, len(head)]) + head)
    link.recv(4)
    acknowledged = 0

    def count_acknowledgements() -> None:
        nonlocal acknowledged
        received = 0
        while data := link.recv(65536):
            received += len(data)
            acknowledged = received // 4

    reader = threading.Thread(target=count_acknowledgements, daemon=True)
    reader.start()
    began = time.monotonic()
    total = int(rate * seconds)
    number = 0
    while number < total:
        due = min(total, int((time.monotonic() - began) * rate))
        now = time.time()
        batch = []
        for n in range(number, due):
            device = device_id(first + n % DEVICES)
            payload = sensor_payload(device, n // DEVICES + 1, 300 + n % 100, now)
            topic = f"kaiser/god/esp/{device}/sensor/4/data".encode()
            batch.append(mqtt_packet(topic, payload, n % 65535 + 1))
        if batch:
            link.sendall(b"".join(batch))
            number = due
            sent.value = number
        time.sleep(1 / TICKS_A_SECOND)
    deadline = time.monotonic() + 30
    while acknowledged < total and time.monotonic() < deadline:
        time.sleep(0.01)
    link.shutdown(socket.SHUT_RDWR)
    reader.join(5)
    link.close()


def log_in(api: str) -> str:
    body = {"username": "admin", "password": PASSWORD}
    _post(f"{api}/auth/setup", body)
    return str(_post(f"{api}/auth/login", body)["access_token"])


def _post(url: str, body: dict[str, str]):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _get(url: str, token: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def stored(api: str, token: str) -> int:
    recorder = json.loads(_get(f"{api}/system/storage", token))["recorder"]
    return int(recorder["stored"]) + int(recorder["spooled"])
