"""One actor for each rule: it hears the sensors that it names, decides, and asks the safety actor.

Its memory (hysteresis, cooldown) is handed over a crash through what it published, and over a
restart of the gateway through the journal.
"""

from __future__ import annotations

import uuid
from typing import Any

from godkaiser import paths
from godkaiser.actors.journal import RecordRule
from godkaiser.actors.timekeeper import Tick
from godkaiser.domain import rules
from godkaiser.domain.entities import (
    ActuatorKey,
    Command,
    Issuer,
    Reading,
    Verb,
)
from godkaiser.domain.rules import (
    ActuatorAction,
    Fact,
    RuleDefinition,
    RuleMemory,
    StopAction,
)
from godkaiser.domain.safety_state import Scope
from godkaiser.domain.sensors import may_feed_rules
from godkaiser.messages import (
    ActuatorView,
    ReadingAccepted,
    RequestCommand,
    RuleView,
    StopAll,
)
from godkaiser.supervision import Actor, Handle

RULES_JOB = "rules"


class RuleActor(Actor):
    def __init__(self, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None) -> None:
        super().__init__()
        self._rule_id = rule_id
        self._definition = definition
        self._memory = memory or RuleMemory()
        self._facts: dict[rules.SensorRef, Fact] = {}
        self._evaluated_at: float | None = None
        self._result = ""
        self._may_stop = any(isinstance(a, StopAction) for a in definition.actions)
        self._safety: Handle
        self._journal: Handle

    def on_start(self) -> None:
        self._safety = self.context.handle(paths.SAFETY)
        self._journal = self.context.handle(paths.JOURNAL)
        remembered = self.context.recall("memory")
        # A changed rule starts afresh: what the old text remembered may mean nothing in the new.
        if remembered is not None and remembered[0] == self._definition:
            self._memory = remembered[1]
        self._join_groups()
        for sensor in rules.sensors_of(self._definition):
            self._learn_latest(sensor)
        self._show()

    def on_receive(self, message: object) -> Any:
        match message:
            case ReadingAccepted(reading=reading):
                self._learn(reading)
                self._decide()
            case Tick():
                self._decide()
            case _:
                self.context.unhandled(message)

    def _decide(self) -> None:
        now = self.context.now()
        evaluation = rules.evaluate(self._definition, self._facts, self._memory, now)
        decision = rules.decide(
            self._definition, evaluation, self._memory, self._levels(), now, self._stopped()
        )
        for stop in decision.stops:
            self._ask_for_stop(stop)
        for action in (*decision.released, *decision.actions):
            self._request(action, now)
        if decision.memory != self._memory:
            self._memory = decision.memory
            self.context.publish("memory", (self._definition, self._memory))
            self._journal.tell(
                RecordRule(
                    rule_id=self._rule_id,
                    at=now,
                    memory=self._memory,
                    decision=decision if decision.fired or decision.released else None,
                    findings=evaluation.findings,
                )
            )
        self._evaluated_at = now
        if decision.fired or decision.released:
            self._result = "fired" if decision.fired else "released"
        self._show()

    def _ask_for_stop(self, action: StopAction) -> None:
        self._safety.tell_urgent(
            StopAll(
                issuer=Issuer("rule", str(self._rule_id), self._definition.priority),
                reason=action.reason or self._definition.name,
                esp_id=action.esp_id,
                zone_id=action.zone_id,
            )
        )

    def _stopped(self) -> frozenset[Scope]:
        if not self._may_stop:
            return frozenset()
        return self.context.look(paths.SAFETY, "stopped") or frozenset()

    def _request(self, action: ActuatorAction, now: float) -> None:
        command = Command(
            esp_id=action.esp_id,
            gpio=action.gpio,
            verb=action.command,
            value=action.value,
            duration_s=action.duration,
            issuer=Issuer("rule", str(self._rule_id), self._definition.priority),
            correlation_id=str(uuid.uuid4()),
            requested_at=now,
        )
        message = RequestCommand(command=command)
        if action.command is Verb.OFF:
            self._safety.tell_urgent(message)
        else:
            self._safety.tell(message)

    def _levels(self) -> dict[rules.ActuatorRef, float | None]:
        levels: dict[rules.ActuatorRef, float | None] = {}
        for esp_id, gpio in rules.actuators_of(self._definition):
            key = ActuatorKey(esp_id, gpio)
            view = self.context.look(paths.actuator(key.esp_id, key.gpio), "view")
            if isinstance(view, ActuatorView):
                # What is on its way counts as done, or each reading would ask again.
                pending = bool(view.pending_correlation_id)
                levels[esp_id, gpio] = (
                    view.desired_value
                    if pending or view.reported_value is None
                    else view.reported_value
                )
        return levels

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
        self._facts[key.esp_id, key.gpio, key.sensor_type] = Fact(reading.value, reading.at)

    def _learn_latest(self, sensor: rules.SensorRef) -> None:
        """After a restart: what the device published last, so that nothing starts from nothing."""
        esp_id, gpio, sensor_type = sensor
        view = self.context.look(paths.device(esp_id), "view")
        for config in getattr(view, "sensors", ()):
            if (config.gpio, config.sensor_type) == (gpio, sensor_type):
                reading = self.context.look(paths.device(esp_id), config.key)
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
            ),
        )
