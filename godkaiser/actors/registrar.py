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
    DeviceRemoved,
    EntriesForgotten,
    InstallActuator,
    InstallInterlocks,
    SubzoneForgotten,
    UninstallActuator,
    UpdateActuators,
    UpdateDevice,
    UpdateOfflineRules,
    UpdateSensors,
)
from godkaiser.actors.journal import RecordAudit
from godkaiser.actors.router import DeviceMessage, UnknownDeviceSeen
from godkaiser.domain import (
    devices,
    gpio,
    interlocks,
    offline_rules,
    placement,
    rules,
    sensors,
)
from godkaiser.domain.declared import Declared
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Approval,
    DeviceRecord,
    Issuer,
    RemovedEntry,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.pins import pin_users
from godkaiser.domain.rules import RuleDefinition, RuleMemory
from godkaiser.errors import (
    DatabaseUnavailable,
    DeclaredInFile,
    DuplicateDevice,
    GatewayError,
    InvalidDeviceId,
    InvalidRule,
    StillInUse,
    UnknownActuator,
    UnknownDevice,
    UnknownRule,
    UnknownSensor,
    UnknownSubzone,
    ValidationFailed,
)
from godkaiser.messages import (
    ChangeDevice,
    ConfigureActuator,
    ConfigureSensor,
    DecideApproval,
    DeleteRule,
    DeviceView,
    Message,
    RegisterDevice,
    RemoveActuator,
    RemoveDevice,
    RemoveSensor,
    RemoveSubzone,
    RuleView,
    SaveInterlocks,
    SaveRule,
    SaveSubzone,
)
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.protocol import codec, outbound
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
STARTED_AT_ONCE = 10
SAVE_AFTER_S = 0.1

DeviceFactory = Callable[
    [DeviceRecord, tuple[SensorConfig, ...], tuple[ActuatorConfig, ...]], ChildSpec
]
RuleFactory = Callable[[int, RuleDefinition, RuleMemory | None], ChildSpec]


class SaveUnsaved(Message, frozen=True, kw_only=True):
    """To oneself: devices that have appeared, and those of the time that the database was away."""


