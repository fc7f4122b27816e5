"""The gateway's real actors, put together for the stage: safety, actuators, devices, rules, router.

Storage, the broker actor and the timekeeper are stand-ins: what they wait for is outside the gateway.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.device import LIVENESS_JOB, DeviceActor
from godkaiser.actors.link.broker import LINK_GROUP, LinkDown, LinkUp, LinkView
from godkaiser.actors.link.router import RouterActor
from godkaiser.actors.rules.dose_keeper import DoseKeeperActor
from godkaiser.actors.rules.rule import RULES_JOB, RuleActor
from godkaiser.actors.safety.actuator import ActuatorActor
from godkaiser.actors.safety.safety_actor import SafetyActor, SafetyRecord
from godkaiser.actors.safety.stop_input_monitor import StopInputMonitor
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.actors.storage.journal import RecordActuator
from godkaiser.domain.entities import ActuatorConfig, Approval, DeviceRecord
from godkaiser.domain.safety.holds import Holds
from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.mqtt.ports import Link, open_ports
from godkaiser.protocol import outbound, topics
from godkaiser.supervision import (
    Actor,
    Backoff,
    ChildSpec,
    Intensity,
    MailboxSpec,
    Overflow,
    Strategy,
    supervisor,
)
from godkaiser.tree import SAFETY_MAILBOX
from tests.safety.world.gateway_connection import GatewayConnection
from tests.safety.world.memory_files import Disk, MemoryFile
from tests.safety.world.packets import Packet

if TYPE_CHECKING:
    from tests.safety.world.stage import Stage

LATCH, HOLDS = SafetyState, Holds
ROBUST: dict[str, Any] = {
    "intensity": Intensity(1_000_000, 1.0),
    "backoff": Backoff(base_s=0.05, max_s=2.0),
}
OFFLINE_AFTER_S = 90.0
TICK_S = 10.0
COMMIT_S = 0.05
RECONNECT_S = (0.5, 3.0)
OUTLETS = ("commands", "stops", "devices")
CONNECTIONS = (*OUTLETS, "readings", "control")


def may_crash(path: str) -> bool:
    return path not in {"/", paths.CONTROL, paths.BROKER, paths.TIMEKEEPER}


def safety_state(latch: Disk) -> SafetyState:
    state: SafetyState | None = latch.value
    return state or SafetyState()


class WatchedGuard(SafetyActor):
    """The safety actor; the stage sees what it takes up, and in which order."""

    stage: Stage

    def on_receive(self, message: object) -> Any:
        token = self.stage.taken_up(message)
        try:
            reply = super().on_receive(message)
        except self.refusals:
            self.stage.refused(message, token)
            raise
        finally:
            self.stage.put_down()
        self.stage.dealt_with(message, reply)
        return reply


class Gateway:
    """One process: its ports, its connections, its tree."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ports = open_ports("god", stage.runtime.monotonic)
        self.session = stage.counts["sessions"]
        self.connections: list[GatewayConnection] = []

    # ---- the link

    def connect(self) -> None:
        """All connections of a new session. The one of the devices' traffic carries the will."""
        stage = self.stage
        stage.counts["sessions"] += 1
        self.session = stage.counts["sessions"]
        will = Packet(
            "PUBLISH", 0, topics.server_status("god"),
            outbound.server_status("offline", stage.runtime.now(), "unexpected_disconnect"), 1,
            retain=True,
        )  # fmt: skip
        outlets = {name: self._open(name, will if name == "devices" else None) for name in OUTLETS}
        readings, control = self._open("readings", None, 0), self._open("control", None, 1)
        self.connections = [*outlets.values(), readings, control]
        self.link = Link(**outlets)
        self.ports.control.attach(self.link)
        self.ports.acks.attach(readings, control)
        router = self.stage.system.handle(paths.ROUTER)
        stage.broker.readings.attach(readings, router.tell)
        stage.broker.control.attach(control, router.tell)
        outlets["devices"].publish(
            topics.server_status("god"), outbound.server_status("online", stage.runtime.now()),
            qos=1, retain=True,
        )  # fmt: skip

    def _open(self, name: str, will: Packet | None, number: int = 0) -> GatewayConnection:
        stage, broker_actor = self.stage, self.stage.hazards.tell_broker_actor

        def around(before: bool) -> None:
            stage.runtime.at_send(interruptible=before)
            stage.let_the_network_speak()

        return GatewayConnection(
            stage.broker, name, 2 * self.session + number, lambda: stage.delay_of(name), will=will,
            around=around, on_lost=lambda: broker_actor("lost"), on_worn=lambda: broker_actor("worn"),
        )  # fmt: skip

    def renew_commands(self) -> None:
        """Another connection in place of one whose packet ids are used up by withheld commands."""
        worn = next((c for c in self.connections if c.name == "commands"), None)
        if worn is None or not worn.is_open:
            return
        fresh = self._open("commands", None)
        self.connections.append(fresh)
        if worn.hand_over(fresh):
            self.connections.remove(worn)
            self.link = msgspec.structs.replace(self.link, commands=fresh)
            self.ports.control.attach(self.link)
        else:
            fresh.close()
            self.connections.remove(fresh)

    def drop(self) -> None:
        self.ports.control.attach(None)
        self.ports.acks.attach()
        for connection in self.connections:
            if connection.is_open:
                self.stage.broker.lose(connection, arrives=True)
        self.connections = []

    # ---- what outlives it

    def keep(self, message: RecordActuator) -> None:
        """Committed with its group a moment later, unless the process has ended by then."""

        def commit() -> None:
            if self.stage.gateway is self:
                self.stage.memories[message.key] = message.memory

        self.stage.agenda.after(COMMIT_S, commit)

    # ---- the tree

    def tree(self) -> ChildSpec:
        stage = self.stage
        storage = [
            ChildSpec(name=name, factory=lambda: Storage(self), mailbox=MailboxSpec(capacity=500))
            for name in ("recorder", "journal")
        ]
        storage.append(ChildSpec(name="doses", factory=lambda: DoseKeeperActor(stage.notes.keep)))
        children = [
            supervisor("storage", storage, **ROBUST),
            supervisor(
                "safety",
                [
                    supervisor("actuators", private=True, **ROBUST),
                    ChildSpec(name="guard", factory=self._guard_factory(), mailbox=SAFETY_MAILBOX),
                    ChildSpec(
                        name="inputs", factory=lambda: StopInputMonitor(stage.site.stop_inputs)
                    ),
                ],
                strategy=Strategy.REST_FOR_ONE,
                **ROBUST,
            ),
            supervisor("devices", [self._device(d) for d in stage.site.devices], **ROBUST),
            supervisor(
                "rules",
                [self._rule(number) for number in range(1, len(stage.site.rules) + 1)],
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
            ChildSpec(name="timekeeper", factory=Ticker),
        ]
        return supervisor("gateway", [supervisor("control", children, **ROBUST)], **ROBUST)

    def _guard_factory(self) -> Callable[[], SafetyActor]:
        stage = self.stage
        latch, holds = MemoryFile(stage.latch), MemoryFile(stage.holds)
        record = SafetyRecord(
            actuators=tuple(pin.config for pin in stage.plant.pins.values() if pin.installed),
            interlocks=stage.site.interlocks,
            memories=dict(stage.memories),
            mirror_exists=stage.latch.record is not None,
        )

        def actuator(config: ActuatorConfig, guard: Any) -> ChildSpec:
            def start() -> ActuatorActor:
                stage.runtime.pause(stage.slow_to_start.pop(config.key, 0.0))
                return ActuatorActor(config, self.ports.commands, guard)

            return ChildSpec(
                name=f"{config.esp_id}:{config.gpio}",
                factory=start,
            )

        def make() -> SafetyActor:
            guard = WatchedGuard(
                record, actuator, self.ports.stops, self.ports.gate, self.ports.acks,
                latch, holds, kaiser_id="god",  # type: ignore[arg-type]
            )  # fmt: skip
            guard.stage = stage
            return guard

        return make

    def _device(self, device_id: str) -> ChildSpec:
        site = self.stage.site
        record = DeviceRecord(
            device_id=device_id, approval=Approval.APPROVED, zone_id=site.zones[device_id]
        )
        sensors = [s for s in site.sensors if s.esp_id == device_id]
        own = [a for a in site.actuators if a.esp_id == device_id]
        return ChildSpec(
            name=device_id,
            factory=lambda: DeviceActor(
                record, sensors, own, self.ports.devices, self.ports.acks, OFFLINE_AFTER_S
            ),
        )

    def _rule(self, number: int) -> ChildSpec:
        stage = self.stage
        definition = stage.site.rules[number - 1]
        make = functools.partial(RuleActor, number, definition)
        return ChildSpec(
            name=str(number),
            mailbox=MailboxSpec(capacity=500, overflow=Overflow.KEEP_NEWEST, takes_resent=False),
            factory=lambda: make(stage.notes.newest(number), stage.notes.note),
        )


class LinkActor(Actor):
    """In the place of the broker actor: puts connections behind the ports and tells who must know."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    def on_start(self) -> None:
        self._connect()

    def on_receive(self, message: Any) -> None:
        if message == "lost":
            self._gateway.stage.plant.hinder("no link")
            self._gateway.drop()
            self._show(connected=False)
            for member in self.context.members(LINK_GROUP):
                member.tell_urgent(LinkDown(reason="the broker is away"))
            self._later()
        elif message == "worn":
            self._gateway.renew_commands()
        elif message == "connect":
            self._connect()

    def on_failure(self, *_exc_info: object) -> None:
        self._gateway.drop()

    def _later(self) -> None:
        least, most = RECONNECT_S
        self.context.schedule(least + self.context.random() * (most - least), "connect", key="c")

    def _connect(self) -> None:
        stage = self._gateway.stage
        if stage.hazards.broker_away:
            stage.plant.hinder("no link")
            self._show(connected=False)
            self._later()
            return
        self._gateway.connect()
        stage.plant.unhinder("no link")
        self._show(connected=True)
        for member in self.context.members(LINK_GROUP):
            member.tell_urgent(LinkUp(session=self._gateway.session))

    def _show(self, *, connected: bool) -> None:
        view = LinkView(connected=connected, address="wire", since=0.0, last_error="")
        self.context.publish("view", view)


class Storage(Actor):
    """In the place of recorder and journal: takes everything and acknowledges it, or crashes on it while
    the database is away (the spool has it then).
    """

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    def on_receive(self, message: Any) -> None:
        ack = getattr(message, "ack", None)
        if ack is not None:
            self._gateway.ports.acks.acknowledge([ack])
        if isinstance(message, RecordActuator):
            self._gateway.keep(message)
        if self._gateway.stage.hazards.storage_away:
            raise OSError("the database is away")


class Ticker(Actor):
    """In the place of the timekeeper: liveness and rules."""

    def on_start(self) -> None:
        self.context.schedule(TICK_S, "tick", key="tick")

    def on_receive(self, _message: Any) -> None:
        for job in (LIVENESS_JOB, RULES_JOB):
            tick = Tick(job=job, at=self.context.now())
            for member in self.context.members(job):
                member.tell(tick)
        self.context.schedule(TICK_S, "tick", key="tick")
