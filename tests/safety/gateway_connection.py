"""The gateway's side of the broker model: its publishing connections, and the session that it subscribes with."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from godkaiser.mqtt.connection import Inbound, NotConnected
from tests.safety.agenda import Deed, Line
from tests.safety.packets import Packet

if TYPE_CHECKING:
    from tests.safety.broker_model import Broker, Delay


class _Outgoing:
    """A message of the gateway until its handshake is over."""

    __slots__ = ("may_release", "mid", "on_fate", "packet", "released", "ticket")

    def __init__(
        self, packet: Packet, ticket: int,
        may_release: Callable[[], bool] | None, on_fate: Callable[[Any], None] | None,
    ) -> None:  # fmt: skip
        self.packet = packet
        self.ticket = ticket
        self.may_release = may_release
        self.on_fate = on_fate
        self.mid = packet.mid
        self.released = packet.qos < 2


class GatewayConnection:
    """One of the gateway's connections for one life. `fates`: the three words for what became of a
    message (withheld, delivered, lost). `queue_limit` messages may wait behind the window; more raise
    NotConnected. `around` is called before and after each publication: what may happen meanwhile.
    """

    def __init__(
        self, broker: Broker, name: str, session: int, delay_s: Delay, *,
        fates: tuple[Any, Any, Any], window: int = 20, queue_limit: int = 0,
        will: Packet | None = None, around: Callable[[bool], None] = lambda _before: None,
    ) -> None:  # fmt: skip
        self.name = name
        self.session = session
        self.is_open = True
        self.will = will
        self._broker = broker
        self._fates = fates
        self._window = window
        self._queue_limit = queue_limit
        self._around = around
        self._up = Line(broker.agenda, delay_s)
        self._down = Line(broker.agenda, delay_s)
        self._mids = itertools.count(1)
        self._in_flight: dict[int, _Outgoing] = {}
        self._queue: deque[_Outgoing] = deque()
        self._held_back: set[int] = set()
        broker.connections.append(self)

    # ---- what the gateway does

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False,
        on_fate: Callable[[Any], None] | None = None,
    ) -> None:  # fmt: skip
        self._publish(Packet("PUBLISH", 0, topic, payload, qos, retain), None, on_fate)

    def publish_held(
        self, topic: str, payload: bytes, may_release: Callable[[], bool],
        on_fate: Callable[[Any], None],
    ) -> None:  # fmt: skip
        self._publish(Packet("PUBLISH", 0, topic, payload, 2), may_release, on_fate)

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACKs for what came in."""
        if self.is_open:
            taken = tuple(mids)
            self._up.send(lambda: self._broker.process(lambda: self._broker.ingest.settle(taken)))

    def _publish(
        self, packet: Packet, may_release: Callable[[], bool] | None,
        on_fate: Callable[[Any], None] | None,
    ) -> None:  # fmt: skip
        self._around(True)
        if not self.is_open:
            raise NotConnected
        waits = packet.qos > 0 and len(self._in_flight) >= self._window
        if waits and len(self._queue) >= self._queue_limit:
            raise NotConnected("the broker acknowledges nothing")
        ticket = self._broker.next_ticket()
        self._broker.witness.handed(ticket, packet.topic, packet.payload)
        outgoing = _Outgoing(packet, ticket, may_release, on_fate)
        if waits:
            self._queue.append(outgoing)
        else:
            self._write(outgoing)
        self._around(False)

    def _write(self, outgoing: _Outgoing) -> None:
        packet = outgoing.packet
        if packet.qos:
            mid = next(self._mids)
            packet = outgoing.packet = packet._replace(mid=mid)
            outgoing.mid = mid
            self._in_flight[mid] = outgoing
        if packet.qos < 2:
            self._broker.witness.left(outgoing.ticket, packet.topic, packet.payload)
        self._send(packet, outgoing.ticket)

    def _send(self, packet: Packet, ticket: int) -> None:
        broker = self._broker

        def lost() -> None:
            broker.witness.lost(ticket, packet.topic, packet.payload)

        self._up.send(lambda: broker.process(lambda: broker.take(self, packet, ticket)), lost)

    # ---- what the broker says, in the "network thread"

    def hear(self, packet: Packet) -> None:
        self._down.send(lambda: self._heard(packet))

    def deliver(self, arrive: Deed) -> None:
        self._down.send(arrive)

    def _heard(self, packet: Packet) -> None:
        outgoing = self._in_flight.get(packet.mid)
        if not self.is_open or outgoing is None:
            return
        if packet.kind == "PUBREC":
            self._decide(outgoing)
        elif packet.kind in {"PUBACK", "PUBCOMP"}:
            self._settled(outgoing, self._fates[1])

    def _decide(self, outgoing: _Outgoing) -> None:
        if outgoing.released:
            return
        sent, witness = outgoing.packet, self._broker.witness
        if outgoing.may_release is not None and not outgoing.may_release():
            witness.withheld(outgoing.ticket, sent.topic, sent.payload)
            self._settled(outgoing, self._fates[0])
            return
        outgoing.released = True
        witness.left(outgoing.ticket, sent.topic, sent.payload)
        self._send(Packet("PUBREL", sent.mid, sent.topic, sent.payload, 2), outgoing.ticket)

    def _settled(self, outgoing: _Outgoing, fate: Any) -> None:
        self._in_flight.pop(outgoing.mid, None)
        if outgoing.on_fate is not None:
            outgoing.on_fate(fate)
        while self._queue and len(self._in_flight) < self._window:
            self._write(self._queue.popleft())

    # ---- the end

    def close(self, *, arrives: bool = False) -> None:
        """What is under way to the broker may still arrive; nothing comes back. Without a will."""
        if not self.is_open:
            return
        self.is_open = False
        self._down.cut()
        if not arrives:
            self._up.cut()
        witness = self._broker.witness
        waiting = [*self._in_flight.values(), *self._queue]
        self._in_flight.clear()
        self._queue.clear()
        for outgoing in waiting:
            sent = outgoing.packet
            if not outgoing.released:
                witness.withheld(outgoing.ticket, sent.topic, sent.payload)
            if outgoing.on_fate is not None:
                outgoing.on_fate(self._fates[2] if outgoing.released else self._fates[0])
        self._broker.connections.remove(self)


