"""What the benchmarks of the whole gateway share: broker, gateway process, raw publisher."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.domain.entities import Approval, DeviceRecord, SensorConfig
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import registry
from tests.provision.servers import Mosquitto, free_port

WINDOW = 2000
ADDRESS = "28FF641E8D3C0C79"


@contextlib.contextmanager
def broker() -> Iterator[Mosquitto]:
    with tempfile.TemporaryDirectory() as folder:
        server = Mosquitto(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


class GatewayProcess:
    """`godkaiser run` on a data folder; `started_s` is from its start to the first good health."""

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        database_url: str = "",
        more: str = "",
        live: str = "off",
    ) -> None:
        self.http_port = free_port()
        self.config = folder / "godkaiser.toml"
        self.config.write_text(
            f'[gateway]\ndata_dir = "{folder / "var"}"\n'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\nrequests_per_s = 0\n'
            f'[live]\nlisten = "{live}"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker_port}\n'
            f'[database]\nurl = "{database_url}"\n'
            f'[log]\nlevel = "error"\n{more}'
        )
        self.started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "godkaiser", "run", "--config", str(self.config)],
            stdout=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{self.http_port}/api/v1/health"
        while True:
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if b'"healthy"' in answer.read():
                        break
            except OSError:
                pass
            if time.perf_counter() - began > 30:
                raise RuntimeError("the gateway did not become healthy in 30 s")
            time.sleep(0.005)
        self.started_s = time.perf_counter() - began

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the gateway has not been started")
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


def flood(port: int, messages: Sequence[tuple[str, bytes]]) -> multiprocessing.Process:
    """Publish at QoS 1 as fast as the broker takes it, from a process of its own."""
    process = multiprocessing.Process(target=publish_raw, args=(port, messages), daemon=True)
    process.start()
    return process


def publish_raw(
    port: int, messages: Sequence[tuple[str, bytes]], client_id: bytes = b"flood"
) -> None:
    """MQTT by hand: a publisher that costs next to nothing leaves the machine to who is measured."""
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack("!H", len(client_id)) + client_id
    link.sendall(bytes([0x10, len(head)]) + head)
    link.recv(4)
    sent = acknowledged = 0
    left_over = b""
    while acknowledged < len(messages):
        batch = []
        while sent < len(messages) and sent - acknowledged < WINDOW and len(batch) < 200:
            topic, payload = messages[sent]
            batch.append(mqtt_packet(topic.encode(), payload, sent % 65535 + 1))
            sent += 1
        if batch:
            link.sendall(b"".join(batch))
        if sent - acknowledged >= WINDOW or sent == len(messages):
            left_over += link.recv(65536)
            whole = len(left_over) // 4
            acknowledged += whole
            left_over = left_over[whole * 4 :]
    link.sendall(b"\xe0\x00")
    link.close()


def mqtt_packet(topic: bytes, payload: bytes, mid: int) -> bytes:
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid) + payload
    length = bytearray()
    left = len(body)
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | 0x80 if left else digit)
        if not left:
            return b"\x32" + bytes(length) + body


def quick_client(client_id: str, port: int) -> mqtt.Client:
    """A connected paho client with TCP_NODELAY, its loop running."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.on_socket_open = lambda _c, _u, sock: cast("socket.socket", sock).setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )
    client.max_inflight_messages_set(WINDOW)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def sensor_payload(device_id: str, seq: int, raw: int, now: float) -> bytes:
    return (
        b'{"esp_id":"%s","seq":%d,"zone_id":"greenhouse","subzone_id":"","gpio":4,'
        b'"sensor_type":"ds18b20","raw":%d,"value":23.50,"unit":"\xc2\xb0C","quality":"good",'
        b'"ts":%d,"time_valid":true,"raw_mode":true,"onewire_address":"28FF641E8D3C0C79"}'
        % (device_id.encode(), seq, raw, int(now))
    )


def seed_device(database: Database, name: str, sensors: int = 1) -> None:
    """An approved device with so many thermometers on one pin; the first is that of `sensor_payload`."""
    registry.save_device(database, DeviceRecord(device_id=name, approval=Approval.APPROVED))
    for number in range(sensors):
        address = f"28FF641E8D3C{number:04X}" if number else ADDRESS
        registry.save_sensor(
            database, SensorConfig(esp_id=name, gpio=4, sensor_type="ds18b20", address=address)
        )
