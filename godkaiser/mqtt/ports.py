"""Ports: narrow interfaces over the connections. Nothing else can publish.

`open_ports` creates them once, in the composition root. The connections behind them are reachable
only through `LinkControl`, which the broker actor holds; the raw publish functions stay in closures.

- `CommandPort` goes to the actuator actors. An energising command reaches a device only while its
  clearance is current (`mqtt/gate.py`), checked at the last moment before the broker may forward
  it.
- `StopPort` goes to the safety actor.
- `DevicePort` goes to the device actors: acknowledgements, configuration, zones, system commands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from godkaiser.domain.entities import Subzone
from godkaiser.host.boot_clock import boot_time
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import (
    Clearance,
    ClearanceExpired,
    CommandGate,
    Fate,
    FateListener,
)
from godkaiser.protocol import outbound, topics
from godkaiser.protocol.outbound import ConfigPart

INERT = "__inert"
UNDER_WAY = 8000
"""Bound on unacknowledged messages: below the bounds of all mailboxes on the way to the recorder,
above the broker's window.
"""
ADMIT_TIMEOUT_S = 10.0
"""After this wait one more message is admitted, because a longer one would break the keep-alive."""
STOP_OVERDUE_S = 1.0
"""A stop that the broker has not acknowledged after this time is sent again on a second connection."""


class NotAllowed(NotConnected):
    """The safety actor forbids it now; it decides again when something changes."""


class Outlet(Protocol):
    """A connection that publishes. All methods raise NotConnected, and then nothing was queued."""

    @property
    def is_open(self) -> bool: ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        on_fate: FateListener | None = None,
    ) -> None: ...


class CommandOutlet(Outlet, Protocol):
    """The connection for commands. Its QoS 2 messages are released in order."""

    def publish_held(
        self,
        topic: str,
        payload: bytes,
        may_release: Callable[[], bool],
        on_fate: FateListener,
    ) -> None:
        """Publish with QoS 2; write the PUBREL only if `may_release` says so at that moment."""


class Source(Protocol):
    """A connection that receives messages and acknowledges them."""

    session: int

    def acknowledge(self, mids: Sequence[int]) -> None: ...


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The publishing connections of one link: when one is lost, all of them are closed."""

    commands: CommandOutlet
    stops: Outlet
    devices: Outlet


class LinkControl:
    """Held by the broker actor: attaches connections to the ports, and detaches them."""

    def __init__(self) -> None:
        self._link: Link | None = None

    def attach(self, link: Link | None) -> None:
        self._link = link

    @property
    def is_up(self) -> bool:
        link = self._link
        return link is not None and all(
            outlet.is_open for outlet in (link.commands, link.stops, link.devices)
        )

    def require(self) -> Link:
        """Raises NotConnected."""
        link = self._link
        if link is None:
            raise NotConnected
        return link


class CommandPort:
    """Publishes on the command topic of actuators, with QoS 2, in the order of the calls."""

    def __init__(self, control: LinkControl, gate: CommandGate, kaiser_id: str) -> None:
        self.__control = control
        self.__gate = gate
        self._kaiser_id = kaiser_id

    def energise(
        self,
        device_id: str,
        gpio: int,
        payload: bytes,
        clearance: Clearance,
        on_fate: FateListener,
    ) -> None:
        """Publish a command that reaches the device only while its clearance is current.

        Raises:
            ClearanceExpired: it is not current, or for another actuator. Nothing was published.
            NotConnected: nothing was published; the text says why.
        """
        gate = self.__gate
        if (clearance.device_id, clearance.gpio) != (device_id, gpio) or not gate.is_current(
            clearance
        ):
            raise ClearanceExpired
        topic = topics.actuator_command(self._kaiser_id, device_id, gpio)
        commands = self.__control.require().commands
        commands.publish_held(topic, payload, lambda: gate.is_current(clearance), on_fate)

    def release(
        self,
        device_id: str,
        gpio: int,
        off_payload: bytes,
        on_fate: FateListener | None = None,
    ) -> None:
        """Publish an OFF: always allowed. Raises NotConnected, ValueError when it is no OFF."""
        # The payload is read back rather than trusted: this is the way round the gate.
        if msgspec.json.decode(off_payload).get("command") != "OFF":
            msg = "only an OFF may be published without a clearance"
            raise ValueError(msg)
        topic = topics.actuator_command(self._kaiser_id, device_id, gpio)
        self.__control.require().commands.publish(topic, off_payload, qos=2, on_fate=on_fate)


class _SentStop:
    """A published stop. The network thread sets `is_settled` when the broker has acknowledged it."""

    __slots__ = ("is_settled", "payload", "sent_at")

    def __init__(self, payload: bytes, sent_at: float) -> None:
        self.payload = payload
        self.sent_at = sent_at
        self.is_settled = False

    def settle(self, _fate: Fate) -> None:
        # Also set when the connection ended: the safety actor repeats unconfirmed stops on the next
        # one.
        self.is_settled = True


