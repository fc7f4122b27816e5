"""The real safety actor and its shells in the simulated runtime, before a wire that a test answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from godkaiser import paths
from godkaiser.actors.devices.messages import DevicePresence, DeviceReport
from godkaiser.actors.link.broker import LinkUp
from godkaiser.actors.safety.actuator import ActuatorActor
from godkaiser.actors.safety.messages import (
    ActuatorView,
    ClearStop,
    ExplainCommand,
    RequestCommand,
    SafetyView,
    StopAll,
)
from godkaiser.actors.safety.safety_actor import SafetyActor, SafetyRecord
from godkaiser.actors.safety.stop_input_monitor import StopInputMonitor
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Command,
    Issuer,
    Verb,
)
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.ports import Link, open_ports
from godkaiser.protocol import inbound
from godkaiser.supervision import (
    Actor,
    ActorSystem,
    ChildSpec,
    SimulatedRuntime,
    Strategy,
    supervisor,
)

DEVICE, OTHER = "ESP_A00001", "ESP_A00002"
OPERATOR = Issuer("user", "operator")


class Held:
    """A command that waits for its PUBREL."""

    def __init__(self, topic, payload, may_release, on_fate):
        self.topic, self.fields = topic, json.loads(payload)
        self.may_release, self.on_fate = may_release, on_fate


class Wire:
    """All connections in one. With `slow`, the broker answers no command until `receive` is called."""

    is_open = True
    session = 1

    def __init__(self):
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.slow = False
        self.acknowledges_stops = True
        self.waiting: list[Held] = []

    def publish(self, topic, payload, *, qos, retain=False, on_fate=None):
        if self.slow and topic.endswith("/command"):
            self.waiting.append(Held(topic, payload, lambda: True, on_fate or (lambda _fate: None)))
            return
        self.sent.append((topic, json.loads(payload) if payload else {}))
        if on_fate is not None and self.acknowledges_stops:
            on_fate(Fate.DELIVERED)

    def publish_held(self, topic, payload, may_release, on_fate):
        held = Held(topic, payload, may_release, on_fate)
        if self.slow:
            self.waiting.append(held)
        else:
            self._pubrec(held)

    def receive(self):
        """The broker sends PUBREC for all that it has."""
        self.slow = False
        waiting, self.waiting = self.waiting, []
        for held in waiting:
            self._pubrec(held)

    def _pubrec(self, held):
        if held.may_release():
            self.sent.append((held.topic, held.fields))
            held.on_fate(Fate.DELIVERED)
        else:
            held.on_fate(Fate.WITHHELD)

    def acknowledge(self, mids):
        pass


class MemoryRecord:
    """A RecordFile without a disk; `broken` is raised instead of writing. `tries` counts."""

    def __init__(self):
        self.tries = 0
        self.disk = None
        self.pending = None
        self.broken: OSError | None = None

    @property
    def unwritten(self):
        return self.pending is not None

    def read(self):
        return self.disk if self.pending is None else self.pending

    def write(self, value):
        if self.broken is not None:
            raise self.broken
        self.disk, self.pending = value, None

    def insist(self, value):
        self.pending = value
        self.retry()

    def retry(self):
        if self.pending is not None:
            self.tries += 1
            if self.broken is not None:
                raise self.broken
            self.disk, self.pending = self.pending, None

    def check(self):
        """Its folder is never another one."""


class Acks:
    """Keeps what is acknowledged to the broker."""

    def __init__(self, kept):
        self._kept = kept

    def acknowledge(self, tokens):
        self._kept.extend(tokens)


class Sink(Actor):
    """Takes everything; keeps it for the test."""

    def __init__(self, kept=None):
        super().__init__()
        self._kept = kept if kept is not None else []

    def on_receive(self, message):
        self._kept.append(message)


class Bench:
    def __init__(
        self,
        actuators: Iterable[ActuatorConfig],
        interlocks: Iterable[Interlock] = (),
        stop_inputs: Iterable[StopInput] = (),
        seed: int = 1,
        memories=None,
        runtime=None,
        latch=None,
    ):
        self.runtime = runtime or SimulatedRuntime(seed)
        self.runtime.calm()
        self.ports = open_ports("god", monotonic=self.runtime.monotonic)
        self.wire = Wire()
        self.ports.control.attach(Link(commands=self.wire, stops=self.wire, devices=self.wire))
        self.latch, self.holds = latch or MemoryRecord(), MemoryRecord()
        self.journal: list[Any] = []
        self.acknowledged: list[tuple[int, int]] = []
        self._seq = 100
        self._commands = 0

        def shell(config, guard):
            return ChildSpec(
                name=f"{config.esp_id}:{config.gpio}",
                factory=lambda: ActuatorActor(config, self.ports.commands, guard),
            )

        def guard():
            return SafetyActor(
                SafetyRecord(
                    actuators=tuple(actuators),
                    interlocks=tuple(interlocks),
                    memories=memories or {},
                ),
                shell,
                self.ports.stops,
                self.ports.gate,
                Acks(self.acknowledged),
                self.latch,
                self.holds,
                kaiser_id="god",
            )

        self.system = ActorSystem(
            supervisor(
                "gateway",
                [
                    supervisor(
                        "control",
                        [
                            supervisor(
                                "storage",
                                [
                                    ChildSpec(name="recorder", factory=Sink),
                                    ChildSpec(name="journal", factory=lambda: Sink(self.journal)),
                                ],
                            ),
                            supervisor(
                                "safety",
                                [
                                    supervisor("actuators", private=True),
                                    ChildSpec(name="guard", factory=guard),
                                    ChildSpec(
                                        name="inputs", factory=lambda: StopInputMonitor(stop_inputs)
                                    ),
                                ],
                                strategy=Strategy.REST_FOR_ONE,
                            ),
                            supervisor("devices", []),
                            supervisor("rules", []),
                            supervisor(
                                "link",
                                [
                                    ChildSpec(name="router", factory=Sink),
                                    ChildSpec(name="broker", factory=Sink),
                                ],
                            ),
                        ],
                    )
                ],
            ),
            self.runtime,
        )
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 60.0)
        self.guard = self.system.handle(paths.SAFETY)
        self.guard.tell(LinkUp(session=1))
        self.run()

    def run(self, seconds: float = 0.05):
        self.runtime.run_for(seconds)

    # ---- devices

    def present(
        self, device=DEVICE, zone="", *, online=True, rebooted=False, approved=True, told_at=None
    ):  # fmt: skip
        if told_at is None:
            told_at = self.runtime.monotonic()
        self.guard.tell(
            DevicePresence(
                device_id=device, zone_id=zone, approved=approved, online=online,
                rebooted=rebooted, told_at=told_at,
            )
        )  # fmt: skip
        self.run()

    def report(self, payload, gpio=None, device=DEVICE, *, redelivered=False):
        self.guard.tell(
            DeviceReport(
                device_id=device, gpio=gpio, payload=payload,
                redelivered=redelivered, heard_at=self.runtime.monotonic(),
            )
        )  # fmt: skip

    def status(self, gpio, on, emergency="normal", device=DEVICE, *, seq=0, runtime_ms=0, run=True):
        """`seq` 0: the next number; None: firmware without a counter."""
        self._seq += 1
        self.report(
            inbound.ActuatorStatus(
                esp_id=device, state=bool(on), pwm=255 if on else 0, emergency=emergency,
                runtime_ms=runtime_ms, seq=self._seq if seq == 0 else seq,
            ),
            gpio, device,
        )  # fmt: skip
        if run:
            self.run()

    def answer(self, gpio, correlation_id=None, device=DEVICE, *, success=True):
        """To the newest command to this pin, if none is named."""
        self._seq += 1
        if correlation_id is None:
            correlation_id = self.commands(gpio, device)[-1]["correlation_id"]
        self.report(
            inbound.ActuatorResponse(
                esp_id=device, success=success, correlation_id=correlation_id, seq=self._seq
            ),
            gpio, device,
        )  # fmt: skip
        self.run()

    def alert(self, gpio, kind="emergency_stop", device=DEVICE):
        self.report(inbound.ActuatorAlert(esp_id=device, alert_type=kind), gpio, device)
        self.run()

    def know_off(self, *gpios, device=DEVICE):
        """The device is there, and each actuator is known to be off."""
        self.present(device)
        self.run(4.0)
        for gpio in gpios:
            for sent in self.commands(gpio, device):
                self.answer(gpio, sent["correlation_id"], device)
            self.status(gpio, 0, device=device)

    def execute(self, gpio, device=DEVICE):
        """The device carries out the newest command to this pin and tells so."""
        fields = self.commands(gpio, device)[-1]
        self.status(gpio, fields["command"] != "OFF", device=device)
        self.answer(gpio, fields["correlation_id"], device)

    # ---- people

    def command(
        self, gpio, verb=Verb.ON, device=DEVICE, *, issuer=OPERATOR, duration=0.0, run=True,
        decided_at=None, max_age_s=None,
    ):  # fmt: skip
        verdict = self.guard.ask(
            RequestCommand(
                command=self._command(gpio, verb, device, issuer, duration, decided_at, max_age_s)
            ),
            timeout_s=5.0,
        )
        if run:
            self.run()
        return verdict

    def explain(self, gpio, verb=Verb.ON, device=DEVICE, *, issuer=OPERATOR):
        command = self._command(gpio, verb, device, issuer, 0.0, None, None)
        return self.guard.ask(ExplainCommand(command=command), timeout_s=5.0)

    def _command(self, gpio, verb, device, issuer, duration, decided_at, max_age_s):
        self._commands += 1
        return Command(
            esp_id=device, gpio=gpio, verb=verb, duration_s=duration, issuer=issuer,
            correlation_id=f"c{self._commands}", requested_at=self.runtime.now(),
            decided_at=self.runtime.monotonic() if decided_at is None else decided_at,
            max_age_s=max_age_s,
        )  # fmt: skip

    def stop(self, *, run=True, **scope):
        view = self.guard.ask(
            StopAll(issuer=OPERATOR, reason="test", **scope), timeout_s=5.0, urgent=True
        )
        if run:
            self.run()
        return view

    def clear(self, **scope):
        view = self.guard.ask(ClearStop(issuer=OPERATOR, **scope), timeout_s=5.0)
        self.run()
        return view

    # ---- what is seen

    def commands(self, gpio=None, device=DEVICE) -> list[dict[str, Any]]:
        """The commands that left, to one pin."""
        return [
            fields
            for topic, fields in self.wire.sent
            if topic.endswith(f"/{device}/actuator/{gpio}/command")
        ]

    def verbs(self, gpio, device=DEVICE) -> list[str]:
        return [fields["command"] for fields in self.commands(gpio, device)]

    def traffic(self) -> list[str]:
        """Everything that left, as words such as `25 ON`, `stop_all`, `clear_emergency`."""
        found = []
        for topic, fields in self.wire.sent:
            levels = topic.split("/")
            if topic.endswith("/command") and "actuator" in levels:
                found.append(f"{levels[-2]} {fields['command']}")
            elif "command" in fields:
                found.append(fields["command"])
        return found

    def view(self, gpio, device=DEVICE) -> ActuatorView:
        return self.system.published_value(paths.actuator(device, gpio), "view")

    @property
    def safety(self) -> SafetyView:
        return self.system.published_value(paths.SAFETY, "view")

    def crash(self, path):
        """There are no device and broker actors here whose views a successor could read: tell it."""
        self.system.crash(path)
        self.run(1.0)
        self.guard.tell(LinkUp(session=1))
        self.present()


def relay(gpio, device=DEVICE, **limits) -> ActuatorConfig:
    return ActuatorConfig(esp_id=device, gpio=gpio, actuator_type=ActuatorType.RELAY, **limits)


def interlock(kind, gpio, other, *, after_s=0.0, device=DEVICE, other_device=None) -> Interlock:
    return Interlock(
        kind=InterlockKind(kind),
        actuator=ActuatorKey(device, gpio),
        other=ActuatorKey(other_device or device, other),
        after_s=after_s,
    )
