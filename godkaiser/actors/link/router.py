"""The router: passes each message to its actor by the topic, without reading the payload. A message
without a receiver is counted by reason and becomes a dead letter.
"""

from __future__ import annotations

from collections import Counter

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.mqtt.connection import Inbound
from godkaiser.mqtt.ports import AckPort
from godkaiser.protocol.topics import BROADCAST_EMERGENCY, DeviceTopic, Tail, gateway_of, parse
from godkaiser.supervision import Actor, Handle

PUBLISH_COUNTS_EVERY_S = 1.0
REGISTERING = frozenset({Tail.HEARTBEAT})
ALWAYS_GOD = frozenset({Tail.SESSION_ANNOUNCE, Tail.ONEWIRE_SCAN_RESULT})
"""Devices publish these under `god`, whatever kaiser_id they have (contract, 3.2)."""


class DeviceMessage(Message, frozen=True, kw_only=True):
    """To /control/devices/<id>: a message of its device, not yet decoded.

    `answered`: a heartbeat that was already acknowledged to the device.
    """

    topic: DeviceTopic
    inbound: Inbound
    answered: bool = False


class UnknownDeviceSeen(Message, frozen=True, kw_only=True):
    """To /services/registrar: a heartbeat of a device that has no actor."""

    device_id: str
    first: DeviceMessage


class BroadcastSeen(Message, frozen=True, kw_only=True):
    """To /control/safety/guard: a message on the emergency broadcast topic.

    The safety actor acknowledges `token` (session and packet id) once the stop is on disk; None: no
    acknowledgement is needed.
    """

    payload: bytes
    retained: bool
    token: tuple[int, int] | None = None


class PublishCounts(Message, frozen=True, kw_only=True):
    """To oneself: show the counters."""


class RouterActor(Actor):
    def __init__(self, acks: AckPort, kaiser_id: str) -> None:
        super().__init__()
        self._acks = acks
        self._kaiser_id = kaiser_id
        # Other gateways on this broker, and whether they are online now.
        self._gateways: dict[str, bool] = {}
        self._devices: dict[str, Handle] = {}
        self._counts: Counter[str] = Counter()

    def on_start(self) -> None:
        self._counts = Counter(self.context.recall("counts") or {})
        self._gateways = dict(self.context.recall("gateways") or {})
        self._schedule_counts()

    def on_receive(self, message: object) -> None:
        if isinstance(message, Inbound):
            self._route(message)
        elif isinstance(message, PublishCounts):
            self.context.publish("counts", dict(self._counts))
            self._schedule_counts()
        else:
            self.context.unhandled(message)

    def _route(self, inbound: Inbound) -> None:
        gateway = gateway_of(inbound.topic)
        if gateway is not None:
            self._note_gateway(gateway, inbound)
            return
        if not inbound.payload:
            # Messages that clear retained ones, including our own.
            self._done_with(inbound, "empty")
            return
        topic = parse(inbound.topic)
        if not inbound.to_be_heard and (topic is None or self._device(topic.device_id) is None):
            # Only its other copy is rejected.
            self._done_with(inbound, "second_copy")
            return
        if topic is None:
            self._route_other(inbound)
            return
        if topic.tail.to_device:
            # Our own publications, received through the wildcard.
            self._done_with(inbound, "own")
            return
        device = self._device(topic.device_id)
        if self._is_of_another(topic, known=device is not None):
            self._done_with(inbound, "foreign")
            return
        message = DeviceMessage(topic=topic, inbound=inbound)
        if device is not None:
            self._counts["routed"] += 1
            device.tell(message)
        elif topic.tail in REGISTERING:
            self._counts["registering"] += 1
            self.context.handle(paths.REGISTRAR).tell(
                UnknownDeviceSeen(device_id=topic.device_id, first=message)
            )
        else:
            self.context.reject(
                message, f"device {topic.device_id} is not registered", kind="UNREGISTERED"
            )
            self._done_with(inbound, "unregistered")

    def _route_other(self, inbound: Inbound) -> None:
        if inbound.topic == BROADCAST_EMERGENCY:
            self._counts["broadcast"] += 1
            self.context.handle(paths.SAFETY).tell_urgent(
                BroadcastSeen(
                    payload=inbound.payload,
                    retained=inbound.retain,
                    token=(inbound.session, inbound.mid) if inbound.qos else None,
                )
            )
        else:
            detail = f"this topic is not in the device contract: {inbound.topic[:200]}"
            self.context.reject(inbound, detail, kind="UNKNOWN_TOPIC")
            self._done_with(inbound, "unknown_topic")

    def _note_gateway(self, kaiser_id: str, inbound: Inbound) -> None:
        if kaiser_id != self._kaiser_id:
            if inbound.payload:
                self._gateways[kaiser_id] = b'"online"' in inbound.payload
            else:
                self._gateways.pop(kaiser_id, None)
            self.context.publish("gateways", dict(self._gateways))
        self._done_with(inbound, "server_status")

    def _is_of_another(self, topic: DeviceTopic, *, known: bool) -> bool:
        """Whether another gateway on this broker is responsible for this device.

        A device keeps its last kaiser_id. If no gateway with that id is online, we may take the
        device over; a device that we know is ours even if such a gateway was online before.
        """
        is_online = self._gateways.get(topic.kaiser_id)
        if is_online is None:
            return False
        if topic.tail in ALWAYS_GOD:
            return not known
        return is_online or not known

    def _device(self, device_id: str) -> Handle | None:
        handle = self._devices.get(device_id)
        if handle is None or not handle.alive:
            handle = self.context.find(paths.device(device_id))
            if handle is None:
                self._devices.pop(device_id, None)
            else:
                self._devices[device_id] = handle
        return handle

    def _done_with(self, inbound: Inbound, reason: str) -> None:
        self._counts[reason] += 1
        if inbound.qos:
            self._acks.acknowledge([(inbound.session, inbound.mid)])

    def _schedule_counts(self) -> None:
        self.context.schedule(PUBLISH_COUNTS_EVERY_S, PublishCounts(), key="counts")
