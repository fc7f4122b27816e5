"""The live socket: 1,000 clients with filters while 1,000 readings a second come in.

Delivery is from the publication of a reading by the device to the client that wants it. The floor is a bare
websockets server that is told by an MQTT client and sends to the same clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve

from benchmarks._parts import GatewayProcess, broker, mqtt_packet, seed_device, sensor_payload
from benchmarks.sustained import log_in
from benchmarks.table import Row, percentile
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from tests.provision.servers import free_port

DEVICES = 250
RATE = 1000
VALUES = 200
"""Each device counts through so many values, so that a value tells when it was sent."""
FIRST_RAW = 100


def run(*, quick: bool) -> list[Row]:
    clients, seconds = (100, 5.0) if quick else (1000, 20.0)
    with broker() as server:
        alone, _ = _of_gateway(server.port, 0, seconds)
    with broker() as server:
        lag, delivered = _of_gateway(server.port, clients, seconds)
    with broker() as server:
        bare = _of_bare_server(server.port, clients, seconds)
    rows = []
    for name, fraction, most in (("p50", 0.5, None), ("p99", 0.99, 100.0)):
        ours = percentile(delivered, fraction) * 1000
        rows.append(
            Row(
                what=f"a reading to its {clients // DEVICES or 1} of {clients:,} clients, {RATE:,} readings/s, {name}",
                ours=ours, unit="ms", floor=percentile(bare, fraction) * 1000,
                target="" if most is None else f"<= {most:g} ms",
                reached=None if most is None else ours <= most,
            )
        )  # fmt: skip
    rows.append(Row(what="... deliveries", ours=len(delivered), unit="", floor=len(bare)))
    for name, fraction in (("p50", 0.5), ("p99", 0.99)):
        rows.append(
            Row(
                what=f"... readings sent and not stored yet, {name}; the floor: without clients",
                ours=percentile(lag, fraction), unit="readings", floor=percentile(alone, fraction),
            )
        )  # fmt: skip
    return rows


def _of_gateway(port: int, clients: int, seconds: float) -> tuple[list[float], list[float]]:
    """How many readings were on their way, again and again; and seconds to each client."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "var" / "godkaiser.db"
        _seed(f"sqlite:///{file}")
        live = free_port()
        gateway = GatewayProcess(folder, port, f"sqlite:///{file}", live=f"127.0.0.1:{live}")
        gateway.start()
        try:
            token = log_in(f"http://127.0.0.1:{gateway.http_port}/api/v1")
            with _audience(f"ws://127.0.0.1:{live}/ws", token, clients) as heard:
                with _readings(port, seconds) as (sent, sent_at):
                    lag = _watch(file, sent, int(RATE * seconds))
                return lag, heard(sent_at)
        finally:
            gateway.stop()


def _watch(file: Path, sent, wanted: int) -> list[float]:
    database = open_database(f"sqlite:///{file}")
    lag, deadline = [], time.monotonic() + wanted / RATE + 30
    try:
        while True:
            under_way = sent.value
            stored = int(database.fetch("SELECT count(*) FROM sensor_data")[0][0])
            lag.append(max(0.0, float(under_way - stored)))
            if stored >= wanted:
                return lag
            if time.monotonic() > deadline:
                raise RuntimeError(f"{stored} of {wanted} readings were stored")
            time.sleep(0.05)
    finally:
        database.close_all()


def _of_bare_server(port: int, clients: int, seconds: float) -> list[float]:
    live = free_port()
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=_serve_bare, args=(live, port, ready), daemon=True)
    process.start()
    ready.wait(10)
    try:
        with _audience(f"ws://127.0.0.1:{live}/ws", "", clients) as heard:
            with _readings(port, seconds) as (sent, sent_at):
                while sent.value < int(RATE * seconds):
                    time.sleep(0.05)
                time.sleep(1.0)
            return heard(sent_at)
    finally:
        process.kill()
        process.join(10)


