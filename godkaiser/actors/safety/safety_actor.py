"""The safety actor: the only way to an actuator, and the owner of the stops.

Only it holds handles of actuator actors, steps the states of the actuators and clears commands. A
command is judged by facts that it holds itself, so two commands at the same instant are judged one
after the other. It never asks another actor.
"""

from __future__ import annotations

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
from godkaiser.actors.safety.device_reports import DeviceReports, LookForStop
from godkaiser.actors.safety.emergency_stops import EmergencyStops
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
    ShellStarted,
    StopAll,
    SwitchSafeMode,
)
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.safety.safety_disk import SafetyDisk, WriteAgain
from godkaiser.actors.safety.safety_display import SafetyDisplay, ShowStops
from godkaiser.actors.safety.standing_orders import StandingOrders
from godkaiser.actors.safety.stop_service import Repeat, StopService
from godkaiser.actors.safety.stop_wire import StopWire
from godkaiser.config.credentials import StopTokens
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
from godkaiser.domain.safety.stop_state import GLOBAL, SafetyState, Scope, StopState
from godkaiser.errors.base import GatewayError
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import EmergencyStopActive
from godkaiser.mqtt.gate import CommandGate, Fate
from godkaiser.mqtt.ports import AckPort, StopPort
from godkaiser.storage.files.record_file import RecordFile
from godkaiser.supervision import Actor, Handle

JUDGE_AGAIN_S = 30.0
SHUTDOWN = Issuer("system", "shutdown")

log = structlog.get_logger("godkaiser.safety")


class ResendOverdue(Message, frozen=True, kw_only=True):
    """To oneself: resend stops that the broker has not acknowledged."""


class JudgeAgain(Message, frozen=True, kw_only=True):
    """To oneself: a hold may have ended, so that a device may run an offline rule again."""


class SafetyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration and the stored states at the start of the gateway.

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
        """All incarnations share the files, which know what is not on disk yet."""
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
        self._judged: set[tuple[Scope, StopState]] = set()
        self._resend_planned = False
        self._shutting_down = False
        self._link_up = False
        self._journal: Handle
        self._plant: Plant
        self._wire: StopWire
        self._stops: EmergencyStops
        self._stop_service: StopService
        self._reports: DeviceReports
        self._disk: SafetyDisk
        self._display: SafetyDisplay
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
        self._stop_service = StopService(context, self._plant, self._stops, self._journal)
        self._recall_devices()
        self._standing = StandingOrders(context, self._plant, self._gate)
        self._reports = DeviceReports(
            context,
            self._plant,
            self._wire,
            self._stops,
            self._stop_service,
            self._standing,
            self._journal,
        )
        self._display = SafetyDisplay(
            context, self._stops, self._journal, self._judge_changed_scopes
        )
        self._stops.restore(mirror_exists=self._record.mirror_exists)
        self._commands = CommandService(
            context, self._plant, self._journal, self._actuator_factory, self._record.memories
        )
        self._commands.begin(self._record.actuators, self._record.interlocks)
        self._holds = ManualHolds(context, self._plant, self._journal, self._holds_file)
        self._disk = SafetyDisk(context, self._stops, self._holds, self._acks)
        doubt = self._holds.restore(self._record.holds)
        context.join(LINK_GROUP)
        self._stop_service.finish_unfinished()
        if doubt:
            self._stop_service.carry_out(StopAll(issuer=Issuer("system", "holds"), reason=doubt))
            # Only now may the unreadable record be replaced.
            self._holds.tidy()
        if context.incarnation > 1 and self._stops.state.records:
            self._gate.revoke_all()
            self._stop_service.stop_again()
        self._judge_standing()
        self._display.show_changes()
        self._disk.write_again()
        self._plan_resend()
        context.schedule(JUDGE_AGAIN_S, JudgeAgain(), key="judge")

    def on_receive(self, message: object) -> Any:
        try:
            reply = self._handle(message)
        finally:
            self._disk.settle()
        if self._stops.changed or self._plant.stays_on.changed:
            self._plant.stays_on.changed = False
            self._display.show_changes()
        self._plan_resend()
        return reply

    def _plan_resend(self) -> None:
        """Schedule the resend, with one timer for all stops."""
        wait_s = None if self._resend_planned else self._wire.next_resend_in_s()
        if wait_s is not None:
            self._resend_planned = True
            self.context.schedule(wait_s, ResendOverdue(), key="resend")

    def _handle(self, message: object) -> Any:
        match message:
            case RequestCommand():
                return self._commands.request(message, self._gateway_facts())
            case DeviceReport():
                self._reports.report(message)
            case CommandFate():
                self._command_fate(message)
            case ActuatorDue(key=key):
                self._reports.apply(key, events.TimePassed())
            case CommandNotSent(key=key, correlation_id=correlation_id):
                event = events.Died(
                    correlation_id=correlation_id, state=message.state, reason=message.reason
                )
                self._reports.apply(key, event)
            case DevicePresence():
                self._reports.presence(message)
            case StopAll():
                return self._stop_service.stop(message)
            case ClearStop():
                return self._stop_service.clear(message)
            case ResumeAutomation():
                return self._stop_service.resume_automation(message)
            case BroadcastSeen():
                self._reports.broadcast(message)
                if message.token is not None:
                    self._disk.acknowledge_when_latched(message.token)
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
                self._stop_service.forget(device_id)
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
        """Messages from own timers."""
        match message:
            case Repeat():
                self._stop_service.repeat()
            case LookForStop(device_id=device_id):
                self._reports.look_for_stop(device_id)
            case ResendOverdue():
                self._resend_planned = False
                self._wire.resend_overdue()
            case WriteAgain():
                self._disk.write_again()
            case JudgeAgain():
                self._standing.judge_offered(self._stops.state)
                if not self._stops.check_record():
                    self._disk.write_again()
                self.context.schedule(JUDGE_AGAIN_S, JudgeAgain(), key="judge")
            case ShowStops():
                self._display.show_planned()
            case _:
                self.context.unhandled(message)

    # ---- the link

    def _command_fate(self, message: CommandFate) -> None:
        match message.fate:
            case Fate.WITHHELD:
                event: events.ActuatorEvent = events.Died(
                    correlation_id=message.correlation_id, state="refused", reason=OVERTAKEN
                )
            case Fate.DELIVERED:
                event = events.Delivered(correlation_id=message.correlation_id)
            case _:
                # The command may still arrive: only an answer to an OFF, or a new session, proves
                # otherwise.
                return
        self._reports.apply(message.key, event)

    def _link_is_up(self) -> None:
        self._link_up = self._wire.link_was_up = True
        for state in tuple(self._plant.states()):
            if state.repeat_at is not None or is_energised(state):
                self._reports.apply(state.config.key, events.LinkCameUp())
        self._stop_service.repeat_now()

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
        """Judge the devices of stops that are new, ended, or no longer held."""
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

    # ---- helpers

    def _hold(self, message: HoldActuator) -> Any:
        try:
            return self._holds.hold(message)
        finally:
            self._standing.judge((message.key.esp_id,), self._stops.state)

    def _recall_devices(self) -> None:
        """After a crash: read the presences that the devices have published."""
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
