"""The configuration of the site in memory, for the registrar and its services: one copy, one
thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from godkaiser import paths
from godkaiser.actors.link.broker_accounts import SyncAccounts
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.declared import Declared
from godkaiser.domain.devices.pins import pin_users
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    DeviceRecord,
    Issuer,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.records.digests import digest_of, is_seen
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.errors.base import ChangedMeanwhile
from godkaiser.errors.devices import DeclaredInFile, StillInUse, UnknownDevice
from godkaiser.errors.sensors import UnknownSensor
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import registry
from godkaiser.supervision import ActorContext, ChildSpec, Handle

ASK_TIMEOUT_S = 5.0

DeviceFactory = Callable[
    [DeviceRecord, tuple[SensorConfig, ...], tuple[ActuatorConfig, ...]], ChildSpec
]


class SiteConfig:
    """Used by the registrar's thread only."""

    def __init__(
        self,
        context: ActorContext,
        database: Database,
        declared: Declared,
        device_factory: DeviceFactory,
    ) -> None:
        self.context = context
        self.database = database
        self.declared = declared
        self._device_factory = device_factory
        self.devices = {r.device_id: r for r in registry.load_devices(database)}
        self.sensors: dict[str, dict[SensorKey, SensorConfig]] = {}
        self.actuators: dict[str, dict[int, ActuatorConfig]] = {}
        self.rules: dict[int, RuleDefinition] = {}
        self.safety: Handle = context.handle(paths.SAFETY)
        self._journal: Handle = context.handle(paths.JOURNAL)
        for sensor in registry.load_sensors(database):
            self.sensors.setdefault(sensor.esp_id, {})[sensor.key] = sensor
        for actuator in registry.load_actuators(database):
            self.actuators.setdefault(actuator.esp_id, {})[actuator.gpio] = actuator

    def sensors_of(self, device_id: str) -> tuple[SensorConfig, ...]:
        return tuple(self.sensors.get(device_id, {}).values())

    def actuators_of(self, device_id: str) -> tuple[ActuatorConfig, ...]:
        return tuple(self.actuators.get(device_id, {}).values())

    def sensor(self, key: SensorKey) -> SensorConfig:
        """Find a sensor; without an address the only one of its type on the pin. Raises
        UnknownSensor.
        """
        mine = self.sensors.get(key.esp_id, {})
        if key in mine:
            return mine[key]
        alike = [k for k in mine if (k.gpio, k.sensor_type) == (key.gpio, key.sensor_type)]
        if key.address or len(alike) != 1:
            raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        return mine[alike[0]]

    def known(self, device_id: str) -> DeviceRecord:
        record = self.devices.get(device_id)
        if record is None:
            raise UnknownDevice(device_id=device_id)
        return record

    def start_device(self, record: DeviceRecord) -> None:
        spec = self._device_factory(
            record,
            tuple(self.sensors.get(record.device_id, {}).values()),
            tuple(self.actuators.get(record.device_id, {}).values()),
        )
        self.context.adopt(paths.DEVICES, spec)

    def tell_device(self, device_id: str, message: Message) -> None:
        handle = self.context.find(paths.device(device_id))
        if handle is not None:
            handle.tell(message)

    def pin_users(self, esp_id: str, *, without: object) -> dict[int, str]:
        """The users of a device's pins, except the entry that is about to be changed."""
        return pin_users(
            self.sensors.get(esp_id, {}).values(),
            self.actuators.get(esp_id, {}).values(),
            without=without,
        )

    def refuse_changed(self, seen: str, present: object, what: str) -> None:
        """Raises ChangedMeanwhile if `seen`, the digest of the version that the author has read, is
        not that of `present`; `present` None: there is no entry.
        """
        if not is_seen(seen, None if present is None else digest_of(present)):
            raise ChangedMeanwhile(what=what)

    def refuse_used(self, reference: tuple[Any, ...], what: str) -> None:
        """Raises StillInUse: a rule or an interlock names it."""
        for rule_id, definition in self.rules.items():
            # A reference with an address also counts as one without.
            sensors = {ref[:3] for ref in rules.sensors_of(definition)}
            if reference in sensors or reference in rules.actuators_of(definition):
                raise StillInUse(what=what, user=f"rule {rule_id} ({definition.name})")
        for entry in self.context.look(paths.SAFETY, "interlocks") or ():
            if reference in {_pair(entry.actuator), _pair(entry.other)}:
                raise StillInUse(what=what, user=f"the interlock {entry}")

    def refuse_declared(self, key: str | SensorKey | ActuatorKey, what: str) -> None:
        where = self.declared.origins.get(key)
        if where is not None:
            raise DeclaredInFile(what=what, where=where)

    def tell_of_devices(self) -> None:
        """Tell the actor of the broker accounts, if there is one, that devices have changed."""
        accounts = self.context.find(paths.BROKER_ACCOUNTS)
        if accounts is not None:
            accounts.offer(SyncAccounts())

    def audit(self, issuer: Issuer, what: str, details: str = "") -> None:
        self._journal.tell(
            RecordAudit(entry=entry_by(issuer, at=self.context.now(), what=what, details=details))
        )


def _pair(key: ActuatorKey) -> tuple[str, int]:
    return key.esp_id, key.gpio
