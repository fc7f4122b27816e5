"""QoS 1 readings of 100 devices, flat out: stored by us, counted by a bare paho subscriber."""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg2

from benchmarks._parts import GatewayProcess, broker, flood, sensor_payload
from benchmarks.table import Row
from godkaiser.domain.entities import Approval, DeviceRecord, SensorConfig
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage import registry
from godkaiser.storage.database import open_database
from godkaiser.storage.migrations import migrate
from tests.provision.servers import PostgreSQL

DEVICES = 100


def run(*, quick: bool) -> list[Row]:
    count = 20_000 if quick else 60_000
    floor = _floor(count)
    rows = []
    for engine, factor in (("SQLite, synchronous=FULL", 0.4), ("PostgreSQL", 0.55)):
        rate, stored = _ours(count, postgresql=engine == "PostgreSQL")
        rows.append(
            Row(
                what=f"ingest into {engine}",
                ours=rate,
                unit="rows/s",
                floor=floor,
                target=f">= {factor} x floor, each stored once",
                reached=rate >= factor * floor and stored == count,
            )
        )
        rows.append(
            Row(what=f"... rows stored of {count}", ours=stored, unit="rows", target="all, once",
                reached=stored == count)
        )  # fmt: skip
    return rows


def _messages(count: int) -> list[tuple[str, bytes]]:
    now = time.time()
    return [
        (
            f"kaiser/god/esp/{device_id(n % DEVICES)}/sensor/4/data",
            sensor_payload(device_id(n % DEVICES), n // DEVICES + 1, 300 + n % 100, now),
        )
        for n in range(count)
    ]


def _floor(count: int) -> float:
    with broker() as server:
        ready = multiprocessing.Event()
        result: multiprocessing.Queue[float] = multiprocessing.Queue()
        counter = multiprocessing.Process(
            target=_count, args=(server.port, count, ready, result), daemon=True
        )
        counter.start()
        ready.wait(10)
        publisher = flood(server.port, _messages(count))
        elapsed = result.get(timeout=120)
        publisher.join(10)
        counter.join(10)
        return count / elapsed


def _count(port: int, count: int, ready, result) -> None:
    seen = 0
    began = 0.0

    def on_message(_client, _userdata, _message) -> None:
        nonlocal seen, began
        if not seen:
            began = time.perf_counter()
        seen += 1
        if seen == count:
            result.put(time.perf_counter() - began)
            client.disconnect()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="floor", clean_session=False)
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("kaiser/+/esp/+/#", 1)
    client.loop_forever()


def _ours(count: int, *, postgresql: bool) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as name, broker() as server:
        folder = Path(name)
        cluster = None
        url = f"sqlite:///{folder / 'var' / 'godkaiser.db'}"
        if postgresql:
            cluster = PostgreSQL()
            cluster.start()
            url = cluster.create_database()
        try:
            return _stored(count, folder, server.port, url)
        finally:
            if cluster is not None:
                cluster.stop()


def _stored(count: int, folder: Path, port: int, url: str) -> tuple[float, int]:
    database = open_database(url)
    migrate(database)
    for index in range(DEVICES):
        name = device_id(index)
        registry.save_device(database, DeviceRecord(device_id=name, approval=Approval.APPROVED))
        registry.save_sensor(
            database,
            SensorConfig(esp_id=name, gpio=4, sensor_type="ds18b20", address="28FF641E8D3C0C79"),
        )
    database.close_all()
    gateway = GatewayProcess(folder, port, url)
    gateway.start()
    counter = _Counter(url, folder)
    publisher = flood(port, _messages(count))
    began = 0.0
    deadline = time.perf_counter() + 180
    seen = 0
    while seen < count and time.perf_counter() < deadline:
        seen = counter.rows()
        if seen and not began:
            began, first = time.perf_counter(), seen
        time.sleep(0.02)
    elapsed = time.perf_counter() - began
    publisher.join(30)
    gateway.stop()
    final = counter.rows()
    return (count - first) / elapsed, final


class _Counter:
    def __init__(self, url: str, folder: Path) -> None:
        if url.startswith("postgresql"):
            connection = psycopg2.connect(url)
            connection.autocommit = True
            self._cursor = connection.cursor()
        else:
            path = folder / "var" / "godkaiser.db"
            self._cursor = sqlite3.connect(f"file:{path}?mode=ro", uri=True).cursor()

    def rows(self) -> int:
        self._cursor.execute("SELECT count(*) FROM sensor_data")
        found: int = self._cursor.fetchone()[0]
        return found
