"""Stores the declarations of the files in the database."""

from __future__ import annotations

import msgspec

from godkaiser.domain.declared import Declared, DeclaredDevice
from godkaiser.domain.entities import Approval, DeviceRecord
from godkaiser.domain.safety.interlocks import problems_of
from godkaiser.errors.process import StartupFailed
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import registry, rules

BY = "system:file"


def store(database: Database, declared: Declared, now: float) -> None:
    """Write the declarations over existing entries; entries that are only in the database stay.

    Raises:
        StartupFailed: the declarations contradict entries set by REST; nothing is written.
    """
    known = {record.device_id: record for record in registry.load_devices(database)}
    with database.transaction():
        for device in declared.devices:
            record = known.get(device.device_id) or DeviceRecord(
                device_id=device.device_id, registered_by=BY, registered_at=now
            )
            registry.save_device(database, _as_declared(record, device, now))
        calibrations = {s.key: s.calibration for s in registry.load_sensors(database)}
        for sensor in declared.sensors:
            # A calibration is measured, so it is not part of a declaration.
            kept = msgspec.structs.replace(sensor, calibration=calibrations.get(sensor.key))
            registry.save_sensor(database, kept)
        for actuator in declared.actuators:
            registry.save_actuator(database, actuator)
        rules.declare(database, declared.rules, now)
        interlocks = (*declared.interlocks, *registry.load_interlocks(database))
        actuators = {config.key: config for config in registry.load_actuators(database)}
        problems = problems_of(interlocks, actuators)
        if problems:
            found = "; ".join(str(problem) for problem in problems)
            reason = f"the interlocks of the files and those set by REST contradict: {found}."
            raise StartupFailed(reason=reason)


def _as_declared(record: DeviceRecord, device: DeclaredDevice, now: float) -> DeviceRecord:
    if record.approval is not Approval.APPROVED:
        record = msgspec.structs.replace(
            record, approval=Approval.APPROVED, decided_by=BY, decided_at=now, reason=""
        )
    if device.zone_id != record.zone_id or (device.zone_id and not record.zone_set_by):
        # Without an author the zone would never be sent to the device.
        record = msgspec.structs.replace(record, zone_id=device.zone_id, zone_set_by=BY)
        if not device.zone_id:
            # A device without a zone has no subzones: it deletes them by itself (14.1).
            record = msgspec.structs.replace(record, subzones=(), removed_subzones=())
    return msgspec.structs.replace(record, name=device.name, board=device.board)
