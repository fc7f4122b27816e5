"""The registrar: the one writer of what the gateway is configured to have.

It checks, writes to the database, then tells the actors; a change that is not on disk is not
answered as done. It is not on the path from a reading to an actuator. Each kind of thing has its
desk; all work in this actor's thread, on one book.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.calibration_desk import CalibrationDesk
from godkaiser.actors.device_desk import DeviceDesk
from godkaiser.actors.device_messages import (
    EntriesForgotten,
    SubzoneForgotten,
    UpdateOfflineRules,
)
from godkaiser.actors.newcomers import Newcomers, SaveUnsaved, StartAppeared
from godkaiser.actors.point_desk import PointDesk
from godkaiser.actors.router import UnknownDeviceSeen
from godkaiser.actors.site_book import ASK_TIMEOUT_S, DeviceFactory, SiteBook
from godkaiser.domain import offline_rules, rules
from godkaiser.domain.declared import Declared
from godkaiser.domain.rules import RuleDefinition, RuleMemory
from godkaiser.errors import GatewayError, InvalidRule, UnknownRule
from godkaiser.messages import (
    AbortCalibration,
    AddCalibrationPoint,
    ApplyCalibration,
    ChangeDevice,
    ConfigureActuator,
    ConfigureSensor,
    DecideApproval,
    DeleteRule,
    ListCalibrations,
    RegisterDevice,
    RemoveActuator,
    RemoveDevice,
    RemoveSensor,
    RemoveSubzone,
    RuleView,
    SaveInterlocks,
    SaveRule,
    SaveSubzone,
    StartCalibration,
    UndoCalibration,
)
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.storage import registry
from godkaiser.storage.database import Database
from godkaiser.supervision import Actor, ChildSpec, RestartChild, StopChild

RuleFactory = Callable[[int, RuleDefinition, RuleMemory | None], ChildSpec]


class RegistrarActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        database: Database,
        device_factory: DeviceFactory,
        rule_factory: RuleFactory,
        port: DevicePort,
        acks: AckPort,
        declared: Declared,
        *,
        approve_unknown: bool,
    ) -> None:
        super().__init__()
        self._database = database
        self._device_factory = device_factory
        self._rule_factory = rule_factory
        self._port = port
        self._acks = acks
        self._declared = declared
        self._approve_unknown = approve_unknown
        self._keeps_rules: set[str] = set()
        self._book: SiteBook
        self._newcomers: Newcomers
        self._devices: DeviceDesk
        self._points: PointDesk
        self._calibrations: CalibrationDesk

    def on_start(self) -> None:
        self._book = SiteBook(self.context, self._database, self._declared, self._device_factory)
        self._newcomers = Newcomers(
            self._book, self._port, self._acks, approve_unknown=self._approve_unknown
        )
        self._devices = DeviceDesk(self._book, self._newcomers)
        self._points = PointDesk(self._book)
        self._calibrations = CalibrationDesk(self._book, self._points.keep_calibration)
        self._points.tell_pin_conflicts()
        memories = registry.load_rule_memories(self._database)
        for record in self._book.devices.values():
            self._book.start_device(record)
        self._newcomers.adopt_unsaved()
        for stored in registry.load_rules(self._database):
            self._book.rules[stored.rule_id] = stored.definition
            self._start_rule(stored.rule_id, stored.definition, memories.get(stored.rule_id))
        self._show_rules()

    def on_receive(self, message: object) -> Any:
        match message:
            case UnknownDeviceSeen():
                self._newcomers.first_heartbeat(message)
            case StartAppeared():
                self._newcomers.start_appeared()
            case SaveUnsaved():
                self._newcomers.save_unsaved()
            case SubzoneForgotten(device_id=device_id, subzone_id=subzone_id):
                self._devices.forgotten(device_id, subzone_id=subzone_id)
            case EntriesForgotten(device_id=device_id, entries=entries):
                self._devices.forgotten(device_id, entries=entries)
            case _:
                return self._requested(message)
        return None

    def _requested(self, message: object) -> Any:
        """What somebody asks for. Raises what the message names as its refusals."""
        now = self.context.now()
        match message:
            case RegisterDevice():
                return self._devices.register(message)
            case DecideApproval():
                return self._devices.decide(message)
            case ChangeDevice():
                return self._devices.change_device(message)
            case RemoveDevice():
                return self._devices.remove_device(message)
            case SaveSubzone():
                return self._devices.save_subzone(message)
            case RemoveSubzone():
                return self._devices.remove_subzone(message)
            case ConfigureSensor(config=config, issuer=issuer):
                return self._points.configure_sensor(config, issuer)
            case ConfigureActuator(config=config, issuer=issuer):
                return self._points.configure_actuator(config, issuer)
            case RemoveSensor():
                return self._points.remove_sensor(message)
            case RemoveActuator():
                return self._points.remove_actuator(message)
            case SaveInterlocks():
                return self._points.save_interlocks(message)
            case ListCalibrations():
                return self._calibrations.sessions(message)
            case StartCalibration():
                return self._calibrations.start(message, now)
            case AddCalibrationPoint():
                return self._calibrations.add_point(message, now)
            case ApplyCalibration():
                return self._calibrations.apply(message, now)
            case AbortCalibration():
                return self._calibrations.abort(message, now)
            case UndoCalibration():
                return self._calibrations.undo(message, now)
            case SaveRule():
                return self._save_rule(message)
            case DeleteRule():
                return self._delete_rule(message)
            case _:
                self.context.unhandled(message)
                return None

    def on_stop(self) -> None:
        self._newcomers.save_last()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    # ---- rules

    def _save_rule(self, message: SaveRule) -> RuleView:
        definition: RuleDefinition = message.definition
        problems = rules.problems_of(
            definition,
            frozenset(
                (s.esp_id, s.gpio, s.sensor_type)
                for mine in self._book.sensors.values()
                for s in mine.values()
            ),
            frozenset(
                (a.esp_id, a.gpio) for mine in self._book.actuators.values() for a in mine.values()
            ),
        )
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise InvalidRule(
                path=errors[0].path,
                reason=errors[0].message,
                problems=[msgspec.to_builtins(problem) for problem in problems],
            )
        now = self.context.now()
        by = str(message.issuer)
        rule_id = message.rule_id
        if rule_id is None:
            rule_id = registry.insert_rule(self._database, definition, by, now).rule_id
            self._start_rule(rule_id, definition, None)
        elif registry.update_rule(self._database, rule_id, definition, by, now):
            spec = self._rule_factory(rule_id, definition, None)
            self.context.handle(paths.RULES).ask(
                RestartChild(spec.name, spec), timeout_s=ASK_TIMEOUT_S
            )
        else:
            raise UnknownRule(rule_id=rule_id)
        self._book.rules[rule_id] = definition
        self._show_rules()
        self._book.audit(message.issuer, f"saved rule {rule_id} {definition.name}")
        return RuleView(rule_id=rule_id, definition=definition)

    def _delete_rule(self, message: DeleteRule) -> None:
        if not registry.delete_rule(self._database, message.rule_id):
            raise UnknownRule(rule_id=message.rule_id)
        self._book.rules.pop(message.rule_id, None)
        self._show_rules()
        self.context.handle(paths.RULES).ask(
            StopChild(str(message.rule_id)), timeout_s=ASK_TIMEOUT_S
        )
        self._book.audit(message.issuer, f"deleted rule {message.rule_id}")

    def _show_rules(self) -> None:
        """For whoever lists them, and for the devices that keep some of them alone."""
        self.context.publish("rules", dict(self._book.rules))
        compiled = tuple(
            offline_rules.compile_rule(rule_id, definition)
            for rule_id, definition in self._book.rules.items()
        )
        self.context.publish("offline_rules", compiled)
        for device_id in self._book.devices:
            entries = tuple(offline_rules.for_device(compiled, device_id))
            if entries or device_id in self._keeps_rules:
                self._keeps_rules.add(device_id)
                self._book.tell_device(device_id, UpdateOfflineRules(entries=entries))

    def _start_rule(
        self, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None
    ) -> None:
        spec = self._rule_factory(rule_id, definition, memory)
        self._book.start_or_keep(paths.RULES, paths.rule(rule_id), spec)
