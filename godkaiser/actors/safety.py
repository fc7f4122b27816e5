"""The safety actor: the one way to an actuator, and the keeper of the stops.

It alone holds handles of actuator actors and clears commands. A command is judged on facts that are
held here, so that two commands in one breath are judged one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.broker import LINK_GROUP, LinkDown, LinkUp, is_up
from godkaiser.actors.command_desk import CommandDesk, Conditions
from godkaiser.actors.device_messages import (
    ActuatorOutcome,
    DevicePresence,
    DeviceRemoved,
    DeviceReport,
    InstallActuator,
    InstallInterlocks,
    ReleaseNow,
    ResponseReported,
    StatusReported,
    UninstallActuator,
)
from godkaiser.actors.guarded_actuator import GuardedActuator
from godkaiser.actors.guarded_site import GuardedSite
from godkaiser.actors.hold_book import HoldBook
from godkaiser.actors.input_watch import InputWatch
from godkaiser.actors.journal import RecordAudit, RecordSafety
from godkaiser.actors.router import BroadcastSeen
from godkaiser.actors.stops import Stops, StopTokens
from godkaiser.domain import safety_state
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Approval,
    Issuer,
    OnShutdown,
)
from godkaiser.domain.holds import Holds
from godkaiser.domain.interlocks import Interlock
from godkaiser.domain.safety import Hold
from godkaiser.domain.safety_state import (
    GLOBAL,
    SafetyState,
    Scope,
    ScopeKind,
    StopState,
    held_by_another,
)
from godkaiser.domain.stop_inputs import StopInput
from godkaiser.errors import (
    GatewayError,
    StopInputPressed,
    UnknownDevice,
    ValidationFailed,
)
from godkaiser.messages import (
    ActuatorStateChanged,
    ClearStop,
    DeviceView,
    ExplainCommand,
    HoldActuator,
    Message,
    PrepareShutdown,
    ReadingAccepted,
    RequestCommand,
    ResumeAutomation,
    SafetyView,
    StopAll,
)
from godkaiser.mqtt.gate import CommandGate
from godkaiser.mqtt.ports import AckPort, StopPort
from godkaiser.protocol import evidence, inbound
from godkaiser.protocol.evidence import Evidence
from godkaiser.storage.audit import entry_by
from godkaiser.storage.record_file import RecordFile
from godkaiser.supervision import Actor, Backoff, ChildSpec, Handle
from godkaiser.supervision.strategy import backoff_delay

REPEAT = Backoff(base_s=2.0, factor=2.0, max_s=60.0, jitter=0.1)
CLOCK_JUMP_S = 1.0
CLEAR_GRACE_S = 10.0
"""Statuses built before a clear still say `active` for a moment; they are not a new stop."""
ASK_TIMEOUT_S = 2.0
INPUT_TICK_S = 1.0


class Repeat(Message, frozen=True, kw_only=True):
    """To oneself: who has not confirmed is told again."""


class CheckInputs(Message, frozen=True, kw_only=True):
    """To oneself: whether a stop input has fallen silent."""


class SafetyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway is configured to have, and what it had stored, when it started.

    `mirror_exists`: the database knows of a latch, so one that is gone was lost.
    """

    actuators: tuple[ActuatorConfig, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    stop_inputs: tuple[StopInput, ...] = ()
    holds: Mapping[ActuatorKey, Hold] = {}
    mirror_exists: bool = False


class SafetyActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        record: SafetyRecord,
        actuator_factory: Callable[[ActuatorConfig, Handle, Handle], ChildSpec],
        stop_port: StopPort,
        gate: CommandGate,
        acks: AckPort,
        latch_file: RecordFile[SafetyState],
        holds_file: RecordFile[Holds],
        *,
        kaiser_id: str,
        tokens: StopTokens = StopTokens(),
    ) -> None:
        super().__init__()
        self._record = record
        self._actuator_factory = actuator_factory
        self._gate = gate
        self._acks = acks
        # Stops heard on the broadcast topic that the latch does not hold yet.
        self._unlatched: list[tuple[int, int]] = []
        self._holds_file = holds_file
        self._site = GuardedSite()
        self._inputs = InputWatch(record.stop_inputs)
        self._cleared_at: dict[str, float] = {}
        self._repeats = 0
        self._shutting_down = False
        self._link_up = False
        self._clock_offset = 0.0
        self._stops = Stops(
            stop_port, gate, latch_file, self._stops_changed, kaiser_id=kaiser_id, tokens=tokens
        )
        self._journal: Handle
        self._desk: CommandDesk
        self._holds: HoldBook

    def on_start(self) -> None:
        self._journal = self.context.handle(paths.JOURNAL)
        self._link_up = is_up(self.context.look(paths.BROKER, "view"))
        self._recall_devices()
        self._clock_offset = self.context.now() - self.context.monotonic()
        self._stops.restore(self.context.now(), mirror_exists=self._record.mirror_exists)
        self._desk = CommandDesk(
            self.context, self._site, self._gate, self._journal, self._actuator_factory
        )
        self._desk.begin(self._record.actuators, self._record.interlocks)
        self._holds = HoldBook(self.context, self._site, self._journal, self._holds_file)
        doubt = self._holds.restore(self._record.holds)
        self._watch_inputs()
        self.context.join(LINK_GROUP)
        unfinished = self.context.recall("stopping")
        if unfinished is not None:
            # A crash in the midst of a stop: its successor carries it out.
            self._carry_out(unfinished)
        if doubt:
            self._carry_out(StopAll(issuer=Issuer("system", "holds"), reason=doubt))
            # Only now may it be forgotten that it could not be read.
            self._holds.tidy()
        if self.context.incarnation > 1 and self._stops.state.records:
            # A stop may have come between the crash and now; saying it again moves nothing.
            self._gate.revoke_all()
            self._repeat()

    def on_receive(self, message: object) -> Any:
        self._mind_the_clock()
        match message:
            case RequestCommand():
                return self._desk.request(message, self._conditions())
            case DeviceReport():
                self._device_report(message)
            case DevicePresence():
                self._device_presence(message)
            case ActuatorOutcome():
                self._desk.outcome(message)
            case StopAll():
                return self._stop_scope(message)
            case ClearStop():
                return self._clear_scope(message)
            case ResumeAutomation():
                return self._resume_automation(message)
            case Repeat():
                self._repeat()
            case LinkUp():
                self._link_up = True
                self._repeats = 0
                self._repeat()
            case LinkDown():
                self._link_up = False
            case BroadcastSeen():
                self._broadcast_seen(message)
            case ReadingAccepted(reading=reading):
                if self._inputs.hear(reading, self.context.monotonic()):
                    self._heed_inputs()
            case CheckInputs():
                self._heed_inputs()
                self.context.schedule(INPUT_TICK_S, CheckInputs(), key="inputs")
            case InstallActuator():
                self._desk.install(message)
            case DeviceRemoved(device_id=device_id):
                self._site.forget(device_id)
            case UninstallActuator(key=key):
                self._desk.uninstall(key)
                self._holds.tidy()
            case InstallInterlocks(interlocks=interlocks):
                self._desk.set_interlocks(interlocks)
            case ExplainCommand(command=command):
                return self._desk.judge(command, self._conditions())
            case HoldActuator():
                return self._holds.hold(message)
            case PrepareShutdown():
                return self._prepare_shutdown()
            case _:
                self.context.unhandled(message)
        return None

    def _mind_the_clock(self) -> None:
        """Times are kept as people read them. When the clock is set, what was 3 s ago stays 3 s ago:
        or a clock set back would keep a stop from being cleared, and hide that a runtime is over.
        """
        offset = self.context.now() - self.context.monotonic()
        jumped_s = offset - self._clock_offset
        if abs(jumped_s) < CLOCK_JUMP_S:
            return
        self._clock_offset = offset
        self._stops.shift(jumped_s)
        self._cleared_at = {device: at + jumped_s for device, at in self._cleared_at.items()}
        self._site.shift(jumped_s)
        self._audit("system:clock", f"the clock was set by {jumped_s:+.1f} s", "")

    # ---- stops

    def _stop_scope(self, message: StopAll) -> SafetyView:
        scope = _scope(message.esp_id, message.zone_id)
        if scope.kind is ScopeKind.DEVICE and self._site.device(scope.name) is None:
            raise UnknownDevice(device_id=scope.name)
        if scope.kind is ScopeKind.ZONE and not self._site.covered(scope):
            # A mistyped zone must not look like a stop that worked.
            reason = (
                f"No device is in zone '{scope.name}', so nothing was stopped. Stop everything?"
            )
            raise ValidationFailed(reason=reason)
        if message.dry_run:
            return self._stops.preview(
                safety_state.stop(
                    self._stops.state, scope, by=str(message.issuer), reason=message.reason,
                    now=self.context.now(), devices=self._site.covered(scope),
                )
            )  # fmt: skip
        return self._carry_out(message)

    def _carry_out(self, message: StopAll) -> SafetyView:
        scope = _scope(message.esp_id, message.zone_id)
        self.context.publish("stopping", message)
        self._stops.stop(
            scope, message.issuer, message.reason, self.context.now(), self._site.covered(scope)
        )
        for actuator in self._site.covered_actuators(scope):
            actuator.desired = 0.0
            if actuator.reported != 0.0:
                actuator.handle.tell_urgent(ReleaseNow(reason="emergency_stop"))
        self._schedule_repeat(first=True)
        self.context.withdraw("stopping")
        self._audit(message.issuer, f"emergency_stop {scope}", message.reason)
        return self._stops.view()

    def _clear_scope(self, message: ClearStop) -> SafetyView:
        scope = _scope(message.esp_id, message.zone_id)
        now = self.context.now()
        pressed = self._inputs.demands(self.context.monotonic()).get(scope)
        if pressed is not None:
            raise StopInputPressed(reason=pressed.reason)
        if message.dry_run:
            return self._preview_clear(message, scope, now)
        if message.accept_unconfirmed:
            self._stops.accept_unconfirmed(scope, message.issuer, now)
        else:
            reachable = self._to_be_cleared(scope)
            self._stops.begin_clear(scope, message.issuer, message.reason, now, reachable)
            for device_id in reachable:
                self._cleared_at[device_id] = now
            self._schedule_repeat(first=True)
        self._audit(message.issuer, f"clear_emergency {scope}", message.reason)
        self._finish_resumed()
        return self._stops.view()

    def _to_be_cleared(self, scope: Scope) -> list[str]:
        return [
            device_id
            for device_id in self._site.covered(scope)
            if self._site.is_online(device_id)
            # One clear on the wire ends every stop of a device.
            and not held_by_another(
                self._stops.state, scope, device_id, self._site.zone_of(device_id)
            )
        ]

    def _preview_clear(self, message: ClearStop, scope: Scope, now: float) -> SafetyView:
        by, state = str(message.issuer), self._stops.state
        if message.accept_unconfirmed:
            return self._stops.preview(
                safety_state.accept_unconfirmed(state, scope, by=by, now=now)
            )
        reachable = self._to_be_cleared(scope)
        return self._stops.preview(
            safety_state.begin_clear(state, scope, by=by, now=now, reachable=reachable)
        )

    def _resume_automation(self, message: ResumeAutomation) -> SafetyView:
        scope = _scope(message.esp_id, message.zone_id)
        if message.dry_run:
            return self._stops.preview(safety_state.resume_automation(self._stops.state, scope))
        self._stops.resume_automation(scope)
        self._audit(message.issuer, f"resume automation {scope}", "")
        return self._stops.view()

    def _broadcast_seen(self, message: BroadcastSeen) -> None:
        self._heed_broadcast(message)
        if message.token is not None:
            self._unlatched.append(message.token)
            self._acknowledge_latched()

    def _acknowledge_latched(self) -> None:
        """The broker keeps a stop until the latch holds it: a kill before that loses nothing."""
        if self._stops.is_recorded and self._unlatched:
            self._acks.acknowledge(self._unlatched)
            self._unlatched.clear()

    def _heed_broadcast(self, message: BroadcastSeen) -> None:
        try:
            body = msgspec.json.decode(message.payload)
        except msgspec.DecodeError:
            body = None
        fields = body if isinstance(body, dict) else {}
        if message.retained:
            self._stops.clear_retained_broadcast()
            self._audit("device:broadcast", "retained broadcast cleared", json.dumps(fields)[:200])
            return
        if self._stops.is_own_broadcast(str(fields.get("correlation_id", ""))):
            return
        verb = fields.get("command", fields.get("action"))
        # A verb that is not text makes devices stop, too (contract, 11.2).
        if verb in ("stop_all", "emergency_stop") or not isinstance(verb, str | None):
            # The devices have heard it already; here it is latched and confirmed.
            self._carry_out(
                StopAll(
                    issuer=Issuer("broadcast", str(fields.get("issued_by", "unknown"))[:40]),
                    reason=str(fields.get("reason", "stop on the broadcast topic"))[:100],
                )
            )

    def _watch_inputs(self) -> None:
        devices = self._inputs.devices
        if not devices:
            return
        self._inputs.begin(self.context.monotonic(), self.context.recall("inputs") or {})
        for device_id in devices:
            self.context.join(("stop_input", device_id))
        self._show_inputs()
        self.context.schedule(INPUT_TICK_S, CheckInputs(), key="inputs")

    def _heed_inputs(self) -> None:
        for scope, demand in self._inputs.demands(self.context.monotonic()).items():
            record = self._stops.state.find(scope)
            if record is None or record.state is not StopState.ACTIVE:
                self._carry_out(
                    StopAll(
                        issuer=Issuer("input", str(demand.entry)),
                        reason=demand.reason,
                        esp_id=scope.name if scope.kind is ScopeKind.DEVICE else None,
                        zone_id=scope.name if scope.kind is ScopeKind.ZONE else None,
                    )
                )
        self._show_inputs()

    def _show_inputs(self) -> None:
        self.context.publish("inputs", self._inputs.remembered())
        self.context.publish("stop_inputs", self._inputs.views(self.context.monotonic()))

    def _repeat(self) -> None:
        if self._stops.repeat(self.context.now()):
            self._schedule_repeat(first=False)

    def _schedule_repeat(self, *, first: bool) -> None:
        self._repeats = 1 if first else self._repeats + 1
        delay_s = backoff_delay(REPEAT, self._repeats + 1, self.context.random())
        self.context.schedule(delay_s, Repeat(), key="repeat")

    def _finish_resumed(self) -> None:
        """Resuming ends when every actuator has told its state since the stop."""
        for record in self._stops.resuming():
            read_back = all(
                actuator.reported_at >= record.last_stop
                for actuator in self._site.covered_actuators(record.scope)
                if self._site.is_online(actuator.config.esp_id)
            )
            if read_back:
                self._stops.finish_resume(record.scope)
                self._audit(record.cleared_by, f"resumed {record.scope}", record.reason)

    def _prepare_shutdown(self) -> int:
        self._shutting_down = True
        self._gate.revoke_all()
        told = 0
        for actuator in self._site.actuators():
            if actuator.config.on_shutdown is OnShutdown.OFF and (
                actuator.desired > 0.0 or actuator.reported
            ):
                actuator.handle.tell_urgent(ReleaseNow(reason="shutdown"))
                told += 1
        return told

    # ---- what devices say

    def _device_report(self, report: DeviceReport) -> None:
        now = self.context.now()
        if report.at > now:
            # Stamped before the clock was set back: nothing here may lie in the future.
            report = msgspec.structs.replace(report, at=now)
        gpio = report.gpio
        actuator = None if gpio is None else self._site.find(ActuatorKey(report.device_id, gpio))
        if actuator is not None:
            self._inform(actuator, report)
        match evidence.of(report.payload):
            case Evidence.STOPPED:
                self._reports_stop(report.device_id, report.at)
            case Evidence.TOLD if not self._site.of_device(report.device_id):
                self._stops.confirm_stop(report.device_id, report.at)
            case Evidence.CLEARED:
                self._confirm_clear(report.device_id, report.at)
            case _:
                pass
        if isinstance(report.payload, inbound.ActuatorStatus):
            self._finish_resumed()

    def _inform(self, actuator: GuardedActuator, report: DeviceReport) -> None:
        match report.payload:
            case inbound.ActuatorStatus() as status:
                self._status(actuator, status, report.at)
            case inbound.ActuatorResponse() as response:
                actuator.handle.tell(
                    ResponseReported(
                        correlation_id=response.correlation_id,
                        success=response.success,
                        message=response.message,
                        at=report.at,
                    )
                )
            case _:
                pass

    def _status(self, actuator: GuardedActuator, status: inbound.ActuatorStatus, at: float) -> None:
        changed = actuator.reported != status.level
        actuator.reported = status.level
        actuator.reported_at = at
        actuator.set_level(status.level, at)
        actuator.handle.tell(
            StatusReported(
                level=status.level,
                runtime_s=status.runtime_ms / 1000.0,
                emergency=status.emergency,
                at=at,
            )
        )
        if changed:
            event = ActuatorStateChanged(key=actuator.config.key, value=status.level, at=at)
            for member in self.context.members(("actuator", actuator.config.key)):
                member.tell(event)
            if status.level == 0.0:
                self._desk.release_dependents(at)

    def _reports_stop(self, device_id: str, at: float) -> None:
        """The device is stopped: as it was told to, or by itself."""
        presence = self._site.device(device_id)
        if presence is None:
            return
        record = self._stops.state.covering(device_id, presence.zone_id)
        if record is not None:
            self._stops.confirm_stop(device_id, at)
        elif at - self._cleared_at.get(device_id, 0.0) > CLEAR_GRACE_S:
            self._carry_out(
                StopAll(
                    issuer=Issuer("device", device_id),
                    reason="the device reports an emergency stop",
                    esp_id=device_id,
                )
            )

    def _confirm_clear(self, device_id: str, at: float) -> None:
        record = next((r for r in self._stops.state.records if device_id in r.clearing), None)
        if record is not None and record.cleared_at is not None and at >= record.cleared_at:
            self._cleared_at[device_id] = at
            self._stops.confirm_clear(device_id, at)
            self._finish_resumed()

    def _device_presence(self, presence: DevicePresence) -> None:
        before = self._site.device(presence.device_id)
        moved = before is not None and before.zone_id != presence.zone_id
        if moved and before is not None:
            self._keep_stopped(before, presence)
        if self._site.learn(presence) or (moved and presence.online):
            self._stops.stop_returned(presence.device_id, presence.zone_id, presence.at)
            self._schedule_repeat(first=True)
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

    # ---- small things

    def _recall_devices(self) -> None:
        """After a crash: the devices have published what they told before."""
        for path in self.context.children(paths.DEVICES):
            view = self.context.look(path, "view")
            if isinstance(view, DeviceView):
                self._site.learn(
                    DevicePresence(
                        device_id=view.record.device_id,
                        zone_id=view.record.zone_id,
                        approved=view.record.approval is Approval.APPROVED,
                        online=view.online,
                        rebooted=False,
                        at=self.context.now(),
                    )
                )

    def _conditions(self) -> Conditions:
        return Conditions(
            stops=self._stops.state,
            link_up=self._link_up and not self._shutting_down,
            record_ok=self._stops.is_recorded,
        )

    def _stops_changed(self, view: SafetyView, is_event: bool) -> None:
        self.context.publish("view", view)
        active = (r.scope for r in self._stops.state.records if r.state is StopState.ACTIVE)
        self.context.publish("stopped", frozenset(active))
        self._acknowledge_latched()
        if is_event:
            body = msgspec.json.encode(view).decode()
            self._journal.tell(RecordSafety(body=body, at=self.context.now()))

    def _audit(self, by: Issuer | str, what: str, details: str) -> None:
        self._journal.tell(
            RecordAudit(entry=entry_by(by, at=self.context.now(), what=what, details=details))
        )


def _scope(esp_id: str | None, zone_id: str | None) -> Scope:
    if esp_id is not None:
        return Scope(ScopeKind.DEVICE, esp_id)
    if zone_id is not None:
        return Scope(ScopeKind.ZONE, zone_id)
    return GLOBAL
