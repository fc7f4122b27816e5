"""One connection to the broker for one life: made, used, dropped, never reused.

A client that reconnects by itself would send its old queue again, and a command from before an
outage must not move anything afterwards. So each connection has its own client, and messages that
it has not sent end with it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from godkaiser.mqtt.broker_address import BrokerAddress, tls_context
from godkaiser.mqtt.client import BufferedClient
from godkaiser.mqtt.gate import Fate, FateListener
from godkaiser.mqtt.link_failure import (
    reason_silent,
    reason_unanswered,
    reason_unconnected,
    reason_unusable,
)
from godkaiser.mqtt.outgoing import EXACTLY_ONCE, Publication
from godkaiser.mqtt.session_mark import SessionMark

CONNECT_TIMEOUT_S = 5.0


class Will(msgspec.Struct, frozen=True):
    topic: str
    payload: bytes


class Inbound(msgspec.Struct, frozen=True):
    """A message as the broker sent it. `session` is the connection that must acknowledge it.

    `received_at` is unix seconds, `heard_at` the same moment on the monotonic clock. `session_mark` names the
    broker session to which the packet id (`mid`) belongs. A message for both control and storage
    arrives twice, on two connections: one copy is `to_be_heard` and acknowledged at once, the other
    is `to_be_kept` and acknowledged when it is stored.
    """

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    dup: bool
    session: int
    received_at: float
    heard_at: float
    session_mark: bytes = b""
    to_be_heard: bool = True
    to_be_kept: bool = True


class NotConnected(Exception):
    """There is no connection to the broker now, or it accepts no more messages."""


class Connection:
    """A connected client. Callbacks run in its network thread and must not block for long."""

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        session: int,
        *,
        persistent: bool = False,
        will: Will | None = None,
        on_message: Callable[[mqtt.MQTTMessage], None] | None = None,
        on_lost: Callable[[int, str], None],
        on_worn: Callable[[], None] | None = None,
        mark: SessionMark | None = None,
    ) -> None:
        """Raises NotConnected: the certificates cannot be used, for example while they are being
        renewed.
        """
        self.session = session
        self._mark = mark
        self._client_id = client_id
        self._address = address
        self._on_lost = on_lost
        self._connected = threading.Event()
        self._subscribed = threading.Event()
        self._refusal = ""
        self._closing = False
        self._client = client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not persistent,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if address.username:
            client.username_pw_set(address.username, address.password or None)
        if address.tls:
            client.tls_set_context(_usable_context(address))
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_socket_open = _without_nagle
        client.on_connect = self._note_connect
        client.on_disconnect = self._note_disconnect
        client.on_worn = on_worn
        client.on_subscribe = lambda *_details: self._subscribed.set()
        if on_message is not None:
            client.on_message = lambda _client, _userdata, message: on_message(message)

    def open(self) -> None:
        """Connect and wait for the broker's answer.

        Raises:
            NotConnected: refused, unreachable or silent; the text says which.
        """
        try:
            self._client.connect(self._address.host, self._address.port, self._address.keepalive_s)
        except (OSError, ValueError) as error:
            self._client.stop_driving()
            raise NotConnected(reason_unconnected(self._address, error)) from error
        self._client.start_driving(f"mqtt-{self._client_id}")
        answered = self._connected.wait(CONNECT_TIMEOUT_S)
        if not answered or self._refusal:
            self.close()
            raise NotConnected(self._refusal or reason_silent(self._address, CONNECT_TIMEOUT_S))

    @property
    def is_open(self) -> bool:
        return self._client.is_connected()

    @property
    def client_id(self) -> str:
        return self._client_id

    @property
    def was_closed_by_the_broker(self) -> bool:
        """For a lost connection: whether the other side ended it."""
        return not self._client.gave_up

    def answers(self, timeout_s: float) -> bool:
        """Whether the broker answers a ping on this connection."""
        return self.is_open and self._client.ping(timeout_s)

    def retire(self) -> bool:
        """Prepare to be replaced: send no more; new publications wait for `hand_over`. Returns
        False, without a change, if something is under way.
        """
        if not self._client.retire():
            return False
        self._closing = True
        return True

    def hand_over(self, successor: Connection) -> None:
        """Let `successor` send waiting and later publications."""
        self._client.hand_over(successor._client)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe at QoS 1 and wait for the broker's confirmation: later messages will arrive.

        Raises:
            NotConnected: the broker did not confirm in time.
        """
        self._client.subscribe([(topic, 1) for topic in topics])
        self._client.flush()
        if not self._subscribed.wait(CONNECT_TIMEOUT_S):
            reason = f"the broker did not confirm the subscription in {CONNECT_TIMEOUT_S:.0f} s"
            raise NotConnected(reason)

    def listen_in(self, topics: Sequence[str]) -> None:
        """Subscribe at QoS 0, without waiting: these messages need no acknowledgement."""
        self._client.subscribe([(topic, 0) for topic in topics])
        self._client.flush()

    def stop_listening_in(self, topics: Sequence[str]) -> None:
        self._client.unsubscribe(list(topics))
        self._client.flush()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        on_fate: FateListener | None = None,
    ) -> None:
        """Send at once, or as soon as the socket takes it. `qos` is 1 or 2.

        Raises:
            NotConnected: nothing was queued.
        """
        self._submit(Publication(topic, payload, qos, retain, None, on_fate))

    def publish_held(
        self,
        topic: str,
        payload: bytes,
        may_release: Callable[[], bool],
        on_fate: FateListener,
    ) -> None:
        """Publish with QoS 2 and write the PUBREL only if `may_release` says so at that moment.

        Raises:
            NotConnected: nothing was queued.
        """
        self._submit(Publication(topic, payload, EXACTLY_ONCE, False, may_release, on_fate))

    def _submit(self, publication: Publication) -> None:
        try:
            self._client.submit(publication)
        except ConnectionError as error:
            raise NotConnected(str(error)) from error

    def publish_and_wait(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout_s: float
    ) -> bool:
        """Publish and wait until the broker has acknowledged; False if it did not in time."""
        settled = threading.Event()
        fates: list[Fate] = []

        def note(fate: Fate) -> None:
            fates.append(fate)
            settled.set()

        try:
            self.publish(topic, payload, qos=qos, retain=retain, on_fate=note)
        except NotConnected:
            return False
        settled.wait(timeout_s)
        return fates == [Fate.DELIVERED]

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Send PUBACKs for QoS 1 messages, all in one write."""
        if mids:
            self._client.write_acknowledgements(mids)

    def close(self) -> None:
        """Disconnect and end the network thread."""
        self._closing = True
        self._client.disconnect()
        self._client.flush()
        self._client.stop_driving()
        self._client.abandon()

    def _note_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refused the connection: {reason}"
        elif self._mark is not None:
            self._mark.connected(session_present=flags.session_present)
        self._connected.set()

    def _note_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._closing:
            return
        if not self._connected.is_set():
            self._refusal = reason_unanswered(self._address, self._client.failure)
            self._connected.set()
        self._on_lost(self.session, self._client.gave_up or str(reason))


def _without_nagle(_client: mqtt.Client, _userdata: object, sock: object) -> None:
    # Nagle's algorithm and delayed acknowledgement together cost 40 ms for each small message.
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _usable_context(address: BrokerAddress) -> ssl.SSLContext:
    try:
        return tls_context(address)
    except OSError as error:
        raise NotConnected(reason_unusable(address, error)) from error
