"""A site in a simulation: the real safety, actuator, device, rule and router actors, simulated ESP32s,
a wire that delays, doubles and breaks, operators, crashes and kills; all from one seed.

What is checked, at every publication and every write of the latch:

- nothing energising leaves for a device that is under a stop, from the moment of the stop;
- a stop that was answered is on the latch, and leaves it by an operator's clear only;
- after a clear no rule energises before an operator has resumed.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

from godkaiser import paths
from godkaiser.actors.actuator import ActuatorActor
from godkaiser.actors.broker import LINK_GROUP, LinkDown, LinkUp, LinkView
from godkaiser.actors.device import DeviceActor
from godkaiser.actors.dose_keeper import DoseKeeperActor
from godkaiser.actors.router import RouterActor
from godkaiser.actors.rule import RuleActor
from godkaiser.actors.safety import SafetyActor, SafetyRecord
from godkaiser.domain import checked_record
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Approval,
    Command,
    DeviceRecord,
    Issuer,
    SensorConfig,
    Verb,
)
from godkaiser.domain.holds import Holds
from godkaiser.domain.rules import ActuatorAction, RuleDefinition, RuleMemory, SensorCondition
from godkaiser.domain.safety_state import SafetyState, StopState
from godkaiser.errors import GatewayError
from godkaiser.messages import ClearStop, HoldActuator, RequestCommand, ResumeAutomation, StopAll
from godkaiser.mqtt.connection import Inbound, NotConnected
from godkaiser.mqtt.gate import Fate, FateListener
from godkaiser.mqtt.ports import Link, open_ports
from godkaiser.protocol import outbound, topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import Firmware, Memory
from godkaiser.supervision import (
    Actor,
    ActorSystem,
    Backoff,
    Chances,
    ChildSpec,
    Intensity,
    MailboxSpec,
    SimulatedRuntime,
    Strategy,
    SupervisionError,
    supervisor,
)

EPOCH = 1_700_000_000.0
ROBUST: dict[str, Any] = {
    "intensity": Intensity(1_000_000, 1.0),
    "backoff": Backoff(base_s=0.05, max_s=2.0),
}
OPERATOR = Issuer("user", "operator")
FAN, PUMP, SENSOR = 25, 26, 4
DEVICES = ("ESP_A00001", "ESP_A00002", "ESP_A00003")
ZONES = {"ESP_A00001": "north", "ESP_A00002": "north", "ESP_A00003": "south"}
ROM = "28FF641E8D3C0C79"
SLICE_S = 0.05
TICK_S = 0.5


class MemoryLatch:
    """The latch file, without the disk: it outlives the gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.record: bytes | None = None

    def read(self) -> SafetyState | None:
        return None if self.record is None else checked_record.decode(self.record, SafetyState)

    unwritten = False

    def write(self, state: SafetyState) -> None:
        self._world.check_latch(self.state, state)
        self.record = checked_record.encode(state)

    def insist(self, state: SafetyState) -> None:
        self.write(state)

    def retry(self) -> None:
        """Nothing is ever unwritten here."""

    @property
    def state(self) -> SafetyState:
        return self.read() or SafetyState()


class MemoryHolds:
    """The file of the holds, likewise."""

    def __init__(self) -> None:
        self.record: bytes | None = None

    def read(self) -> Holds | None:
        return None if self.record is None else checked_record.decode(self.record, Holds)

    unwritten = False

    def write(self, holds: Holds) -> None:
        self.record = checked_record.encode(holds)

    def retry(self) -> None:
        """Nothing is ever unwritten here."""


class Wire:
    """The gateway's connection to the broker; the end of it raises NotConnected."""

    def __init__(self, world: World, session: int) -> None:
        self._world = world
        self.session = session
        self.is_open = True

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        on_fate: FateListener | None = None,
    ) -> None:
        if not self.is_open:
            raise NotConnected
        self._world.runtime.at_send(interruptible="/command" not in topic)
        self._world.published(topic, payload)
        # It is on the wire; what was to follow may never come.
        self._world.runtime.at_send(interruptible=False)
        if on_fate is not None:
            on_fate(Fate.DELIVERED)

    def publish_held(
        self,
        topic: str,
        payload: bytes,
        may_release: Callable[[], bool],
        on_fate: FateListener,
    ) -> None:
        if may_release():
            self.publish(topic, payload, qos=2, on_fate=on_fate)
        else:
            on_fate(Fate.WITHHELD)

    def acknowledge(self, _mids: Any) -> None:
        """The broker of this world keeps no books: it sends again after a kill."""


