"""Applies the declarations of the files while the gateway runs; used by the registrar only."""

from __future__ import annotations

from godkaiser.actors.devices.messages import (
    InstallActuator,
    InstallInterlocks,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.registry.messages import TakeDeclared
from godkaiser.actors.registry.onboarding import Onboarding
from godkaiser.actors.registry.point_service import PointService
from godkaiser.actors.registry.rule_service import RuleService
from godkaiser.actors.registry.site_config import SiteConfig
from godkaiser.domain.declared import Declared
from godkaiser.storage.repositories import declaration, registry


class DeclarationService:
    def __init__(
        self, site: SiteConfig, onboarding: Onboarding, points: PointService, rules: RuleService
    ) -> None:
        self._site = site
        self._onboarding = onboarding
        self._points = points
        self._rules = rules

    def take(self, message: TakeDeclared, now: float) -> list[str]:
        """Bring the database and the actors in line with the files; returns one line for each
        change.

        Raises:
            StartupFailed: the files contradict entries set by REST; nothing has changed.
            DatabaseUnavailable: nothing has changed.
        """
        declared: Declared = message.declared
        site, before = self._site, self._site.declared
        # Until then the records in memory are newer than those in the database.
        self._onboarding.save_unsaved()
        declaration.store(site.database, declared, now)
        site.declared = declared
        # After a crash the successor uses these files, too.
        site.context.publish("declared", declared)
        changes = [
            *self._devices(),
            *self._sensors(),
            *self._actuators(),
            *self._rules.reload(),
            *(
                f"{name} is no longer declared: it stays, and REST may change it from now on"
                for name in sorted(set(_names(before)) - set(_names(declared)))
            ),
        ]
        if declared.interlocks != before.interlocks:
            both = (*declared.interlocks, *registry.load_interlocks(site.database))
            site.safety.tell(InstallInterlocks(interlocks=both))
            changes.append(f"{len(declared.interlocks)} interlocks")
        self._points.tell_pin_conflicts()
        site.tell_of_devices()
        site.audit(message.issuer, "took devices.d and rules.d", "; ".join(changes)[:500])
        return changes

    def _devices(self) -> list[str]:
        site = self._site
        changes = []
        names = {device.device_id for device in site.declared.devices}
        for record in registry.load_devices(site.database):
            if record.device_id not in names:
                continue
            known = site.devices.get(record.device_id)
            if record == known:
                continue
            site.devices[record.device_id] = record
            if known is None:
                site.start_device(record)
            else:
                site.tell_device(record.device_id, UpdateDevice(record=record))
            changes.append(f"device {record.device_id} {'added' if known is None else 'changed'}")
        return changes

    def _sensors(self) -> list[str]:
        site = self._site
        changes: list[str] = []
        touched = set()
        for sensor in registry.load_sensors(site.database):
            mine = site.sensors.setdefault(sensor.esp_id, {})
            if mine.get(sensor.key) != sensor:
                mine[sensor.key] = sensor
                touched.add(sensor.esp_id)
                changes.append(f"sensor {sensor.esp_id}/{sensor.gpio} {sensor.sensor_type}")
        for device_id in touched:
            site.tell_device(device_id, UpdateSensors(sensors=site.sensors_of(device_id)))
        return changes

    def _actuators(self) -> list[str]:
        site = self._site
        changes: list[str] = []
        touched = set()
        for actuator in registry.load_actuators(site.database):
            mine = site.actuators.setdefault(actuator.esp_id, {})
            if mine.get(actuator.gpio) != actuator:
                mine[actuator.gpio] = actuator
                touched.add(actuator.esp_id)
                site.safety.tell(InstallActuator(config=actuator))
                changes.append(f"actuator {actuator.esp_id}/{actuator.gpio}")
        for device_id in touched:
            site.tell_device(device_id, UpdateActuators(actuators=site.actuators_of(device_id)))
        return changes


def _names(declared: Declared) -> list[str]:
    return [key if isinstance(key, str) else f"{key.esp_id}/{key.gpio}" for key in declared.origins]
