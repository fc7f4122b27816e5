"""The MQTT broker of the quick start: amqtt, in a process of its own.

A real broker without a system package, for devices on this machine. Production uses Mosquitto
(conf/mosquitto.conf): messages that wait in this broker are in memory and lost with it.

amqtt 0.12 breaks some guarantees of MQTT that the gateway needs; `FaithfulBroker` and
`PatientHandler` restore them, each with its reason beside it. Nagle's algorithm needs no change:
asyncio sets TCP_NODELAY on every socket that it accepts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker, Server
from amqtt.contexts import BrokerConfig
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import OUTGOING, Session

SESSION_EXPIRY_S = 600
"""The queue for a client that never returns must not grow for ever."""
KEEPALIVE_GRACE = 1.5
"""MQTT 3.1.1, 3.1.2.10: a client that is silent for one and a half keep-alive periods is gone."""


def serve(host: str, port: int, stop: threading.Event) -> None:
    """Serve all clients, without accounts, until `stop` is set. Blocks."""
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    asyncio.run(_serve(host, port, stop))


async def _serve(host: str, port: int, stop: threading.Event) -> None:
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    config = BrokerConfig.from_dict(
        {
            "listeners": {"default": {"type": "tcp", "bind": bind}},
            "session_expiry_interval": SESSION_EXPIRY_S,
            "plugins": {f"{__name__}.{LetIn.__name__}": {}},
        }
    )
    broker = FaithfulBroker(config)
    await broker.start()
    try:
        await asyncio.get_running_loop().run_in_executor(None, stop.wait)
    finally:
        await broker.shutdown()


class LetIn(BaseAuthPlugin):  # type: ignore[misc, unused-ignore]
    """Admits every client. amqtt's own anonymous plugin forgets sessions at each disconnect."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return True


class PatientHandler(BrokerProtocolHandler):  # type: ignore[misc, unused-ignore]
    """One connection of a client, from the broker's side."""

    def __init__(self, plugins_manager: Any) -> None:
        super().__init__(plugins_manager)
        self.serves = False
        self._redeliveries: set[asyncio.Task[None]] = set()

    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        """The library drops messages that are not acknowledged within 5 s or before the connection
        ends. The gateway acknowledges after its commit; until then the message must stay with the
        session.
        """
        session = self.session
        if app_message.direction != OUTGOING or session is None:
            await super()._handle_qos1_message_flow(app_message)
            return
        is_retry = app_message.publish_packet is not None
        session.inflight_out[app_message.packet_id] = app_message
        acknowledged = asyncio.get_running_loop().create_future()
        self._puback_waiters[app_message.packet_id] = acknowledged
        packet = app_message.build_publish_packet(dup=is_retry)
        app_message.publish_packet = packet
        await self._send_packet(packet)
        app_message.puback_packet = await acknowledged
        self._puback_waiters.pop(app_message.packet_id, None)
        session.inflight_out.pop(app_message.packet_id, None)

    async def _retry_deliveries(self) -> None:
        """The library waits up to 10 s for these acknowledgements before it reads on. But the
        gateway may subscribe first and acknowledge later.
        """
        session = self.session
        if session is None:
            return
        for message in [*session.inflight_in.values(), *session.inflight_out.values()]:
            task = asyncio.create_task(self._handle_message_flow(message))
            self._redeliveries.add(task)
            task.add_done_callback(self._redelivered)

    def _redelivered(self, task: asyncio.Task[None]) -> None:
        self._redeliveries.discard(task)
        # Retrieve the exception, so that asyncio does not log it; the delivery is retried at the
        # next connect.
        if not task.cancelled():
            task.exception()

    async def stop(self) -> None:
        for task in list(self._redeliveries):
            task.cancel()
        await super().stop()

    def handle_read_timeout(self) -> None:
        """End the connection. The library ignores a silent client, so its will would never be sent."""
        self._loop.create_task(self.handle_connection_closed())


class FaithfulBroker(Broker):  # type: ignore[misc, unused-ignore]
    """amqtt's broker, with the connections above and sessions that survive a quick return."""

    async def _handle_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        client_session: Session,
        handler: BrokerProtocolHandler,
        server: Server,
        listener_name: str,
    ) -> None:
        client_session.keep_alive = int(client_session.keep_alive * KEEPALIVE_GRACE + 0.5)
        await super()._handle_client_session(
            reader,
            writer,
            client_session,
            PatientHandler(self.plugins_manager),
            server,
            listener_name,
        )

    async def _client_message_loop(
        self, client_session: Session, handler: BrokerProtocolHandler
    ) -> None:
        # The old connection's loop may just have marked the session as disconnected, and a
        # session that is marked so receives nothing.
        self._mark_connected(client_session)
        if isinstance(handler, PatientHandler):
            handler.serves = True
        await super()._client_message_loop(client_session, handler)

    async def _handle_disconnect(
        self, client_session: Session, handler: BrokerProtocolHandler, disconnect_waiter: Any
    ) -> None:
        await super()._handle_disconnect(client_session, handler, disconnect_waiter)
        current = self._sessions.get(client_session.client_id or "")
        if current is not None and current[0] is client_session and current[1] is not handler:
            self._mark_connected(client_session)

    @staticmethod
    def _mark_connected(client_session: Session) -> None:
        if client_session.transitions.state != "connected":
            client_session.transitions.connect()

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """At a connect, the library also sends the retained messages of other clients'
        subscriptions, and it fails if another client subscribes meanwhile. MQTT requires them at a
        client's own SUBSCRIBE, which is read once the handler serves.
        """
        handler = self._get_handler(session)
        if isinstance(handler, PatientHandler) and handler.serves:
            await super()._publish_retained_messages_for_subscription(subscription, session)