class LinkActor(Actor):
    """Where the broker actor is: puts the wire behind the ports and tells who must know."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def on_start(self) -> None:
        self._connect()

    def on_receive(self, message: Any) -> None:
        if message == "lost":
            self._world.link_up = False
            self._world.ports.control.attach(None)
            self._show(connected=False)
            for member in self.context.members(LINK_GROUP):
                member.tell_urgent(LinkDown(reason="the broker is away"))
        elif message == "back":
            self._connect()

    def _connect(self) -> None:
        world = self._world
        world.session += 1
        world.wire = Wire(world, world.session)
        world.ports.control.attach(Link(commands=world.wire, stops=world.wire, devices=world.wire))
        world.ports.acks.attach(world.wire)
        world.link_up = True
        world.wire.publish(
            topics.server_status("god"), outbound.server_status("online", self.context.now()), qos=1
        )
        self._show(connected=True)
        for member in self.context.members(LINK_GROUP):
            member.tell_urgent(LinkUp(session=world.session))

    def _show(self, *, connected: bool) -> None:
        view = LinkView(connected=connected, address="wire", since=0.0, last_error="")
        self.context.publish("view", view)


class Storage(Actor):
    """Where recorder and journal are: takes everything, or crashes on it while it is away."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def on_receive(self, _message: Any) -> None:
        if self._world.storage_away:
            raise OSError("the database is away")


