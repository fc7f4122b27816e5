"""One rule actor with all that it talks to: a guard that answers as it is told, a keeper of doses with a
disk that can fail or hang, a journal and a notifier that only listen. On the simulated runtime.
"""

from __future__ import annotations

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView, ReadingAccepted
from godkaiser.actors.rules.dose_keeper import DoseKeeperActor
from godkaiser.actors.rules.rule import LookAgain, RuleActor
from godkaiser.actors.safety.messages import (
    ActuatorView,
    CommandJudged,
    CommandOutcome,
    RequestCommand,
    SafetyView,
)
from godkaiser.actors.storage.journal import RecordRule
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorType,
    DeviceRecord,
    Quality,
    Reading,
    SensorKey,
    Verb,
)
from godkaiser.domain.rules.rules import ActuatorAction, RuleDefinition, SensorCondition
from godkaiser.supervision import Actor, ActorSystem, ChildSpec, SimulatedRuntime, supervisor

KEY = SensorKey("ESP_A00001", 4, "ds18b20")
PUMP = ("ESP_A00002", 25)
HOT = SensorCondition(
    esp_id=KEY.esp_id, gpio=KEY.gpio, sensor_type=KEY.sensor_type, operator=">", value=25.0
)


def turn(verb, ref=PUMP, **how):
    return ActuatorAction(esp_id=ref[0], gpio=ref[1], command=verb, **how)


def when_hot(*actions, **how):
    return RuleDefinition(**{"name": "dose", "conditions": (HOT,), "actions": actions, **how})


class Listener(Actor):
    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    def on_receive(self, message):
        self._heard.append(message)


class Guard(Actor):
    """Answers each command as `stage.verdict` says; None: not at all."""

    def __init__(self, stage):
        super().__init__()
        self._stage = stage

    def on_receive(self, message):
        stage = self._stage
        if isinstance(message, SafetyView):
            self.context.publish("view", message)
            return
        stage.safety.append(message)
        if not isinstance(message, RequestCommand) or stage.verdict is None:
            return
        command = message.command
        refusal = stage.verdict(command)
        if message.verdict_to is not None:
            code, why = refusal or ("", "")
            message.verdict_to.tell(
                CommandJudged(
                    correlation_id=command.correlation_id,
                    allowed=refusal is None,
                    code=code,
                    message=why,
                )
            )
        if refusal is None:
            stage.obeys(command)
            if message.outcome_to is not None and stage.answers:
                message.outcome_to.set(
                    CommandOutcome(
                        correlation_id=command.correlation_id, state="succeeded", message="", at=0.0
                    )
                )


class Shown(Actor):
    """Publishes what it is told as its view."""

    def on_receive(self, message):
        self.context.publish("view", message)


class Stage:
    def __init__(self, rule, memory=None, *, seed=1, actor=RuleActor, noted=None, kept=None):
        self.rule = rule
        self.actor = actor
        self.safety, self.journal, self.told = [], [], []
        self.noted = {} if noted is None else noted
        self.kept = [] if kept is None else kept
        self.verdict = lambda _command: None
        self.answers = True
        self.disk = "good"
        self.runtime = SimulatedRuntime(seed)
        self.runtime.calm()
        control = supervisor(
            "control",
            [
                supervisor(
                    "storage",
                    [
                        ChildSpec(name="journal", factory=lambda: Listener(self.journal)),
                        ChildSpec(name="doses", factory=lambda: DoseKeeperActor(self._keep)),
                    ],
                ),
                supervisor(
                    "safety",
                    [
                        supervisor("actuators", [ChildSpec(name=f"{PUMP[0]}:{PUMP[1]}", factory=Shown)]),
                        ChildSpec(name="guard", factory=lambda: Guard(self)),
                    ],
                ),
                supervisor("devices", [ChildSpec(name=PUMP[0], factory=Shown)]),
                supervisor("rules", [self.spec(rule, memory)]),
            ],
        )  # fmt: skip
        notifier = ChildSpec(name="notifier", factory=lambda: Listener(self.told))
        tree = supervisor("gateway", [control, supervisor("services", [notifier])])
        self.system = ActorSystem(tree, self.runtime)
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 60.0)

    def spec(self, rule, memory=None):
        return ChildSpec(
            name="1",
            factory=lambda: self.actor(1, rule, self.noted.get(1, memory), self.noted.__setitem__),
        )

    def _keep(self, notes):
        if self.disk == "full":
            raise OSError(28, "No space left on device")
        if self.disk == "hangs":
            self.runtime.pause(60.0)
        self.kept.extend(notes)

    def reads(self, value, *, after_s=0.0, **how):
        """A reading of the sensor; then the actors come to rest."""
        self.runtime.run_for(after_s)
        now = self.runtime.now()
        reading = Reading(
            **{
                "key": KEY, "at": now, "received_at": now, "raw": 0.0, "value": value, "unit": "°C",
                "quality": Quality.GOOD, "heard_at": self.runtime.monotonic(),
                "age_s": max(0.0, now - how.get("at", now)), **how,
            }
        )  # fmt: skip
        self.system.handle("/control/rules/1").tell(ReadingAccepted(reading=reading))
        self.runtime.run_for(0.01)

    def look(self, after_s=0.0):
        self.runtime.run_for(after_s)
        self.system.handle("/control/rules/1").tell(LookAgain())
        self.runtime.run_for(0.01)

    def obeys(self, command):
        level = {Verb.OFF: 0.0, Verb.ON: 1.0}.get(command.verb, command.value)
        self.show_pump(level, owner=str(command.issuer))

    def show_pump(self, level, *, owner=""):
        config = ActuatorConfig(esp_id=PUMP[0], gpio=PUMP[1], actuator_type=ActuatorType.PUMP)
        view = ActuatorView(
            config=config, desired_value=level or 0.0, reported_value=level, owner=owner
        )
        # The tree gives no handles into it, as the real one does not.
        self.system.find(f"/control/safety/actuators/{PUMP[0]}:{PUMP[1]}").tell(view)

    def show_safety(self, state, **how):
        self.system.handle(paths.SAFETY).tell(SafetyView(state=state, **how))
        self.runtime.run_for(0.01)

    def show_device(self, *, online):
        view = DeviceView(record=DeviceRecord(device_id=PUMP[0]), online=online)
        self.system.handle(f"/control/devices/{PUMP[0]}").tell(view)
        self.runtime.run_for(0.01)

    @property
    def asked(self):
        return [m.command.verb.value for m in self.safety if isinstance(m, RequestCommand)]

    @property
    def view(self):
        return self.system.published_value("/control/rules/1", "view")

    @property
    def history(self):
        """The remarks and firings that reached the journal."""
        return [
            (m.decision.fired, m.decision.remark)
            for m in self.journal
            if isinstance(m, RecordRule) and m.decision is not None
        ]
