"""The registrar: the one writer of what the gateway is configured to have.

It checks, writes to the database, then tells the actors; a change that is not on disk is not
answered as done. It is not on the path from a reading to an actuator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.device_messages import (
    InstallActuator,
    InstallInterlocks,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.journal import RecordAudit
from godkaiser.actors.router import UnknownDeviceSeen
from godkaiser.domain import devices, gpio, interlocks, rules, sensors
from godkaiser.domain.entities import (
    ActuatorConfig,
    Approval,
    DeviceRecord,
    Issuer,
    SensorConfig,
)
from godkaiser.domain.rules import RuleDefinition, RuleMemory
from godkaiser.errors import (
    DatabaseUnavailable,
    DuplicateDevice,
    GatewayError,
    InvalidDeviceId,
    InvalidRule,
    UnknownDevice,
    UnknownRule,
    ValidationFailed,
)
from godkaiser.messages import (
    ConfigureActuator,
    ConfigureSensor,
    DecideApproval,
    DeleteRule,
    DeviceView,
    Message,
    RegisterDevice,
    RuleView,
    SaveInterlocks,
    SaveRule,
)
from godkaiser.mqtt.ports import AckPort
from godkaiser.protocol import codec
from godkaiser.protocol.errors import PayloadError
from godkaiser.storage import registry
from godkaiser.storage.audit import AuditEntry
from godkaiser.storage.database import Database
from godkaiser.supervision import (
    Actor,
    ChildSpec,
    Handle,
    RestartChild,
    StartChild,
    StopChild,
)

ASK_TIMEOUT_S = 5.0
SAVE_AGAIN_S = 5.0
SAVE_AFTER_S = 0.1

DeviceFactory = Callable[
    [DeviceRecord, tuple[SensorConfig, ...], tuple[ActuatorConfig, ...]], ChildSpec
]
RuleFactory = Callable[[int, RuleDefinition, RuleMemory | None], ChildSpec]


class SaveUnsaved(Message, frozen=True, kw_only=True):
    """To oneself: devices that have appeared, and those of the time that the database was away."""


class RegistrarActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        database: Database,
        device_factory: DeviceFactory,
        rule_factory: RuleFactory,
        acks: AckPort,
        *,
        approve_unknown: bool,
    ) -> None:
        super().__init__()
        self._database = database
        self._device_factory = device_factory
        self._rule_factory = rule_factory
        self._acks = acks
        self._approve_unknown = approve_unknown
        self._devices: dict[str, DeviceRecord] = {}
        self._sensors: dict[str, dict[Any, SensorConfig]] = {}
        self._actuators: dict[str, dict[int, ActuatorConfig]] = {}
        self._rules: dict[int, RuleDefinition] = {}
        self._unsaved: set[str] = set()
        self._journal: Handle
        self._safety: Handle

    def on_start(self) -> None:
        self._journal = self.context.handle(paths.JOURNAL)
        self._safety = self.context.handle(paths.SAFETY)
        for record in registry.load_devices(self._database):
            self._devices[record.device_id] = record
        for sensor in registry.load_sensors(self._database):
            self._sensors.setdefault(sensor.esp_id, {})[sensor.key] = sensor
        for actuator in registry.load_actuators(self._database):
            self._actuators.setdefault(actuator.esp_id, {})[actuator.gpio] = actuator
        memories = registry.load_rule_memories(self._database)
        for record in self._devices.values():
            self._start_device(record)
        self._adopt_unsaved()
        for stored in registry.load_rules(self._database):
            self._rules[stored.rule_id] = stored.definition
            self._start_rule(stored.rule_id, stored.definition, memories.get(stored.rule_id))
        self.context.publish("rules", dict(self._rules))

    def on_receive(self, message: object) -> Any:
        match message:
            case UnknownDeviceSeen():
                self._first_heartbeat(message)
            case RegisterDevice():
                return self._register(message)
            case DecideApproval():
                return self._decide(message)
            case ConfigureSensor(config=config, issuer=issuer):
                return self._configure_sensor(config, issuer)
            case ConfigureActuator(config=config, issuer=issuer):
                return self._configure_actuator(config, issuer)
            case SaveInterlocks():
                return self._save_interlocks(message)
            case SaveRule():
                return self._save_rule(message)
            case DeleteRule():
                return self._delete_rule(message)
            case SaveUnsaved():
                self._save_unsaved()
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        if self._unsaved:
            self._save_unsaved()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    # ---- devices

    def _first_heartbeat(self, message: UnknownDeviceSeen) -> None:
        device_id = message.device_id
        if device_id not in self._devices:
            try:
                devices.validate_device_id(device_id)
                codec.decode(message.first.topic, message.first.inbound.payload)
            except (InvalidDeviceId, PayloadError) as error:
                # Only a heartbeat that can be read makes a device.
                self.context.reject(message, f"no registration of {device_id}: {error}")
                received = message.first.inbound
                self._acks.acknowledge([(received.session, received.mid)])
                return
            now = self.context.now()
            approved = self._approve_unknown
            record = DeviceRecord(
                device_id=device_id,
                approval=Approval.APPROVED if approved else Approval.PENDING,
                registered_by="heartbeat",
                registered_at=now,
                decided_by="system:auto_approve" if approved else "",
                decided_at=now if approved else 0.0,
            )
            self._devices[device_id] = record
            self._start_device(record)
            # The device is answered before the database is asked, and so are those that wait behind
            # it: a slow disk must not make them believe that the gateway is dead.
            self._save_soon(device_id)
            self._audit(Issuer("device", device_id), f"registered {device_id} by heartbeat")
        handle = self.context.find(paths.device(device_id))
        if handle is not None:
            handle.tell(message.first)

    def _register(self, message: RegisterDevice) -> DeviceRecord:
        devices.validate_device_id(message.device_id)
        devices.validate_zone_id(message.zone_id)
        gpio.board(message.board)
        if message.device_id in self._devices:
            raise DuplicateDevice(device_id=message.device_id)
        record = DeviceRecord(
            device_id=message.device_id,
            name=message.name,
            board=message.board,
            zone_id=message.zone_id,
            registered_by=str(message.issuer),
            registered_at=self.context.now(),
        )
        registry.save_device(self._database, record)
        self._devices[record.device_id] = record
        self._start_device(record)
        self._audit(message.issuer, f"registered {record.device_id}")
        return record

    def _decide(self, message: DecideApproval) -> DeviceRecord:
        record = self._known(message.device_id)
        approval = devices.decide_approval(record.approval, approved=message.approved)
        record = msgspec.structs.replace(
            record,
            approval=approval,
            decided_by=str(message.issuer),
            decided_at=self.context.now(),
            reason=message.reason,
        )
        registry.save_device(self._database, record)
        self._devices[record.device_id] = record
        self._tell_device(record.device_id, UpdateDevice(record=record))
        self._audit(message.issuer, f"{approval.value} {record.device_id}", message.reason)
        return record

    def _known(self, device_id: str) -> DeviceRecord:
        record = self._devices.get(device_id)
        if record is None:
            raise UnknownDevice(device_id=device_id)
        return record

    def _start_device(self, record: DeviceRecord) -> None:
        spec = self._device_factory(
            record,
            tuple(self._sensors.get(record.device_id, {}).values()),
            tuple(self._actuators.get(record.device_id, {}).values()),
        )
        self._start_or_keep(paths.DEVICES, paths.device(record.device_id), spec)

    def _start_or_keep(self, supervisor: str, path: str, spec: ChildSpec) -> None:
        """Start a child, unless this registrar is the successor of one that has."""
        if self.context.find(path) is None:
            self.context.handle(supervisor).ask(StartChild(spec), timeout_s=ASK_TIMEOUT_S)

    def _tell_device(self, device_id: str, message: Message) -> None:
        handle = self.context.find(paths.device(device_id))
        if handle is not None:
            handle.tell(message)

    def _save_soon(self, device_id: str) -> None:
        if not self._unsaved:
            self.context.schedule(SAVE_AFTER_S, SaveUnsaved(), key="save")
        self._unsaved.add(device_id)

    def _save_unsaved(self) -> None:
        """All at once: a thousand devices that boot together are one commit."""
        try:
            with self._database.transaction():
                for device_id in self._unsaved:
                    registry.save_device(self._database, self._devices[device_id])
        except DatabaseUnavailable:
            self.context.schedule(SAVE_AGAIN_S, SaveUnsaved(), key="save")
        else:
            self._unsaved.clear()

    def _adopt_unsaved(self) -> None:
        """Devices that a crashed predecessor had registered and not yet saved."""
        for path in self.context.children(paths.DEVICES):
            view = self.context.look(path, "view")
            if isinstance(view, DeviceView) and view.record.device_id not in self._devices:
                self._devices[view.record.device_id] = view.record
                self._save_soon(view.record.device_id)

    # ---- sensors and actuators

    def _configure_sensor(self, config: SensorConfig, issuer: Issuer) -> SensorConfig:
        record = self._known(config.esp_id)
        config = msgspec.structs.replace(
            config, sensor_type=sensors.canonical_type(config.sensor_type)
        )
        users = self._pin_users(config.esp_id, without=config.key)
        gpio.check_sensor(record.board, config, users)
        mine = self._sensors.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_sensors
        if config.key not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} sensors, as many as its board takes."
            raise ValidationFailed(reason=reason)
        registry.save_sensor(self._database, config)
        mine[config.key] = config
        self._tell_device(config.esp_id, UpdateSensors(sensors=tuple(mine.values())))
        self._audit(issuer, f"sensor {config.esp_id}/{config.gpio} {config.sensor_type}")
        return config

    def _configure_actuator(self, config: ActuatorConfig, issuer: Issuer) -> ActuatorConfig:
        record = self._known(config.esp_id)
        users = self._pin_users(config.esp_id, without=config.key)
        gpio.check_actuator(record.board, config, users)
        mine = self._actuators.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_actuators
        if config.gpio not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} actuators, as many as its board takes."
            raise ValidationFailed(reason=reason)
        registry.save_actuator(self._database, config)
        mine[config.gpio] = config
        self._safety.tell(InstallActuator(config=config))
        self._tell_device(config.esp_id, UpdateActuators(actuators=tuple(mine.values())))
        self._audit(issuer, f"actuator {config.esp_id}/{config.gpio} {config.actuator_type.value}")
        return config

    def _save_interlocks(self, message: SaveInterlocks) -> tuple[interlocks.Interlock, ...]:
        known = {a.key: a for mine in self._actuators.values() for a in mine.values()}
        interlocks.validate(message.interlocks, known)
        registry.save_interlocks(self._database, message.interlocks)
        self._safety.tell(InstallInterlocks(interlocks=message.interlocks))
        self._audit(message.issuer, f"{len(message.interlocks)} interlocks")
        return message.interlocks

    def _pin_users(self, esp_id: str, *, without: object) -> dict[int, str]:
        """Who uses which pin of a device, without the one that is about to be changed."""
        users: dict[int, str] = {}
        for sensor in self._sensors.get(esp_id, {}).values():
            bus = sensors.bus_of(sensor.sensor_type)
            if sensor.key == without or bus is sensors.Bus.I2C:
                continue
            users[sensor.gpio] = (
                gpio.ONEWIRE_USER
                if bus is sensors.Bus.ONEWIRE
                else f"sensor {sensor.name or sensor.sensor_type}"
            )
        for actuator in self._actuators.get(esp_id, {}).values():
            if actuator.key != without:
                for pin in gpio.actuator_pins(actuator):
                    users[pin] = f"{actuator.actuator_type.value} {actuator.name}".strip()
        return users

    # ---- rules

    def _save_rule(self, message: SaveRule) -> RuleView:
        definition: RuleDefinition = message.definition
        problems = rules.problems_of(
            definition,
            frozenset(
                (s.esp_id, s.gpio, s.sensor_type)
                for mine in self._sensors.values()
                for s in mine.values()
            ),
            frozenset(
                (a.esp_id, a.gpio) for mine in self._actuators.values() for a in mine.values()
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
        self._rules[rule_id] = definition
        self.context.publish("rules", dict(self._rules))
        self._audit(message.issuer, f"saved rule {rule_id} {definition.name}")
        return RuleView(rule_id=rule_id, definition=definition)

    def _delete_rule(self, message: DeleteRule) -> None:
        if not registry.delete_rule(self._database, message.rule_id):
            raise UnknownRule(rule_id=message.rule_id)
        self._rules.pop(message.rule_id, None)
        self.context.publish("rules", dict(self._rules))
        self.context.handle(paths.RULES).ask(
            StopChild(str(message.rule_id)), timeout_s=ASK_TIMEOUT_S
        )
        self._audit(message.issuer, f"deleted rule {message.rule_id}")

    def _start_rule(
        self, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None
    ) -> None:
        spec = self._rule_factory(rule_id, definition, memory)
        self._start_or_keep(paths.RULES, paths.rule(rule_id), spec)

    def _audit(self, issuer: Issuer, what: str, details: str = "") -> None:
        self._journal.tell(
            RecordAudit(
                entry=AuditEntry(at=self.context.now(), who=str(issuer), what=what, details=details)
            )
        )