class World:
    def __init__(
        self,
        seed: int,
        rules: list[RuleDefinition] | None = None,
        actuator_type: ActuatorType = ActuatorType.RELAY,
    ) -> None:
        self.choices = random.Random(seed)
        self.rules = [_wants_it_on(device_id) for device_id in DEVICES] if rules is None else rules
        self._actuator_type = actuator_type
        self.raw = 400
        self.commanded: list[tuple[str, int | None, dict[str, Any]]] = []
        self.held: set[tuple[str, int]] = set()
        self.chances = Chances(
            interrupt=self.choices.choice([0.0, 0.1, 0.3]),
            crash=self.choices.choice([0.0, 0.005, 0.02]),
        )
        self.runtime = SimulatedRuntime(seed, self.chances, may_crash=_may_crash)
        self.wrong: list[str] = []
        self.latch = MemoryLatch(self)
        self.holds = MemoryHolds()
        self.noted: dict[int, RuleMemory | None] = {}
        self.link_up = False
        self.session = 0
        self.storage_away = False
        self.clearing = False
        self.broadcasts = 0
        self.answered: set[str] = set()
        self.resumed = True
        self.counts = {"energised": 0, "stops": 0, "clears": 0, "kills": 0, "refused": 0}
        self._under_way: list[tuple[float, int, str, str, bytes]] = []
        self._order = itertools.count()
        self._recent: list[tuple[str, bytes]] = []
        self._mids = itertools.count(1)
        self._not_before: dict[str, float] = {}
        self._next_tick = 0.0
        self._lived_s = 0.0
        self.firmware: dict[str, Firmware] = {}
        for device_id in DEVICES:
            memory = Memory(approved=True, zone_id=ZONES[device_id])
            self.firmware[device_id] = Firmware(
                device_id, self.device_time, lambda _kind: self.raw, memory=memory
            )
        self.boot()

    @property
    def device_time(self) -> float:
        """The devices have clocks of their own: they neither jump nor stop with the gateway's."""
        return EPOCH + self._lived_s + self.runtime.monotonic()

    # ---- the gateway

    def boot(self) -> None:
        """As the process would start: everything new but the files."""
        self.ports = open_ports("god", self.runtime.monotonic)
        self.system = ActorSystem(self._tree(), self.runtime)
        self.system.start()
        if not self.runtime.run_until(self.system.ready.is_set, 120.0):
            self.wrong.append("the gateway did not start")

    def kill(self) -> None:
        """kill -9: whatever was in memory is gone, between any two messages."""
        self.counts["kills"] += 1
        for scope in self.answered:
            if not any(str(record.scope) == scope for record in self.latch.state.records):
                self.wrong.append(f"the stop of {scope} was answered and is not latched")
        before = self.runtime
        self.runtime = SimulatedRuntime(
            self.choices.randrange(2**32), self.chances, may_crash=_may_crash
        )
        self.runtime.jump_clock(before.now() - self.runtime.now())
        self._under_way = [item for item in self._under_way if item[2] != "gateway"]
        self._clock_offset_changed(before)
        self.boot()
        for topic, payload in self._recent[-5:]:
            self._to_gateway(topic, payload, dup=True)

    def _clock_offset_changed(self, before: SimulatedRuntime) -> None:
        shift = self.runtime.monotonic() - before.monotonic()
        self._under_way = [(at + shift, *rest) for at, *rest in self._under_way]  # type: ignore[misc]
        heapq.heapify(self._under_way)
        self._next_tick += shift
        self._not_before = {to: at + shift for to, at in self._not_before.items()}
        self._lived_s -= shift

    def _tree(self) -> ChildSpec:
        actuators = [
            ActuatorConfig(esp_id=d, gpio=g, actuator_type=self._actuator_type, max_runtime_s=20)
            for d in DEVICES
            for g in (FAN, PUMP)
        ]
        storage = [
            ChildSpec(name=name, factory=lambda: Storage(self), mailbox=MailboxSpec(capacity=200))
            for name in ("recorder", "journal")
        ]
        # The notes of this world outlive a kill as they are.
        storage.append(ChildSpec(name="doses", factory=lambda: DoseKeeperActor(lambda _n: None)))

        def actuator(config: ActuatorConfig, guard: Any) -> ChildSpec:
            return ChildSpec(
                name=f"{config.esp_id}:{config.gpio}",
                factory=lambda: ActuatorActor(config, self.ports.commands, guard),
            )

        def guard() -> SafetyActor:
            record = SafetyRecord(
                actuators=tuple(actuators), mirror_exists=self.latch.record is not None
            )
            return SafetyActor(
                record, actuator, self.ports.stops, self.ports.gate, self.ports.acks, self.latch,  # type: ignore[arg-type]
                self.holds,  # type: ignore[arg-type]
                kaiser_id="god",
            )  # fmt: skip

        def device(device_id: str) -> ChildSpec:
            record = DeviceRecord(
                device_id=device_id, approval=Approval.APPROVED, zone_id=ZONES[device_id]
            )
            sensor = SensorConfig(
                esp_id=device_id, gpio=SENSOR, sensor_type="ds18b20", address=ROM, interval_s=2
            )
            own = [a for a in actuators if a.esp_id == device_id]
            return ChildSpec(
                name=device_id,
                factory=lambda: DeviceActor(
                    record, [sensor], own, self.ports.devices, self.ports.acks, 180.0
                ),
            )

        children = [
            supervisor("storage", storage, **ROBUST),
            supervisor(
                "safety",
                [
                    supervisor("actuators", private=True, **ROBUST),
                    ChildSpec(name="guard", factory=guard),
                ],
                strategy=Strategy.REST_FOR_ONE,
                **ROBUST,
            ),
            supervisor("devices", [device(d) for d in DEVICES], **ROBUST),
            supervisor(
                "rules",
                [_rule(n, text, self.noted) for n, text in enumerate(self.rules, 1)],
                **ROBUST,
            ),
            supervisor(
                "link",
                [
                    ChildSpec(name="router", factory=lambda: RouterActor(self.ports.acks, "god")),
                    ChildSpec(name="broker", factory=lambda: LinkActor(self)),
                ],
                strategy=Strategy.REST_FOR_ONE,
                **ROBUST,
            ),
        ]
        return supervisor("gateway", [supervisor("control", children, **ROBUST)], **ROBUST)

    # ---- the wire

    def published(self, topic: str, payload: bytes) -> None:
        """The gateway has published: check, and carry it to the devices, late and perhaps twice."""
        if not payload:
            return
        self.broadcasts += topic == topics.BROADCAST_EMERGENCY or b"emergency_stop" in payload
        self._check_publication(topic, payload)
        for _ in range(2 if self.choices.random() < 0.05 else 1):
            self._carry("device", topic, payload)

    def _carry(self, to: str, topic: str, payload: bytes) -> None:
        delay_s = self.choices.choice([0.0, 0.0, 0.01, 0.01, 0.2, 1.5])
        # MQTT keeps the order of each connection; late is late for all that follows.
        at = max(self.runtime.monotonic() + delay_s, self._not_before.get(to, 0.0))
        self._not_before[to] = at
        heapq.heappush(self._under_way, (at, next(self._order), to, topic, payload))

    def _deliver_due(self) -> None:
        now = self.runtime.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, to, topic, payload = heapq.heappop(self._under_way)
            if to == "gateway":
                self._to_gateway(topic, payload, dup=False)
            else:
                for device_id, device in self.firmware.items():
                    if device.connected and (f"/{device_id}/" in topic or "/esp/" not in topic):
                        self._send(device.on_message(topic, payload, self.device_time))

    def _send(self, publications: list[Any]) -> None:
        for publication in publications:
            for _ in range(2 if self.choices.random() < 0.05 else 1):
                self._carry("gateway", publication.topic, publication.payload)

    def _to_gateway(self, topic: str, payload: bytes, *, dup: bool) -> None:
        if not self.link_up:
            # The broker keeps it for the session and hands it over when the gateway is back.
            self._carry("gateway", topic, payload)
            return
        router = self.system.find(paths.ROUTER)
        if router is None:
            return
        self._recent = [*self._recent[-20:], (topic, payload)]
        router.tell(
            Inbound(
                topic, payload, 1, next(self._mids) % 65536, retain=False, dup=dup,
                session=self.session, received_at=self.runtime.now(),
                heard_at=self.runtime.monotonic(),
            )
        )  # fmt: skip

    # ---- time

    def pass_time(self, seconds: float) -> None:
        """The gateway, the wire and the devices, in small slices."""
        end = self.runtime.monotonic() + seconds
        while self.runtime.monotonic() < end:
            self.runtime.run_for(SLICE_S)
            self._deliver_due()
            if self.runtime.monotonic() >= self._next_tick:
                self._next_tick = self.runtime.monotonic() + TICK_S
                for device in self.firmware.values():
                    self._send(device.on_tick(self.device_time))

    # ---- operators

    def ask_safety(self, message: Any) -> Any:
        """The reply, or None where there was none: a crash, a refusal, a time-out."""
        try:
            return self.system.handle(paths.SAFETY).ask(message, timeout_s=5.0, urgent=True)
        except GatewayError:
            self.counts["refused"] += 1
        except (SupervisionError, KeyError):
            pass
        return None

    def stop(self, esp_id: str | None = None, zone_id: str | None = None) -> bool:
        self.clearing = False
        message = StopAll(issuer=OPERATOR, reason="simulated", esp_id=esp_id, zone_id=zone_id)
        before = self.broadcasts
        if self.ask_safety(message) is None:
            if self.broadcasts > before:
                self._expect_carried_out()
            return False
        self.counts["stops"] += 1
        scope = f"device {esp_id}" if esp_id else f"zone {zone_id}" if zone_id else "global"
        self.answered.add(scope)
        self.resumed = False
        if not any(str(record.scope) == scope for record in self.latch.state.records):
            self.wrong.append(f"the stop of {scope} was answered before it was latched")
        return True

    def _expect_carried_out(self) -> None:
        """Nobody was answered, but devices have heard the stop: it must be latched all the same."""
        self.pass_time(5.0)
        if self.latch.state.strictest is not StopState.ACTIVE:
            self.wrong.append("a stop that crashed half-way was forgotten")

    def race(self, commands: int, steps: int) -> None:
        """A stop in the midst of commands: some are judged, some on their way to the actuator."""
        guard = self.system.find(paths.SAFETY)
        for number in range(commands if guard is not None else 0):
            command = Command(
                esp_id=DEVICES[number % 3], gpio=(FAN, PUMP)[number % 2], verb=Verb.ON, value=None,
                duration_s=5.0, issuer=OPERATOR, correlation_id=f"c{next(self._order)}",
                requested_at=self.runtime.now(),
                decided_at=self.runtime.monotonic(),
            )  # fmt: skip
            guard.tell(RequestCommand(command=command))
        for _ in range(steps):
            self.runtime.step(self.runtime.monotonic() + 1.0)
        self.stop()

    def clear(self, esp_id: str | None = None, zone_id: str | None = None) -> Any:
        # From now on the latch may be relaxed: also when the answer is lost.
        self.clearing = True
        scope = f"device {esp_id}" if esp_id else f"zone {zone_id}" if zone_id else "global"
        self.answered.discard(scope)
        self.counts["clears"] += 1
        return self.ask_safety(ClearStop(issuer=OPERATOR, esp_id=esp_id, zone_id=zone_id))

    def resume(self) -> Any:
        self.resumed = True
        return self.ask_safety(ResumeAutomation(issuer=OPERATOR))

    def command(self, esp_id: str, gpio: int, verb: Verb, value: float | None = None) -> Any:
        command = Command(
            esp_id=esp_id, gpio=gpio, verb=verb, value=value, duration_s=5.0, issuer=OPERATOR,
            correlation_id=f"c{next(self._order)}", requested_at=self.runtime.now(),
            decided_at=self.runtime.monotonic(),
        )  # fmt: skip
        return self.ask_safety(RequestCommand(command=command))

    # ---- what must hold

    def _check_publication(self, topic: str, payload: bytes) -> None:
        parsed = topics.parse(topic)
        if parsed is None or parsed.tail is not Tail.ACTUATOR_COMMAND:
            return
        fields = json.loads(payload)
        self._check_competition(parsed.device_id, parsed.gpio, fields)
        self.commanded.append((parsed.device_id, parsed.gpio, fields))
        if fields["command"] == "OFF" or (fields["command"] == "PWM" and not fields["value"]):
            return
        self.counts["energised"] += 1
        device_id = parsed.device_id
        record = self.latch.state.covering(device_id, ZONES[device_id])
        if record is not None:
            self.wrong.append(
                f"{fields['command']} to {device_id} while {record.scope} is {record.state.value}"
            )
        if fields["issued_by"].startswith("rule") and self.latch.state.holds_automation(
            device_id, ZONES[device_id]
        ):
            self.wrong.append(f"a rule energised {device_id} before the operator resumed")

    def _check_competition(self, device_id: str, gpio: int | None, fields: dict[str, Any]) -> None:
        """A hold beats rules; of two rules the one of higher priority keeps what it has on."""
        by = fields["issued_by"]
        is_rule = by.startswith("rule:")
        if fields["command"] == "OFF" or not fields["value"] or not is_rule:
            return
        if (device_id, gpio) in self.held:
            self.wrong.append(f"{by} energised {device_id}/{gpio} while a person held it")
        before = next(
            (f for d, g, f in reversed(self.commanded) if (d, g) == (device_id, gpio)), None
        )
        if (
            before is None
            or before["command"] == "OFF"
            or not before["issued_by"].startswith("rule:")
        ):
            return
        if not self.firmware[device_id].levels().get(gpio):
            return
        own, other = (
            self.rules[int(b.split(":")[1]) - 1].priority for b in (by, before["issued_by"])
        )
        if own < other:
            self.wrong.append(f"{by} took {device_id}/{gpio} from {before['issued_by']}")

    def hold(self, esp_id: str, gpio: int, seconds: float | None) -> None:
        """Modelled for certain holds only: until released, and answered."""
        message = HoldActuator(key=ActuatorKey(esp_id, gpio), seconds=seconds, issuer=OPERATOR)
        self.held.discard((esp_id, gpio))
        if self.ask_safety(message) is not None and seconds is None:
            self.held.add((esp_id, gpio))

    def check_latch(self, before: SafetyState, after: SafetyState) -> None:
        for record in before.records:
            if record.state is not StopState.ACTIVE:
                continue
            now = after.find(record.scope)
            if (now is None or now.state is not StopState.ACTIVE) and not self.clearing:
                self.wrong.append(f"the stop of {record.scope} was relaxed by nobody")


def _may_crash(path: str) -> bool:
    return path not in {"/", paths.CONTROL, paths.BROKER}


def _rule(
    number: int, definition: RuleDefinition, noted: dict[int, RuleMemory | None]
) -> ChildSpec:
    return ChildSpec(
        name=str(number),
        factory=lambda: RuleActor(number, definition, noted.get(number), noted.__setitem__),
    )


def _wants_it_on(device_id: str) -> RuleDefinition:
    """It always wants the fan on: whatever keeps it off is safety."""
    return RuleDefinition(
        name="always",
        conditions=(
            SensorCondition(
                esp_id=device_id, gpio=SENSOR, sensor_type="ds18b20", operator=">", value=-50.0
            ),
        ),
        actions=(ActuatorAction(esp_id=device_id, gpio=FAN, command=Verb.ON, duration=3.0),),
        cooldown_seconds=1.0,
        suspend_after=0,
    )
