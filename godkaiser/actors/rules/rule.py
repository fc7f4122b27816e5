"""One actor for each rule: receives the readings of its sensors, decides, and sends commands to the
safety actor.

Its memory (hysteresis, cooldown, a running sequence) survives a crash through its published value,
and a restart or sudden end of the gateway through its note and the journal. It is noted before
anything is switched on, and for a dose it is flushed to disk first; OFF and stops never wait.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.devices.messages import ReadingAccepted
from godkaiser.actors.message import Message
from godkaiser.actors.rules.dose_keeper import KeepMemory, MemoryKept
from godkaiser.actors.rules.messages import EndRule
from godkaiser.actors.rules.report import RuleReport
from godkaiser.actors.rules.requests import DURABLE_S, Asked, CommandEnded, RuleRequests
from godkaiser.actors.rules.senses import RuleSenses
from godkaiser.actors.safety.messages import CommandJudged, SafetyView, StopAll
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.domain.entities import Issuer
from godkaiser.domain.rules import attempts as rule_attempts
from godkaiser.domain.rules import clock as rule_clock
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    ClockStamp,
    Decision,
    NotificationAction,
    RuleDefinition,
    RuleMemory,
    StopAction,
)
from godkaiser.domain.safety.stop_state import Scope
from godkaiser.supervision import Actor, Handle

RULES_JOB = "rules"
NOT_WRITTEN = "NOT_DURABLE"
SUPERSEDED = "SUPERSEDED"
BY_STOP = frozenset({"EMERGENCY_STOP_ACTIVE", "AUTOMATION_HELD"})
ASK_AGAIN_S = 300.0

NoteMemory = Callable[[int, RuleMemory | None], None]
"""On return the memory survives the end of the process; None: the rule is being deleted."""

log = structlog.get_logger("godkaiser.rules")


class LookAgain(Message, frozen=True, kw_only=True):
    """To oneself: time alone may change the result now."""


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
        self._is_dose = rule_attempts.is_once(definition)
        self._stopped_by: SafetyView | None = None
        self._ask_again_at = 0.0
        self._untold: tuple[Decision, tuple[str, ...]] | None = None
        self._may_stop = any(isinstance(a, StopAction) for a in definition.actions)
        self._senses: RuleSenses
        self._requests: RuleRequests
        self._report: RuleReport
        self._safety: Handle
        self._doses: Handle

    def on_start(self) -> None:
        self._safety = self.context.handle(paths.SAFETY)
        self._doses = self.context.handle(paths.DOSES)
        self._report = RuleReport(self.context, self._rule_id, self._definition)
        self._requests = RuleRequests(self.context, self._issuer, is_dose=self._is_dose)
        # Join groups first: earlier readings are read from the views, later ones arrive as
        # messages.
        self._join_groups()
        self._senses = RuleSenses(self.context, self._definition, str(self._issuer))
        self._take_over()
        self._report.show(self._memory)
        if self._memory.progress is not None or self._memory.attempt is not None:
            # A sequence continues once its actuators have reported their states.
            self._wake_in(1.0)
        elif self._memory.firing or self._senses.facts().readings:
            # Act on the known readings, because the next one may take long. A disabled rule
            # releases its actuators.
            self._wake_in(0.0)

    def _take_over(self) -> None:
        """Take over the memory of the previous incarnation, which may have had another version of
        the rule, or of the previous process.
        """
        remembered = self.context.recall("memory")
        before = self._memory
        if remembered is None:
            self._memory = rule_clock.read_back(before, self._stamp())
            self._memory = rule_attempts.doubted(self._memory)
        else:
            definition, self._memory = remembered
            if rules.fingerprint(definition) != rules.fingerprint(self._definition):
                self._end(rules.end_of(definition, self._memory, "the rule has changed"))
                self._memory = msgspec.structs.replace(self._memory, progress=None, energised=())
        self._memory, left = rules.adopted(self._definition, self._memory)
        self._end(left)
        if remembered is not None and remembered[0] != self._definition:
            # The rule was saved again, so its author has seen the suspension.
            self._memory = msgspec.structs.replace(self._memory, suspended="", reversals=())
        if self._memory.doubt and self._memory.doubt != before.doubt and remembered is None:
            self._tell_doubt()
        changed = remembered is not None and remembered[0] != self._definition
        if changed or self._memory.text != before.text or self._memory.doubt != before.doubt:
            self._change_memory(self._memory)
            self._report.record(self._memory)

    def on_receive(self, message: object) -> Any:
        match message:
            case ReadingAccepted(reading=reading):
                self._senses.learn(reading)
                self._decide()
            case Tick() | LookAgain():
                self._decide()
            case MemoryKept(ticket=ticket, problem=problem):
                if not problem:
                    self._requests.go(ticket)
                else:
                    self._refuse(self._requests.withdraw(ticket), NOT_WRITTEN, problem)
            case CommandJudged():
                self._judged(message)
            case CommandEnded(outcome=outcome):
                self._settle(outcome.correlation_id)
            case EndRule(why=why):
                self._end(rules.end_of(self._definition, self._memory, why))
                self._change_memory(
                    msgspec.structs.replace(self._memory, progress=None, energised=())
                )
                self._report.record(self._memory)
                self._note(self._rule_id, None)
                self._doses.tell(KeepMemory(rule_id=self._rule_id, memory=None))
            case _:
                self.context.unhandled(message)

    # ---- deciding

    def _decide(self) -> None:
        now, wall = self.context.monotonic(), self.context.now()
        self._expire(now)
        self._wait_for_stop(now)
        facts = self._senses.facts()
        before = self._memory
        self._report.evaluation = rules.evaluate(self._definition, facts, before, now, wall)
        decision = rules.decide(
            self._definition, self._report.evaluation, before, facts, now, self._stopped(), wall
        )
        for stop in decision.stops:
            self._ask_for_stop(stop)
            decision = self._alarmed(decision, stop)
        given = [(str(uuid.uuid4()), a) for a in (*decision.released, *decision.actions)]
        offs = [asked for asked in given if not rules.energises(asked[1])]
        ons = [asked for asked in given if rules.energises(asked[1])]
        memory = self._superseded(decision.memory, offs, now)
        is_attempt = decision.commanded and rule_attempts.has_commands(self._definition)
        if is_attempt:
            memory = rule_attempts.begun(before, memory, now)
        memory = rule_attempts.asked(memory, given, now, once=self._is_dose)
        # OFFs before the memory: after a crash the OFF is simply requested again.
        self._requests.ask(offs, now)
        changed = memory != before or decision.is_worth_telling
        if changed:
            # A crash after this only loses the commands; in the other order a crash would give a
            # dose twice.
            self._change_memory(memory)
        self._request_ons(ons, now)
        self._tell(decision, tuple(one for one, _ in given), is_attempt=is_attempt, changed=changed)
        self._report.evaluated_at = wall
        if decision.wake_at is not None:
            self._wake_in(decision.wake_at - now)
        self._report.show(self._memory)

    def _superseded(self, memory: RuleMemory, offs: Sequence[Asked], now: float) -> RuleMemory:
        """Drop commands that wait for the disk if the actuator must be off again."""
        gone = [one for _, action in offs for one in self._requests.withdraw_for(action.ref)]
        for one in gone:
            memory = rule_attempts.judged(
                self._definition,
                memory,
                one,
                allowed=False,
                code=SUPERSEDED,
                message="it had to be switched off again before the command was sent",
                now=now,
            ).memory
        return memory

    def _request_ons(self, commands: Sequence[Asked], now: float) -> None:
        if not commands:
            return
        self.context.schedule(rule_attempts.VERDICT_S, LookAgain(), key="verdict")
        if not self._is_dose:
            self._requests.ask(commands, now)
            return
        ticket = commands[0][0]
        self._requests.hold_back(ticket, commands, now)
        self._doses.tell(
            KeepMemory(
                rule_id=self._rule_id,
                memory=self._memory,
                ticket=ticket,
                reply_to=self.context.own,
            )
        )
        self.context.schedule(DURABLE_S, LookAgain(), key="durable")

    def _tell(
        self, decision: Decision, ids: tuple[str, ...], *, is_attempt: bool, changed: bool
    ) -> None:
        """Report what it did; for an attempt, when its commands are judged."""
        held_back: tuple[NotificationAction, ...] = ()
        if is_attempt and not decision.stops:
            held_back = rules.notifications_of(self._definition)
        for notification in decision.notifications:
            if notification not in held_back:
                self._report.notify(notification)
        if is_attempt:
            self._untold = (decision, ids)
            self._report.record(self._memory)
        elif changed:
            if decision.is_worth_telling:
                self._report.result = decision.remark or ("fired" if decision.fired else "released")
            self._report.record(self._memory, decision, ids)

    # ---- verdicts and outcomes of its commands

    def _judged(self, verdict: CommandJudged) -> None:
        now = self.context.monotonic()
        before = self._memory
        found = rule_attempts.judged(
            self._definition,
            before,
            verdict.correlation_id,
            allowed=verdict.allowed,
            code=verdict.code,
            message=verdict.message,
            now=now,
            chance=self.context.random(),
        )
        if found.memory == before:
            return
        memory = found.memory
        left = () if found.broken is None else found.broken.commands
        given = [(str(uuid.uuid4()), action) for action in left]
        self._requests.ask(given, now)
        self._change_memory(memory)
        decision, ids = self._untold or (None, ())
        if found.stands:
            self._untold = None
            self._report.notify_all()
            # After a crash of this actor the details of its decision are lost, but not the fact.
            decision = decision or Decision(fired=True, actions=(), released=(), memory=memory)
            self._report.result = decision.remark or "fired"
            if decision.remark:
                log.warning("rule_fired", rule=self._definition.name, remark=decision.remark)
        if found.broken is not None:
            self._report.result = f"sequence {found.broken.outcome}"
            decision, ids = (
                _remarked(memory, self._report.result, decision),
                (*ids, *(i for i, _ in given)),
            )
        if found.refused:
            self._untold = None
            self._stopped_by = self.context.look(paths.SAFETY, "view")
            self._ask_again_at = now + ASK_AGAIN_S
            decision, ids = self._refused(found.refused, verdict.code), (verdict.correlation_id,)
            self._wake_in(0.0 if memory.refused is None else memory.refused.retry_at - now)
        told = found.stands or found.broken is not None or bool(found.refused)
        self._report.record(self._memory, decision if told else None, ids if told else ())
        self._report.show(self._memory)

    def _wait_for_stop(self, now: float) -> None:
        """Do not repeat a request that a stop refused while the stop is unchanged: a stop may last
        for days, and each request is stored. It is repeated from time to time.
        """
        refused = self._memory.refused
        if refused is None or now < refused.retry_at or refused.code not in BY_STOP:
            return
        view = self.context.look(paths.SAFETY, "view")
        is_over = view is None or (view.state == "normal" and not view.automation_held)
        if is_over or view != self._stopped_by or now >= self._ask_again_at:
            return
        later = msgspec.structs.replace(refused, retry_at=now + rule_attempts.FIRST_RETRY_S)
        self._memory = msgspec.structs.replace(self._memory, refused=later)

    def _refused(self, why: str, code: str) -> Decision | None:
        """A refusal, reported once and not for each attempt."""
        result = f"refused ({code}): {why}" if code else f"refused: {why}"
        before, self._report.result = self._report.result, result
        if rule_attempts.without_countdown(result) == rule_attempts.without_countdown(before):
            return None
        log.info("rule_refused", rule=self._definition.name, code=code, reason=why)
        return _remarked(self._memory, result)

    def _refuse(self, ids: Iterable[str], code: str, why: str) -> None:
        """Refuse commands that were never sent."""
        for one in ids:
            self._judged(CommandJudged(correlation_id=one, allowed=False, code=code, message=why))

    def _settle(self, correlation_id: str) -> None:
        memory = rule_attempts.settled(self._memory, correlation_id)
        if memory != self._memory:
            self._change_memory(memory)
            self._report.record(self._memory)

    def _expire(self, now: float) -> None:
        """Expire requests that have waited too long."""
        late = self._requests.withdraw_late(now)
        self._refuse(
            late, NOT_WRITTEN, "the memory of the rule could not be written to disk in time"
        )
        memory = rule_attempts.expired(self._memory, now)
        if memory is not None:
            self._change_memory(memory)
            self._tell_doubt()

    def _tell_doubt(self) -> None:
        """Report a dose in doubt; it is never repeated automatically: a person must check."""
        self._untold = None
        self._report.result = f"in doubt: {self._memory.doubt}; it is not repeated"
        log.warning("firing_in_doubt", rule=self._definition.name, reason=self._memory.doubt)
        self._report.notify_all(f"{self._definition.name}: {self._report.result}")
        self._report.record(self._memory, _remarked(self._memory, self._report.result))

    # ---- remembering and telling

    def _change_memory(self, memory: RuleMemory) -> None:
        self._memory = msgspec.structs.replace(
            memory, changes=self._memory.changes + 1, clock=self._stamp()
        )
        self._note(self._rule_id, self._memory)
        self.context.publish("memory", (self._definition, self._memory))

    def _stamp(self) -> ClockStamp:
        return ClockStamp(self.context.boot_id(), self.context.monotonic(), self.context.now())

    def _end(self, left: rules.Advance | None) -> None:
        """Do the remaining work of an old version or a deleted rule."""
        if left is None:
            return
        commands = [action for action in left.commands if self._is_own(action)]
        self._requests.ask(
            [(str(uuid.uuid4()), action) for action in commands], self.context.monotonic()
        )
        if left.outcome:
            self._report.result = f"sequence {left.outcome}"

    def _is_own(self, action: ActuatorAction) -> bool:
        """Whether the actuator was not taken over by somebody else meanwhile."""
        view = self._senses.actuator(action.ref)
        return view is None or view.owner in {"", str(self._issuer)}

    def _alarmed(self, decision: Decision, stop: StopAction) -> Decision:
        """A stop without any device, because its device or zone was deleted after the rule was
        saved.
        """
        nothing = self._senses.stops_nothing(stop)
        if not nothing:
            return decision
        log.error("stop_without_effect", rule=self._definition.name, reason=nothing)
        self._report.notify_all(
            f"{self._definition.name}: the emergency stop stops nothing: {nothing}"
        )
        remark = f"{decision.remark}; {nothing}" if decision.remark else nothing
        return msgspec.structs.replace(decision, remark=remark)

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

    def _wake_in(self, seconds: float) -> None:
        self.context.schedule(max(0.0, seconds), LookAgain(), key="wake")

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


def _remarked(memory: RuleMemory, remark: str, decision: Decision | None = None) -> Decision:
    """A decision for the history of the rule: nothing fired, but there is a remark."""
    if decision is not None:
        return msgspec.structs.replace(decision, remark=remark)
    return Decision(fired=False, actions=(), released=(), memory=memory, remark=remark)
