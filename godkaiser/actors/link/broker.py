"""The broker actor: keeps the link to the MQTT broker, and reconnects.

It has five connections, so that no message waits behind another kind: commands; stops; other
messages to devices, with the will; readings, which are acknowledged when they are stored; and all
other messages of devices, which control must receive at any time. When one of them is lost, or
another client takes its id, all are closed.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import paho.mqtt.client as mqtt
import structlog

from godkaiser import paths
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.message import Message
from godkaiser.domain.link_rivalry import Rivalry
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import Connection, Inbound, NotConnected, Will
from godkaiser.mqtt.ports import Link, Ports
from godkaiser.mqtt.session_mark import SessionMark
from godkaiser.protocol import outbound, topics
from godkaiser.protocol.text import fit_json
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

RECONNECT = Backoff(base_s=0.5, factor=2.0, max_s=60.0, jitter=0.2)
GOOD_BYE_TIMEOUT_S = 2.0
PROBE_TIMEOUT_S = 1.0
LINK_GROUP = "link"
LOOK_EVERY_S = 1.0
STALLED_S = 3.0
CONNECTING = "connecting"
NEXT_ATTEMPT = "; next attempt"
"""The texts in `last_error` before the first attempt, and after each reason."""
"""If nothing was stored for this time, readings are also received on the control connection."""

log = structlog.get_logger("godkaiser.link")


class Connect(Message, frozen=True, kw_only=True):
    """To oneself: try to connect now."""


class ConnectionLost(Message, frozen=True, kw_only=True):
    """To oneself, from a network thread: `client_id` of link number `session` has ended."""

    session: int
    client_id: str
    reason: str


class RenewCommands(Message, frozen=True, kw_only=True):
    """To oneself, from a network thread: too many packet ids of the command connection are withheld."""

    session: int


class UseAddress(Message, frozen=True, kw_only=True):
    """Reconnect: the account or the certificates for the broker were replaced."""


class LookAtReadings(Message, frozen=True, kw_only=True):
    """To oneself: check whether readings wait for the disk."""


class LinkUp(Message, frozen=True, kw_only=True):
    """To the group "link": connected, subscribed and announced."""

    session: int


class LinkDown(Message, frozen=True, kw_only=True):
    """To the group "link": no message reaches the devices now."""

    reason: str


class _Connections(msgspec.Struct, kw_only=True):
    """In the order of opening: a client that held the ids before loses its command connection
    first.
    """

    commands: Connection
    stops: Connection
    devices: Connection
    readings: Connection
    control: Connection

    def each(self) -> tuple[Connection, ...]:
        return (self.commands, self.stops, self.devices, self.readings, self.control)


class BrokerActor(Actor):
    def __init__(
        self,
        current_address: Callable[[], BrokerAddress],
        kaiser_id: str,
        ports: Ports,
        readings_mark: SessionMark | None = None,
    ) -> None:
        """`current_address` is called before each attempt, because a password may have been
        replaced.
        """
        super().__init__()
        self._mark = readings_mark or SessionMark()
        self._current_address = current_address
        self._address = current_address()
        self._kaiser_id = kaiser_id
        self._ports = ports
        self._connections: _Connections | None = None
        self._session = 0
        self._attempt = 0
        self._rivalry = Rivalry()
        self._listens_in = False
        self._deliver: Callable[[Inbound], None]
        self._now: Callable[[], float]
        self._monotonic: Callable[[], float]

    def on_start(self) -> None:
        self._session = self.context.recall("session") or 0
        self._rivalry = self.context.recall("rivalry") or self._rivalry
        self._now = self.context.now
        self._monotonic = self.context.monotonic
        self._show(connected=False, error=CONNECTING)
        self.context.own.tell(Connect())
        self.context.schedule(LOOK_EVERY_S, LookAtReadings(), key="look")

    def on_receive(self, message: object) -> None:
        match message:
            case Connect():
                self._connect()
            case ConnectionLost(session=session, client_id=client_id, reason=reason):
                if session == self._session and self._connections is not None:
                    self._connection_lost(client_id, reason)
            case RenewCommands(session=session):
                if session == self._session and self._connections is not None:
                    self._renew_commands(self._connections)
            case LookAtReadings():
                self._look_at_readings()
            case UseAddress():
                self._lost("the account or the certificates for the broker were replaced")
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        if self._connections is not None:
            self._connections.devices.publish_and_wait(
                topics.server_status(self._kaiser_id),
                outbound.server_status("offline", self.context.now(), "graceful_shutdown"),
                qos=1,
                retain=True,
                timeout_s=GOOD_BYE_TIMEOUT_S,
            )
        self._drop()

    def on_failure(self, *_exc_info: object) -> None:
        self._drop()

    # ---- connecting

    def _connect(self) -> None:
        self._session += 1
        self.context.publish("session", self._session)
        # Looked up each time, because the router may have been restarted with the branch.
        self._deliver = self.context.handle(paths.ROUTER).tell
        self._address = self._current_address()
        try:
            connections = self._connections = self._make_connections()
            # Attach before they open: queued messages of a session arrive with the broker's first
            # answer.
            self._ports.acks.attach(connections.readings, connections.control)
            for connection in connections.each():
                connection.open()
            connections.readings.subscribe((*topics.reading_filters(), *topics.kept_filters()))
            # A session of an earlier version still has these subscriptions.
            connections.readings.stop_listening_in(topics.FORMER_FILTERS)
            connections.control.subscribe(
                (
                    # First, to know which kaiser_ids have a gateway before the first message of a
                    # device.
                    topics.SERVER_STATUS_OF_ANY,
                    topics.BROADCAST_EMERGENCY,
                    *topics.control_filters(),
                )
            )
            connections.devices.publish(
                topics.server_status(self._kaiser_id),
                outbound.server_status("online", self.context.now()),
                qos=1,
                retain=True,
            )
        except NotConnected as error:
            self._lost(str(error))
            return
        self._attempt = 0
        self._listens_in = False
        self._rivalry = self._rivalry.connected(self.context.monotonic())
        self._attach(connections)
        log.info("connected", broker=str(self._address))
        self._show(connected=True)
        for member in self.context.members(LINK_GROUP):
            member.tell_urgent(LinkUp(session=self._session))

    def _attach(self, connections: _Connections) -> None:
        self._ports.control.attach(
            Link(
                commands=connections.commands,
                stops=connections.stops,
                devices=connections.devices,
            )
        )

    def _make_connections(self) -> _Connections:
        will = Will(
            topics.server_status(self._kaiser_id),
            outbound.server_status("offline", self.context.now(), "unexpected_disconnect"),
        )
        # Two of the connections receive; an acknowledgement names its connection by this number.
        readings, control = 2 * self._session, 2 * self._session + 1
        return _Connections(
            commands=self._make_commands(),
            stops=self._make("stops"),
            devices=self._make("out", will=will),
            readings=self._make(
                "in",
                on_message=self._receiver(readings, self._mark),
                number=readings,
                mark=self._mark,
            ),
            control=self._make("control", on_message=self._receiver(control), number=control),
        )

    def _make_commands(self) -> Connection:
        session, own = self._session, self.context.own
        return self._make(
            "commands", on_worn=lambda: own.tell_urgent(RenewCommands(session=session))
        )

    def _make(
        self,
        name: str,
        *,
        number: int = 0,
        on_message: Callable[[mqtt.MQTTMessage], None] | None = None,
        will: Will | None = None,
        on_worn: Callable[[], None] | None = None,
        mark: SessionMark | None = None,
    ) -> Connection:
        session, own = self._session, self.context.own
        client_id = f"godkaiser-{self._kaiser_id}-{name}"

        def report_loss(_number: int, reason: str) -> None:
            own.tell_urgent(ConnectionLost(session=session, client_id=client_id, reason=reason))

        return Connection(
            self._address,
            client_id,
            number,
            persistent=on_message is not None,
            will=will,
            on_message=on_message,
            on_lost=report_loss,
            on_worn=on_worn,
            mark=mark,
        )

    def _receiver(
        self, session: int, mark: SessionMark | None = None
    ) -> Callable[[mqtt.MQTTMessage], None]:
        """The message callback; `mark` is given for the connection whose messages are stored."""
        keeps = mark is not None
        deliver, admit = self._deliver, self._ports.acks.admit
        now, monotonic = self._now, self._monotonic

        def on_message(message: mqtt.MQTTMessage) -> None:
            if message.qos:
                admit(session)
            deliver(
                Inbound(
                    message.topic,
                    fit_json(bytes(message.payload)),
                    message.qos,
                    message.mid,
                    message.retain,
                    message.dup,
                    session,
                    now(),
                    monotonic(),
                    b"" if mark is None else mark.value,
                    to_be_heard=not keeps or not topics.has_second_copy(message.topic),
                    to_be_kept=keeps,
                )
            )

        return on_message

    def _renew_commands(self, connections: _Connections) -> None:
        """Replace the command connection when withheld commands have used up its packet ids. The
        new connection has the same client id, and new publications wait for it.
        """
        worn = connections.commands
        if not worn.retire():
            self.context.schedule(1.0, RenewCommands(session=self._session), key="renew")
            return
        try:
            fresh = self._make_commands()
            fresh.open()
        except NotConnected as error:
            self._lost(str(error))
            return
        connections.commands = fresh
        self._attach(connections)
        worn.hand_over(fresh)
        worn.close()

    def _look_at_readings(self) -> None:
        """While neither database nor spool stores anything, unacknowledged readings fill the
        broker's window. Then rules and stop inputs use a QoS 0 copy, which needs no
        acknowledgement; the readings for storage arrive later on their own connection.
        """
        self.context.schedule(LOOK_EVERY_S, LookAtReadings(), key="look")
        connections = self._connections
        if connections is None or not self._ports.control.is_up:
            return
        is_stalled = self._ports.acks.stalled_s >= STALLED_S
        if is_stalled == self._listens_in:
            return
        self._listens_in = is_stalled
        if is_stalled:
            log.warning(
                "readings_not_stored", remedy="control uses them, but they are not acknowledged"
            )
            connections.control.listen_in(topics.reading_filters())
        else:
            connections.control.stop_listening_in(topics.reading_filters())

    # ---- losing

    def _connection_lost(self, client_id: str, reason: str) -> None:
        # Block all publications first; check afterwards whether another client took the id.
        self._ports.control.attach(None)
        connections = self._connections
        others = () if connections is None else connections.each()
        lost = next((c for c in others if c.client_id == client_id), None)
        witness = next((c for c in others if c.client_id != client_id and c.is_open), None)
        is_closed = lost is not None and lost.was_closed_by_the_broker
        if is_closed and witness is not None and witness.answers(PROBE_TIMEOUT_S):
            reason = (
                f"the broker closed {client_id} but still serves {witness.client_id}: another"
                f" client has taken this id, most likely a second gateway with the kaiser_id"
                f" '{self._kaiser_id}'. Stop one of the two, or give it a kaiser_id of its own"
            )
            self._rivalry = self._rivalry.taken_over(self.context.monotonic())
            log.error("client_id_taken", client_id=client_id, remedy=reason)
        else:
            log.warning("connection_lost", client_id=client_id, reason=reason)
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        was_up = self._connections is not None
        self._drop()
        self._attempt += 1
        # The first attempt after a loss also waits: a restarting broker is not ready at once.
        delay_s = backoff_delay(RECONNECT, self._attempt + 1, self.context.random())
        delay_s = max(delay_s, self._rivalry.pause_s(self.context.random()))
        self.context.publish("rivalry", self._rivalry)
        self._show(connected=False, error=f"{reason}{NEXT_ATTEMPT} in {delay_s:.1f} s")
        if was_up:
            for member in self.context.members(LINK_GROUP):
                member.tell_urgent(LinkDown(reason=reason))
        self.context.schedule(delay_s, Connect(), key="connect")

    def _drop(self) -> None:
        self._ports.acks.attach()
        self._ports.control.attach(None)
        connections, self._connections = self._connections, None
        for connection in () if connections is None else connections.each():
            connection.close()

    def _show(self, *, connected: bool, error: str = "") -> None:
        view = LinkView(
            connected=connected,
            address=str(self._address),
            since=self.context.now(),
            last_error=error,
            rivals=self._rivalry.times,
        )
        self.context.publish("view", view)


def is_up(view: object) -> bool:
    """Whether the published view of the broker actor says that it is connected."""
    return isinstance(view, LinkView) and view.connected
