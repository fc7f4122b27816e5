"""Sensors, actuators and interlocks: checks and saves them, then tells the actors that use them."""

from __future__ import annotations

import msgspec

from godkaiser.actors.devices.messages import (
    InstallActuator,
    InstallInterlocks,
    UninstallActuator,
    UpdateActuators,
    UpdateDevice,
    UpdateSensors,
)
from godkaiser.actors.registry.messages import (
    ConfigureActuator,
    ConfigureSensor,
    RemoveActuator,
    RemoveSensor,
    SaveInterlocks,
)
from godkaiser.actors.registry.site_config import ASK_TIMEOUT_S, SiteConfig
from godkaiser.domain.devices import gpio
from godkaiser.domain.entities import ActuatorConfig, RemovedEntry, SensorConfig
from godkaiser.domain.safety import interlocks
from godkaiser.domain.sensors import sensors
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.safety import UnknownActuator
from godkaiser.storage.repositories import registry


class PointService:
    def __init__(self, site: SiteConfig) -> None:
        self._site = site

    def configure_sensor(self, message: ConfigureSensor) -> SensorConfig:
        config = message.config
        record = self._site.known(config.esp_id)
        config = msgspec.structs.replace(
            config, sensor_type=sensors.canonical_type(config.sensor_type)
        )
        where = f"{config.esp_id}/{config.gpio}"
        self._site.refuse_declared(config.key, where)
        present = self._site.sensors.get(config.esp_id, {}).get(config.key)
        self._site.refuse_changed(message.seen, present, f"sensor {where}")
        users = self._site.pin_users(config.esp_id, without=config.key)
        gpio.check_sensor(record.board, config, users)
        mine = self._site.sensors.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_sensors
        if config.key not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} sensors, the maximum of its board."
            raise ValidationFailed(reason=reason)
        if config.key in mine and config.calibration is None:
            config = msgspec.structs.replace(config, calibration=mine[config.key].calibration)
        registry.save_sensor(self._site.database, config)
        mine[config.key] = config
        self._wanted_again(
            config.esp_id, RemovedEntry(config.gpio, config.sensor_type, config.address)
        )
        self._site.tell_device(config.esp_id, UpdateSensors(sensors=tuple(mine.values())))
        self._site.audit(message.issuer, f"sensor {where} {config.sensor_type}")
        return config

    def configure_actuator(self, message: ConfigureActuator) -> ActuatorConfig:
        config = message.config
        record = self._site.known(config.esp_id)
        where = f"{config.esp_id}/{config.gpio}"
        self._site.refuse_declared(config.key, where)
        present = self._site.actuators.get(config.esp_id, {}).get(config.gpio)
        self._site.refuse_changed(message.seen, present, f"actuator {where}")
        users = self._site.pin_users(config.esp_id, without=config.key)
        gpio.check_actuator(record.board, config, users)
        mine = self._site.actuators.setdefault(config.esp_id, {})
        limit = gpio.board(record.board).max_actuators
        if config.gpio not in mine and len(mine) >= limit:
            reason = f"{config.esp_id} has {limit} actuators, the maximum of its board."
            raise ValidationFailed(reason=reason)
        registry.save_actuator(self._site.database, config)
        mine[config.gpio] = config
        self._wanted_again(config.esp_id, RemovedEntry(config.gpio))
        self._site.safety.tell(InstallActuator(config=config))
        self._site.tell_device(config.esp_id, UpdateActuators(actuators=tuple(mine.values())))
        self._site.audit(message.issuer, f"actuator {where} {config.actuator_type.value}")
        return config

    def keep_calibration(self, config: SensorConfig) -> None:
        """Take over a saved calibration. A sensor that is declared in a file may also be
        calibrated.
        """
        mine = self._site.sensors[config.esp_id]
        mine[config.key] = config
        self._site.tell_device(config.esp_id, UpdateSensors(sensors=tuple(mine.values())))

    def remove_sensor(self, message: RemoveSensor) -> None:
        self._site.known(message.key.esp_id)
        key = self._site.sensor(message.key).key
        mine = self._site.sensors[key.esp_id]
        self._site.refuse_declared(key, f"{key.esp_id}/{key.gpio}")
        self._site.refuse_changed(message.seen, mine[key], f"sensor {key.esp_id}/{key.gpio}")
        self._site.refuse_used(
            (key.esp_id, key.gpio, key.sensor_type), f"sensor {key.esp_id}/{key.gpio}"
        )
        registry.delete_sensor(self._site.database, key)
        del mine[key]
        gone = RemovedEntry(key.gpio, key.sensor_type, key.address)
        self._to_be_forgotten(key.esp_id, gone)
        self._site.tell_device(key.esp_id, UpdateSensors(sensors=tuple(mine.values())))
        self._site.audit(
            message.issuer, f"removed sensor {key.esp_id}/{key.gpio} {key.sensor_type}"
        )

    def remove_actuator(self, message: RemoveActuator) -> None:
        key = message.key
        self._site.known(key.esp_id)
        mine = self._site.actuators.get(key.esp_id, {})
        if key.gpio not in mine:
            raise UnknownActuator(esp_id=key.esp_id, gpio=key.gpio)
        self._site.refuse_declared(key, f"{key.esp_id}/{key.gpio}")
        present = mine[key.gpio]
        self._site.refuse_changed(message.seen, present, f"actuator {key.esp_id}/{key.gpio}")
        self._site.refuse_used((key.esp_id, key.gpio), f"actuator {key.esp_id}/{key.gpio}")
        # This is not on the path from a reading to an actuator, and the safety actor never asks the
        # registrar.
        self._site.safety.ask(UninstallActuator(key=key), timeout_s=ASK_TIMEOUT_S)
        registry.delete_actuator(self._site.database, key)
        del mine[key.gpio]
        self._to_be_forgotten(key.esp_id, RemovedEntry(key.gpio))
        self._site.tell_device(key.esp_id, UpdateActuators(actuators=tuple(mine.values())))
        self._site.audit(message.issuer, f"removed actuator {key.esp_id}/{key.gpio}")

    def _to_be_forgotten(self, device_id: str, entry: RemovedEntry) -> None:
        """Record a deletion: the device is told until it confirms, even after a restart of the
        gateway.
        """
        record = self._site.devices[device_id]
        record = msgspec.structs.replace(record, removed=tuple(sorted({*record.removed, entry})))
        registry.save_device(self._site.database, record)
        self._site.devices[device_id] = record
        self._site.tell_device(device_id, UpdateDevice(record=record))

    def _wanted_again(self, device_id: str, entry: RemovedEntry) -> None:
        record = self._site.devices[device_id]
        if entry in record.removed:
            left = tuple(other for other in record.removed if other != entry)
            record = msgspec.structs.replace(record, removed=left)
            registry.save_device(self._site.database, record)
            self._site.devices[device_id] = record
            self._site.tell_device(device_id, UpdateDevice(record=record))

    def save_interlocks(self, message: SaveInterlocks) -> tuple[interlocks.Interlock, ...]:
        declared = self._site.declared.interlocks
        present = (*declared, *registry.load_interlocks(self._site.database))
        self._site.refuse_changed(message.seen, present, "the list of interlocks")
        # The interlocks of the files stay; a client may send them back together with its own.
        own = tuple(entry for entry in message.interlocks if entry not in declared)
        both = (*declared, *own)
        known = {a.key: a for mine in self._site.actuators.values() for a in mine.values()}
        interlocks.validate(both, known)
        registry.save_interlocks(self._site.database, own)
        self._site.safety.tell(InstallInterlocks(interlocks=both))
        self._site.audit(message.issuer, f"{len(both)} interlocks")
        return both

    def tell_pin_conflicts(self) -> None:
        for mine in self._site.actuators.values():
            for actuator in mine.values():
                self._tell_pin_conflict(actuator)

    def _tell_pin_conflict(self, actuator: ActuatorConfig) -> None:
        """A declaration in a file may use a pin of an entry that was set by REST before."""
        users = self._site.pin_users(actuator.esp_id, without=actuator.key)
        shared = [users[pin] for pin in gpio.actuator_pins(actuator) if pin in users]
        if shared:
            self._site.safety.tell(InstallActuator(config=actuator, pin_user=shared[0]))
