"""One actor for each rule: it hears the sensors that it names, decides, and asks the safety actor.

Its memory (hysteresis, cooldown, a sequence under way) is handed over a crash through what it published,
and over a restart of the gateway, or its sudden end, through its note and the journal.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.journal import RecordRule
from godkaiser.actors.notifier import Notify
from godkaiser.actors.timekeeper import Tick
from godkaiser.domain import derived, rules
from godkaiser.domain.entities import (
    ActuatorKey,
    Command,
    Issuer,
    Reading,
    Verb,
)
from godkaiser.domain.rules import (
    ActuatorAction,
    Decision,
    Evaluation,
    Fact,
    Facts,
    NotificationAction,
    RuleDefinition,
    RuleMemory,
    StopAction,
)
from godkaiser.domain.safety_state import Scope
from godkaiser.domain.sensors import may_feed_rules
from godkaiser.messages import (
    ActuatorView,
    DeviceView,
    Message,
    ReadingAccepted,
    RequestCommand,
    RuleView,
    StopAll,
)
from godkaiser.supervision import Actor, Handle

RULES_JOB = "rules"

NoteMemory = Callable[[int, RuleMemory | None], None]
"""On return it survives the end of the process; None: the rule is to be deleted."""


class LookAgain(Message, frozen=True, kw_only=True):
    """To oneself: something changes by itself now."""


class EndSequence(Message, frozen=True, kw_only=True):
    """From /registrar: the rule is about to be deleted. Reply: None, when it has done what is left."""

    why: str


class RuleActor(Actor):
    def __init__(
        self, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None, note: NoteMemory
    ) -> None:
        super().__init__()
        self._note = note
        self._rule_id = rule_id
        self._definition = definition
        self._memory = memory or RuleMemory()
        self._issuer = Issuer("rule", str(rule_id), definition.priority)
        self._readings: dict[rules.SensorRef, Fact] = {}
        self._trails: dict[rules.SensorRef, tuple[Fact, ...]] = {}
        self._windows = {
            sensor: window
            for sensor in rules.sensors_of(definition)
            if (window := rules.longest_window(definition, sensor))
        }
        self._actuators = rules.actuators_of(definition)
        self._devices = rules.devices_of(definition)
        self._evaluation: Evaluation | None = None
        self._evaluated_at: float | None = None
        self._result = ""
        self._may_stop = any(isinstance(a, StopAction) for a in definition.actions)
        self._safety: Handle
        self._journal: Handle

    def on_start(self) -> None:
        self._safety = self.context.handle(paths.SAFETY)
        self._journal = self.context.handle(paths.JOURNAL)
        self._take_over()
        self._join_groups()
        for sensor in rules.sensors_of(self._definition):
            self._learn_latest(sensor)
        self._show()
        if self._memory.progress is not None:
            # A sequence goes on where it stood, once the actuators have told how they are.
            self.context.schedule(1.0, LookAgain(), key="wake")

    def _take_over(self) -> None:
        """From the incarnation before, which may have had another text."""
        remembered = self.context.recall("memory")
        if remembered is not None:
            definition, memory = remembered
            if definition != self._definition:
                self._end(rules.end_of(definition, memory, "the rule has changed"))
                memory = msgspec.structs.replace(memory, progress=None)
            self._memory = memory
        changed = self._memory.text != rules.text_of(self._definition)
        self._memory, left = rules.adopted(self._definition, self._memory)
        self._end(left)
        if remembered is not None and remembered[0] != self._definition:
            # Saved again: whoever did has seen why it was suspended.
            self._memory = msgspec.structs.replace(self._memory, suspended="", reversals=())
            changed = True
        if changed:
            self._change_memory(self._memory)
            self._remember(None)

    def on_receive(self, message: object) -> Any:
        match message:
            case ReadingAccepted(reading=reading):
                self._learn(reading)
                self._decide()
            case Tick() | LookAgain():
                self._decide()
            case EndSequence(why=why):
                self._end(rules.end_of(self._definition, self._memory, why))
                self._change_memory(msgspec.structs.replace(self._memory, progress=None))
                self._remember(None)
                self._note(self._rule_id, None)
            case _:
                self.context.unhandled(message)

    def _decide(self) -> None:
        now = self.context.now()
        facts = self._facts()
        self._evaluation = rules.evaluate(self._definition, facts, self._memory, now)
        decision = rules.decide(
            self._definition, self._evaluation, self._memory, facts, now, self._stopped()
        )
        for stop in decision.stops:
            self._ask_for_stop(stop)
        given = (*decision.released, *decision.actions)
        commands = self._request_all(a for a in given if a.command is Verb.OFF)
        changed = decision.memory != self._memory or decision.is_worth_telling
        if changed:
            # A crash after this loses what was to be switched on; before it, a dose would be given twice.
            self._change_memory(decision.memory)
        commands += self._request_all(a for a in given if a.command is not Verb.OFF)
        for notification in decision.notifications:
            self._notify(notification)
        if changed:
            self._remember(decision, commands)
        self._evaluated_at = now
        if decision.is_worth_telling:
            self._result = decision.remark or ("fired" if decision.fired else "released")
        if decision.wake_at is not None:
            self.context.schedule(max(0.0, decision.wake_at - now), LookAgain(), key="wake")
        self._show()

    def _change_memory(self, memory: RuleMemory) -> None:
        self._memory = msgspec.structs.replace(memory, changes=self._memory.changes + 1)
        self._note(self._rule_id, self._memory)
        self.context.publish("memory", (self._definition, self._memory))

    def _remember(self, decision: Decision | None, commands: tuple[str, ...] = ()) -> None:
        self._journal.tell(
            RecordRule(
                rule_id=self._rule_id,
                at=self.context.now(),
                memory=self._memory,
                decision=decision if decision is not None and decision.is_worth_telling else None,
                findings=self._evaluation.findings if self._evaluation is not None else (),
                commands=commands,
            )
        )

    def _end(self, left: rules.Advance | None) -> None:
        if left is not None:
            self._request_all(left.commands)
            self._result = f"sequence {left.outcome}"

    def _notify(self, action: NotificationAction) -> None:
        findings = self._evaluation.findings if self._evaluation is not None else ()
        why = "; ".join(finding.detail for finding in findings) or "it holds"
        text = action.message.replace("{rule}", self._definition.name).replace("{why}", why)
        self.context.handle(paths.NOTIFIER).tell(
            Notify(
                at=self.context.now(),
                channel=action.channel,
                target=action.target,
                text=text,
                source=str(self._issuer),
                subject=self._definition.name,
            )
        )

    def _request_all(self, actions: Iterable[ActuatorAction]) -> tuple[str, ...]:
        """The correlation ids of the commands."""
        return tuple(self._request(action) for action in actions)

    def _ask_for_stop(self, action: StopAction) -> None:
        self._safety.tell_urgent(
            StopAll(
                issuer=self._issuer,
                reason=action.reason or self._definition.name,
                esp_id=action.esp_id,
                zone_id=action.zone_id,
            )
        )

    def _stopped(self) -> frozenset[Scope]:
        if not self._may_stop:
            return frozenset()
        return self.context.look(paths.SAFETY, "stopped") or frozenset()

    def _request(self, action: ActuatorAction) -> str:
        correlation_id = str(uuid.uuid4())
        command = Command(
            esp_id=action.esp_id,
            gpio=action.gpio,
            verb=action.command,
            value=action.value,
            duration_s=action.duration,
            issuer=self._issuer,
            correlation_id=correlation_id,
            requested_at=self.context.now(),
        )
        message = RequestCommand(command=command)
        if action.command is Verb.OFF:
            self._safety.tell_urgent(message)
        else:
            self._safety.tell(message)
        return correlation_id

    def _facts(self) -> Facts:
        levels: dict[rules.ActuatorRef, float | None] = {}
        reported: dict[rules.ActuatorRef, float | None] = {}
        owners: dict[rules.ActuatorRef, str] = {}
        for ref in self._actuators:
            key = ActuatorKey(*ref)
            view = self.context.look(paths.actuator(key.esp_id, key.gpio), "view")
            if not isinstance(view, ActuatorView):
                continue
            # What is on its way counts as done, or each reading would ask again.
            pending = bool(view.pending_correlation_id)
            known = view.desired_value if pending else view.reported_value
            levels[ref] = view.desired_value if known is None else known
            reported[ref] = None if pending else view.reported_value
            if view.owner and view.owner != str(self._issuer):
                owners[ref] = view.owner
        online: dict[str, bool | None] = {}
        for esp_id in self._devices:
            device = self.context.look(paths.device(esp_id), "view")
            online[esp_id] = device.online if isinstance(device, DeviceView) else None
        return Facts(self._readings, self._trails, online, levels, reported, owners)

    def _join_groups(self) -> None:
        groups: set[Any] = {("sensor", sensor) for sensor in rules.sensors_of(self._definition)}
        if rules.depends_on_time(self._definition):
            groups.add(RULES_JOB)
        for group in self.context.recall("groups") or ():
            if group not in groups:
                self.context.leave(group)
        for group in groups:
            self.context.join(group)
        self.context.publish("groups", frozenset(groups))

    def _learn(self, reading: Reading) -> None:
        if reading.value is None or not may_feed_rules(reading.quality):
            return
        key = reading.key
        ref = (key.esp_id, key.gpio, key.sensor_type)
        fact = self._readings[ref] = Fact(reading.value, reading.at)
        window = self._windows.get(ref)
        if window is not None:
            self._trails[ref] = rules.extended(self._trails.get(ref, ()), fact, window)

    def _learn_latest(self, sensor: rules.SensorRef) -> None:
        """After a restart: what the device published last, so that nothing starts from nothing."""
        esp_id, gpio, sensor_type = sensor
        view = self.context.look(paths.device(esp_id), "view")
        keys = [config.key for config in getattr(view, "sensors", ())]
        for key in (*keys, *(derived.deficit_key(key) for key in keys)):
            if (key.gpio, key.sensor_type) == (gpio, sensor_type):
                reading = self.context.look(paths.device(esp_id), key)
                if isinstance(reading, Reading):
                    self._learn(reading)

    def _show(self) -> None:
        self.context.publish(
            "view",
            RuleView(
                rule_id=self._rule_id,
                definition=self._definition,
                truth=self._memory.truth.value,
                last_evaluated=self._evaluated_at,
                last_fired=self._memory.last_fired,
                fired_count=self._memory.fired_count,
                last_result=self._result,
                suspended=self._memory.suspended,
                sequence=self._sequence(),
                findings=self._evaluation.findings if self._evaluation is not None else (),
            ),
        )

    def _sequence(self) -> str:
        progress = self._memory.progress
        return "" if progress is None else f"step {progress.step} of actions[{progress.action}]"
