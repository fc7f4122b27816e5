"""The safety actor: the one way to an actuator, and the keeper of the stops.

It alone holds handles of actuator actors and makes permits. A command is judged on facts that are
held here, so that two commands in one breath are judged one after the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.broker import LINK_GROUP, LinkDown, LinkUp, is_up
from godkaiser.actors.device_messages import (
    ActuatorOutcome,
    ApplyCommand,
    DevicePresence,
    DeviceReport,
    InstallActuator,
    InstallInterlocks,
    ReleaseNow,
    ResponseReported,
    StatusReported,
)
from godkaiser.actors.guarded_actuator import GuardedActuator
from godkaiser.actors.journal import RecordAudit, RecordSafety, RecordVerdict
from godkaiser.actors.router import BroadcastSeen
from godkaiser.actors.stops import Stops
from godkaiser.domain import safety_state
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Approval,
    Command,
    Issuer,
    OnShutdown,
)
from godkaiser.domain.interlocks import Interlock, OtherActuator, to_release
from godkaiser.domain.safety import CommandFacts, DeviceFacts, Hold, Verdict, judge
from godkaiser.domain.safety_state import GLOBAL, Scope, ScopeKind, held_by_another
from godkaiser.errors import GatewayError, UnknownActuator, UnknownDevice, ValidationFailed
from godkaiser.messages import (
    ActuatorStateChanged,
    ActuatorView,
    ClearStop,
    DeviceView,
    ExplainCommand,
    HoldActuator,
    HoldView,
    Message,
    PrepareShutdown,
    RequestCommand,
    ResumeAutomation,
    SafetyView,
    StopAll,
)
from godkaiser.mqtt.ports import PermitIssuer, StopPort
from godkaiser.protocol import inbound
from godkaiser.storage.audit import AuditEntry
from godkaiser.storage.latch_file import LatchFile
from godkaiser.supervision import Actor, Backoff, ChildSpec, Handle, StartChild
from godkaiser.supervision.strategy import backoff_delay

REPEAT = Backoff(base_s=2.0, factor=2.0, max_s=60.0, jitter=0.1)
CLOCK_JUMP_S = 1.0
CLEAR_GRACE_S = 10.0
"""Statuses built before a clear still say `active` for a moment; they are not a new stop."""
STOP_PROOFS = frozenset({"EMERGENCY_STOP_TRIGGERED", "BROADCAST_EMERGENCY_STOP_TRIGGERED"})
ASK_TIMEOUT_S = 2.0


class Repeat(Message, frozen=True, kw_only=True):
    """To oneself: who has not confirmed is told again."""


class SafetyActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        actuators: Iterable[ActuatorConfig],
        actuator_factory: Callable[[ActuatorConfig, Handle, Handle], ChildSpec],
        stop_port: StopPort,
        permits: PermitIssuer,
        latch_file: LatchFile,
        *,
        kaiser_id: str,
        mirror_exists: bool,
        interlocks: Iterable[Interlock] = (),
    ) -> None:
        super().__init__()
        self._configured = tuple(actuators)
        self._interlocks: dict[ActuatorKey, tuple[Interlock, ...]] = {}
        self._declared = tuple(interlocks)
        self._actuator_factory = actuator_factory
        self._permits = permits
        self._mirror_exists = mirror_exists
        self._actuators: dict[ActuatorKey, GuardedActuator] = {}
        self._devices: dict[str, DevicePresence] = {}
        self._cleared_at: dict[str, float] = {}
        self._repeats = 0
        self._shutting_down = False
        self._link_up = False
        self._clock_offset = 0.0
        self._stops = Stops(stop_port, permits, latch_file, kaiser_id, self._stops_changed)
        self._journal: Handle

    def on_start(self) -> None:
        self._journal = self.context.handle(paths.JOURNAL)
        self._link_up = is_up(self.context.look(paths.BROKER, "view"))
        self._recall_devices()
        self._clock_offset = self.context.now() - self.context.monotonic()
        self._stops.restore(self.context.now(), mirror_exists=self._mirror_exists)
        self._set_interlocks(self.context.recall("interlocks") or self._declared)
        for config in self.context.recall("actuators") or self._configured:
            self._install(config)
        for key, hold in (self.context.recall("holds") or {}).items():
            if key in self._actuators:
                self._actuators[key].hold = hold
        self.context.join(LINK_GROUP)
        unfinished = self.context.recall("stopping")
        if unfinished is not None:
            # A crash in the midst of a stop: its successor carries it out.
            self._stop_scope(unfinished)
        if self.context.incarnation > 1 and self._stops.state.records:
            # A stop may have come between the crash and now; saying it again moves nothing.
            self._permits.revoke_all()
            self._repeat()

    def on_receive(self, message: object) -> Any:
        self._mind_the_clock()
        match message:
            case RequestCommand():
                return self._request(message)
            case DeviceReport():
                self._device_report(message)
            case DevicePresence():
                self._device_presence(message)
            case ActuatorOutcome():
                self._actuator_outcome(message)
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
            case InstallActuator(config=config):
                self._install(config)
                self.context.publish("actuators", tuple(a.config for a in self._actuators.values()))
            case InstallInterlocks(interlocks=interlocks):
                self._set_interlocks(interlocks)
            case ExplainCommand(command=command):
                return judge(command, self._facts(command, self.context.now()), self.context.now())
            case HoldActuator():
                return self._hold(message)
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
        for actuator in self._actuators.values():
            actuator.shift(jumped_s)
        self._audit("system:clock", f"the clock was set by {jumped_s:+.1f} s", "")

    # ---- commands

    def _request(self, message: RequestCommand) -> Verdict:
        command = message.command
        now = self.context.now()
        actuator = self._actuators.get(command.key)
        verdict = judge(command, self._facts(command, now), now)
        if verdict.allowed and actuator is not None:
            permit = (
                self._permits.issue(command.esp_id, command.gpio) if verdict.energising else None
            )
            actuator.handle.tell(
                ApplyCommand(
                    correlation_id=command.correlation_id,
                    issued_by=str(command.issuer),
                    verdict=verdict,
                    permit=permit,
                    outcome_to=message.outcome_to,
                    priority=command.issuer.priority,
                )
            )
            actuator.desired = verdict.value
            actuator.owner = command.issuer
            actuator.set_level(verdict.value, now)
            if not verdict.energising:
                self._release_dependents(now)
        self._journal.tell(RecordVerdict(command=command, verdict=verdict))
        return verdict

    def _facts(self, command: Command, now: float) -> CommandFacts:
        actuator = self._actuators.get(command.key)
        presence = self._devices.get(command.esp_id)
        zone_id = "" if presence is None else presence.zone_id
        interlocks = self._interlocks.get(command.key, ())
        return CommandFacts(
            stop=self._stops.state.covering(command.esp_id, zone_id),
            device=None
            if presence is None
            else DeviceFacts(
                approval=Approval.APPROVED if presence.approved else Approval.PENDING,
                online=presence.online,
                zone_id=zone_id,
            ),
            actuator=None if actuator is None else actuator.facts(now),
            link_up=self._link_up and not self._shutting_down,
            automation_held=self._stops.state.holds_automation(command.esp_id, zone_id),
            interlocks=interlocks,
            others=self._others(interlocks) if interlocks else {},
        )

    # ---- interlocks and holds

    def _set_interlocks(self, interlocks: tuple[Interlock, ...]) -> None:
        by_actuator: dict[ActuatorKey, list[Interlock]] = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                by_actuator.setdefault(key, []).append(interlock)
        self._declared = interlocks
        self._interlocks = {key: tuple(entries) for key, entries in by_actuator.items()}
        self.context.publish("interlocks", interlocks)

    def _others(self, interlocks: Iterable[Interlock]) -> dict[ActuatorKey, OtherActuator]:
        """What is known of the actuators that these name."""
        found = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                actuator = self._actuators.get(key)
                presence = self._devices.get(key.esp_id)
                if actuator is not None:
                    found[key] = actuator.as_other(online=presence is not None and presence.online)
        return found

    def _release_dependents(self, now: float) -> None:
        """Something went off: what may not run without it, goes off with it."""
        if not self._declared:
            return
        for key in to_release(self._declared, self._others(self._declared)):
            actuator = self._actuators.get(key)
            if actuator is not None:
                actuator.desired = 0.0
                actuator.set_level(0.0, now)
                actuator.handle.tell_urgent(ReleaseNow(reason="interlock"))
                self._audit("system:interlock", f"released {key.esp_id}/{key.gpio}", "")

    def _hold(self, message: HoldActuator) -> HoldView:
        actuator = self._actuators.get(message.key)
        if actuator is None:
            raise UnknownActuator(esp_id=message.key.esp_id, gpio=message.key.gpio)
        now = self.context.now()
        until = math.inf if message.seconds is None else now + message.seconds
        actuator.hold = None if message.seconds == 0 else Hold(by=str(message.issuer), until=until)
        holds = {key: a.hold for key, a in self._actuators.items() if a.hold is not None}
        self.context.publish("holds", holds)
        verb = "released" if actuator.hold is None else "took"
        self._audit(str(message.issuer), f"{verb} {message.key.esp_id}/{message.key.gpio}", "")
        return HoldView(
            esp_id=message.key.esp_id,
            gpio=message.key.gpio,
            held=actuator.hold is not None,
            by="" if actuator.hold is None else actuator.hold.by,
            until=None if math.isinf(until) or actuator.hold is None else until,
        )

    def _actuator_outcome(self, message: ActuatorOutcome) -> None:
        actuator = self._actuators.get(message.key)
        if actuator is not None:
            actuator.desired = message.desired
            if message.desired == 0.0 and not actuator.reported:
                actuator.set_level(0.0, message.outcome.at)

    def _install(self, config: ActuatorConfig) -> None:
        known = self._actuators.get(config.key)
        if known is not None:
            known.config = config
            known.handle.tell(InstallActuator(config=config))
            return
        path = paths.actuator(config.esp_id, config.gpio)
        try:
            handle = self.context.handle(path)
        except KeyError:
            spec = self._actuator_factory(config, self.context.own, self._journal)
            # The supervisor of the actuators asks nobody, so this wait is short and has no circle.
            handle = self.context.handle(paths.ACTUATORS).ask(
                StartChild(spec), timeout_s=ASK_TIMEOUT_S
            )
        actuator = GuardedActuator(config, handle)
        view = self.context.look(path, "view")
        if isinstance(view, ActuatorView):
            actuator.desired = view.desired_value
            actuator.reported = view.reported_value
            actuator.on_since = view.on_since
        self._actuators[config.key] = actuator

    # ---- stops

    def _stop_scope(self, message: StopAll) -> SafetyView:
        now = self.context.now()
        scope = _scope(message.esp_id, message.zone_id)
        if scope.kind is ScopeKind.DEVICE and scope.name not in self._devices:
            raise UnknownDevice(device_id=scope.name)
        if scope.kind is ScopeKind.ZONE and not self._covered(scope):
            # A mistyped zone must not look like a stop that worked.
            reason = (
                f"No device is in zone '{scope.name}', so nothing was stopped. Stop everything?"
            )
            raise ValidationFailed(reason=reason)
        if message.dry_run:
            return self._stops.preview(
                safety_state.stop(
                    self._stops.state, scope, by=str(message.issuer), reason=message.reason,
                    now=now, devices=self._covered(scope),
                )
            )  # fmt: skip
        self.context.publish("stopping", message)
        self._stops.stop(scope, message.issuer, message.reason, now, self._covered(scope))
        for key, actuator in self._actuators.items():
            if self._is_covered(scope, key.esp_id):
                actuator.desired = 0.0
                if actuator.reported != 0.0:
                    actuator.handle.tell_urgent(ReleaseNow(reason="emergency_stop"))
        self._schedule_repeat(first=True)
        self.context.withdraw("stopping")
        self._audit(str(message.issuer), f"emergency_stop {scope}", message.reason)
        return self._stops.view()

    def _clear_scope(self, message: ClearStop) -> SafetyView:
        scope = _scope(message.esp_id, message.zone_id)
        now = self.context.now()
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
        self._audit(str(message.issuer), f"clear_emergency {scope}", message.reason)
        self._finish_resumed()
        return self._stops.view()

    def _to_be_cleared(self, scope: Scope) -> list[str]:
        return [
            device_id
            for device_id in self._covered(scope)
            if self._devices[device_id].online
            # One clear on the wire ends every stop of a device.
            and not held_by_another(
                self._stops.state, scope, device_id, self._devices[device_id].zone_id
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
        self._audit(str(message.issuer), f"resume automation {scope}", "")
        return self._stops.view()

    def _broadcast_seen(self, message: BroadcastSeen) -> None:
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
            self._stop_scope(
                StopAll(
                    issuer=Issuer("broadcast", str(fields.get("issued_by", "unknown"))[:40]),
                    reason=str(fields.get("reason", "stop on the broadcast topic"))[:100],
                )
            )

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
                for key, actuator in self._actuators.items()
                if self._is_covered(record.scope, key.esp_id) and self._devices[key.esp_id].online
            )
            if read_back:
                self._stops.finish_resume(record.scope)
                self._audit(record.cleared_by, f"resumed {record.scope}", record.reason)

    def _prepare_shutdown(self) -> int:
        self._shutting_down = True
        self._permits.revoke_all()
        told = 0
        for actuator in self._actuators.values():
            if actuator.config.on_shutdown is OnShutdown.OFF and (
                actuator.desired > 0.0 or actuator.reported
            ):
                actuator.handle.tell_urgent(ReleaseNow(reason="shutdown"))
                told += 1
        return told

    # ---- what devices say

    def _device_report(self, report: DeviceReport) -> None:
        device_id = report.device_id
        actuator = (
            None
            if report.gpio is None
            else self._actuators.get(ActuatorKey(device_id, report.gpio))
        )
        match report.payload:
            case inbound.ActuatorStatus() as status:
                self._status(device_id, actuator, status, report.at)
            case inbound.ActuatorResponse() as response:
                if actuator is not None:
                    actuator.handle.tell(
                        ResponseReported(
                            correlation_id=response.correlation_id,
                            success=response.success,
                            message=response.message,
                            at=report.at,
                        )
                    )
            case inbound.ActuatorAlert(alert_type="emergency_stop"):
                self._reports_stop(device_id, report.at)
            case inbound.EmergencyAck() | inbound.IntentOutcome():
                code = getattr(report.payload, "code", "EMERGENCY_STOP_TRIGGERED")
                if code in STOP_PROOFS and not self._has_actuators(device_id):
                    self._stops.confirm_stop(device_id, report.at)
            case inbound.EmergencyResponse(status="emergency_cleared"):
                self._confirm_clear(device_id, report.at)
            case inbound.RecoveryConfirm(state="cleared"):
                self._confirm_clear(device_id, report.at)
            case _:
                pass

    def _status(
        self,
        device_id: str,
        actuator: GuardedActuator | None,
        status: inbound.ActuatorStatus,
        at: float,
    ) -> None:
        if actuator is not None:
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
                    self._release_dependents(at)
        if status.emergency == "active":
            if status.level == 0.0:
                self._reports_stop(device_id, at)
        elif status.emergency == "normal":
            self._confirm_clear(device_id, at)
        self._finish_resumed()

    def _reports_stop(self, device_id: str, at: float) -> None:
        """The device is stopped: as it was told to, or by itself."""
        presence = self._devices.get(device_id)
        if presence is None:
            return
        record = self._stops.state.covering(device_id, presence.zone_id)
        if record is not None:
            self._stops.confirm_stop(device_id, at)
        elif at - self._cleared_at.get(device_id, 0.0) > CLEAR_GRACE_S:
            self._stop_scope(
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
        known = self._devices.get(presence.device_id)
        self._devices[presence.device_id] = presence
        came_back = presence.online and (known is None or not known.online or presence.rebooted)
        if came_back:
            self._stops.stop_returned(presence.device_id, presence.zone_id, presence.at)
            self._schedule_repeat(first=True)
        if not presence.online:
            for key, actuator in self._actuators.items():
                if key.esp_id == presence.device_id:
                    # What cannot be heard is not known.
                    actuator.reported = None
            self._finish_resumed()

    # ---- small things

    def _has_actuators(self, device_id: str) -> bool:
        return any(key.esp_id == device_id for key in self._actuators)

    def _covered(self, scope: Scope) -> list[str]:
        return [
            device_id
            for device_id, presence in self._devices.items()
            if scope.covers(device_id, presence.zone_id)
        ]

    def _is_covered(self, scope: Scope, device_id: str) -> bool:
        presence = self._devices.get(device_id)
        return presence is not None and scope.covers(device_id, presence.zone_id)

    def _recall_devices(self) -> None:
        """After a crash: the devices have published what they told before."""
        for path in self.context.children(paths.DEVICES):
            view = self.context.look(path, "view")
            if isinstance(view, DeviceView):
                self._devices[view.record.device_id] = DevicePresence(
                    device_id=view.record.device_id,
                    zone_id=view.record.zone_id,
                    approved=view.record.approval is Approval.APPROVED,
                    online=view.online,
                    rebooted=False,
                    at=self.context.now(),
                )

    def _stops_changed(self, view: SafetyView) -> None:
        self.context.publish("view", view)
        body = msgspec.json.encode(view).decode()
        self._journal.tell(RecordSafety(body=body, at=self.context.now()))

    def _audit(self, who: str, what: str, details: str) -> None:
        self._journal.tell(
            RecordAudit(
                entry=AuditEntry(at=self.context.now(), who=who, what=what, details=details)
            )
        )


def _scope(esp_id: str | None, zone_id: str | None) -> Scope:
    if esp_id is not None:
        return Scope(ScopeKind.DEVICE, esp_id)
    if zone_id is not None:
        return Scope(ScopeKind.ZONE, zone_id)
    return GLOBAL