def _serve_bare(live: int, port: int, ready) -> None:
    """What anybody would write first: a dictionary from device to clients."""
    members: dict[str, set] = {}

    async def attend(connection) -> None:
        wish = json.loads(await connection.recv())
        device = wish["filter"]["esp_ids"][0]
        await connection.send('{"type":"subscribed"}')
        members.setdefault(device, set()).add(connection)
        await connection.wait_closed()

    def tell(payload: bytes) -> None:
        body = json.loads(payload)
        data = {"value": body["raw"] / 16}
        event = {"type": "reading", "esp_id": body["esp_id"], "data": data}
        broadcast(
            members.get(body["esp_id"], ()), json.dumps({"type": "events", "events": [event]})
        )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _c, _u, m: loop.call_soon_threadsafe(tell, bytes(m.payload))
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", port)
        client.subscribe("kaiser/god/esp/+/sensor/+/data", 1)
        client.loop_start()
        async with serve(attend, "127.0.0.1", live, compression=None):
            await asyncio.get_running_loop().create_future()

    asyncio.run(main())


@contextlib.contextmanager
def _readings(port: int, seconds: float) -> Iterator[tuple]:
    sent = multiprocessing.Value("q", 0)
    sent_at = multiprocessing.Array("d", DEVICES * VALUES)
    process = multiprocessing.Process(
        target=_publish, args=(port, seconds, sent, sent_at), daemon=True
    )
    process.start()
    yield sent, sent_at
    process.join(30)


def _publish(port: int, seconds: float, sent, sent_at) -> None:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack("!H", 4) + b"live"
    link.sendall(bytes([0x10, len(head)]) + head)
    link.recv(4)
    threading.Thread(target=_drain, args=(link,), daemon=True).start()
    began, number, total = time.monotonic(), 0, int(RATE * seconds)
    while number < total:
        due = min(total, int((time.monotonic() - began) * RATE))
        now = time.time()
        for n in range(number, due):
            device, turn = n % DEVICES, n // DEVICES
            payload = sensor_payload(device_id(device), turn + 1, FIRST_RAW + turn % VALUES, now)
            topic = f"kaiser/god/esp/{device_id(device)}/sensor/4/data".encode()
            sent_at[device * VALUES + turn % VALUES] = time.monotonic()
            link.sendall(mqtt_packet(topic, payload, n % 65535 + 1))
        number = due
        sent.value = number
        time.sleep(0.002)
    time.sleep(2.0)
    link.close()


def _drain(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while link.recv(65536):
            pass


@contextlib.contextmanager
def _audience(url: str, token: str, clients: int) -> Iterator:
    """Clients in a process of their own; it yields what they heard: `heard(sent_at)`."""
    ready, stop = multiprocessing.Event(), multiprocessing.Event()
    heard_at: multiprocessing.Queue = multiprocessing.Queue()
    process = multiprocessing.Process(
        target=_listen, args=(url, token, clients, ready, stop, heard_at), daemon=True
    )
    process.start()
    if not ready.wait(60):
        raise RuntimeError("the clients did not come in")

    def heard(sent_at) -> list[float]:
        stop.set()
        found = heard_at.get(timeout=60)
        return [at - sent_at[place] for place, at in found]

    yield heard
    stop.set()
    process.join(30)


def _listen(url: str, token: str, clients: int, ready, stop, heard_at) -> None:
    found: list[tuple[int, float]] = []
    places = {device_id(n): n for n in range(DEVICES)}

    async def attend(number: int, come_in: asyncio.Semaphore, present) -> None:
        async with come_in:
            headers = {"Authorization": f"Bearer {token}"} if token else None
            connection = await connect(url, additional_headers=headers, compression=None,
                                       open_timeout=30)  # fmt: skip
            wish = {"filter": {"types": ["reading"], "esp_ids": [device_id(number % DEVICES)]}}
            await connection.send(json.dumps(wish))
            await connection.recv()
            present()
        async for text in connection:
            now = time.monotonic()
            for event in json.loads(text)["events"]:
                turn = round(event["data"]["value"] * 16) - FIRST_RAW
                found.append((places[event["esp_id"]] * VALUES + turn, now))

    async def main() -> None:
        there = 0

        def present() -> None:
            nonlocal there
            there += 1

        come_in = asyncio.Semaphore(20)
        tasks = [asyncio.create_task(attend(n, come_in, present)) for n in range(clients)]
        while there < clients:  # noqa: ASYNC110 - a count, waited for once
            await asyncio.sleep(0.05)
        ready.set()
        while not stop.is_set():  # noqa: ASYNC110 - it is set by another process
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()

    asyncio.run(main())
    heard_at.put(found)


def _seed(url: str) -> None:
    database = open_database(url)
    migrate(database)
    with database.transaction():
        for index in range(DEVICES):
            name = device_id(index)
            seed_device(database, name)
    database.close_all()
