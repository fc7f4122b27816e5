"""The gateway's side of the broker model: its publishing connections, and the sessions that it subscribes with.

What waits, what is under way and what may be released is decided by the gateway's own `mqtt/outgoing.py`;
here are the bytes that it would write, and when they arrive.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from godkaiser.mqtt.connection import Inbound, NotConnected
from godkaiser.mqtt.gate import Fate, FateListener
from godkaiser.mqtt.outgoing import Outgoing, Publication
from tests.safety.world.agenda import Deed, Line
from tests.safety.world.packets import Packet

if TYPE_CHECKING:
    from tests.safety.world.broker_model import Broker, Delay

LOOK_AFTER_S = 1.0
OVERDUE_S = 20.0
"""Longer without an answer, and the connection counts as lost (`mqtt/client.py`)."""


class GatewayConnection:
    """One of the gateway's connections for one life. `around` is called before and after each
    publication: what may happen meanwhile. `on_lost` and `on_worn` are told by the "network thread".
    """

    def __init__(
        self, broker: Broker, name: str, session: int, delay_s: Delay, *,
        will: Packet | None = None, around: Callable[[bool], None] = lambda _before: None,
        on_lost: Deed = lambda: None, on_worn: Deed = lambda: None,
    ) -> None:  # fmt: skip
        self.name = name
        self.session = session
        self.is_open = True
        self.will = will
        self._broker = broker
        self._around = around
        self._on_lost = on_lost
        self._on_worn = on_worn
        self._up = Line(broker.agenda, delay_s)
        self._down = Line(broker.agenda, delay_s)
        packet_ids = itertools.count(1)
        self._outgoing = Outgoing(lambda: next(packet_ids))
        self._sent: dict[int, Publication] = {}
        self._tickets: dict[Publication, int] = {}
        self._is_looked_after = False
        broker.connections.append(self)

    # ---- what the gateway does

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False,
        on_fate: FateListener | None = None,
    ) -> None:  # fmt: skip
        self._publish(topic, payload, qos, retain, None, on_fate)

    def publish_held(
        self, topic: str, payload: bytes, may_release: Callable[[], bool], on_fate: FateListener
    ) -> None:
        self._publish(topic, payload, 2, False, may_release, on_fate)

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACKs for what came in."""
        if self.is_open:
            taken, broker = tuple(mids), self._broker
            self._up.send(lambda: broker.process(lambda: broker.settle(self, taken)))

    def _publish(
        self, topic: str, payload: bytes, qos: int, retain: bool,
        may_release: Callable[[], bool] | None, on_fate: FateListener | None,
    ) -> None:  # fmt: skip
        self._around(True)
        if not self.is_open:
            raise NotConnected
        broker = self._broker
        ticket = broker.next_ticket()

        def told(fate: Fate) -> None:
            if fate is Fate.WITHHELD:
                broker.witness.withheld(ticket, topic, payload)
            if on_fate is not None:
                on_fate(fate)

        publication = Publication(topic, payload, qos, retain, may_release, told)
        self._tickets[publication] = ticket
        broker.witness.handed(ticket, topic, payload)
        self.submit(publication, ticket)
        self._around(False)

    def submit(self, publication: Publication, ticket: int) -> None:
        """Raises NotConnected: it was not taken."""
        self._tickets[publication] = ticket
        refusal = self._outgoing.add(publication)
        if refusal:
            self._broker.witness.withheld(ticket, publication.topic, publication.payload)
            raise NotConnected(refusal)
        self._pump()
        self._tell_fates()

    # ---- the "network thread"

    def hear(self, packet: Packet) -> None:
        self._down.send(lambda: self._heard(packet))

    def deliver(self, arrive: Deed) -> None:
        self._down.send(arrive)

    def _heard(self, packet: Packet) -> None:
        if not self.is_open:
            return
        if packet.kind == "PUBREC":
            self._outgoing.note_pubrec(packet.mid)
        else:
            self._outgoing.note_end(packet.mid)
        self._pump()
        self._tell_fates()

    def _pump(self) -> None:
        outgoing, witness = self._outgoing, self._broker.witness
        while True:
            mid = outgoing.next_release()
            if mid is not None:
                outgoing.note_released(mid)
                sent = self._sent[mid]
                witness.left(self._tickets[sent], sent.topic, sent.payload)
                self._write(Packet("PUBREL", mid, sent.topic, sent.payload, 2), sent)
                continue
            found = outgoing.next_publication(self._broker.agenda.now() + 1.0)
            if found is None:
                break
            mid, sent = found
            self._sent[mid] = sent
            if sent.qos < 2:
                witness.left(self._tickets[sent], sent.topic, sent.payload)
            packet = Packet("PUBLISH", mid, sent.topic, sent.payload, sent.qos, sent.retain)
            self._write(packet, sent)
        self._look_after_it()

    def _write(self, packet: Packet, sent: Publication) -> None:
        broker, ticket = self._broker, self._tickets[sent]

        def lost() -> None:
            broker.witness.lost(ticket, packet.topic, packet.payload)

        self._up.send(lambda: broker.process(lambda: broker.take(self, packet, ticket)), lost)

    def _tell_fates(self) -> None:
        fates = self._outgoing.fates
        while fates:
            listener, fate = fates.popleft()
            listener(fate)

    def _look_after_it(self) -> None:
        """Once a second, while something is under way."""
        if not self._is_looked_after and self._outgoing.overdue_since() is not None:
            self._is_looked_after = True
            self._broker.agenda.after(LOOK_AFTER_S, self._look_after)

    def _look_after(self) -> None:
        self._is_looked_after = False
        if not self.is_open:
            return
        self._outgoing.sweep()
        self._tell_fates()
        since = self._outgoing.overdue_since()
        if since is not None and self._broker.agenda.now() + 1.0 - since > OVERDUE_S:
            self._broker.lose(self, arrives=False)
            self._on_lost()
            return
        if self._outgoing.is_worn:
            self._on_worn()
        self._look_after_it()

    # ---- the end

    def hand_over(self, successor: GatewayConnection) -> bool:
        """What waits goes to a successor, and this one is closed; False while something is under way."""
        if not self._outgoing.is_worn:
            return False
        for publication in self._outgoing.take_waiting():
            successor.submit(publication, self._tickets[publication])
        self.close()
        return True

    def close(self, *, arrives: bool = False) -> None:
        """What is under way to the broker may still arrive; nothing comes back. Without a will."""
        if not self.is_open:
            return
        self.is_open = False
        self._down.cut()
        if not arrives:
            self._up.cut()
        self._outgoing.end()
        self._tell_fates()
        self._broker.connections.remove(self)


