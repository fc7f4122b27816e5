"""/logic/rules/test and /logic/explain: what a rule would do, would have done, and has done."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.registry.messages import CheckRule
from godkaiser.actors.safety.messages import ActuatorView, ExplainCommand
from godkaiser.domain.entities import ActuatorKey, Quality, Reading
from godkaiser.domain.records.reading_order import measured_at
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.replay import PastReading, Replay, replay
from godkaiser.domain.rules.rules import (
    Fact,
    Facts,
    Finding,
    Problem,
    RuleDefinition,
    RuleMemory,
    Truth,
)
from godkaiser.domain.rules.schema import command_of, every_command, every_condition
from godkaiser.domain.sensors.sensors import may_feed_rules
from godkaiser.errors.base import GatewayError, ServiceUnavailable, ValidationFailed
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Entries, Example
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    identity_of,
    issuer_of,
    query_float,
    query_int,
    read_body,
    reply,
)
from godkaiser.http.hidden_targets import shown_to
from godkaiser.http.queries import TIME, Parameter, count, text
from godkaiser.http.resources.rules.rules import DOSING
from godkaiser.http.services import Services
from godkaiser.storage.repositories import explanations
from godkaiser.storage.series.readings import past_values

DAY_S = 86_400.0
MOST_HOURS = 24 * 31
MOST_LOOKS = 4_000_000
"""Looks times conditions of one trial: some seconds of work. Few readings need a look."""
MOST_READINGS = 2_000_000
MOST_TRIALS = 2
_USABLE = frozenset(quality.value for quality in Quality if may_feed_rules(quality))
_ACTUATOR = re.compile(r"([A-Za-z0-9_]{1,31}):([0-9]{1,2})\Z")


class TestBody(RequestBody, frozen=True, kw_only=True):
    """`hours` back from now; 0 looks at the present only."""

    rule: RuleDefinition
    rule_id: int | None = None
    hours: Annotated[float, msgspec.Meta(ge=0, le=MOST_HOURS)] = 24.0


class CommandTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What a command of the rule would be answered now; `path` is its place in the rule."""

    path: str
    allowed: bool
    code: str
    message: str


class TrialNow(msgspec.Struct, frozen=True, kw_only=True):
    truth: Truth
    findings: tuple[Finding, ...]
    verdicts: list[CommandTrial]


class TrialAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a rule; `now` and `history` are null where an error keeps it from being tried."""

    problems: list[Problem]
    now: TrialNow | None
    history: Replay | None


ENDPOINTS = (
    Endpoint(
        "POST", "/logic/rules/test", "test", OPERATOR, "Try a rule: nothing is saved and nothing is switched.",
        TrialAnswer,
        details="The answer lists the rule's mistakes, whether it holds now, the verdict on each command, and the"
        " actions that it would have taken in the last `hours` (24).",
        body=TestBody, changes_nothing=True, examples=(Example({"rule": DOSING, "hours": 1}),),
    ),
    Endpoint(
        "GET", "/logic/explain", "explain", VIEWER,
        "Explain the newest commands to an actuator: verdict, outcome and, where a rule gave it, the readings.",
        Entries[explanations.Explanation],
        query=(text("actuator", "ESP:GPIO, such as ESP_4F3A9C:25."), Parameter("at", TIME, "Up to this time."),
               count(100)),
    ),
)  # fmt: skip


class RuleTrialResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._trials = threading.BoundedSemaphore(MOST_TRIALS)

    def on_post_test(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Nothing is saved and nothing is switched."""
        body = read_body(req, TestBody)
        problems = ask(
            self._services.system,
            paths.REGISTRAR,
            CheckRule(definition=body.rule, rule_id=body.rule_id),
        )
        now, history = None, None
        if not any(problem.severity == "error" for problem in problems):
            now = self._now(req, body.rule)
            if body.hours:
                history = self._history(body.rule, body.hours * 3600.0)
        reply(resp, TrialAnswer(problems=problems, now=now, history=history))

    def _now(self, req: falcon.Request, rule: RuleDefinition) -> TrialNow:
        now = self._services.clock()
        evaluation = rules.evaluate(
            rule, self._facts(rule), RuleMemory(), self._services.system.runtime.monotonic(), now
        )
        verdicts = []
        for path, action in every_command(rule):
            command = command_of(
                action,
                issuer_of(req),
                correlation_id="",
                requested_at=now,
                decided_at=self._services.system.runtime.monotonic(),
            )
            try:
                verdict = ask(self._services.system, paths.SAFETY, ExplainCommand(command=command))
                allowed, code, message = verdict.allowed, verdict.code, verdict.message
            except GatewayError as error:
                allowed, code, message = False, error.code, error.message
            verdicts.append(CommandTrial(path=path, allowed=allowed, code=code, message=message))
        return TrialNow(truth=evaluation.truth, findings=evaluation.findings, verdicts=verdicts)

    def _facts(self, rule: RuleDefinition) -> Facts:
        """What is known now; a trail of the past there is not."""
        system = self._services.system
        readings: dict[rules.SensorRef, Fact] = {}
        online: dict[str, bool | None] = {}
        levels: dict[rules.ActuatorRef, float | None] = {}
        for sensor in rules.sensors_of(rule):
            for reading in system.published(paths.device(sensor[0])).values():
                if (
                    isinstance(reading, Reading)
                    and sensor in rules.refs_of(reading.key)
                    and reading.value is not None
                    and reading.usable_by_rules
                    and may_feed_rules(reading.quality)
                ):
                    readings[sensor] = Fact(reading.value, measured_at(reading))
        for esp_id in rules.devices_of(rule):
            device = system.published_value(paths.device(esp_id), "view")
            online[esp_id] = device.online if isinstance(device, DeviceView) else None
        for ref in rules.actuators_of(rule):
            view = system.published_value(paths.actuator(*ref), "view")
            levels[ref] = view.reported_value if isinstance(view, ActuatorView) else None
        return Facts(readings, {}, online, levels, levels)

    def _history(self, rule: RuleDefinition, span_s: float) -> Replay:
        """`complete` is false where the trial ends before the present: there is more than it may look at."""
        if not self._trials.acquire(blocking=False):
            reason = f"{MOST_TRIALS} trials are running, as many as may at once. Try again."
            raise ServiceUnavailable(reason=reason)
        try:
            end = self._services.clock()
            most_looks = MOST_LOOKS // sum(1 for _ in every_condition(rule))
            past = _Past(
                past_values(
                    self._services.database,
                    rules.sensors_of(rule),
                    end - span_s,
                    end,
                    MOST_READINGS,
                )
            )
            found = replay(rule, past, end - span_s, end, most_looks=most_looks)
        finally:
            self._trials.release()
        is_complete = found.complete and past.taken < MOST_READINGS
        return msgspec.structs.replace(found, complete=is_complete)

    def on_get_explain(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`?actuator=ESP:GPIO&at=`: the newest commands up to then, each back to its cause."""
        found = _ACTUATOR.match(req.get_param("actuator") or "")
        if found is None:
            reason = "Name the actuator as ?actuator=ESP_4F3A9C:25."
            raise ValidationFailed(reason=reason)
        at = query_float(req, "at")
        limit = query_int(req, "limit", 5, 1, 100) or 5
        data = explanations.explain(
            self._services.database,
            ActuatorKey(found[1], int(found[2])),
            self._services.clock() if at is None else at,
            limit,
        )
        for one in data:
            if one.execution is not None:
                shown_to(identity_of(req).role, one.execution.actions)
        reply(resp, Entries(data=data, count=len(data)))


class _Past:
    """The usable ones; `taken` of all."""

    def __init__(self, found: Iterator[tuple[float, rules.SensorRef, float, str]]) -> None:
        self._found = found
        self.taken = 0

    def __iter__(self) -> Iterator[PastReading]:
        for at, sensor, value, quality in self._found:
            self.taken += 1
            if quality in _USABLE:
                yield at, sensor, value
