"""The broker actor: keeps the link to the MQTT broker, or tries to get it back.

Two connections: one that subscribes, with a persistent session, so that the broker keeps what is
not yet acknowledged; one that publishes, so that a stop never waits behind a flood of readings.
"""

from __future__ import annotations

from collections.abc import Callable

import paho.mqtt.client as mqtt

from godkaiser import paths
from godkaiser.messages import LinkView, Message
from godkaiser.mqtt.connection import BrokerAddress, Connection, Inbound, NotConnected, Will
from godkaiser.mqtt.ports import Link, Ports
from godkaiser.protocol import outbound, topics
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

RECONNECT = Backoff(base_s=0.5, factor=2.0, max_s=60.0, jitter=0.2)
GOOD_BYE_TIMEOUT_S = 2.0
LINK_GROUP = "link"


class Connect(Message, frozen=True, kw_only=True):
    """To oneself: try now."""


class ConnectionLost(Message, frozen=True, kw_only=True):
    session: int
    reason: str


class UseAddress(Message, frozen=True, kw_only=True):
    """Connect anew: the broker's address, password or certificates were replaced."""

    address: BrokerAddress


class LinkUp(Message, frozen=True, kw_only=True):
    """To the group "link": connected, subscribed and announced."""

    session: int


class LinkDown(Message, frozen=True, kw_only=True):
    """To the group "link": nothing reaches the devices now."""

    reason: str


class BrokerActor(Actor):
    def __init__(self, address: BrokerAddress, kaiser_id: str, ports: Ports) -> None:
        super().__init__()
        self._address = address
        self._kaiser_id = kaiser_id
        self._ports = ports
        self._incoming: Connection | None = None
        self._outgoing: Connection | None = None
        self._session = 0
        self._attempt = 0
        self._deliver: Callable[[Inbound], None]
        self._now: Callable[[], float]

    def on_start(self) -> None:
        self._session = self.context.recall("session") or 0
        self._now = self.context.now
        self._show(connected=False, error="connecting")
        self.context.own.tell(Connect())

    def on_receive(self, message: object) -> None:
        match message:
            case Connect():
                self._connect()
            case ConnectionLost(session=session, reason=reason):
                if session == self._session:
                    self._lost(reason)
            case UseAddress(address=address):
                self._address = address
                self._lost("the account or the certificates for the broker were replaced")
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        outgoing = self._outgoing
        if outgoing is not None:
            outgoing.publish_and_wait(
                topics.server_status(self._kaiser_id),
                outbound.server_status("offline", self.context.now(), "graceful_shutdown"),
                qos=1,
                retain=True,
                timeout_s=GOOD_BYE_TIMEOUT_S,
            )
        self._drop()

    def on_failure(self, *_exc_info: object) -> None:
        self._drop()

    def _connect(self) -> None:
        self._session += 1
        self.context.publish("session", self._session)
        # Looked up each time: the router may have been restarted with the branch.
        self._deliver = self.context.handle(paths.ROUTER).tell
        try:
            self._outgoing = self._open_outgoing()
            self._incoming = self._open_incoming()
            self._incoming.subscribe([topics.ALL_DEVICES, topics.BROADCAST_EMERGENCY])
        except NotConnected as error:
            self._lost(str(error))
            return
        self._attempt = 0
        self._ports.control.attach(
            Link(commands=self._outgoing, stops=self._outgoing, devices=self._outgoing)
        )
        self._outgoing.publish(
            topics.server_status(self._kaiser_id),
            outbound.server_status("online", self.context.now()),
            qos=1,
            retain=True,
        )
        self._show(connected=True)
        for member in self.context.members(LINK_GROUP):
            member.tell_urgent(LinkUp(session=self._session))

    def _lost(self, reason: str) -> None:
        was_up = self._ports.control.is_up or self._incoming is not None
        self._drop()
        self._attempt += 1
        # The first attempt after a loss waits too: a broker that restarts is not ready at once.
        delay_s = backoff_delay(RECONNECT, self._attempt + 1, self.context.random())
        self._show(connected=False, error=f"{reason}; next attempt in {delay_s:.1f} s")
        if was_up:
            for member in self.context.members(LINK_GROUP):
                member.tell_urgent(LinkDown(reason=reason))
        self.context.schedule(delay_s, Connect(), key="connect")

    def _drop(self) -> None:
        self._ports.acks.attach()
        self._ports.control.attach(None)
        for connection in (self._incoming, self._outgoing):
            if connection is not None:
                connection.close()
        self._incoming = self._outgoing = None

    def _open_outgoing(self) -> Connection:
        will = Will(
            topics.server_status(self._kaiser_id),
            outbound.server_status("offline", self.context.now(), "unexpected_disconnect"),
        )
        connection = Connection(
            self._address,
            f"godkaiser-{self._kaiser_id}-out",
            self._session,
            will=will,
            on_lost=self._report_loss,
        )
        connection.open()
        return connection

    def _open_incoming(self) -> Connection:
        session = self._session
        deliver = self._deliver
        now = self._now
        admit = self._ports.acks.admit

        def on_message(message: mqtt.MQTTMessage) -> None:
            if message.qos:
                admit(session)
            deliver(
                Inbound(
                    message.topic,
                    bytes(message.payload),
                    message.qos,
                    message.mid,
                    message.retain,
                    message.dup,
                    session,
                    now(),
                )
            )

        connection = Connection(
            self._address,
            f"godkaiser-{self._kaiser_id}-in",
            session,
            persistent=True,
            on_message=on_message,
            on_lost=self._report_loss,
        )
        # Before it opens: what the broker kept for this session comes with its first answer.
        self._ports.acks.attach(connection)
        connection.open()
        return connection

    def _report_loss(self, session: int, reason: str) -> None:
        """Called in a network thread."""
        self.context.own.tell_urgent(ConnectionLost(session=session, reason=reason))

    def _show(self, *, connected: bool, error: str = "") -> None:
        view = LinkView(
            connected=connected,
            address=str(self._address),
            since=self.context.now(),
            last_error=error,
        )
        self.context.publish("view", view)


def is_up(view: object) -> bool:
    """Whether the published view of the broker actor says connected."""
    return isinstance(view, LinkView) and view.connected