class StopPort:
    """Publishes stops and clears, on a connection of their own. Used by one thread."""

    def __init__(
        self, control: LinkControl, kaiser_id: str, monotonic: Callable[[], float]
    ) -> None:
        self.__control = control
        self._kaiser_id = kaiser_id
        self._monotonic = monotonic
        # By topic: the newest stop that may not be acknowledged yet, oldest first.
        self._sent: dict[str, _SentStop] = {}

    def broadcast(self, payload: bytes) -> None:
        """Raises NotConnected."""
        self._stop(topics.BROADCAST_EMERGENCY, payload)

    def clear_retained_broadcast(self) -> None:
        """Remove a retained stop: it would stop each device at every connect."""
        stops = self.__control.require().stops
        stops.publish(topics.BROADCAST_EMERGENCY, b"", qos=1, retain=True)

    def stop_device(self, device_id: str, payload: bytes) -> None:
        """Raises NotConnected."""
        self._stop(topics.actuator_emergency(self._kaiser_id, device_id), payload)

    def clear_device(self, device_id: str, payload: bytes) -> None:
        """Raises NotConnected."""
        topic = topics.actuator_emergency(self._kaiser_id, device_id)
        # A stop must not be sent again after its clear.
        self._sent.pop(topic, None)
        self.__control.require().stops.publish(topic, payload, qos=1)

    def resend_overdue(self) -> int:
        """On the command connection, publish again, once, each stop that the broker has not
        acknowledged for 1 s. Call it when `next_resend_in_s` says so. Returns the number of stops
        sent again.
        """
        now = self._monotonic()
        resent = 0
        for topic, stop in list(self._sent.items()):
            if not stop.is_settled and now < stop.sent_at + STOP_OVERDUE_S:
                continue
            del self._sent[topic]
            if stop.is_settled:
                continue
            try:
                self.__control.require().commands.publish(topic, stop.payload, qos=1)
            except NotConnected:
                continue
            resent += 1
        return resent

    def next_resend_in_s(self) -> float | None:
        """Seconds until `resend_overdue` should be called; None: no stop is waiting."""
        oldest = next(iter(self._sent.values()), None)
        if oldest is None:
            return None
        return max(0.0, oldest.sent_at + STOP_OVERDUE_S - self._monotonic())

    def _stop(self, topic: str, payload: bytes) -> None:
        stop = _SentStop(payload, self._monotonic())
        self.__control.require().stops.publish(topic, payload, qos=1, on_fate=stop.settle)
        # Insert at the end, so that the first entry is the oldest.
        self._sent.pop(topic, None)
        self._sent[topic] = stop


class DevicePort:
    """Publishes what a device needs. Payloads with which a device could energise by itself need the
    gate's permission, so the port builds those itself, from what it has checked.
    """

    def __init__(self, control: LinkControl, gate: CommandGate, kaiser_id: str) -> None:
        self.__control = control
        self.__gate = gate
        self._kaiser_id = kaiser_id

    @property
    def kaiser_id(self) -> str:
        return self._kaiser_id

    def heartbeat_ack(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.heartbeat_ack(self._kaiser_id, device_id), payload, qos=1)

    def config(self, device_id: str, part: ConfigPart) -> None:
        """Raises NotConnected; PayloadError: it is too large; NotAllowed: it contains an offline
        rule that the safety actor forbids.
        """
        rules = part.offline_rules or ()
        standing = self.__gate.standing(device_id).entries
        # An inert rule never holds; a device with sensors only needs one (contract, 12.8).
        if any(rule["sensor_value_type"] != INERT and rule not in standing for rule in rules):
            raise NotAllowed
        payload = outbound.config_push(part)
        self.__publish(topics.config(self._kaiser_id, device_id), payload, qos=2)

    def zone_assign(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.zone_assign(self._kaiser_id, device_id), payload, qos=1)

    def subzone_assign(
        self, device_id: str, subzone: Subzone, correlation_id: str, *, safe_mode: bool
    ) -> None:
        """Raises NotConnected, PayloadError, NotAllowed: the subzone must stay in safe mode now."""
        if not safe_mode:
            self._require_leave(device_id)
        payload = outbound.subzone_assign(
            subzone.subzone_id,
            subzone.name or subzone.subzone_id,
            subzone.gpios,
            correlation_id,
            safe_mode=safe_mode,
        )
        self.__publish(topics.subzone_assign(self._kaiser_id, device_id), payload, qos=1)

    def subzone_remove(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.subzone_remove(self._kaiser_id, device_id), payload, qos=1)

    def subzone_safe(
        self, device_id: str, subzone_id: str, reason: str, correlation_id: str, *, enable: bool
    ) -> None:
        """Raises NotConnected, PayloadError, NotAllowed: the subzone must stay in safe mode now."""
        if not enable:
            self._require_leave(device_id)
        payload = outbound.subzone_safe(subzone_id, reason, correlation_id, enable=enable)
        self.__publish(topics.subzone_safe(self._kaiser_id, device_id), payload, qos=1)

    def _require_leave(self, device_id: str) -> None:
        if not self.__gate.standing(device_id).may_leave_safe_mode:
            raise NotAllowed

    def measure(self, device_id: str, gpio: int, payload: bytes) -> None:
        topic = topics.sensor_command(self._kaiser_id, device_id, gpio)
        self.__publish(topic, payload, qos=2)

    def system_command(self, device_id: str, payload: bytes) -> None:
        self.__publish(topics.system_command(self._kaiser_id, device_id), payload, qos=2)

    def clear_will(self, device_id: str) -> None:
        self.__publish(topics.will(self._kaiser_id, device_id), b"", qos=1, retain=True)

    def __publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> None:
        self.__control.require().devices.publish(topic, payload, qos=qos, retain=retain)


