"""What an admin declares in files, taken in while the gateway runs; used by the registrar only."""

from __future__ import annotations

from godkaiser.actors.devices.messages import (
    InstallActuator,
    InstallInterlocks,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.registry.messages import TakeDeclared
from godkaiser.actors.registry.onboarding import Newcomers
from godkaiser.actors.registry.point_service import PointDesk
from godkaiser.actors.registry.rule_service import RuleDesk
from godkaiser.actors.registry.site_config import SiteBook
from godkaiser.domain.declared import Declared
from godkaiser.storage.repositories import declaration, registry


class DeclarationDesk:
    def __init__(
        self, book: SiteBook, newcomers: Newcomers, points: PointDesk, rules: RuleDesk
    ) -> None:
        self._book = book
        self._newcomers = newcomers
        self._points = points
        self._rules = rules

    def take(self, message: TakeDeclared, now: float) -> list[str]:
        """Bring the database and the actors in line with the files; what has changed, a line each.

        Raises:
            StartupFailed: the files contradict what was set by REST; nothing has changed.
            DatabaseUnavailable: nothing has changed.
        """
        declared: Declared = message.declared
        book, before = self._book, self._book.declared
        # The records of the book are newer than those of the database until then.
        self._newcomers.save_unsaved()
        declaration.store(book.database, declared, now)
        book.declared = declared
        # The successor of a registrar that crashes goes by these files, too.
        book.context.publish("declared", declared)
        changes = [
            *self._devices(),
            *self._sensors(),
            *self._actuators(),
            *self._rules.reload(),
            *(
                f"{name} is not declared any more: it stays, and is changed by REST from now on"
                for name in sorted(set(_names(before)) - set(_names(declared)))
            ),
        ]
        if declared.interlocks != before.interlocks:
            both = (*declared.interlocks, *registry.load_interlocks(book.database))
            book.safety.tell(InstallInterlocks(interlocks=both))
            changes.append(f"{len(declared.interlocks)} interlocks")
        self._points.tell_pin_conflicts()
        book.tell_of_devices()
        book.audit(message.issuer, "took devices.d and rules.d", "; ".join(changes)[:500])
        return changes

    def _devices(self) -> list[str]:
        book = self._book
        changes = []
        names = {device.device_id for device in book.declared.devices}
        for record in registry.load_devices(book.database):
            if record.device_id not in names:
                continue
            known = book.devices.get(record.device_id)
            if record == known:
                continue
            book.devices[record.device_id] = record
            if known is None:
                book.start_device(record)
            else:
                book.tell_device(record.device_id, UpdateDevice(record=record))
            changes.append(f"device {record.device_id} {'added' if known is None else 'changed'}")
        return changes

    def _sensors(self) -> list[str]:
        book = self._book
        changes: list[str] = []
        touched = set()
        for sensor in registry.load_sensors(book.database):
            mine = book.sensors.setdefault(sensor.esp_id, {})
            if mine.get(sensor.key) != sensor:
                mine[sensor.key] = sensor
                touched.add(sensor.esp_id)
                changes.append(f"sensor {sensor.esp_id}/{sensor.gpio} {sensor.sensor_type}")
        for device_id in touched:
            book.tell_device(device_id, UpdateSensors(sensors=book.sensors_of(device_id)))
        return changes

    def _actuators(self) -> list[str]:
        book = self._book
        changes: list[str] = []
        touched = set()
        for actuator in registry.load_actuators(book.database):
            mine = book.actuators.setdefault(actuator.esp_id, {})
            if mine.get(actuator.gpio) != actuator:
                mine[actuator.gpio] = actuator
                touched.add(actuator.esp_id)
                book.safety.tell(InstallActuator(config=actuator))
                changes.append(f"actuator {actuator.esp_id}/{actuator.gpio}")
        for device_id in touched:
            book.tell_device(device_id, UpdateActuators(actuators=book.actuators_of(device_id)))
        return changes


def _names(declared: Declared) -> list[str]:
    return [key if isinstance(key, str) else f"{key.esp_id}/{key.gpio}" for key in declared.origins]
