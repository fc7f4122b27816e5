"""A simulated device on the network: firmware, greenhouse and one MQTT connection."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.simulator.firmware import Actuator, Firmware, Memory, Publish, Sensor
from godkaiser.simulator.greenhouse import Greenhouse

KEEPALIVE_S = 60
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 10.0


class SimulatedDevice:
    """Driven by one thread of the fleet, which owns it."""

    def __init__(
        self,
        device_id: str,
        address: tuple[str, int],
        *,
        seed: int,
        now: float,
        state_file: Path | None = None,
        interval_s: float | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.device_id = device_id
        self._address = address
        self._credentials = credentials
        self._state_file = state_file
        self._interval_s = interval_s
        self.greenhouse = Greenhouse(seed)
        memory = _load(state_file)
        self.firmware = Firmware(device_id, now, self.greenhouse.raw, memory=memory)
        self._client: mqtt.Client | None = None
        self._subscribing: list[tuple[str, int]] = []
        self._ready = False
        self._was_connected = False
        self._inbox: list[tuple[str, bytes]] = []
        self._retry_at = now
        self._retry_s = FIRST_RETRY_S
        self._last_tick = now
        self._saved = b""
        self.published = 0
        self.received = 0

    # ---- the connection, as the fleet's selector drives it

    @property
    def sock(self) -> socket.socket | None:
        client = self._client
        if client is None:
            return None
        sock = client.socket()
        return sock if isinstance(sock, socket.socket) else None

    @property
    def wants_write(self) -> bool:
        return self._client is not None and self._client.want_write()

    def connect_if_due(self, now: float) -> bool:
        """Try to connect; True when there is a new socket."""
        if self._client is not None or now < self._retry_at:
            return False
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = 2.0
        client.max_inflight_messages_set(100)
        if self._credentials is not None:
            client.username_pw_set(*self._credentials)
        topic, payload = self.firmware.will(now)
        client.will_set(topic, payload, qos=1, retain=True)
        client.on_socket_open = _without_nagle
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = lambda _c, _u, message: self._inbox.append(
            (message.topic, bytes(message.payload))
        )
        try:
            client.connect(*self._address, keepalive=KEEPALIVE_S)
        except OSError:
            self._retry_s = min(self._retry_s * 2.0, LAST_RETRY_S)
            self._retry_at = now + self._retry_s
            return False
        self._client = client
        return True

    def read(self, now: float) -> bool:
        """What has come; False when the connection is gone."""
        client = self._client
        if client is None or client.loop_read() != mqtt.MQTT_ERR_SUCCESS:
            self._drop(now)
            return False
        inbox, self._inbox = self._inbox, []
        for topic, payload in inbox:
            self.received += 1
            self._send(self.firmware.on_message(topic, payload, now))
            self._apply_interval()
        if inbox:
            self._save()
        return True

    def write(self) -> None:
        if self._client is not None:
            self._client.loop_write()

    def tick(self, now: float) -> bool:
        """Let time pass; False when the connection is gone."""
        self.greenhouse.advance(now - self._last_tick, self.firmware.levels())
        self._last_tick = now
        if self._client is not None and self._client.loop_misc() != mqtt.MQTT_ERR_SUCCESS:
            self._drop(now)
            return False
        if self._ready:
            self._send(self.firmware.on_tick(now))
        else:
            self.firmware.on_tick(now)
        return True

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client = None
        self._save()

    def power_cycle(self, now: float) -> None:
        """Pull the plug: the broker sends the will; the memory stays."""
        sock = self.sock
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self._drop(now)
        self.firmware.restart(now)
        self._was_connected = False

    def _drop(self, now: float) -> None:
        client, self._client = self._client, None
        if client is not None:
            sock = client.socket()
            if isinstance(sock, socket.socket):
                sock.close()
        self._ready = False
        self._inbox.clear()
        self.firmware.on_disconnect(now)
        self._retry_at = now + self._retry_s

    def _connected(
        self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            return
        self._retry_s = FIRST_RETRY_S
        self._subscribing = self.firmware.subscriptions
        # One after the other, as the firmware stages them; the heartbeat follows the second.
        self._send(self.firmware.on_connect(self._last_tick, reconnect=self._was_connected))
        self._was_connected = True
        self._subscribe_next(client)

    def _subscribed(self, client: mqtt.Client, *_details: Any) -> None:
        heartbeat_needs = 2
        if len(self.firmware.subscriptions) - len(self._subscribing) >= heartbeat_needs:
            self._ready = True
        self._subscribe_next(client)

    def _subscribe_next(self, client: mqtt.Client) -> None:
        if self._subscribing:
            topic, qos = self._subscribing.pop(0)
            client.subscribe(topic, qos)

    def _send(self, publications: list[Publish]) -> None:
        client = self._client
        if client is None:
            return
        for publication in publications:
            client.publish(publication.topic, publication.payload, publication.qos)
            self.published += 1

    def _apply_interval(self) -> None:
        """The fleet may measure more often than it is configured to, for tests and demos."""
        if self._interval_s is not None:
            for sensor in self.firmware.memory.sensors.values():
                sensor.interval_s = self._interval_s

    def _save(self) -> None:
        if self._state_file is None:
            return
        body = msgspec.json.encode(_as_document(self.firmware.memory))
        if body != self._saved:
            self._saved = body
            self._state_file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._state_file.with_suffix(".new")
            draft.write_bytes(body)
            draft.replace(self._state_file)


class _Document(msgspec.Struct):
    """The memory of a device, as a file."""

    approved: bool
    zone_id: str
    master_zone_id: str
    kaiser_id: str
    sensors: list[Sensor]
    actuators: list[dict[str, Any]]
    offline_rules: list[dict[str, Any]]
    generations: dict[str, int]
    tokens: dict[str, str]


def _as_document(memory: Memory) -> _Document:
    return _Document(
        memory.approved,
        memory.zone_id,
        memory.master_zone_id,
        memory.kaiser_id,
        list(memory.sensors.values()),
        [
            {
                "gpio": a.gpio,
                "kind": a.kind,
                "max_runtime_s": a.max_runtime_s,
                "default_on": a.default_on,
                "critical": a.critical,
            }
            for a in memory.actuators.values()
        ],
        memory.offline_rules,
        memory.generations,
        memory.tokens,
    )


def _load(state_file: Path | None) -> Memory | None:
    if state_file is None or not state_file.exists():
        return None
    try:
        document = msgspec.json.decode(state_file.read_bytes(), type=_Document)
    except msgspec.DecodeError:
        # Flash that cannot be read is flash that is empty.
        return None
    for sensor in document.sensors:
        sensor.next_due = 0.0
    return Memory(
        approved=document.approved,
        zone_id=document.zone_id,
        master_zone_id=document.master_zone_id,
        kaiser_id=document.kaiser_id,
        sensors={sensor.identity: sensor for sensor in document.sensors},
        actuators={fields["gpio"]: Actuator(**fields) for fields in document.actuators},
        offline_rules=document.offline_rules,
        generations=document.generations,
        tokens=document.tokens,
    )


def _without_nagle(_client: mqtt.Client, _userdata: object, sock: object) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
