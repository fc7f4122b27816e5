"""The content of the database at the start of the process: control starts from it, and requests are
checked against it until its actor has read it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
import structlog

from godkaiser.domain.access import Access
from godkaiser.domain.entities import ActuatorConfig, DeviceRecord, Reading, SensorConfig, SensorKey
from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.unusable import unusable
from godkaiser.storage.repositories import accounts, registry, rules
from godkaiser.storage.series.series import newest_of_each

log = structlog.get_logger("godkaiser.storage")


class StoredSite(msgspec.Struct, frozen=True, kw_only=True):
    """Sensors and actuators are by device, memories by rule."""

    devices: tuple[DeviceRecord, ...] = ()
    sensors: Mapping[str, list[SensorConfig]] = {}
    actuators: Mapping[str, list[ActuatorConfig]] = {}
    rules: tuple[rules.StoredRule, ...] = ()
    memories: Mapping[int, RuleMemory] = {}
    newest: Mapping[str, Mapping[SensorKey, Reading]] = {}
    """By device, of each series; to be shown until its sensor is heard again."""
    access: Access = Access()


def read_stored_site(database: Database) -> StoredSite:
    """Raises StartupFailed."""
    sensors: dict[str, list[SensorConfig]] = {}
    actuators: dict[str, list[ActuatorConfig]] = {}
    try:
        for sensor in registry.load_sensors(database):
            sensors.setdefault(sensor.esp_id, []).append(sensor)
        for actuator in registry.load_actuators(database):
            actuators.setdefault(actuator.esp_id, []).append(actuator)
        return StoredSite(
            devices=tuple(registry.load_devices(database)),
            sensors=sensors,
            actuators=actuators,
            rules=tuple(rules.load_rules(database)),
            memories=rules.load_rule_memories(database),
            newest=_newest(database),
            access=accounts.load(database),
        )
    except DatabaseUnavailable as error:
        raise unusable(error) from error


def _newest(database: Database) -> Mapping[str, Mapping[SensorKey, Reading]]:
    """Only to be shown: a damaged table of readings keeps no gateway from starting."""
    try:
        return newest_of_each(database, time.time())
    except DatabaseUnavailable as error:
        log.warning("newest_readings_not_read", reason=error.message)
        return {}
