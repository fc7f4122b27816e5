"""One actor for each actuator: what is wanted of it, what it says it does, and until when.

It publishes commands, and nobody else does. It energises only with a clearance of the safety actor;
it switches off at the end of the lease, at a stop, and when it is in doubt, without asking anybody.
OFF is repeated until the device confirms it; an ON that is not confirmed becomes an OFF.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

import msgspec

from godkaiser.actors.device_messages import (
    ActuatorOutcome,
    ApplyCommand,
    InstallActuator,
    ReleaseNow,
    ResponseReported,
    StatusReported,
)
from godkaiser.actors.journal import RecordOutcome, RecordRuntime
from godkaiser.domain.entities import ActuatorConfig, Verb
from godkaiser.messages import ActuatorView, CommandOutcome, Message
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import ClearanceExpired, Fate
from godkaiser.mqtt.ports import CommandPort
from godkaiser.protocol import outbound
from godkaiser.storage.registry import Runtime
from godkaiser.supervision import Actor, Backoff, Handle
from godkaiser.supervision.strategy import backoff_delay

ANSWER_TIMEOUT_S = 15.0
OFF_REPEAT = Backoff(base_s=2.0, factor=2.0, max_s=60.0, jitter=0.2)
SAME_LEVEL = 0.02
"""Levels that differ by less are the same: the device counts in 255 steps."""


class AnswerOverdue(Message, frozen=True, kw_only=True):
    correlation_id: str


class LeaseOver(Message, frozen=True, kw_only=True):
    """To oneself: the maximum runtime or the duration has passed."""


class RepeatOff(Message, frozen=True, kw_only=True):
    """To oneself: the OFF is not confirmed yet."""


class Pending(msgspec.Struct, frozen=True):
    correlation_id: str
    level: float
    outcome_to: Any
    sent_at: float


class ActuatorActor(Actor):
    def __init__(
        self,
        config: ActuatorConfig,
        runtime: Runtime | None,
        port: CommandPort,
        guard: Handle,
        journal: Handle,
    ) -> None:
        super().__init__()
        self._config = config
        self._port = port
        self._guard = guard
        self._journal = journal
        self._restored = runtime
        self._pending: Pending | None = None
        self._off_attempts = 0
        self._view = ActuatorView(config=config)

    def on_start(self) -> None:
        seen = self.context.recall("view")
        if isinstance(seen, ActuatorView):
            # A crash of this actor: the clock of a lease does not begin again.
            self._view = msgspec.structs.replace(
                seen, config=self._config, pending_correlation_id=""
            )
            if seen.pending_correlation_id:
                self._end(seen.pending_correlation_id, None, "timed_out", "its actor crashed")
        elif self._restored is not None:
            self._view = ActuatorView(
                config=self._config,
                desired_value=self._restored.desired,
                on_since=self._restored.on_since,
                lease_until=self._restored.lease_until,
                owner=self._restored.owner,
            )
        self._arm_lease()
        self._show()

    def on_receive(self, message: object) -> None:
        match message:
            case ApplyCommand():
                self._apply(message)
            case ReleaseNow(reason=reason):
                self._switch_off(f"system:{reason}")
            case StatusReported():
                self._note_status(message)
            case ResponseReported():
                self._note_response(message)
            case LeaseOver():
                self._lease_over()
            case AnswerOverdue(correlation_id=correlation_id):
                self._answer_overdue(correlation_id)
            case RepeatOff():
                self._repeat_off()
            case InstallActuator(config=config):
                self._config = config
                self._show(config=config)
            case _:
                self.context.unhandled(message)

    # ---- commands

    def _apply(self, message: ApplyCommand) -> None:
        verdict = message.verdict
        if not verdict.energising:
            self._switch_off(message.issued_by, message.correlation_id, message.outcome_to)
            return
        command = Verb.PWM if verdict.verb is Verb.PWM else Verb.ON
        payload = outbound.actuator_command(
            command.value,
            verdict.value,
            # The device ends only an ON by itself; a PWM ends with the gateway's lease and with
            # the maximum runtime that the device is configured with.
            verdict.lease_s if command is Verb.ON else 0,
            message.correlation_id,
            message.issued_by,
        )
        try:
            self._port.energise(
                self._config.esp_id, self._config.gpio, payload, message.clearance, _ignore_fate
            )
        except ClearanceExpired:
            self._end(message.correlation_id, message.outcome_to, "refused", "a stop came first")
            return
        except NotConnected:
            self._end(
                message.correlation_id, message.outcome_to, "failed", "the broker is not connected"
            )
            return
        now = self.context.now()
        self._await_answer(Pending(message.correlation_id, verdict.value, message.outcome_to, now))
        self.context.cancel("repeat")
        was_on = self._view.on_since is not None and self._view.desired_value > 0
        self._show(
            desired_value=verdict.value,
            on_since=self._view.on_since if was_on else now,
            lease_until=now + verdict.lease_s,
            owner=message.issued_by,
        )
        self._arm_lease()
        self._keep_runtime()

    def _switch_off(
        self, by: str, correlation_id: str | None = None, outcome_to: Any = None
    ) -> None:
        correlation_id = correlation_id or str(uuid.uuid4())
        self._await_answer(Pending(correlation_id, 0.0, outcome_to, self.context.now()))
        self.context.cancel("lease")
        self._off_attempts = 0
        self._show(desired_value=0.0, lease_until=None, owner=by)
        self._send_off(correlation_id, by)
        self._keep_runtime()

    def _send_off(self, correlation_id: str, by: str) -> None:
        payload = outbound.actuator_command(Verb.OFF.value, 0.0, 0, correlation_id, by)
        # Without a link it is repeated below, and the device falls to its own safe state.
        with contextlib.suppress(NotConnected):
            self._port.release(self._config.esp_id, self._config.gpio, payload)
        self._off_attempts += 1
        delay_s = backoff_delay(OFF_REPEAT, self._off_attempts + 1, self.context.random())
        self.context.schedule(delay_s, RepeatOff(), key="repeat")

    def _repeat_off(self) -> None:
        if self._view.desired_value == 0.0 and self._view.reported_value != 0.0:
            self._send_off(str(uuid.uuid4()), self._view.owner)

    def _lease_over(self) -> None:
        if self._view.desired_value > 0.0:
            self._switch_off("system:max_runtime")

    def _answer_overdue(self, correlation_id: str) -> None:
        pending = self._pending
        if pending is None or pending.correlation_id != correlation_id:
            return
        self._pending = None
        text = f"the device did not answer within {ANSWER_TIMEOUT_S:.0f} s"
        self._end(correlation_id, pending.outcome_to, "timed_out", text)
        if pending.level > 0.0 and self._view.reported_value != self._view.desired_value:
            # It may or may not have switched on: in doubt, off.
            self._switch_off("system:unconfirmed")

    # ---- what the device says

    def _note_status(self, message: StatusReported) -> None:
        before = self._view.reported_value
        level = message.level
        on_since = self._view.on_since
        if level > 0.0:
            began = message.at - message.runtime_s
            on_since = began if on_since is None else min(on_since, began)
        else:
            on_since = None
        self._show(
            reported_value=level,
            reported_at=message.at,
            emergency=message.emergency,
            on_since=on_since,
        )
        pending = self._pending
        if level == 0.0:
            self.context.cancel("repeat")
        if pending is not None and abs(pending.level - level) < SAME_LEVEL:
            self._confirmed("the device reports the state")
        elif pending is None and self._view.desired_value > 0.0 and level == 0.0:
            # The device switched off by itself; the safe side is to agree.
            self.context.cancel("lease")
            self._show(desired_value=0.0, lease_until=None)
            self._keep_runtime()
        elif pending is None and self._view.desired_value == 0.0 and level > 0.0:
            # Nobody here wants it on.
            self._switch_off("system:drift")
        if before != level:
            self._keep_runtime()

    def _note_response(self, message: ResponseReported) -> None:
        pending = self._pending
        if pending is None or pending.correlation_id != message.correlation_id:
            return
        if message.success:
            self._confirmed(message.message)
            return
        self._pending = None
        self.context.cancel("answer")
        self._note_answer(pending)
        self._end(pending.correlation_id, pending.outcome_to, "failed", message.message)
        if pending.level > 0.0:
            self.context.cancel("lease")
            self._show(desired_value=0.0, lease_until=None)
            if self._view.reported_value:
                self._switch_off("system:failed")
            self._keep_runtime()

    def _confirmed(self, text: str) -> None:
        pending = self._pending
        if pending is None:
            return
        self._pending = None
        self.context.cancel("answer")
        self._note_answer(pending)
        self._end(pending.correlation_id, pending.outcome_to, "confirmed", text)

    # ---- bookkeeping

    def _note_answer(self, pending: Pending) -> None:
        took_s = self.context.now() - pending.sent_at
        self._show(answered_after=self._view.answered_after.and_one(took_s))

    def _await_answer(self, pending: Pending) -> None:
        if self._pending is not None:
            before = self._pending
            self._end(
                before.correlation_id, before.outcome_to, "superseded", "a newer command came"
            )
        self._pending = pending
        self._show(pending_correlation_id=pending.correlation_id)
        self.context.schedule(
            ANSWER_TIMEOUT_S, AnswerOverdue(correlation_id=pending.correlation_id), key="answer"
        )

    def _end(self, correlation_id: str, outcome_to: Any, state: str, text: str) -> None:
        outcome = CommandOutcome(
            correlation_id=correlation_id, state=state, message=text, at=self.context.now()
        )
        self._show(
            last_outcome=outcome,
            pending_correlation_id="" if self._pending is None else self._pending.correlation_id,
        )
        self._journal.tell(RecordOutcome(outcome=outcome))
        self._guard.tell(
            ActuatorOutcome(key=self._config.key, outcome=outcome, desired=self._view.desired_value)
        )
        if outcome_to is not None:
            outcome_to.set(outcome)

    def _arm_lease(self) -> None:
        self.context.cancel("lease")
        until = self._view.lease_until
        if until is not None and self._view.desired_value > 0.0:
            # Never longer than it may run at all: the clock may have been set back meanwhile.
            left_s = min(until - self.context.now(), float(self._config.max_runtime_s))
            self.context.schedule(left_s, LeaseOver(), key="lease")

    def _keep_runtime(self) -> None:
        view = self._view
        self._journal.tell(
            RecordRuntime(
                runtime=Runtime(
                    self._config.key,
                    view.desired_value,
                    view.on_since,
                    view.lease_until,
                    view.owner,
                )
            )
        )

    def _show(self, **changes: Any) -> None:
        self._view = msgspec.structs.replace(self._view, **changes)
        self.context.publish("view", self._view)


def _ignore_fate(_fate: Fate) -> None:
    """The answer of the device, or its silence, ends a command."""
