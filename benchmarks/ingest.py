"""QoS 1 readings of 100 devices, flat out: stored by us, counted by a bare paho subscriber."""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg2
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks._parts import GatewayProcess, broker, flood, seed_device, sensor_payload
from benchmarks.sustained import log_in, stored
from benchmarks.table import Row
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from tests.provision.servers import PostgreSQL

DEVICES = 100
MILLION = 1_000_000
AHEAD = 30_000
RATE = 20_000
FIRST = 10_000
LAST = 100_000


def run(*, quick: bool) -> list[Row]:
    count = 20_000 if quick else 60_000
    floor = _floor(count)
    rows = []
    for engine, factor in (("SQLite, synchronous=FULL", 0.60), ("PostgreSQL", 0.55)):
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
    if not quick:
        rows += [_million(postgresql=False), _million(postgresql=True)]
    return rows


class _Million(Sequence[tuple[str, bytes]]):
    """Made as they are sent: nobody holds all of them. No more than AHEAD beyond what is stored, for
    the broker drops what does not fit into its queue.
    """

    def __init__(self) -> None:
        # Time goes on, as it does for sensors, and ends now.
        self._began = time.time() - MILLION // RATE
        self.stored = multiprocessing.Value("q", 0)

    def __len__(self) -> int:
        return MILLION

    def __getitem__(self, n):
        while n > self.stored.value + AHEAD:
            time.sleep(0.002)
        name = device_id(n % DEVICES)
        payload = sensor_payload(name, n // DEVICES + 1, 300 + n % 100, self._began + n // RATE)
        return f"kaiser/god/esp/{name}/sensor/4/data", payload


def _million(*, postgresql: bool) -> Row:
    """Microseconds a reading, flat out: the last hundred thousand beside the first ten thousand."""
    with _store(postgresql=postgresql) as (folder, port, url):
        _seed(url)
        gateway = GatewayProcess(folder, port, url)
        gateway.start()
        api = f"http://127.0.0.1:{gateway.http_port}/api/v1"
        token = log_in(api)
        million = _Million()
        publisher = flood(port, million)
        seen = [(time.perf_counter(), 0)]
        deadline = time.perf_counter() + 300
        while seen[-1][1] < MILLION and time.perf_counter() < deadline:
            million.stored.value = count = stored(api, token)
            if count > seen[-1][1] or not count:
                # Time begins with the first reading that is stored.
                seen = [*(seen if seen[-1][1] else []), (time.perf_counter(), count)]
            time.sleep(0.02 if count < 20_000 else 0.1)
        publisher.join(30)
        gateway.stop()
    first = _cost_us(seen, seen[0][1], seen[0][1] + FIRST)
    last = _cost_us(seen, MILLION - LAST, MILLION)
    return Row(
        what=f"a reading of the last {LAST:,} of a million,"
        f" {'PostgreSQL' if postgresql else 'SQLite'}, beside the first {FIRST:,}",
        ours=last,
        unit="µs",
        floor=first,
        target="<= 1.2 of it",
        reached=last <= 1.2 * first,
    )


def _cost_us(seen: list[tuple[float, int]], start: int, end: int) -> float:
    began = next(sample for sample in seen if sample[1] >= start)
    ended = next(sample for sample in seen if sample[1] >= end)
    return (ended[0] - began[0]) / (ended[1] - began[1]) * 1e6


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

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="floor", clean_session=False)
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("kaiser/+/esp/+/#", 1)
    client.loop_forever()


def _ours(count: int, *, postgresql: bool) -> tuple[float, int]:
    with _store(postgresql=postgresql) as (folder, port, url):
        return _stored(count, folder, port, url)


@contextmanager
def _store(*, postgresql: bool) -> Iterator[tuple[Path, int, str]]:
    with tempfile.TemporaryDirectory() as name, broker() as server:
        folder = Path(name)
        cluster = None
        url = f"sqlite:///{folder / 'var' / 'godkaiser.db'}"
        if postgresql:
            cluster = PostgreSQL()
            cluster.start()
            url = cluster.create_database()
        try:
            yield folder, server.port, url
        finally:
            if cluster is not None:
                cluster.stop()


def _seed(url: str) -> None:
    database = open_database(url)
    migrate(database)
    for index in range(DEVICES):
        name = device_id(index)
        seed_device(database, name)
    database.close_all()


def _stored(count: int, folder: Path, port: int, url: str) -> tuple[float, int]:
    _seed(url)
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
        (found,) = self._cursor.fetchone() or (0,)
        return found