class Ingest:
    """A subscription of the gateway: a persistent session, that keeps what nobody acknowledged."""

    def __init__(self, broker: Broker, window: int) -> None:
        self._broker = broker
        self._window = window
        self._mids = itertools.count(1)
        self._sent: dict[int, Packet] = {}
        self._waiting: deque[Packet] = deque()
        self._into: Callable[[Inbound], None] = lambda _inbound: None
        self.connection: GatewayConnection | None = None

    def attach(self, connection: GatewayConnection, into: Callable[[Inbound], None]) -> None:
        """A new connection: what was sent before comes again, with DUP."""
        self.connection, self._into = connection, into
        for mid, packet in list(self._sent.items()):
            self._deliver(packet, mid, dup=True)
        self._fill()

    def detach(self, connection: GatewayConnection) -> None:
        if self.connection is connection:
            self.connection = None

    def offer(self, packet: Packet) -> None:
        if packet.qos:
            self._waiting.append(packet)
            self._fill()
        elif self.connection is not None:
            self._deliver(packet, 0, dup=False)

    def settle(self, mids: Iterable[int]) -> None:
        for mid in mids:
            self._sent.pop(mid, None)
        self._fill()

    def _fill(self) -> None:
        while self.connection is not None and self._waiting and len(self._sent) < self._window:
            packet = self._waiting.popleft()
            mid = next(self._mids) % 65535 + 1
            self._sent[mid] = packet
            self._deliver(packet, mid, dup=False)

    def _deliver(self, packet: Packet, mid: int, *, dup: bool) -> None:
        connection, into, broker = self.connection, self._into, self._broker
        assert connection is not None

        def arrive() -> None:
            into(
                Inbound(
                    packet.topic, packet.payload, packet.qos, mid, packet.retain, dup,
                    connection.session, *broker.clocks(),
                )
            )  # fmt: skip
            broker.heard_by_gateway(packet.topic, packet.payload)

        connection.deliver(arrive)