class Ingest:
    """The gateway's subscription: a persistent session, that keeps what nobody acknowledged."""

    def __init__(self, broker: Broker, window: int) -> None:
        self._broker = broker
        self._window = window
        self._mids = itertools.count(1)
        self._sent: dict[int, Packet] = {}
        self._waiting: deque[Packet] = deque()
        self._connection: GatewayConnection | None = None
        self._into: Callable[[Inbound], None] = lambda _inbound: None

    def attach(self, connection: GatewayConnection, into: Callable[[Inbound], None]) -> None:
        """A new connection: what was sent before comes again, with DUP."""
        self._connection, self._into = connection, into
        for mid, packet in list(self._sent.items()):
            self._deliver(packet, mid, dup=True)
        self._fill()

    def detach(self, connection: GatewayConnection) -> None:
        if self._connection is connection:
            self._connection = None

    def offer(self, packet: Packet) -> None:
        if packet.qos:
            self._waiting.append(packet)
            self._fill()
        elif self._connection is not None:
            self._deliver(packet, 0, dup=False)

    def again(self, packet: Packet) -> None:
        """An older message comes once more, as after a lost PUBACK of its publisher."""
        self.offer(packet)

    def settle(self, mids: Iterable[int]) -> None:
        for mid in mids:
            self._sent.pop(mid, None)
        self._fill()

    def _fill(self) -> None:
        while self._connection is not None and self._waiting and len(self._sent) < self._window:
            packet = self._waiting.popleft()
            mid = next(self._mids) % 65535 + 1
            self._sent[mid] = packet
            self._deliver(packet, mid, dup=False)

    def _deliver(self, packet: Packet, mid: int, *, dup: bool) -> None:
        connection, into, broker = self._connection, self._into, self._broker
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
