"""Who may publish what: three narrow ports over one connection, and nothing else publishes.

`open_ports` makes them once, in the composition root. The connection behind them is reachable only
through `LinkControl`, which the broker actor holds; the raw publish function stays in the closure.

- `CommandPort` goes to the actuator actors. An energising command leaves only with a permit of the
  safety actor that is still valid at the moment of publishing: a stop invalidates all permits given
  before it, so nothing that was decided earlier and waits in a queue can leave after it.
- `StopPort` goes to the safety actor.
- `DevicePort` goes to the device actors: acknowledgements, configuration, zones, system commands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from godkaiser.mqtt.connection import Connection, NotConnected
from godkaiser.protocol import topics

UNDER_WAY = 8000
"""Below the bounds of all mailboxes on the way to the recorder, above the broker's window."""
ADMIT_TIMEOUT_S = 10.0
"""Longer, and the connection's keep-alive would suffer; then one more message is let in."""

Publish = Callable[[str, bytes, int, bool], None]


class PermitExpired(Exception):
    """The permit was given before a stop; the command must not leave."""


class Permit:
    """Leave to publish one energising command to one actuator; only the safety actor makes them."""

    __slots__ = ("device_id", "epoch", "gpio", "issuer_key")

    def __init__(
        self, issuer_key: object, epoch: tuple[int, int], device_id: str, gpio: int
    ) -> None:
        self.issuer_key = issuer_key
        self.epoch = epoch
        self.device_id = device_id
        self.gpio = gpio


