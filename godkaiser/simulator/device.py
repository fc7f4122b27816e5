"""A simulated device on the network: firmware, greenhouse, one MQTT connection, and its faults."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from godkaiser.simulator.faults import Faults, Line, Power
from godkaiser.simulator.firmware.firmware import Firmware, Publish
from godkaiser.simulator.flash import Flash
from godkaiser.simulator.greenhouse import Greenhouse
from godkaiser.simulator.personality import ESP_IDF, Personality

KEEPALIVE_S = 60
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 10.0
HEARTBEAT_NEEDS = 2
"""Number of SUBACKs (acks, configuration) before the first heartbeat (contract, section 3.6)."""
FOLLOWING = (
    "zone/assign", "subzone/assign", "subzone/remove", "sensor/+/command", "actuator/+/command",
    "system/heartbeat/ack",
)  # fmt: skip
"""Topics that are subscribed again at once when the kaiser id changes; the others at the next
connect.
"""


class SimulatedDevice:
    """Driven by one thread, which owns it (see `driver.py`)."""

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
        tls: ssl.SSLContext | None = None,
        kaiser_id: str = "god",
        personality: Personality = ESP_IDF,
    ) -> None:
        self.device_id = device_id
        self._address = address
        self._credentials = credentials
        self._tls = tls
        self._interval_s = interval_s
        self._flash = Flash(state_file)
        self.greenhouse = Greenhouse(seed)
        self.firmware = Firmware(
            device_id,
            now,
            self.greenhouse.raw,
            memory=self._flash.load(),
            kaiser_id=kaiser_id,
            personality=personality,
        )
        self._faults = Faults()
        self._outgoing: Line[Publish] = Line(seed)
        self._incoming: Line[tuple[str, bytes]] = Line(seed + 1)
        self._power = Power(seed + 2)
        self._client: mqtt.Client | None = None
        self._subscribing: list[tuple[str, int]] = []
        self._subscribed_to: list[tuple[str, int]] = []
        self._ready = False
        self._was_connected = False
        self._inbox: list[tuple[str, bytes]] = []
        self._retry_at = now
        self._retry_s = FIRST_RETRY_S
        self._last_tick = now
        self.published = 0
        self.received = 0

    # ---- faults

    @property
    def faults(self) -> Faults:
        return self._faults

    def set_faults(self, faults: Faults, now: float) -> None:
        """Apply these faults from now on. `offline` drops the connection, so the broker sends the
        will.
        """
        self._faults = faults
        self._outgoing.faults = self._incoming.faults = faults
        self.firmware.clock_error_s = faults.clock_error_s
        if faults.offline:
            self.unplug(now)

    # ---- the connection, driven by the driver's selector

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
        if self._client is not None or now < self._retry_at or self._faults.offline:
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
        if self._tls is not None:
            client.tls_set_context(self._tls)
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
        """Read what has arrived; False if the connection is lost."""
        client = self._client
        if client is None or not _read_all(client):
            self._drop(now)
            return False
        inbox, self._inbox = self._inbox, []
        self.received += len(inbox)
        self._handle(self._incoming.put(inbox, now), now)
        return True

    def _handle(self, messages: list[tuple[str, bytes]], now: float) -> None:
        for topic, payload in messages:
            publications = self.firmware.on_message(topic, payload, now)
            if self._power.fails(self._faults.brown_out):
                # The remaining publications are lost with the power.
                self._send(publications[: self._power.survivors(len(publications))])
                self._flash.save(self.firmware.memory)
                self.power_cycle(now, "BROWNOUT")
                return
            self._send(publications)
            self._apply_interval()
        if messages:
            self._follow_kaiser_id()
            self._flash.save(self.firmware.memory)

    def write(self) -> None:
        if self._client is not None:
            self._client.loop_write()

    def tick(self, now: float) -> bool:
        """Let time pass; False if the connection is lost."""
        self.greenhouse.advance(now - self._last_tick, self.firmware.levels())
        self._last_tick = now
        if self._client is not None and self._client.loop_misc() != mqtt.MQTT_ERR_SUCCESS:
            self._drop(now)
            return False
        self._handle(self._incoming.due(now), now)
        publications = self.firmware.on_tick(now) if self._ready else self._wait(now)
        if self._faults.skip_seq and publications and self._power.fails(self._faults.skip_seq):
            self.firmware.skip_seq()
        self._send(publications)
        self._transmit(self._outgoing.due(now))
        return True

    def _wait(self, now: float) -> list[Publish]:
        """Time also passes between connections; before the SUBACKs nothing is published."""
        return self.firmware.on_tick(now) if self._client is None else []

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client = None
        self._flash.save(self.firmware.memory)

    def power_cycle(self, now: float, reset_reason: str = "POWERON") -> None:
        """Cut the power and restore it: the broker sends the will; the flash memory stays."""
        self.unplug(now)
        self.firmware.restart(now, reset_reason)
        self._was_connected = False

    def unplug(self, now: float) -> None:
        """Drop the connection without a DISCONNECT: the broker sends the will."""
        sock = self.sock
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self._drop(now)

    def _drop(self, now: float) -> None:
        client, self._client = self._client, None
        if client is not None:
            sock = client.socket()
            if isinstance(sock, socket.socket):
                sock.close()
        self._ready = False
        self._inbox.clear()
        self._incoming.clear()
        self._outgoing.clear()
        self.firmware.on_disconnect(now)
        self._retry_at = now + self._retry_s

    def _connected(
        self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            return
        self._retry_s = FIRST_RETRY_S
        self._subscribed_to = self.firmware.subscriptions
        self._subscribing = list(self._subscribed_to)
        # Subscribe one topic after the other, as the firmware does; the heartbeat follows the
        # second.
        self._send(self.firmware.on_connect(self._last_tick, reconnect=self._was_connected))
        self._was_connected = True
        self._subscribe_next(client)

    def _subscribed(self, client: mqtt.Client, *_details: Any) -> None:
        if len(self._subscribed_to) - len(self._subscribing) >= HEARTBEAT_NEEDS:
            self._ready = True
        self._subscribe_next(client)

    def _subscribe_next(self, client: mqtt.Client) -> None:
        if self._subscribing:
            topic, qos = self._subscribing.pop(0)
            client.subscribe(topic, qos)

    def _follow_kaiser_id(self) -> None:
        """Subscribe again for a new kaiser id: only a part of the topics, the ack at QoS 0 (section
        14.1).
        """
        wanted = self.firmware.subscriptions
        if not self._subscribed_to or wanted == self._subscribed_to or self._client is None:
            return
        for (old, _), (new, qos) in zip(self._subscribed_to, wanted, strict=True):
            if old != new and new.endswith(FOLLOWING):
                self._client.unsubscribe(old)
                self._client.subscribe(new, 0 if new.endswith("/ack") else qos)
            elif old.endswith("subzone/safe"):
                self._client.unsubscribe(old)
        self._subscribed_to = wanted

    def _send(self, publications: list[Publish]) -> None:
        if publications:
            self._transmit(self._outgoing.put(publications, self._last_tick))

    def _transmit(self, publications: list[Publish]) -> None:
        client = self._client
        if client is None:
            return
        for publication in publications:
            client.publish(publication.topic, publication.payload, publication.qos)
            self.published += 1

    def _apply_interval(self) -> None:
        """Override the measuring intervals, so that tests and demos can measure more often."""
        if self._interval_s is not None:
            for sensor in self.firmware.memory.sensors.values():
                sensor.interval_s = self._interval_s


def _read_all(client: mqtt.Client) -> bool:
    """Read all data of the socket; False if the connection is lost."""
    while client.loop_read() == mqtt.MQTT_ERR_SUCCESS:
        sock = client.socket()
        # A selector does not report data that TLS has already decrypted.
        if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
            return True
    return False


def _without_nagle(_client: mqtt.Client, _userdata: object, sock: object) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
