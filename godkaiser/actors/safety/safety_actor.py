"""The safety actor: the one way to an actuator, and the keeper of the stops.

It alone holds handles of actuator actors, steps the states of the actuators and clears commands. A
command is judged on facts that are held here, so that two commands in one breath are judged one after
the other. It asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.devices.messages import (
    DevicePresence,
    DeviceRemoved,
    DeviceReport,
    DeviceView,
    InstallActuator,
    InstallInterlocks,
    OfferOfflineRules,
    UninstallActuator,
)
from godkaiser.actors.link.broker import LINK_GROUP, LinkDown, LinkUp, is_up
from godkaiser.actors.link.router import BroadcastSeen
from godkaiser.actors.message import Message
from godkaiser.actors.safety.command_service import ActuatorFactory, CommandService, GatewayFacts
from godkaiser.actors.safety.device_events import event_of
from godkaiser.actors.safety.emergency_stops import HEARD, EmergencyStops, outline
from godkaiser.actors.safety.manual_holds import ManualHolds
from godkaiser.actors.safety.messages import (
    OVERTAKEN,
    ActuatorDue,
    ClearStop,
    CommandFate,
    CommandNotSent,
    ExplainCommand,
    HoldActuator,
    PrepareShutdown,
    RequestCommand,
    ResumeAutomation,
    SafetyView,
    ShellStarted,
    StopAll,
    SwitchSafeMode,
)
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.safety.standing_orders import StandingOrders
from godkaiser.actors.safety.stop_service import StopService
from godkaiser.actors.safety.stop_wire import StopTokens, StopWire
from godkaiser.actors.storage.journal import RecordAudit, RecordSafety
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Approval,
    Issuer,
    OnShutdown,
)
from godkaiser.domain.safety import actuator_events as events
from godkaiser.domain.safety.actuator_memory import KeptActuator
from godkaiser.domain.safety.actuator_state import is_energised
from godkaiser.domain.safety.holds import Holds
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.safety import Hold
from godkaiser.domain.safety.stop_confirmation import LATE_ANSWER_S, is_own_limit
from godkaiser.domain.safety.stop_state import GLOBAL, SafetyState, Scope, StopState, scope_of
from godkaiser.errors.base import GatewayError, ServiceUnavailable
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import EmergencyStopActive
from godkaiser.mqtt.gate import CommandGate, Fate
from godkaiser.mqtt.ports import AckPort, StopPort
from godkaiser.protocol import evidence, inbound
from godkaiser.protocol.evidence import Evidence
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.files.record_file import RecordFile
from godkaiser.supervision import Actor, Backoff, Handle
from godkaiser.supervision.strategy import backoff_delay

REPEAT = Backoff(base_s=2.0, factor=2.0, max_s=60.0, jitter=0.1)
"""A stop that the broker has not acknowledged by then goes out by another connection, too."""
CLEAR_GRACE_S = 3.0
"""Statuses built before a clear still say `active` for a moment; they are not a new stop. An alert is one:
it is told once, and a device's messages keep their order.
"""
ALARM_SLACK_S = 0.5
LIMIT_S = 60.0
"""Of a device's own stop all actuators tell within this time; they report every 30 s."""
WRITE_AGAIN = Backoff(base_s=0.5, factor=2.0, max_s=10.0, jitter=0.1)
JUDGE_AGAIN_S = 30.0
SHOWN_AT_ONCE = 64
"""Of a stop of more devices than this, the view is shown from time to time rather than each time."""
SHUTDOWN = Issuer("system", "shutdown")

log = structlog.get_logger("godkaiser.safety")


class Repeat(Message, frozen=True, kw_only=True):
    """To oneself: what is not confirmed is told again."""


class ResendOverdue(Message, frozen=True, kw_only=True):
    """To oneself: stops that the broker has not acknowledged go out again."""


class WriteAgain(Message, frozen=True, kw_only=True):
    """To oneself: what could not be written is written as soon as it can be."""


class LookForStop(Message, frozen=True, kw_only=True):
    """To oneself: what a device said right after a clear may have been of before, or a stop of its own."""

    device_id: str


class JudgeAgain(Message, frozen=True, kw_only=True):
    """To oneself: a hold may have ended, so that a device may keep a rule alone again."""