class StartAppeared(Message, frozen=True, kw_only=True):
    """To oneself: devices that were answered get their actors."""


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
        self._devices: dict[str, DeviceRecord] = {}
        self._sensors: dict[str, dict[Any, SensorConfig]] = {}
        self._actuators: dict[str, dict[int, ActuatorConfig]] = {}
        self._rules: dict[int, RuleDefinition] = {}
        self._unsaved: set[str] = set()
        self._appeared: list[DeviceMessage] = []
        self._keeps_rules: set[str] = set()
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
        for mine in self._actuators.values():
            for actuator in mine.values():
                self._tell_pin_conflict(actuator)
        memories = registry.load_rule_memories(self._database)
        for record in self._devices.values():
            self._start_device(record)
        self._adopt_unsaved()
        for stored in registry.load_rules(self._database):
            self._rules[stored.rule_id] = stored.definition
            self._start_rule(stored.rule_id, stored.definition, memories.get(stored.rule_id))
        self._show_rules()

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
            case ChangeDevice():
                return self._change_device(message)
            case RemoveDevice():
                self._remove_device(message)
            case SaveSubzone():
                return self._save_subzone(message)
            case RemoveSubzone():
                return self._remove_subzone(message)
            case SubzoneForgotten():
                self._forgotten(message.device_id, subzone_id=message.subzone_id)
            case EntriesForgotten():
                self._forgotten(message.device_id, entries=message.entries)
            case RemoveSensor():
                self._remove_sensor(message)
            case RemoveActuator():
                self._remove_actuator(message)
            case SaveInterlocks():
                return self._save_interlocks(message)
            case SaveRule():
                return self._save_rule(message)
            case DeleteRule():
                return self._delete_rule(message)
            case StartAppeared():
                self._start_appeared()
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
                beat = codec.decode(message.first.topic, message.first.inbound.payload)
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
                # A device from another server keeps the zone that it is in.
                zone_id=devices.zone_or_none(getattr(beat, "zone_id", "")),
                decided_by="system:auto_approve" if approved else "",
                decided_at=now if approved else 0.0,
            )
            self._devices[device_id] = record
            # The device is answered before the database or a supervisor is asked, and so are those
            # that wait behind it: a thousand that boot together must not believe that the gateway
            # is dead.
            answered = self._answer(record, beat)
            self._appeared.append(msgspec.structs.replace(message.first, answered=answered))
            if len(self._appeared) == 1:
                self.context.own.tell(StartAppeared())
            self._save_soon(device_id)
            self._audit(Issuer("device", device_id), f"registered {device_id} by heartbeat")
            return
        handle = self.context.find(paths.device(device_id))
        received = message.first.inbound
        if handle is not None:
            handle.tell(message.first)
        elif received.qos:
            # It is about to be started, with the heartbeat before this one.
            self._acks.acknowledge([(received.session, received.mid)])

    def _answer(self, record: DeviceRecord, beat: object) -> bool:
        epoch = devices.handover_epoch(getattr(beat, "active_handover_epoch", 0), 0)
        payload = outbound.heartbeat_ack(
            devices.ACK_STATUS[record.approval], epoch, self.context.now()
        )
        try:
            self._port.heartbeat_ack(record.device_id, payload)
        except NotConnected:
            return False
        return True

    def _start_appeared(self) -> None:
        """A few of those that have appeared; more of them when what waits has had its turn."""
        for first in self._appeared[:STARTED_AT_ONCE]:
            record = self._devices.get(first.topic.device_id)
            if record is not None:
                self._start_device(record)
                self._tell_device(record.device_id, first)
        del self._appeared[:STARTED_AT_ONCE]
        if self._appeared:
            self.context.own.tell(StartAppeared())

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
            zone_set_by=str(message.issuer) if message.zone_id else "",
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
        self._refuse_declared(message.device_id, message.device_id)
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

    def _change_device(self, message: ChangeDevice) -> DeviceRecord:
        record = self._known(message.device_id)
        self._refuse_declared(message.device_id, message.device_id)
        if message.zone_id is not None:
            devices.validate_zone_id(message.zone_id)
            record = msgspec.structs.replace(
                record, zone_id=message.zone_id, zone_set_by=str(message.issuer)
            )
            if not message.zone_id:
                # A device without a zone has no subzones: it forgets them by itself (14.1).
                record = msgspec.structs.replace(record, subzones=(), removed_subzones=())
        if message.zone_name is not None:
            record = msgspec.structs.replace(record, zone_name=message.zone_name)
        if message.name is not None:
            record = msgspec.structs.replace(record, name=message.name)
        if message.board is not None and message.board != record.board:
            self._check_board(record, message.board)
            record = msgspec.structs.replace(record, board=message.board)
        return self._keep_record(record, message.issuer, "changed")

    def _check_board(self, record: DeviceRecord, board: str) -> None:
        """Raises InvalidGpio, GpioConflict: what is configured does not fit on that board."""
        gpio.board(board)
        for sensor in self._sensors.get(record.device_id, {}).values():
            users = self._pin_users(record.device_id, without=sensor.key)
            gpio.check_sensor(board, sensor, users)
        for actuator in self._actuators.get(record.device_id, {}).values():
            users = self._pin_users(record.device_id, without=actuator.key)
            gpio.check_actuator(board, actuator, users)

    def _save_subzone(self, message: SaveSubzone) -> DeviceRecord:
        record = self._known(message.device_id)
        placement.check_subzone(record, message.subzone)
        others = tuple(s for s in record.subzones if s.subzone_id != message.subzone.subzone_id)
        record = msgspec.structs.replace(
            record,
            subzones=(*others, message.subzone),
            removed_subzones=tuple(
                name for name in record.removed_subzones if name != message.subzone.subzone_id
            ),
        )
        what = f"subzone {message.subzone.subzone_id} of"
        return self._keep_record(record, message.issuer, what)

    def _remove_subzone(self, message: RemoveSubzone) -> DeviceRecord:
        record = self._known(message.device_id)
        left = tuple(s for s in record.subzones if s.subzone_id != message.subzone_id)
        if len(left) == len(record.subzones):
            raise UnknownSubzone(device_id=record.device_id, subzone_id=message.subzone_id[:40])
        record = msgspec.structs.replace(
            record,
            subzones=left,
            removed_subzones=(*record.removed_subzones, message.subzone_id),
        )
        return self._keep_record(record, message.issuer, f"removed subzone {message.subzone_id} of")

    def _keep_record(self, record: DeviceRecord, issuer: Issuer, what: str) -> DeviceRecord:
        registry.save_device(self._database, record)
        self._devices[record.device_id] = record
        self._tell_device(record.device_id, UpdateDevice(record=record))
        self._audit(issuer, f"{what} {record.device_id}")
        return record

    def _forgotten(
        self, device_id: str, *, subzone_id: str = "", entries: tuple[RemovedEntry, ...] = ()
    ) -> None:
        """The device has confirmed that something is gone: it need not be told again."""
        record = self._devices.get(device_id)
        if record is None:
            return
        left = msgspec.structs.replace(
            record,
            removed=tuple(entry for entry in record.removed if entry not in entries),
            removed_subzones=tuple(n for n in record.removed_subzones if n != subzone_id),
        )
        if left != record:
            self._devices[device_id] = left
            self._save_soon(device_id)
            self._tell_device(device_id, UpdateDevice(record=left))

    def _remove_device(self, message: RemoveDevice) -> None:
        device_id = message.device_id
        self._known(device_id)
        self._refuse_declared(device_id, device_id)
        for key in self._sensors.get(device_id, {}):
            self._refuse_used((key.esp_id, key.gpio, key.sensor_type), f"sensor {key.gpio}")
        for actuator in self._actuators.get(device_id, {}).values():
            self._refuse_used((device_id, actuator.gpio), f"actuator {device_id}/{actuator.gpio}")
        for actuator in self._actuators.get(device_id, {}).values():
            self._safety.ask(UninstallActuator(key=actuator.key), timeout_s=ASK_TIMEOUT_S)
        registry.delete_device(self._database, device_id)
        self._devices.pop(device_id, None)
        self._unsaved.discard(device_id)
        self._sensors.pop(device_id, None)
        self._actuators.pop(device_id, None)
        self.context.handle(paths.DEVICES).ask(StopChild(device_id), timeout_s=ASK_TIMEOUT_S)
        self._safety.tell(DeviceRemoved(device_id=device_id))
        self._audit(message.issuer, f"removed {device_id}")

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
        self._refuse_declared(config.key, f"{config.esp_id}/{config.gpio}")
        users = self._pin_users(config.esp_id, without=config.key)
        gpio.check_sensor(record.board, config, users)
        mine = self._sensors.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_sensors
        if config.key not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} sensors, as many as its board takes."
            raise ValidationFailed(reason=reason)
        registry.save_sensor(self._database, config)
        mine[config.key] = config
        self._wanted_again(
            config.esp_id, RemovedEntry(config.gpio, config.sensor_type, config.address)
        )
        self._tell_device(config.esp_id, UpdateSensors(sensors=tuple(mine.values())))
        self._audit(issuer, f"sensor {config.esp_id}/{config.gpio} {config.sensor_type}")
        return config

    def _configure_actuator(self, config: ActuatorConfig, issuer: Issuer) -> ActuatorConfig:
        record = self._known(config.esp_id)
        self._refuse_declared(config.key, f"{config.esp_id}/{config.gpio}")
        users = self._pin_users(config.esp_id, without=config.key)
        gpio.check_actuator(record.board, config, users)
        mine = self._actuators.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_actuators
        if config.gpio not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} actuators, as many as its board takes."
            raise ValidationFailed(reason=reason)
        registry.save_actuator(self._database, config)
        mine[config.gpio] = config
        self._wanted_again(config.esp_id, RemovedEntry(config.gpio))
        self._safety.tell(InstallActuator(config=config))
        self._tell_device(config.esp_id, UpdateActuators(actuators=tuple(mine.values())))
        self._audit(issuer, f"actuator {config.esp_id}/{config.gpio} {config.actuator_type.value}")
        return config

    def _remove_sensor(self, message: RemoveSensor) -> None:
        key = message.key
        self._known(key.esp_id)
        mine = self._sensors.get(key.esp_id, {})
        if key not in mine:
            # Without an address: then there is only one of its kind on the pin.
            alike = [k for k in mine if (k.gpio, k.sensor_type) == (key.gpio, key.sensor_type)]
            if key.address or len(alike) != 1:
                raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
            (key,) = alike
        self._refuse_declared(key, f"{key.esp_id}/{key.gpio}")
        self._refuse_used(
            (key.esp_id, key.gpio, key.sensor_type), f"sensor {key.esp_id}/{key.gpio}"
        )
        registry.delete_sensor(self._database, key)
        del mine[key]
        gone = RemovedEntry(key.gpio, key.sensor_type, key.address)
        self._to_be_forgotten(key.esp_id, gone)
        self._tell_device(key.esp_id, UpdateSensors(sensors=tuple(mine.values())))
        self._audit(message.issuer, f"removed sensor {key.esp_id}/{key.gpio} {key.sensor_type}")

    def _remove_actuator(self, message: RemoveActuator) -> None:
        key = message.key
        self._known(key.esp_id)
        mine = self._actuators.get(key.esp_id, {})
        if key.gpio not in mine:
            raise UnknownActuator(esp_id=key.esp_id, gpio=key.gpio)
        self._refuse_declared(key, f"{key.esp_id}/{key.gpio}")
        self._refuse_used((key.esp_id, key.gpio), f"actuator {key.esp_id}/{key.gpio}")
        # Not on the path from a reading to an actuator; the safety actor asks nobody here.
        self._safety.ask(UninstallActuator(key=key), timeout_s=ASK_TIMEOUT_S)
        registry.delete_actuator(self._database, key)
        del mine[key.gpio]
        self._to_be_forgotten(key.esp_id, RemovedEntry(key.gpio))
        self._tell_device(key.esp_id, UpdateActuators(actuators=tuple(mine.values())))
        self._audit(message.issuer, f"removed actuator {key.esp_id}/{key.gpio}")

    def _to_be_forgotten(self, device_id: str, entry: RemovedEntry) -> None:
        """The device is told until it has confirmed, also after a restart of the gateway."""
        record = self._devices[device_id]
        record = msgspec.structs.replace(record, removed=tuple(sorted({*record.removed, entry})))
        registry.save_device(self._database, record)
        self._devices[device_id] = record
        self._tell_device(device_id, UpdateDevice(record=record))

    def _wanted_again(self, device_id: str, entry: RemovedEntry) -> None:
        record = self._devices[device_id]
        if entry in record.removed:
            left = tuple(other for other in record.removed if other != entry)
            record = msgspec.structs.replace(record, removed=left)
            registry.save_device(self._database, record)
            self._devices[device_id] = record
            self._tell_device(device_id, UpdateDevice(record=record))

    def _refuse_used(self, reference: tuple[Any, ...], what: str) -> None:
        """Raises StillInUse: a rule or an interlock names it."""
        for rule_id, definition in self._rules.items():
            if reference in rules.sensors_of(definition) or reference in rules.actuators_of(
                definition
            ):
                raise StillInUse(what=what, user=f"rule {rule_id} ({definition.name})")
        for entry in self.context.look(paths.SAFETY, "interlocks") or ():
            if reference in {_pair(entry.actuator), _pair(entry.other)}:
                raise StillInUse(what=what, user=f"the interlock {entry}")

    def _save_interlocks(self, message: SaveInterlocks) -> tuple[interlocks.Interlock, ...]:
        declared = self._declared.interlocks
        # Those of the files stay; who sends them back with his own has only read them.
        own = tuple(entry for entry in message.interlocks if entry not in declared)
        both = (*declared, *own)
        known = {a.key: a for mine in self._actuators.values() for a in mine.values()}
        interlocks.validate(both, known)
        registry.save_interlocks(self._database, own)
        self._safety.tell(InstallInterlocks(interlocks=both))
        self._audit(message.issuer, f"{len(both)} interlocks")
        return both

    def _pin_users(self, esp_id: str, *, without: object) -> dict[int, str]:
        """Who uses which pin of a device, without the one that is about to be changed."""
        return pin_users(
            self._sensors.get(esp_id, {}).values(),
            self._actuators.get(esp_id, {}).values(),
            without=without,
        )

    def _tell_pin_conflict(self, actuator: ActuatorConfig) -> None:
        """A declaration in a file may have taken a pin of what was set by REST before."""
        users = self._pin_users(actuator.esp_id, without=actuator.key)
        shared = [users[pin] for pin in gpio.actuator_pins(actuator) if pin in users]
        if shared:
            self._safety.tell(InstallActuator(config=actuator, pin_user=shared[0]))

    def _refuse_declared(self, key: str | SensorKey | ActuatorKey, what: str) -> None:
        where = self._declared.origins.get(key)
        if where is not None:
            raise DeclaredInFile(what=what, where=where)

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
        self._show_rules()
        self._audit(message.issuer, f"saved rule {rule_id} {definition.name}")
        return RuleView(rule_id=rule_id, definition=definition)

    def _delete_rule(self, message: DeleteRule) -> None:
        if not registry.delete_rule(self._database, message.rule_id):
            raise UnknownRule(rule_id=message.rule_id)
        self._rules.pop(message.rule_id, None)
        self._show_rules()
        self.context.handle(paths.RULES).ask(
            StopChild(str(message.rule_id)), timeout_s=ASK_TIMEOUT_S
        )
        self._audit(message.issuer, f"deleted rule {message.rule_id}")

    def _show_rules(self) -> None:
        """For whoever lists them, and for the devices that keep some of them alone."""
        self.context.publish("rules", dict(self._rules))
        compiled = tuple(
            offline_rules.compile_rule(rule_id, definition)
            for rule_id, definition in self._rules.items()
        )
        self.context.publish("offline_rules", compiled)
        for device_id in self._devices:
            entries = tuple(offline_rules.for_device(compiled, device_id))
            if entries or device_id in self._keeps_rules:
                self._keeps_rules.add(device_id)
                self._tell_device(device_id, UpdateOfflineRules(entries=entries))

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


def _pair(key: ActuatorKey) -> tuple[str, int]:
    return key.esp_id, key.gpio
