"""The plant as it is: what was decided, what left on the wire, what the devices did, what they told.

Written from the issue, the wire contract and docs/safety.md, not from the code that decides. Nothing in
here knows what the gateway believes; `plant_laws.py` says what must never be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, Command
from godkaiser.protocol import topics
from godkaiser.protocol.topics import Tail

NEVER = -1e9
_decode = msgspec.json.decode


@dataclass(slots=True, eq=False)
class Sent:
    """One command for an actuator, from the moment when the gateway published it. `order` is the place of
    its decision among all, `asked_at` when it was wanted; None for what nobody requested.
    """

    ticket: int
    key: ActuatorKey
    energises: bool
    correlation_id: str
    issuer: str
    handed_at: float
    lease_s: float
    order: int | None
    asked_at: float | None
    left_at: float | None = None
    delivered: bool = False
    over: bool = False

    def __str__(self) -> str:
        verb = "ON" if self.energises else "OFF"
        return f"{verb} of {self.issuer} for {self.key.esp_id}:{self.key.gpio}"


@dataclass(slots=True, eq=False)
class Pin:
    """One actuator. `level` is what it does; `told` what the gateway heard last, None: nothing yet.

    `own_doing`: the device switched it on by itself. `shown_off_at`: when the gateway last heard that it
    is off under an emergency stop. `stuck`: it cannot be switched off. `installed`: the gateway knows it.
    """

    config: ActuatorConfig
    installed: bool = True
    level: float = 0.0
    own_doing: bool = False
    on_since: float = NEVER
    off_since: float = NEVER
    starts: list[float] = field(default_factory=list)
    runs: list[tuple[float, float]] = field(default_factory=list)
    told: float | None = None
    told_at: float = NEVER
    told_off_at: float = NEVER
    shown_off_at: float = NEVER
    stuck: bool = False
    sent: list[Sent] = field(default_factory=list)
    executed: Sent | None = None

    @property
    def key(self) -> ActuatorKey:
        return self.config.key

    @property
    def under_way(self) -> list[Sent]:
        """Energising commands that nothing can take back and that the device has not carried out."""
        return [s for s in self.sent if s.energises and s.left_at is not None and not s.over]

    @property
    def may_run(self) -> bool:
        return self.level > 0.0 or bool(self.under_way)

    def off_handed_after(self, moment: float) -> bool:
        return any(not s.energises and s.handed_at >= moment for s in reversed(self.sent))

    def off_follows_last_on(self) -> bool:
        """An OFF was published after the newest energising command."""
        return bool(self.sent) and not self.sent[-1].energises


class Plant:
    """Everything that can be seen from outside, in the world's time. `laws` are told of each event."""

    def __init__(
        self, actuators: Iterable[ActuatorConfig], zones: dict[str, str], now: Callable[[], float]
    ) -> None:
        self.pins = {config.key: Pin(config) for config in actuators}
        self.zones = zones
        self.now = now
        self.wrong: list[str] = []
        self.connected: dict[str, bool] = dict.fromkeys(zones, False)
        self.reachable_since: dict[str, float] = dict.fromkeys(zones, NEVER)
        self.impaired_until = NEVER
        self.free_since = NEVER
        self.hindrances: set[str] = set()
        self.clear_left_at: dict[str, float] = {}
        self.counts = {"energised": 0, "left": 0, "withheld": 0, "told": 0, "switched": 0}
        self.laws: Any = None
        self._judged: dict[str, tuple[int, float, Command]] = {}
        self._tickets: dict[int, Sent] = {}
        self._judgements = 0

    def of_device(self, device_id: str) -> list[Pin]:
        return [pin for key, pin in self.pins.items() if key.esp_id == device_id]

    def complain(self, text: str) -> None:
        self.wrong.append(f"{self.now():.2f} s: {text}")

    # ---- what hinders the gateway, so that it cannot be blamed

    def hinder(self, what: str) -> None:
        self.hindrances.add(what)

    def unhinder(self, what: str) -> None:
        if what in self.hindrances:
            self.hindrances.discard(what)
            self.free_since = self.now()

    def hindered_for(self, seconds: float) -> None:
        """It crashed somewhere: it needs a moment."""
        self.free_since = max(self.free_since, self.now() + seconds)

    def free_for(self) -> float:
        """For how long nothing has hindered the gateway; negative while something does."""
        return -1.0 if self.hindrances else self.now() - self.free_since

    # ---- decisions

    def judging(self, command: Command, decided_at: float) -> None:
        """The safety actor takes up a request."""
        self._judgements += 1
        self._judged[command.correlation_id] = (self._judgements, decided_at, command)

    def judged(self, command: Command, *, allowed: bool, energises: bool) -> None:
        if allowed and not energises:
            self.laws.off_decided(command.key, self._judgements)

    # ---- the wire, seen at the gateway

    def handed(self, ticket: int, topic: str, payload: bytes) -> None:
        sent = self._read(ticket, topic, payload)
        if sent is not None:
            self._tickets[ticket] = sent
            self.pins[sent.key].sent.append(sent)
            self.laws.command_handed(sent)
        elif payload and "emergency" in topic:
            self._emergency(topic, payload)

    def left(self, ticket: int, topic: str, payload: bytes) -> None:
        sent = self._tickets.get(ticket)
        if sent is None:
            if payload and b"clear_emergency" in payload:
                device_id = topic.split("/", 4)[3]
                self.clear_left_at[device_id] = self.now()
                self.laws.clear_handed(device_id)
            return
        sent.left_at = self.now()
        self.counts["left"] += 1
        if sent.energises:
            self.counts["energised"] += 1
            self.laws.energising_left(sent)

    def withheld(self, ticket: int, _topic: str, _payload: bytes) -> None:
        self.counts["withheld"] += 1
        self._end(ticket)

    def lost(self, ticket: int, _topic: str, _payload: bytes) -> None:
        self._end(ticket)

    def _end(self, ticket: int) -> None:
        sent = self._tickets.get(ticket)
        if sent is not None:
            sent.over = True

    def _read(self, ticket: int, topic: str, payload: bytes) -> Sent | None:
        if not topic.endswith("/command") or "/actuator/" not in topic:
            return None
        parsed = topics.parse(topic)
        if parsed is None or parsed.tail is not Tail.ACTUATOR_COMMAND or parsed.gpio is None:
            return None
        key = ActuatorKey(parsed.device_id, parsed.gpio)
        pin = self.pins.get(key)
        if pin is None:
            self.complain(f"a command for an actuator that does not exist: {topic}")
            return None
        body = _decode(payload)
        energises = body["command"] != "OFF" and (body["command"] != "PWM" or body["value"] > 0)
        order, asked_at, command = self._judged.get(body["correlation_id"], (None, None, None))
        longest = float(pin.config.max_runtime_s)
        wanted = command.duration_s if command is not None and command.duration_s else longest
        return Sent(
            ticket, key, energises, body["correlation_id"], body["issued_by"], self.now(),
            min(wanted, longest), order, asked_at,
        )  # fmt: skip

    def _emergency(self, topic: str, payload: bytes) -> None:
        verb = _decode(payload).get("command")
        if topic == topics.BROADCAST_EMERGENCY:
            self.laws.stop_handed(None)
        elif verb == "emergency_stop":
            self.laws.stop_handed(topic.split("/", 4)[3])

    # ---- the devices

    def delivered(self, ticket: int) -> None:
        sent = self._tickets.get(ticket)
        if sent is not None:
            sent.delivered = True
            if sent.energises:
                self.laws.energising_delivered(sent)

    def carried_out(self, key: ActuatorKey, correlation_id: str) -> None:
        """The device has taken up a command, whatever came of it."""
        pin = self.pins.get(key)
        for sent in reversed(pin.sent if pin is not None else ()):
            if sent.correlation_id == correlation_id and not sent.over:
                sent.over = True
                if pin is not None and sent.energises:
                    pin.executed = sent
                return

    def nothing_waits(self, device_id: str) -> None:
        """The device's queue is empty: what was delivered has been done or dropped."""
        for pin in self.of_device(device_id):
            for sent in pin.under_way:
                sent.over = sent.over or sent.delivered

    def switched(self, key: ActuatorKey, level: float, *, own_doing: bool) -> None:
        pin = self.pins.get(key)
        if pin is None:
            return
        before, pin.level = pin.level, level
        now = self.now()
        if level > 0.0 >= before:
            self.counts["switched"] += 1
            pin.on_since, pin.own_doing = now, own_doing
            if not own_doing:
                pin.starts.append(now)
        elif before > 0.0 >= level:
            pin.off_since = now
            pin.runs.append((pin.on_since, now))
        if before != level:
            self.laws.pin_switched(pin)

    def connection(self, device_id: str, *, up: bool) -> None:
        self.connected[device_id] = up
        if up:
            self.reachable_since[device_id] = self.now()

    def reachable_for(self, device_id: str) -> float:
        return self.now() - self.reachable_since[device_id] if self.connected[device_id] else -1.0

    # ---- what the gateway hears

    def heard(self, topic: str, payload: bytes) -> None:
        if "/actuator/" not in topic:
            return
        parsed = topics.parse(topic)
        if parsed is None or parsed.gpio is None:
            return
        pin = self.pins.get(ActuatorKey(parsed.device_id, parsed.gpio))
        if pin is None:
            return
        self.counts["told"] += 1
        now = self.now()
        if parsed.tail is Tail.ACTUATOR_STATUS:
            body = _decode(payload)
            pin.told, pin.told_at = (1.0 if body["state"] else 0.0), now
            if not body["state"]:
                pin.told_off_at = now
                if body["emergency"] == "active":
                    pin.shown_off_at = now
            self.laws.told(pin)
        elif parsed.tail is Tail.ACTUATOR_ALERT and b'"emergency_stop"' in payload:
            pin.shown_off_at = now