class ShowStops(Message, frozen=True, kw_only=True):
    """To oneself: the view of the stops has changed a moment ago."""


class SafetyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway is configured to have, and what it had stored, when it started.

    `mirror_exists`: the database knows of a latch, so one that is gone was lost. The holds end in unix
    seconds.
    """

    actuators: tuple[ActuatorConfig, ...] = ()
    memories: Mapping[ActuatorKey, KeptActuator] = {}
    interlocks: tuple[Interlock, ...] = ()
    holds: Mapping[ActuatorKey, Hold] = {}
    mirror_exists: bool = False


class SafetyActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        record: SafetyRecord,
        actuator_factory: ActuatorFactory,
        stop_port: StopPort,
        gate: CommandGate,
        acks: AckPort,
        latch_file: RecordFile[SafetyState],
        holds_file: RecordFile[Holds],
        *,
        kaiser_id: str,
        tokens: StopTokens = StopTokens(),
    ) -> None:
        """The files are shared by all incarnations: they know what is not on disk yet."""
        super().__init__()
        self._record = record
        self._actuator_factory = actuator_factory
        self._stop_port = stop_port
        self._gate = gate
        self._latch_file = latch_file
        self._holds_file = holds_file
        self._kaiser_id = kaiser_id
        self._tokens = tokens
        self._acks = acks
        self._unacknowledged: list[tuple[int, int]] = []
        self._repeats = 0
        self._writes = 0
        self._shown: object = None
        self._judged: set[tuple[Scope, StopState]] = set()
        self._show_planned = False
        self._resend_planned = False
        self._shutting_down = False
        self._link_up = False
        self._journal: Handle
        self._plant: Plant
        self._wire: StopWire
        self._stops: EmergencyStops
        self._stop_service: StopService
        self._commands: CommandService
        self._holds: ManualHolds
        self._standing: StandingOrders

    def on_start(self) -> None:
        context = self.context
        self._journal = context.handle(paths.JOURNAL)
        self._link_up = is_up(context.look(paths.BROKER, "view"))
        self._plant = Plant(context, self._gate, self._journal)

        def clock() -> tuple[float, float]:
            return context.now(), context.monotonic()

        self._wire = StopWire(
            self._stop_port, clock, kaiser_id=self._kaiser_id, tokens=self._tokens
        )
        self._stops = EmergencyStops(self._plant, self._wire, self._gate, self._latch_file, clock)
        self._stop_service = StopService(context, self._plant, self._stops)
        self._recall_devices()
        self._standing = StandingOrders(context, self._plant, self._gate)
        self._stops.restore(mirror_exists=self._record.mirror_exists)
        self._commands = CommandService(
            context, self._plant, self._journal, self._actuator_factory, self._record.memories
        )
        self._commands.begin(self._record.actuators, self._record.interlocks)
        self._holds = ManualHolds(context, self._plant, self._journal, self._holds_file)
        doubt = self._holds.restore(self._record.holds)
        context.join(LINK_GROUP)
        unfinished = context.recall("stopping")
        if unfinished is not None:
            # A crash in the midst of a stop: its successor carries it out.
            self._carry_out(unfinished)
        if doubt:
            self._carry_out(StopAll(issuer=Issuer("system", "holds"), reason=doubt))
            # Only now may it be forgotten that it could not be read.
            self._holds.tidy()
        if context.incarnation > 1 and self._stops.state.records:
            self._stop_again()
        self._judge_standing()
        self._show_changes()
        self._write_again()
        self._plan_resend()
        context.schedule(JUDGE_AGAIN_S, JudgeAgain(), key="judge")

    def _stop_again(self) -> None:
        """A stop may have come between the crash and now; saying it again moves nothing."""
        self._gate.revoke_all()
        for record in self._stops.state.records:
            if record.state is StopState.ACTIVE:
                for device_id in self._plant.covered(record.scope):
                    self._stops.stop_returned(device_id, self._plant.zone_of(device_id))
        self._schedule_repeat(first=True)

    def on_receive(self, message: object) -> Any:
        reply = self._handle(message)
        if self._stops.changed or self._plant.stays_on.changed:
            self._plant.stays_on.changed = False
            self._show_changes()
        self._plan_resend()
        return reply

    def _plan_resend(self) -> None:
        """For every stop, whoever gave it; one timer for all of them."""
        wait_s = None if self._resend_planned else self._wire.next_resend_in_s()
        if wait_s is not None:
            self._resend_planned = True
            self.context.schedule(wait_s, ResendOverdue(), key="resend")

    def _handle(self, message: object) -> Any:
        match message:
            case RequestCommand():
                return self._commands.request(message, self._gateway_facts())
            case DeviceReport():
                self._device_report(message)
            case CommandFate():
                self._command_fate(message)
            case ActuatorDue(key=key):
                self._apply(key, events.TimePassed())
            case CommandNotSent(key=key, correlation_id=correlation_id):
                event = events.Died(
                    correlation_id=correlation_id, state=message.state, reason=message.reason
                )
                self._apply(key, event)
            case DevicePresence():
                self._device_presence(message)
            case StopAll():
                return self._stop_scope(message)
            case ClearStop():
                return self._clear_scope(message)
            case ResumeAutomation():
                return self._resume_automation(message)
            case BroadcastSeen():
                self._broadcast_seen(message)
            case ShellStarted(key=key):
                self._plant.shell_restarted(key)
            case LinkUp():
                self._link_is_up()
            case LinkDown():
                self._link_up = False
            case InstallActuator(config=config):
                self._commands.install(message)
                self._standing.judge((config.esp_id,), self._stops.state)
            case DeviceRemoved(device_id=device_id):
                self._plant.forget(device_id)
                self._standing.forget(device_id)
            case UninstallActuator(key=key):
                self._commands.uninstall(key)
                self._holds.tidy()
            case InstallInterlocks(interlocks=interlocks):
                self._commands.set_interlocks(interlocks)
                self._judge_standing()
            case OfferOfflineRules():
                self._standing.offer(message, self._stops.state)
            case SwitchSafeMode():
                self._leave_safe_mode(message)
            case ExplainCommand(command=command):
                return self._commands.judge(command, self._gateway_facts())
            case HoldActuator():
                return self._hold(message)
            case PrepareShutdown():
                return self._prepare_shutdown()
            case _:
                self._own(message)
        return None

    def _own(self, message: object) -> None:
        """Reminders to oneself."""
        match message:
            case Repeat():
                self._repeat()
            case LookForStop(device_id=device_id):
                self._look_for_stop(device_id)
            case ResendOverdue():
                self._resend_planned = False
                self._wire.resend_overdue()
            case WriteAgain():
                self._write_again()
            case JudgeAgain():
                self._standing.judge_offered(self._stops.state)
                self.context.schedule(JUDGE_AGAIN_S, JudgeAgain(), key="judge")
            case ShowStops():
                self._show_planned = False
                self._show_now()
            case _:
                self.context.unhandled(message)

    # ---- stops

    def _stop_scope(self, message: StopAll) -> SafetyView:
        self._stop_service.check_stop(message)
        if message.dry_run:
            return self._stop_service.would_stop(message)
        return self._carry_out(message)

    def _carry_out(self, message: StopAll) -> SafetyView:
        scope = scope_of(message.esp_id, message.zone_id)
        self.context.publish("stopping", message)
        covered = self._plant.covered(scope)
        self._stops.stop(scope, message.issuer, message.reason, covered)
        self._schedule_repeat(first=True)
        self.context.withdraw("stopping")
        self._audit(message.issuer, f"emergency_stop {scope}", message.reason)
        self._write_again()
        return self._stops.view()

    def _clear_scope(self, message: ClearStop) -> SafetyView:
        self._stop_service.check_clear(message)
        if message.dry_run:
            return self._stop_service.would_clear(message)
        if self._stop_service.clear(message):
            self._schedule_repeat(first=True)
        scope = scope_of(message.esp_id, message.zone_id)
        self._audit(message.issuer, f"clear_emergency {scope}", message.reason)
        self._finish_resumed()
        return self._stops.view()

    def _resume_automation(self, message: ResumeAutomation) -> SafetyView:
        if message.dry_run:
            return self._stop_service.would_resume(message)
        scope = scope_of(message.esp_id, message.zone_id)
        self._stops.resume_automation(scope)
        self._audit(message.issuer, f"resume automation {scope}", "")
        return self._stops.view()

    def _broadcast_seen(self, message: BroadcastSeen) -> None:
        if message.token is not None:
            self._unacknowledged.append(message.token)
        self._heed_broadcast(message)
        self._write_again()

    def _heed_broadcast(self, message: BroadcastSeen) -> None:
        try:
            body = msgspec.json.decode(message.payload)
        except msgspec.DecodeError:
            body = None
        fields = body if isinstance(body, dict) else {}
        if message.retained:
            self._wire.clear_retained_broadcast()
            self._audit("device:broadcast", "retained broadcast cleared", json.dumps(fields)[:200])
            return
        if self._wire.is_own_broadcast(str(fields.get("correlation_id", ""))):
            return
        verb = fields.get("command", fields.get("action"))
        # A verb that is not text makes devices stop, too (contract, 11.2).
        if verb in ("stop_all", "emergency_stop") or not isinstance(verb, str | None):
            record = self._stops.state.find(GLOBAL)
            if record is not None and record.state is StopState.ACTIVE:
                # Another gateway's answer to ours, or its repetition: it is in force already.
                return
            # The devices have heard it already; here it is latched and confirmed.
            self._carry_out(
                StopAll(
                    issuer=Issuer(HEARD, str(fields.get("issued_by", "unknown"))[:40]),
                    reason=str(fields.get("reason", "stop on the broadcast topic"))[:100],
                )
            )

    def _link_is_up(self) -> None:
        self._link_up = True
        self._repeats = 0
        for state in tuple(self._plant.states()):
            if state.repeat_at is not None or is_energised(state):
                self._apply(state.config.key, events.LinkCameUp())
        self._repeat()

    def _repeat(self) -> None:
        try:
            anything_open = self._stops.repeat()
        except ServiceUnavailable as error:
            anything_open = True
            log.error("safety_record_not_written", reason=error.message)
        if anything_open:
            self._schedule_repeat(first=False)

    def _schedule_repeat(self, *, first: bool) -> None:
        self._repeats = 1 if first else self._repeats + 1
        delay_s = backoff_delay(REPEAT, self._repeats + 1, self.context.random())
        # The alarm of one stop does not wait for the repetition of another, which comes more rarely.
        delay_s = min(delay_s, self._stops.next_alarm_in_s() + ALARM_SLACK_S)
        self.context.schedule(delay_s, Repeat(), key="repeat")

    def _finish_resumed(self) -> None:
        """Resuming ends when every actuator has told its state since the stop."""
        for record in self._stops.resumable():
            try:
                self._stops.finish_resume(record.scope)
            except ServiceUnavailable as error:
                # The stop stands until the disk takes its end; each report tries again.
                log.error("safety_record_not_written", reason=error.message)
                return
            self._audit(record.cleared_by, f"resumed {record.scope}", record.reason)

    def _prepare_shutdown(self) -> int:
        self._shutting_down = True
        self._gate.revoke_all()
        told = 0
        for state in tuple(self._plant.states()):
            if state.config.on_shutdown is OnShutdown.OFF and is_energised(state):
                self._plant.switch_off(state.config.key, SHUTDOWN)
                told += 1
        return told

    # ---- what devices may energise by themselves

    def _judge_standing(self) -> None:
        self._standing.judge(self._plant.covered(GLOBAL), self._stops.state)

    def _judge_changed_scopes(self) -> None:
        """Of the stops that are new, over, or held no longer, the devices."""
        state = self._stops.state
        now = {(record.scope, record.state) for record in state.records}
        now |= {(scope, StopState.NORMAL) for scope in state.held}
        for scope, _ in now ^ self._judged:
            self._standing.judge(self._plant.covered(scope), state)
        self._judged = now

    def _leave_safe_mode(self, message: SwitchSafeMode) -> None:
        """Raises UnknownDevice, EmergencyStopActive."""
        presence = self._plant.device(message.device_id)
        handle = self.context.find(paths.device(message.device_id))
        if presence is None or handle is None:
            raise UnknownDevice(device_id=message.device_id)
        record = self._stops.state.covering(message.device_id, presence.zone_id)
        if record is not None:
            raise EmergencyStopActive(
                scope=str(record.scope), since=f"{record.since:.0f}", reason=record.reason
            )
        handle.tell(message)

    # ---- what devices say

    def _apply(self, key: ActuatorKey, event: events.ActuatorEvent) -> None:
        """Step an actuator, and look at what that means for the stops."""
        self._plant.apply(key, event)
        self._stops.look_at(key.esp_id)

    def _command_fate(self, message: CommandFate) -> None:
        match message.fate:
            case Fate.WITHHELD:
                event: events.ActuatorEvent = events.Died(
                    correlation_id=message.correlation_id, state="refused", reason=OVERTAKEN
                )
            case Fate.DELIVERED:
                event = events.Delivered(correlation_id=message.correlation_id)
            case _:
                # It may still arrive: only an answer to an OFF, or a new session, proves otherwise.
                return
        self._apply(message.key, event)

    def _device_report(self, report: DeviceReport) -> None:
        device_id, heard_at = report.device_id, report.heard_at
        event = None if report.gpio is None else event_of(report)
        if event is not None and report.gpio is not None:
            key = ActuatorKey(device_id, report.gpio)
            self._apply(key, event)
            if isinstance(event, events.Reported):
                self._stops.read_back(key)
        match evidence.of(report.payload):
            case Evidence.STOPPED | Evidence.TOLD as found:
                self._stops.heard(device_id, heard_at, redelivered=report.redelivered)
                if found is Evidence.STOPPED:
                    self._reports_stop(report)
            case Evidence.CLEARED if not report.redelivered:
                self._confirm_clear(device_id, report.payload, heard_at)
            case _:
                pass
        if isinstance(report.payload, inbound.ActuatorStatus):
            self._finish_resumed()

    def _reports_stop(self, report: DeviceReport) -> None:
        """The device is stopped: as it was told to, or by itself."""
        device_id = report.device_id
        presence = self._plant.device(device_id)
        if presence is None or report.redelivered:
            return
        if self._stops.state.covering(device_id, presence.zone_id) is not None:
            return
        if self._stops.owes_clear(device_id):
            self._stops.clear_what_is_owed(device_id)
            return
        if report.gpio is not None and isinstance(report.payload, inbound.ActuatorStatus):
            cleared_at = self._stops.cleared_at(device_id)
            now = self.context.monotonic()
            if cleared_at is not None and now <= cleared_at + CLEAR_GRACE_S:
                # It may have been built before the clear: whether it still holds is looked at later.
                message = LookForStop(device_id=device_id)
                delay_s = cleared_at + CLEAR_GRACE_S - now
                self.context.schedule(delay_s, message, key=("look for stop", device_id))
                return
        if report.gpio is None or not self._is_own_limit(device_id):
            self._take_over_stop(device_id)

    def _look_for_stop(self, device_id: str) -> None:
        """A stop was reported right after a clear: it holds if the actuators still say so."""
        presence = self._plant.device(device_id)
        if presence is None or self._stops.owes_clear(device_id):
            return
        if self._stops.state.covering(device_id, presence.zone_id) is not None:
            return
        states = self._plant.of_device(device_id)
        is_active = any(state.emergency == "active" for state in states)
        if is_active and not self._is_own_limit(device_id):
            self._take_over_stop(device_id)

    def _is_own_limit(self, device_id: str) -> bool:
        states = self._plant.of_device(device_id)
        return bool(states) and is_own_limit(states, self.context.monotonic(), LIMIT_S)

    def _take_over_stop(self, device_id: str) -> None:
        """The device has stopped by itself: it is stopped for the gateway, too."""
        self._carry_out(
            StopAll(
                issuer=Issuer("device", device_id),
                reason="the device reports an emergency stop",
                esp_id=device_id,
            )
        )

    def _confirm_clear(self, device_id: str, payload: object, heard_at: float) -> None:
        is_answer = not isinstance(payload, inbound.ActuatorStatus)
        try:
            self._stops.confirm_clear(device_id, heard_at, is_answer=is_answer)
        except ServiceUnavailable as error:
            # It stays in CLEARING, and is told again: the confirmation of that is written.
            log.error("safety_record_not_written", reason=error.message)
            return
        cleared_at = self._stops.cleared_at(device_id)
        may_be_ours = cleared_at is not None and heard_at - cleared_at < LATE_ANSWER_S
        if is_answer and not may_be_ours:
            # Somebody else has cleared it. A status speaks of one actuator, and for itself.
            self._stops.lifted(device_id, heard_at)
        self._finish_resumed()

    def _device_presence(self, presence: DevicePresence) -> None:
        before = self._plant.device(presence.device_id)
        if before is not None and presence.told_at < before.told_at:
            return
        moved = before is not None and before.zone_id != presence.zone_id
        if moved and before is not None:
            self._keep_stopped(before, presence)
        if self._plant.learn(presence) or (moved and presence.online):
            self._stops.stop_returned(presence.device_id, presence.zone_id)
            self._stops.clear_what_is_owed(presence.device_id)
            self._schedule_repeat(first=True)
        elif before is None:
            self._stops.await_absent(presence.device_id, presence.zone_id)
        self._stops.look_at(presence.device_id)
        self._standing.judge((presence.device_id,), self._stops.state)
        if presence.rebooted or before is None:
            self._standing.tell(presence.device_id)
        if not presence.online:
            self._finish_resumed()

    def _keep_stopped(self, before: DevicePresence, after: DevicePresence) -> None:
        """A device that is moved out of a stopped zone takes the stop along: a move frees nothing."""
        device_id = before.device_id
        record = self._stops.state.covering(device_id, before.zone_id)
        if record is None or record.scope.covers(device_id, after.zone_id):
            return
        self._carry_out(
            StopAll(
                issuer=Issuer("system", "moved"),
                reason=f"moved out of {record.scope} while that was stopped: {record.reason}"[:100],
                esp_id=device_id,
            )
        )

    # ---- the disk

    def _hold(self, message: HoldActuator) -> Any:
        try:
            return self._holds.hold(message)
        finally:
            self._standing.judge((message.key.esp_id,), self._stops.state)
            self._write_again()

    def _write_again(self) -> None:
        """Until the disk has what is in force; then the broker hears that its stops are latched."""
        latched, held = self._stops.write_again(), self._holds.write_again()
        if latched and self._unacknowledged:
            self._acks.acknowledge(self._unacknowledged)
            self._unacknowledged = []
        if latched and held:
            self._writes = 0
            return
        self._writes += 1
        delay_s = backoff_delay(WRITE_AGAIN, self._writes + 1, self.context.random())
        self.context.schedule(delay_s, WriteAgain(), key="write")

    # ---- showing

    def _show_changes(self) -> None:
        """Many devices confirm a stop within a moment; the view of all of them is not made for each."""
        if outline(self._stops.state) != self._shown or self._stops.size <= SHOWN_AT_ONCE:
            self._show_now()
        elif not self._show_planned:
            self._show_planned = True
            delay_s = 0.05 + self._stops.size / 5000
            self.context.schedule(delay_s, ShowStops(), key="show")

    def _show_now(self) -> None:
        self._stops.changed = False
        view = self._stops.view()
        alarm_changed = view.alarm != getattr(self.context.recall("view"), "alarm", "")
        self.context.publish("view", view)
        active = (r.scope for r in self._stops.state.records if r.state is StopState.ACTIVE)
        self.context.publish("stopped", frozenset(active))
        if outline(self._stops.state) != self._shown or alarm_changed:
            self._shown = outline(self._stops.state)
            self._judge_changed_scopes()
            body = msgspec.json.encode(view).decode()
            self._journal.tell(RecordSafety(body=body, at=self.context.now()))

    # ---- small things

    def _recall_devices(self) -> None:
        """After a crash: the devices have published what they told before."""
        now = self.context.monotonic()
        for path in self.context.children(paths.DEVICES):
            view = self.context.look(path, "view")
            if isinstance(view, DeviceView):
                self._plant.learn(
                    DevicePresence(
                        device_id=view.record.device_id,
                        zone_id=view.record.zone_id,
                        approved=view.record.approval is Approval.APPROVED,
                        online=view.online,
                        rebooted=False,
                        told_at=now,
                    )
                )

    def _gateway_facts(self) -> GatewayFacts:
        return GatewayFacts(
            stops=self._stops.state,
            link_up=self._link_up and not self._shutting_down,
            record_ok=self._stops.is_recorded,
        )

    def _audit(self, by: Issuer | str, what: str, details: str) -> None:
        self._journal.tell(
            RecordAudit(entry=entry_by(by, at=self.context.now(), what=what, details=details))
        )
