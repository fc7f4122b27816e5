"""One message to the broker by a connection of its own, and the broker's word on it.

MQTT 5 where the broker speaks it: there it says that an account may not publish, which an acknowledgement
of MQTT 3.1.1 hides.
"""

from __future__ import annotations

import queue
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from godkaiser.mqtt.connection import BrokerAddress, tls_context

UNSUPPORTED = "Unsupported protocol version"


class NotTaken(Exception):
    """The broker does not have the message; the text says why."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        """It was reached and did not let us in or publish: other credentials may help."""


def publish_once(
    address: BrokerAddress, client_id: str, topic: str, payload: bytes, timeout_s: float
) -> None:
    """Return once the broker has acknowledged the message at QoS 1.

    Raises:
        NotTaken: unreachable, refused, or silent for `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    try:
        _Attempt(address, client_id, MQTTProtocolVersion.MQTTv5).publish(topic, payload, deadline)
    except _OldBroker:
        _Attempt(address, client_id, MQTTProtocolVersion.MQTTv311).publish(topic, payload, deadline)


class _OldBroker(Exception):
    """It does not speak MQTT 5."""


class _Attempt:
    """Its network thread puts what happens into a queue; the caller reads it from there."""

    def __init__(
        self, address: BrokerAddress, client_id: str, protocol: MQTTProtocolVersion
    ) -> None:
        self._address = address
        self._is_v5 = protocol is MQTTProtocolVersion.MQTTv5
        self._events: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._client = client = mqtt.Client(
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
            if address.tls:
                client.tls_set_context(tls_context(address))
            client.connect(address.host, address.port, address.keepalive_s)
        except (OSError, ValueError) as error:
            raise NotTaken(getattr(error, "strerror", None) or str(error)) from error
        client.loop_start()
        try:
            self._await_success(deadline, may_be_old=self._is_v5)
            client.publish(topic, payload, 1)
            self._await_success(deadline)
        finally:
            client.disconnect()
            client.loop_stop()

    def _note(self, reason: ReasonCode) -> None:
        self._events.put(("refused", str(reason)) if reason.is_failure else ("done", ""))

    def _await_success(self, deadline: float, *, may_be_old: bool = False) -> None:
        try:
            event, reason = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            reason = "the broker does not answer in time"
            raise NotTaken(reason) from None
        if event == "done":
            return
        # A broker of MQTT 3.1.1 says so, or just closes the connection.
        if may_be_old and (event == "lost" or reason == UNSUPPORTED):
            raise _OldBroker
        if event == "lost":
            raise NotTaken(f"the connection was lost: {reason}")
        raise NotTaken(f"the broker refuses: {reason}", refused=True)
