"""The registrar: the one writer of the gateway's configuration.

It checks, writes to the database, then tells the actors; a change is confirmed only when it is on
disk. It is not on the path from a reading to an actuator. Each kind of entity has its service; all
services work in this actor's thread, on one `SiteConfig`.
"""

from __future__ import annotations

from typing import Any

from godkaiser.actors.devices.messages import EntriesForgotten, SubzoneForgotten
from godkaiser.actors.link.router import UnknownDeviceSeen
from godkaiser.actors.registry.calibration_service import CalibrationService
from godkaiser.actors.registry.declaration_service import DeclarationService
from godkaiser.actors.registry.device_service import DeviceService
from godkaiser.actors.registry.messages import (
    AbortCalibration,
    AddCalibrationPoint,
    ApplyCalibration,
    ChangeDevice,
    CheckRule,
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
    SaveInterlocks,
    SaveRule,
    SaveSubzone,
    StartCalibration,
    TakeDeclared,
    UndoCalibration,
)
from godkaiser.actors.registry.onboarding import Onboarding, SaveUnsaved, StartAppeared
from godkaiser.actors.registry.point_service import PointService
from godkaiser.actors.registry.rule_service import RuleFactory, RuleService
from godkaiser.actors.registry.site_config import DeviceFactory, SiteConfig
from godkaiser.domain.declared import Declared
from godkaiser.domain.rules.outlets import Outlets
from godkaiser.errors.base import GatewayError
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.storage.engine.database import Database
from godkaiser.supervision import Actor


class RegistrarActor(Actor):
    refusals = (GatewayError,)
    waits_for = (DatabaseUnavailable,)

    def __init__(
        self,
        database: Database,
        device_factory: DeviceFactory,
        rule_factory: RuleFactory,
        port: DevicePort,
        acks: AckPort,
        declared: Declared,
        outlets: Outlets,
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
        self._outlets = outlets
        self._approve_unknown = approve_unknown
        self._site: SiteConfig
        self._onboarding: Onboarding
        self._devices: DeviceService
        self._points: PointService
        self._calibrations: CalibrationService
        self._rules: RuleService
        self._declarations: DeclarationService

    def on_start(self) -> None:
        declared = self.context.recall("declared") or self._declared
        self._site = SiteConfig(self.context, self._database, declared, self._device_factory)
        self._onboarding = Onboarding(
            self._site, self._port, self._acks, approve_unknown=self._approve_unknown
        )
        self._devices = DeviceService(self._site, self._onboarding)
        self._points = PointService(self._site)
        self._calibrations = CalibrationService(self._site, self._points.keep_calibration)
        self._rules = RuleService(self._site, self._rule_factory, self._outlets)
        self._declarations = DeclarationService(
            self._site, self._onboarding, self._points, self._rules
        )
        self._points.tell_pin_conflicts()
        for record in self._site.devices.values():
            self._site.start_device(record)
        self._onboarding.adopt_unsaved()
        self._rules.start_all()

    def on_receive(self, message: object) -> Any:
        match message:
            case UnknownDeviceSeen():
                self._onboarding.first_heartbeat(message)
            case StartAppeared():
                self._onboarding.start_appeared()
            case SaveUnsaved():
                self._onboarding.save_unsaved()
            case SubzoneForgotten(device_id=device_id, subzone_id=subzone_id):
                self._devices.forgotten(device_id, subzone_id=subzone_id)
            case EntriesForgotten(device_id=device_id, entries=entries):
                self._devices.forgotten(device_id, entries=entries)
            case _:
                return self._requested(message)
        return None

    def _requested(self, message: object) -> Any:
        """Carry out a request. Raises the refusals of the message."""
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
            case ConfigureSensor():
                return self._points.configure_sensor(message)
            case ConfigureActuator():
                return self._points.configure_actuator(message)
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
                return self._rules.save(message, now)
            case CheckRule():
                return self._rules.check(message)
            case DeleteRule():
                return self._rules.delete(message)
            case TakeDeclared():
                return self._declarations.take(message, now)
            case _:
                self.context.unhandled(message)
                return None

    def on_stop(self) -> None:
        self._onboarding.save_last()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()
