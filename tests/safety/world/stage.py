"""The stage: a site, its broker and devices, and the gateway's real actors between them, from one seed.

Time goes from event to event: what the broker and the devices do next is a timer of the simulated
runtime. The plant model watches the wire and the pins, and its laws are checked at every event.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from godkaiser import paths
from godkaiser.actors.safety.messages import ClearStop, RequestCommand, SafetyView, StopAll
from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.safety.stop_state import StopState
from godkaiser.simulator.firmware.firmware import Memory
from godkaiser.simulator.raw_values import raw_of
from godkaiser.supervision import ActorSystem, Chances
from godkaiser.supervision.events import LifeEvent, LifeStep
from godkaiser.supervision.runtimes.timers import Timer
from tests.safety.plant_laws import Laws
from tests.safety.sensor_laws import SensorLaws
from tests.safety.world import gateway_in_world
from tests.safety.world.agenda import Agenda
from tests.safety.world.broker_model import Broker, DeviceLink
from tests.safety.world.faulty_device import FaultyDevice
from tests.safety.world.hazards import Hazards
from tests.safety.world.memory_files import Disk, MemoryNotes
from tests.safety.world.packets import Packet
from tests.safety.world.people import People, scope_name
from tests.safety.world.plant_model import Plant
from tests.safety.world.site import RELEASED_RAW, Site, draw
from tests.safety.world.world_runtime import EPOCH, WorldRuntime

CRASH_NEEDS_S = 5.0
START_LIMIT_S = 120.0
CLOCK_OFF_S = 25.0


class Stage:
    def __init__(self, seed: int, site: Site | None = None, chances: Chances | None = None) -> None:
        self.choices = choices = random.Random(seed)
        self.site = draw(choices) if site is None else site
        self.chances = chances or Chances(
            interrupt=choices.choice([0.0, 0.1, 0.3]), crash=choices.choice([0.0, 0.002, 0.01])
        )
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.crashes = 0
        self._base = 0.0
        self._boots = 1
        self._timer: Timer | None = None
        self._is_calm = False
        self.runtime = self._process(0.0, 0.0)
        self.agenda = Agenda(self.now)
        self.agenda.on_earlier = self._arm
        self.plant = Plant(self.site.actuators, self.site.zones, self.now)
        numbered = {f"rule:{n}": rule for n, rule in enumerate(self.site.rules, 1)}
        self.laws = Laws(
            self.plant, self.agenda, self.site.interlocks,
            {issuer: rule.priority for issuer, rule in numbered.items()},
            {f"rule:{n}": self.site.rules[n - 1].cooldown_seconds for n in self.site.doses},
        )  # fmt: skip
        self.latch = Disk(gateway_in_world.LATCH, self._latch_written)
        self.holds = Disk(gateway_in_world.HOLDS)
        self.notes = MemoryNotes()
        self.memories: dict[ActuatorKey, Any] = {}
        self.laws.latched = self._latched
        self.laws.holds_automation = self._holds_automation
        self.laws.unconfirmed = self._unconfirmed
        self.readings = SensorLaws(self.plant, self.laws, self.site.rules, self.site.stop_inputs)
        self.readings.is_stopped = self._is_stopped
        self.readings.trusts_clock = lambda: (
            abs(self.runtime.now() - self.device_time) < CLOCK_OFF_S
        )
        self.laws.more = self.readings.energising_left
        self.broker = Broker(self.agenda, self.plant, self._clocks,
                             lambda: choices.random() < 0.05)  # fmt: skip
        self.broker.heard_by_gateway = self._heard
        self.people = People(self)
        self.hazards = Hazards(self)
        self.answered: set[str] = set()
        if self.site.late is not None:
            self.plant.pins[self.site.late].installed = False
        self.slow_to_start: dict[ActuatorKey, float] = {}
        self._clear_under_way: set[str] = set()
        self.raw = {
            "sht31_temp": raw_of("sht31_temp", 24.0), "sht31_humidity": raw_of("sht31_humidity", 80.0),
            "ds18b20": raw_of("ds18b20", 15.0), "moisture": RELEASED_RAW, "ph": RELEASED_RAW,
        }  # fmt: skip
        self.devices: dict[str, FaultyDevice] = {}
        self._ticks: dict[str, float] = {}
        self.gone_since: dict[str, float] = {}
        for device_id, zone_id in self.site.zones.items():
            self.devices[device_id] = FaultyDevice(
                device_id, self.device_time, self.raw.get, self.plant,
                memory=Memory(approved=True, zone_id=zone_id),
                personality=self.site.personalities[device_id],
            )  # fmt: skip
        self.boot()

    # ---- time

    def now(self) -> float:
        return self._base + self.runtime.monotonic()

    def _clocks(self) -> tuple[float, float]:
        return self.runtime.now(), self.runtime.monotonic()

    @property
    def device_time(self) -> float:
        """The devices have clocks of their own: they neither jump nor stop with the gateway's."""
        return EPOCH + self.now()

    def pass_time(self, seconds: float) -> None:
        self.runtime.run_for(seconds)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            if self._timer.due <= due - self._base:
                return
            self._timer.cancelled = True
        self._timer = Timer(due - self._base, None, self._fire)
        self.runtime.add_timer(self._timer)

    def _fire(self, _timer: Timer) -> None:
        """The world's turn: it is no actor that acts."""
        self._timer = None
        asking = self.system.asking
        actor = asking.current()
        asking.enter(None)
        try:
            self.agenda.run_due()
        finally:
            asking.enter(actor)
        due = self.agenda.next_due
        if due is not None:
            self._arm(due)

    def let_the_network_speak(self) -> None:
        """In the midst of what an actor does: what the network threads have to say comes at any moment."""
        if self.runtime.linger():
            asking = self.system.asking
            actor = asking.current()
            asking.enter(None)
            try:
                self.agenda.run_due()
            finally:
                asking.enter(actor)

    def delay_of(self, name: str) -> float:
        usual = self.choices.choice((0.0005, 0.0005, 0.002, 0.01, 0.01, 0.15))
        return usual + self.hazards.slow.get(name, 0.0)

    # ---- the gateway's process

    def _process(self, began: float, wall_offset: float) -> WorldRuntime:
        seed = self.choices.randrange(2**32)
        return WorldRuntime(
            seed, self.chances, began=began, boot=self._boots, wall_offset=wall_offset
        )

    def boot(self) -> None:
        """As the process would start: everything new but the files."""
        self.gateway = gateway_in_world.Gateway(self)
        self.system = ActorSystem(self.gateway.tree(), self.runtime)
        self.system.events.subscribe(self._lived)
        self.system.publication_listeners = (self._published,)
        self.plant.hinder("starting")
        self.system.start()
        if not self.runtime.run_until(self.system.ready.is_set, START_LIMIT_S):
            self.plant.complain("the gateway did not start")
        self.plant.unhinder("starting")
        self.plant.hindered_for(CRASH_NEEDS_S)

    def kill(self, *, power_cut: bool = False) -> None:
        """kill -9, or the power: whatever was in memory is gone, between any two messages."""
        self.counts["power cuts" if power_cut else "kills"] += 1
        self.check_latched()
        if not self.latch.is_settled(self.now()):
            latched = {str(r.scope) for r in gateway_in_world.safety_state(self.latch).records}
            self.answered &= latched
            self.laws.forget_unwritten(latched)
        before = self.runtime
        self.steps += before.steps
        self.crashes += before.crashes
        for connection in list(self.broker.connections):
            self.broker.lose(connection, arrives=self.choices.random() < 0.5)
        wall_offset = before._wall - EPOCH
        if power_cut:
            self.notes.lose_power()
            self._boots += 1
            away_s = self.choices.choice([10.0, 40.0])
            began = self.choices.choice([5.0, 30.0])
            wall_offset += before.monotonic() + away_s - began
            self._base += before.monotonic() + away_s - began
            self.runtime = self._process(began, wall_offset)
        else:
            self.runtime = self._process(before.monotonic(), wall_offset)
        if self._is_calm:
            self.runtime.calm()
        self._timer = None
        due = self.agenda.next_due
        if due is not None:
            self._arm(due)
        self.boot()

    def calm(self) -> None:
        self._is_calm = True
        self.runtime.calm()

    def _lived(self, event: LifeEvent) -> None:
        if event.step is LifeStep.CRASHED and not event.path.startswith(paths.RULES):
            self.plant.hindered_for(CRASH_NEEDS_S)

    def _heard(self, topic: str, payload: bytes) -> None:
        self.plant.heard(topic, payload)
        self.readings.heard(topic, payload)

    # ---- what the gateway says of itself

    def _published(self, path: str, key: Any, value: Any) -> None:
        if path == paths.SAFETY and key == "view" and isinstance(value, SafetyView):
            for stop in value.stops:
                if stop.state == StopState.ACTIVE.value:
                    for device_id in stop.confirmed:
                        self.laws.confirmed(stop.scope, device_id)

    def _view(self) -> SafetyView | None:
        view: SafetyView | None = self.system.published_value(paths.SAFETY, "view")
        return view

    def _unconfirmed(self, scope: str) -> tuple[tuple[str, ...], str]:
        view = self._view()
        for stop in () if view is None else view.stops:
            if stop.scope == scope and stop.state == StopState.ACTIVE.value:
                there = tuple(d for d in stop.unconfirmed if self.plant.connected.get(d))
                return there, view.alarm if view is not None else ""
        return (), ""

    # ---- the latch

    def _latched(self, device_id: str) -> str:
        if self.latch.has_failed:
            return ""
        record = gateway_in_world.safety_state(self.latch).covering(
            device_id, self.site.zones[device_id]
        )
        return "" if record is None else f"{record.scope} ({record.state.value})"

    def _is_stopped(self, scope: str) -> bool:
        if self.latch.has_failed:
            return True
        records = gateway_in_world.safety_state(self.latch).records
        return any(str(r.scope) == scope and r.state is StopState.ACTIVE for r in records)

    def _holds_automation(self, device_id: str) -> bool:
        state = gateway_in_world.safety_state(self.latch)
        return state.holds_automation(device_id, self.site.zones[device_id])

    def _latch_written(self, before: Any, after: Any) -> None:
        for record in () if before is None else before.records:
            if record.state is not StopState.ACTIVE or str(record.scope) in self._clear_under_way:
                continue
            now = after.find(record.scope)
            if now is None or now.state is not StopState.ACTIVE:
                self.plant.complain(f"the stop of {record.scope} was relaxed by nobody")

    def check_latched(self) -> None:
        """What was answered is on the latch, unless the disk took nothing a moment ago."""
        if not self.latch.is_settled(self.now()):
            return
        latched = {str(r.scope) for r in gateway_in_world.safety_state(self.latch).records}
        for scope in self.answered - latched:
            self.plant.complain(f"the stop of {scope} was answered and is not latched")

    # ---- what passes through the safety actor, seen by `gateway_in_world.WatchedGuard`

    def taken_up(self, message: Any) -> Any:
        if isinstance(message, RequestCommand):
            self.counts[f"asked by {message.command.issuer.kind}"] += 1
            wanted_at = message.command.decided_at
            self.plant.judging(message.command, self._base + wanted_at if wanted_at else self.now())
        elif isinstance(message, StopAll) and not message.dry_run:
            self._clear_under_way.discard(scope_name(message))
            self.laws.stop_coming(scope_name(message))
        elif isinstance(message, ClearStop) and not message.dry_run:
            self._clear_under_way.add(scope_name(message))
            return self.laws.clear_asked(scope_name(message))
        return None

    def dealt_with(self, message: Any, reply: Any) -> None:
        if isinstance(message, RequestCommand) and reply is not None:
            self.plant.judged(message.command, allowed=reply.allowed, energises=reply.energising)
        elif isinstance(message, StopAll) and isinstance(reply, SafetyView) and not reply.dry_run:
            self.laws.stop_answered(scope_name(message))
            self._expect_latched(scope_name(message), reply)
        elif isinstance(message, ClearStop) and isinstance(reply, SafetyView):
            self.readings.cleared(message, scope_name(message))

    def _expect_latched(self, scope: str, view: SafetyView) -> None:
        """An answered stop is on disk, or the answer says that it is not."""
        records = gateway_in_world.safety_state(self.latch).records
        if not any(str(r.scope) == scope for r in records) and not view.alarm:
            self.plant.complain(
                f"the stop of {scope} is not on disk, and its answer does not say so"
            )

    def refused(self, message: Any, token: Any) -> None:
        if isinstance(message, ClearStop) and not message.dry_run:
            self.laws.clear_refused(token)

    def put_down(self) -> None:
        """The safety actor is through with what it took up, or died of it."""
        self.laws.stop_coming(None)

    # ---- devices

    def connect(self, device_id: str, *, reconnect: bool) -> None:
        device = self.devices[device_id]
        topic, payload = device.will(self.device_time)
        link = DeviceLink(
            self.broker, _Ears(self, device),
            lambda: self.delay_of(device_id) + device.answer_delay_s,
            Packet("PUBLISH", 0, topic, payload, 1, retain=False),
        )  # fmt: skip
        self.broker.connect_device(link)
        self.plant.connection(device_id, up=True)
        self.say(device_id, device.on_connect(self.device_time, reconnect=reconnect))

    def disconnect(self, device_id: str, *, reboots: bool) -> None:
        device = self.devices[device_id]
        self.broker.lose_device(
            device_id, will_after_s=self.choices.choice([None, 1.0, 20.0, 90.0])
        )
        self.plant.connection(device_id, up=False)
        self.gone_since[device_id] = self.now()
        device.on_disconnect(self.device_time)
        if reboots:
            device.restart(self.device_time)
            self.plant.nothing_waits(device_id)

    def say(self, device_id: str, publications: Any) -> None:
        link = self.broker.devices.get(device_id)
        if link is not None:
            for publication in publications:
                link.publish(publication.topic, publication.payload, publication.qos)
        self._wind(device_id)

    def _wind(self, device_id: str) -> None:
        """The device looks after itself when something is due there."""
        due = max(self.devices[device_id].next_tick - EPOCH, self.now() + 0.02)
        if due < self._ticks.get(device_id, float("inf")):
            self._ticks[device_id] = due
            self.agenda.at(due, lambda: self._tick(device_id, due))

    def _tick(self, device_id: str, due: float) -> None:
        if self._ticks.get(device_id) != due:
            return
        del self._ticks[device_id]
        self.say(device_id, self.devices[device_id].on_tick(self.device_time))


class _Ears:
    """Where the broker's line to a device ends."""

    def __init__(self, stage: Stage, device: FaultyDevice) -> None:
        self._stage = stage
        self._device = device
        self.device_id = device.device_id

    def receive(self, topic: str, payload: bytes, ticket: int) -> None:
        stage, device = self._stage, self._device
        if device.deaf:
            stage.plant.lost(ticket, topic, payload)
            return
        stage.plant.delivered(ticket)
        stage.say(self.device_id, device.on_message(topic, payload, stage.device_time))
