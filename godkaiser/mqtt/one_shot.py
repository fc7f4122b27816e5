"""Publishes one message on a connection of its own, and returns the broker's answer.

It uses MQTT 5 if the broker speaks it: MQTT 5 reports that an account may not publish, while an
acknowledgement of MQTT 3.1.1 hides it.
"""

from __future__ import annotations

import queue
import ssl
import time

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from godkaiser.mqtt.broker_address import BrokerAddress, tls_context
from godkaiser.mqtt.link_failure import (
    MendedClient,
    reason_silent,
    reason_unanswered,
    reason_unconnected,
    reason_unusable,
)

UNSUPPORTED = "Unsupported protocol version"


class NotTaken(Exception):
    """The broker did not accept the message; the text says why."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """The broker was reached but refused the login or the topic: other credentials may help."""


def publish_once(
    address: BrokerAddress, client_id: str, topic: str, payload: bytes, timeout_s: float
) -> None:
    """Return once the broker has acknowledged the message at QoS 1.

    Raises:
        NotTaken: the broker is unreachable, refuses, or is silent for `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    try:
        _Attempt(address, client_id, MQTTProtocolVersion.MQTTv5).publish(topic, payload, deadline)
    except _OldBroker:
        _Attempt(address, client_id, MQTTProtocolVersion.MQTTv311).publish(topic, payload, deadline)


class _OldBroker(Exception):
    """The broker does not speak MQTT 5."""


class _Attempt:
    """One connection; its network thread puts events into a queue that the caller reads."""

    def __init__(
        self, address: BrokerAddress, client_id: str, protocol: MQTTProtocolVersion
    ) -> None:
        self._address = address
        self._is_v5 = protocol is MQTTProtocolVersion.MQTTv5
        self._events: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._client = client = MendedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        if address.username:
            client.username_pw_set(address.username, address.password or None)
        client.on_connect = lambda _client, _data, _flags, reason, _more: self._note(reason)
        client.on_publish = lambda _client, _data, _mid, reason, _more: self._note(reason)
        client.on_disconnect = lambda _client, _data, _flags, reason, _more: self._events.put(
            ("lost", str(reason))
        )

    def publish(self, topic: str, payload: bytes, deadline: float) -> None:
        client, address = self._client, self._address
        client.connect_timeout = max(0.1, deadline - time.monotonic())
        try:
            context = tls_context(address) if address.tls else None
        except OSError as error:
            raise NotTaken(reason_unusable(address, error)) from error
        if context is not None:
            client.tls_set_context(context)
        try:
            client.connect(address.host, address.port, address.keepalive_s)
        except (OSError, ValueError) as error:
            raise NotTaken(reason_unconnected(address, error)) from error
        client.loop_start()
        try:
            self._await_connected(deadline)
            client.publish(topic, payload, 1)
            self._await_published(deadline)
        finally:
            client.disconnect()
            client.loop_stop()

    def _note(self, reason: ReasonCode) -> None:
        self._events.put(("refused", str(reason)) if reason.is_failure else ("done", ""))

    def _await_connected(self, deadline: float) -> None:
        event, reason = self._next_event(deadline)
        # A broker of MQTT 3.1.1 says so, or just ends the connection.
        if self._is_v5 and (reason == UNSUPPORTED or (event == "lost" and self._may_be_old())):
            raise _OldBroker
        if event == "lost":
            raise NotTaken(reason_unanswered(self._address, self._client.failure))
        self._raise_if_refused(event, reason)

    def _await_published(self, deadline: float) -> None:
        event, reason = self._next_event(deadline)
        if event == "lost":
            raise NotTaken(f"the connection was lost before the message was acknowledged: {reason}")
        self._raise_if_refused(event, reason)

    def _may_be_old(self) -> bool:
        return not isinstance(self._client.failure, ssl.SSLError)

    @staticmethod
    def _raise_if_refused(event: str, reason: str) -> None:
        if event == "refused":
            raise NotTaken(f"the broker refuses: {reason}", refused=True)

    def _next_event(self, deadline: float) -> tuple[str, str]:
        wait_s = max(0.0, deadline - time.monotonic())
        try:
            return self._events.get(timeout=wait_s)
        except queue.Empty:
            raise NotTaken(reason_silent(self._address, wait_s)) from None
