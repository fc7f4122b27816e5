"""An MQTT broker as a model: connections, windows, queues and handshakes as events in virtual time.

Each connection has two lines with delays of their own; nothing orders two connections. A QoS 1 message
is passed on at its PUBLISH, a QoS 2 message at its PUBREL, as Mosquitto and amqtt do it. The broker can
freeze (it reads nothing for a while), or pass messages on but withhold its acknowledgements.

The gateway's connections are in `gateway_connection.py`: they stand behind the ports as the real ones do. A
device is one line in each direction: its QoS adds round trips there, and changes no order.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Protocol

from godkaiser.protocol import topics
from tests.safety.world.agenda import ROUNDING_S, Agenda, Deed, Line
from tests.safety.world.gateway_connection import GatewayConnection, Ingest
from tests.safety.world.packets import Packet, Witness

Delay = Callable[[], float]
MOSQUITTO_WINDOW = 20
"""Mosquitto 2.0.11 confirms one more message of QoS 2 and never passes it on."""


class Subscriber(Protocol):
    """A device: what the broker passes on for its topics ends up in `receive`."""

    device_id: str

    def receive(self, topic: str, payload: bytes, ticket: int) -> None: ...


class DeviceLink:
    """The connection of one device for one life."""

    def __init__(self, broker: Broker, device: Subscriber, delay_s: Delay, will: Packet) -> None:
        self._broker = broker
        self.device = device
        self.will = will
        self.is_open = True
        self._up = Line(broker.agenda, delay_s)
        self._down = Line(broker.agenda, delay_s)

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        packet = Packet("PUBLISH", 0, topic, payload, qos)
        self._up.send(lambda: self._broker.process(lambda: self._broker.pass_on(packet, -1)))

    def pass_on(self, packet: Packet, ticket: int) -> None:
        broker = self._broker

        def lost() -> None:
            broker.witness.lost(ticket, packet.topic, packet.payload)

        self._down.send(lambda: self.device.receive(packet.topic, packet.payload, ticket), lost)

    def drop(self) -> None:
        self.is_open = False
        self._up.cut()
        self._down.cut()


class Broker:
    """`clocks` gives the gateway's wall clock and its monotonic one. `twice` says of a QoS 1 message whether it is passed on again."""

    def __init__(
        self, agenda: Agenda, witness: Witness, clocks: Callable[[], tuple[float, float]],
        twice: Callable[[], bool] = lambda: False, *, ingest_window: int = 200,
    ) -> None:  # fmt: skip
        self.agenda = agenda
        self.witness = witness
        self.clocks = clocks
        self.connections: list[GatewayConnection] = []
        self.devices: dict[str, DeviceLink] = {}
        self.readings = Ingest(self, ingest_window)
        self.control = Ingest(self, ingest_window)
        self.heard_by_gateway: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.history: deque[Packet] = deque(maxlen=60)
        self._twice = twice
        self._tickets = itertools.count(1)
        self._frozen_until = 0.0
        self._withholds_until = 0.0
        self._backlog: deque[Deed] = deque()
        self._kept_back: deque[tuple[GatewayConnection, Packet]] = deque()
        self._incomplete: dict[tuple[GatewayConnection, int], tuple[Packet, int]] = {}
        self._retained: dict[str, Packet] = {}

    def next_ticket(self) -> int:
        return next(self._tickets)

    # ---- faults

    @property
    def is_impaired(self) -> bool:
        now = self.agenda.now()
        return now < self._frozen_until or now < self._withholds_until

    def freeze(self, seconds: float) -> None:
        """Read nothing for a while; then everything in its order."""
        self._frozen_until = max(self._frozen_until, self.agenda.now() + seconds)
        self.agenda.at(self._frozen_until, self._thaw)

    def withhold(self, seconds: float) -> None:
        """Pass messages on and say nothing to who published them."""
        self._withholds_until = max(self._withholds_until, self.agenda.now() + seconds)
        self.agenda.at(self._withholds_until, self._catch_up)

    def _thaw(self) -> None:
        while self._backlog and self.agenda.now() + ROUNDING_S >= self._frozen_until:
            self._backlog.popleft()()

    def _catch_up(self) -> None:
        while self._kept_back and self.agenda.now() + ROUNDING_S >= self._withholds_until:
            connection, packet = self._kept_back.popleft()
            connection.hear(packet)

    # ---- clients

    def connect_device(self, link: DeviceLink) -> None:
        before = self.devices.get(link.device.device_id)
        if before is not None:
            before.drop()
        self.devices[link.device.device_id] = link
        for packet in self._retained.values():
            if "/esp/" not in packet.topic:
                link.pass_on(packet, 0)

    def lose_device(self, device_id: str, *, will_after_s: float | None) -> None:
        """`will_after_s` None: it is back before the broker has noticed."""
        link = self.devices.pop(device_id, None)
        if link is None:
            return
        link.drop()
        if will_after_s is not None:
            self.agenda.after(will_after_s, lambda: self._will_of(link))

    def _will_of(self, link: DeviceLink) -> None:
        if link.device.device_id not in self.devices:
            self.process(lambda: self.pass_on(link.will, -1))

    def lose(self, connection: GatewayConnection, *, arrives: bool) -> None:
        """The connection is gone without a word: the will goes out."""
        connection.close(arrives=arrives)
        for session in (self.readings, self.control):
            session.detach(connection)
        if connection.will is not None:
            will = connection.will
            self.process(lambda: self.pass_on(will, 0))

    # ---- what arrives

    def process(self, deed: Deed) -> None:
        if self.agenda.now() + ROUNDING_S < self._frozen_until or self._backlog:
            self._backlog.append(deed)
        else:
            deed()

    def take(self, connection: GatewayConnection, packet: Packet, ticket: int) -> None:
        if packet.kind == "PUBREL":
            kept = self._incomplete.pop((connection, packet.mid), None)
            if kept is not None:
                self.pass_on(*kept)
            else:
                self.witness.lost(ticket, packet.topic, packet.payload)
            self._answer(connection, Packet("PUBCOMP", packet.mid))
        elif packet.qos == 2:
            if sum(of is connection for of, _ in self._incomplete) < MOSQUITTO_WINDOW:
                self._incomplete[connection, packet.mid] = (packet, ticket)
            self._answer(connection, Packet("PUBREC", packet.mid))
        else:
            self.pass_on(packet, ticket)
            if packet.qos:
                self._answer(connection, Packet("PUBACK", packet.mid))

    def _answer(self, connection: GatewayConnection, packet: Packet) -> None:
        if self.agenda.now() + ROUNDING_S < self._withholds_until:
            self._kept_back.append((connection, packet))
        else:
            connection.hear(packet)

    def pass_on(self, packet: Packet, ticket: int) -> None:
        """To everybody who has subscribed to it. `ticket` is negative for what devices publish."""
        if packet.retain:
            if packet.payload:
                self._retained[packet.topic] = packet
            else:
                self._retained.pop(packet.topic, None)
        packet = packet._replace(retain=False)
        copies = 2 if packet.qos == 1 and self._twice() else 1
        for _ in range(copies):
            self._to_devices(packet, ticket)
            if ticket < 0 or packet.topic == topics.BROADCAST_EMERGENCY:
                self.history.append(packet)
                self.offer(packet)

    def offer(self, packet: Packet) -> None:
        """To the gateway: readings have a connection of their own. Also for what comes once more."""
        is_reading = "/sensor/" in packet.topic and packet.topic.endswith("/data")
        (self.readings if is_reading else self.control).offer(packet)

    def settle(self, connection: GatewayConnection, mids: tuple[int, ...]) -> None:
        for session in (self.readings, self.control):
            if session.connection is connection:
                session.settle(mids)

    def _to_devices(self, packet: Packet, ticket: int) -> None:
        if ticket < 0:
            return
        if "/esp/" in packet.topic:
            link = self.devices.get(packet.topic.split("/", 4)[3])
            if link is None:
                self.witness.lost(ticket, packet.topic, packet.payload)
            else:
                link.pass_on(packet, ticket)
            return
        for link in list(self.devices.values()):
            link.pass_on(packet, ticket)