class PermitIssuer:
    """Held by the safety actor alone. To revoke is the first thing that a stop does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = object()
        self._epoch = 0
        self._device_epochs: dict[str, int] = {}

    def issue(self, device_id: str, gpio: int) -> Permit:
        return Permit(self._key, self._current(device_id), device_id, gpio)

    def revoke_all(self) -> None:
        """Every permit given so far ends."""
        with self._lock:
            self._epoch += 1

    def revoke(self, device_id: str) -> None:
        """Every permit given so far for this device ends."""
        with self._lock:
            self._device_epochs[device_id] = self._device_epochs.get(device_id, 0) + 1

    def _current(self, device_id: str) -> tuple[int, int]:
        return (self._epoch, self._device_epochs.get(device_id, 0))

    def publish_under(
        self, permit: Permit, device_id: str, gpio: int, publish: Callable[[], None]
    ) -> None:
        """Run `publish` while no stop can come in between.

        Raises:
            PermitExpired: the permit is another actuator's, forged, or older than the last stop.
        """
        with self._lock:
            if (
                permit.issuer_key is not self._key
                or permit.epoch != self._current(device_id)
                or permit.device_id != device_id
                or permit.gpio != gpio
            ):
                raise PermitExpired
            publish()


class CommandPort:
    """Publishes on the command topic of actuators."""

    def __init__(self, publish: Publish, permits: PermitIssuer, kaiser_id: str) -> None:
        self.__publish = publish
        self.__permits = permits
        self._kaiser_id = kaiser_id

    def energise(self, device_id: str, gpio: int, payload: bytes, permit: Permit) -> None:
        """Raises PermitExpired, NotConnected."""
        topic = topics.actuator_command(self._kaiser_id, device_id, gpio)
        self.__permits.publish_under(
            permit, device_id, gpio, lambda: self.__publish(topic, payload, 2, False)
        )

    def release(self, device_id: str, gpio: int, off_payload: bytes) -> None:
        """Publish an OFF: always allowed. Raises NotConnected, ValueError when it is no OFF."""
        # The payload is read back rather than trusted: this is the way round the permit.
        if msgspec.json.decode(off_payload).get("command") != "OFF":
            msg = "only an OFF may be published without a permit"
            raise ValueError(msg)
        topic = topics.actuator_command(self._kaiser_id, device_id, gpio)
        self.__publish(topic, off_payload, 2, False)


class StopPort:
    """Publishes stops and clears."""

    def __init__(self, publish: Publish, kaiser_id: str) -> None:
        self.__publish = publish
        self._kaiser_id = kaiser_id

    def broadcast(self, payload: bytes) -> None:
        self.__publish(topics.BROADCAST_EMERGENCY, payload, 1, False)

    def clear_retained_broadcast(self) -> None:
        """A retained stop would stop every device each time that it connects."""
        self.__publish(topics.BROADCAST_EMERGENCY, b"", 1, True)

    def to_device(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.actuator_emergency(self._kaiser_id, device_id), payload, 1, False)


class DevicePort:
    """Publishes what a device needs that moves nothing."""

    def __init__(self, publish: Publish, kaiser_id: str) -> None:
        self.__publish = publish
        self._kaiser_id = kaiser_id

    @property
    def kaiser_id(self) -> str:
        return self._kaiser_id

    def heartbeat_ack(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.heartbeat_ack(self._kaiser_id, device_id), payload, 1, False)

    def config(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.config(self._kaiser_id, device_id), payload, 2, False)

    def zone_assign(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.zone_assign(self._kaiser_id, device_id), payload, 1, False)

    def subzone_assign(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.subzone_assign(self._kaiser_id, device_id), payload, 1, False)

    def subzone_remove(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.subzone_remove(self._kaiser_id, device_id), payload, 1, False)

    def subzone_safe(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.subzone_safe(self._kaiser_id, device_id), payload, 1, False)

    def measure(self, device_id: str, gpio: int, payload: bytes) -> None:
        topic = topics.sensor_command(self._kaiser_id, device_id, gpio)
        self.__publish(topic, payload, 2, False)

    def system_command(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.system_command(self._kaiser_id, device_id), payload, 2, False)

    def clear_will(self, device_id: str) -> None:
        self.__publish(topics.will(self._kaiser_id, device_id), b"", 1, True)


class NotificationPort:
    """Publishes for people and programs, below a prefix that no device listens to."""

    PREFIX = "godkaiser/notify/"

    def __init__(self, publish: Publish) -> None:
        self.__publish = publish

    def publish(self, topic: str, payload: bytes) -> None:
        """Raises NotConnected."""
        self.__publish(self.PREFIX + topic, payload, 1, False)


class AckPort:
    """Acknowledges messages of the subscribing connection; those of an older one are ignored: the
    broker sends them again, and they are recognised.

    It also slows the source. The broker's window should bound what is under way, but Mosquitto
    2.0.11 sends its whole queue once a few messages are acknowledged (measured: window 4,000, 1,000
    acknowledged, 36,000 more sent). So the thread that receives waits here beyond a bound of ours,
    and TCP holds the rest back.
    """

    def __init__(self, bound: int = UNDER_WAY) -> None:
        self._bound = bound
        self._connection: Connection | None = None
        self._received = 0
        self._done = 0
        self._waits = False
        self._progress = threading.Condition()

    def attach(self, connection: Connection | None) -> None:
        with self._progress:
            self._connection = connection
            self._received = self._done = 0
            self._progress.notify_all()

    @property
    def under_way(self) -> int:
        """Messages received and not yet acknowledged."""
        return self._received - self._done

    def admit(self) -> None:
        """Count a message in; called by the thread that receives, which waits beyond the bound."""
        self._received += 1
        if self._received - self._done > self._bound:
            self._await_progress()

    def acknowledge(self, tokens: Sequence[tuple[int, int]]) -> None:
        """`tokens` are (session, mid) pairs."""
        connection = self._connection
        if connection is None:
            return
        session = connection.session
        mids = [mid for of, mid in tokens if of == session]
        connection.acknowledge(mids)
        with self._progress:
            self._done += len(mids)
            if self._waits:
                self._progress.notify_all()

    def _await_progress(self) -> None:
        with self._progress:
            self._waits = True
            self._progress.wait_for(lambda: self.under_way <= self._bound, ADMIT_TIMEOUT_S)
            self._waits = False


class LinkControl:
    """Held by the broker actor: puts a connection behind the ports, and takes it away."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def attach(self, connection: Connection | None) -> None:
        self._connection = connection

    @property
    def is_up(self) -> bool:
        connection = self._connection
        return connection is not None and connection.is_open

    def publisher(self) -> Publish:
        def publish(topic: str, payload: bytes, qos: int, retain: bool) -> None:
            connection = self._connection
            if connection is None:
                raise NotConnected
            connection.publish(topic, payload, qos=qos, retain=retain)

        return publish


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    control: LinkControl
    permits: PermitIssuer
    commands: CommandPort
    stops: StopPort
    devices: DevicePort
    notifications: NotificationPort
    acks: AckPort


def open_ports(kaiser_id: str) -> Ports:
    """Make the ports of one gateway. Call it once, in the composition root."""
    control = LinkControl()
    permits = PermitIssuer()
    publish = control.publisher()
    return Ports(
        control=control,
        permits=permits,
        commands=CommandPort(publish, permits, kaiser_id),
        stops=StopPort(publish, kaiser_id),
        devices=DevicePort(publish, kaiser_id),
        notifications=NotificationPort(publish),
        acks=AckPort(),
    )