class _Lane:
    """The unacknowledged messages of one receiving connection. Its network thread waits at the
    bound.
    """

    def __init__(self, source: Source, bound: int, monotonic: Callable[[], float]) -> None:
        self.source = source
        self._bound = bound
        self._received = 0
        self._done = 0
        self._waits = False
        self._is_closed = False
        self._moved_at = monotonic()
        self._monotonic = monotonic
        self._progress = threading.Condition()

    @property
    def under_way(self) -> int:
        return self._received - self._done

    @property
    def stalled_s(self) -> float:
        """Seconds without an acknowledgement although messages are under way."""
        return self._monotonic() - self._moved_at if self.under_way > 0 else 0.0

    def admit(self) -> None:
        if self._received == self._done:
            self._moved_at = self._monotonic()
        self._received += 1
        if self.under_way > self._bound:
            with self._progress:
                self._waits = True
                self._progress.wait_for(
                    lambda: self._is_closed or self.under_way <= self._bound, ADMIT_TIMEOUT_S
                )
                self._waits = False

    def note_done(self, number: int) -> None:
        with self._progress:
            self._done += number
            self._moved_at = self._monotonic()
            if self._waits:
                self._progress.notify_all()

    def close(self) -> None:
        with self._progress:
            self._is_closed = True
            self._progress.notify_all()


class AckPort:
    """Acknowledges each message on the connection on which it arrived, named by its session.
    Messages of an older connection are ignored: the broker delivers them again, and they are
    recognised.

    It also slows the source. The broker's window should bound what is under way, but Mosquitto
    2.0.11 sends its whole queue once a few messages are acknowledged (measured: window 4,000, 1,000
    acknowledged, 36,000 more sent). So the receiving thread waits here at a bound of our own, and
    TCP holds back the rest.
    """

    def __init__(self, monotonic: Callable[[], float], bound: int = UNDER_WAY) -> None:
        self._monotonic = monotonic
        self._bound = bound
        self._lanes: dict[int, _Lane] = {}

    def attach(self, *sources: Source) -> None:
        """Use these receiving connections from now on, each with a bound of its own; the first
        is the one for readings.
        """
        before = self._lanes
        self._lanes = {
            source.session: _Lane(source, self._bound, self._monotonic) for source in sources
        }
        for lane in before.values():
            lane.close()

    @property
    def under_way(self) -> int:
        """Readings received and not yet acknowledged."""
        return next((lane.under_way for lane in self._lanes.values()), 0)

    @property
    def stalled_s(self) -> float:
        """Seconds without an acknowledged reading although readings are under way."""
        return next((lane.stalled_s for lane in self._lanes.values()), 0.0)

    def admit(self, session: int) -> None:
        """Count a received message. Called by the receiving thread, which waits here at the bound."""
        lane = self._lanes.get(session)
        if lane is not None:
            lane.admit()

    def acknowledge(self, tokens: Sequence[tuple[int, int]]) -> None:
        """`tokens` are (session, mid) pairs."""
        for session, lane in self._lanes.items():
            mids = [mid for of, mid in tokens if of == session]
            if mids:
                lane.source.acknowledge(mids)
                lane.note_done(len(mids))


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    control: LinkControl
    gate: CommandGate
    commands: CommandPort
    stops: StopPort
    devices: DevicePort
    acks: AckPort


def open_ports(kaiser_id: str, monotonic: Callable[[], float] = boot_time) -> Ports:
    """Create the ports of one gateway. Call it once, in the composition root."""
    control = LinkControl()
    gate = CommandGate(monotonic)
    return Ports(
        control=control,
        gate=gate,
        commands=CommandPort(control, gate, kaiser_id),
        stops=StopPort(control, kaiser_id, monotonic),
        devices=DevicePort(control, gate, kaiser_id),
        acks=AckPort(monotonic),
    )
