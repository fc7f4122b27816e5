"""The configuration: devices, sensors, actuators, interlocks. One write each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    DeviceRecord,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.safety.actuator_memory import KeptActuator
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.safety import Hold
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.models import Actuator, ActuatorMemory, Device, SafetyMirror, Sensor


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def load_devices(database: Database) -> list[DeviceRecord]:
    rows = database.rows(Device.select().order_by(Device.device_id))
    return [msgspec.json.decode(row.body, type=DeviceRecord) for row in rows]


def save_device(database: Database, record: DeviceRecord) -> None:
    database.run(
        Device.insert(device_id=record.device_id, body=_text(record)).on_conflict(
            conflict_target=[Device.device_id], preserve=[Device.body]
        )
    )


def delete_device(database: Database, device_id: str) -> None:
    """Delete a device with its configuration; its readings stay."""
    with database.transaction():
        database.run(Sensor.delete().where(Sensor.esp_id == device_id))
        database.run(Actuator.delete().where(Actuator.esp_id == device_id))
        database.execute("DELETE FROM broker_accounts WHERE device_id = ?", (device_id,))
        database.run(Device.delete().where(Device.device_id == device_id))


def delete_sensor(database: Database, key: SensorKey) -> None:
    database.run(
        Sensor.delete().where(
            Sensor.esp_id == key.esp_id,
            Sensor.gpio == key.gpio,
            Sensor.sensor_type == key.sensor_type,
            Sensor.address == key.address,
        )
    )


def delete_actuator(database: Database, key: ActuatorKey) -> None:
    """Delete an actuator with its stored state and its hold."""
    where = (key.esp_id, key.gpio)
    with database.transaction():
        database.run(
            Actuator.delete().where(Actuator.esp_id == key.esp_id, Actuator.gpio == key.gpio)
        )
        database.execute("DELETE FROM actuator_memory WHERE esp_id = ? AND gpio = ?", where)
        database.execute("DELETE FROM holds WHERE esp_id = ? AND gpio = ?", where)


def load_sensors(database: Database) -> list[SensorConfig]:
    rows = database.rows(Sensor.select().order_by(Sensor.esp_id, Sensor.gpio, Sensor.sensor_type))
    return [msgspec.json.decode(row.body, type=SensorConfig) for row in rows]


def find_sensor(database: Database, key: SensorKey) -> SensorConfig | None:
    rows = database.fetch(
        "SELECT body FROM sensors WHERE esp_id = ? AND gpio = ? AND sensor_type = ? AND address = ?",
        (key.esp_id, key.gpio, key.sensor_type, key.address),
    )
    return msgspec.json.decode(rows[0][0], type=SensorConfig) if rows else None


def save_sensor(database: Database, config: SensorConfig) -> None:
    database.run(
        Sensor.insert(
            esp_id=config.esp_id,
            gpio=config.gpio,
            sensor_type=config.sensor_type,
            address=config.address,
            body=_text(config),
        ).on_conflict(
            conflict_target=[Sensor.esp_id, Sensor.gpio, Sensor.sensor_type, Sensor.address],
            preserve=[Sensor.body],
        )
    )


def load_actuators(database: Database) -> list[ActuatorConfig]:
    rows = database.rows(Actuator.select().order_by(Actuator.esp_id, Actuator.gpio))
    return [msgspec.json.decode(row.body, type=ActuatorConfig) for row in rows]


def save_actuator(database: Database, config: ActuatorConfig) -> None:
    database.run(
        Actuator.insert(esp_id=config.esp_id, gpio=config.gpio, body=_text(config)).on_conflict(
            conflict_target=[Actuator.esp_id, Actuator.gpio], preserve=[Actuator.body]
        )
    )


def load_interlocks(database: Database) -> tuple[Interlock, ...]:
    rows = database.fetch("SELECT body FROM interlocks ORDER BY id")
    return tuple(msgspec.json.decode(body, type=Interlock) for (body,) in rows)


def save_interlocks(database: Database, interlocks: Sequence[Interlock]) -> None:
    """Replace all interlocks."""
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM interlocks")
        for interlock in interlocks:
            database.execute("INSERT INTO interlocks (body) VALUES (?)", (_text(interlock),))


def load_memories(database: Database) -> dict[ActuatorKey, KeptActuator]:
    rows = database.rows(ActuatorMemory.select())
    return {
        ActuatorKey(row.esp_id, row.gpio): msgspec.json.decode(row.body, type=KeptActuator)
        for row in rows
    }


def load_holds(database: Database) -> dict[ActuatorKey, Hold]:
    rows = database.fetch("SELECT esp_id, gpio, held_by, until FROM holds")
    return {
        ActuatorKey(esp_id, gpio): Hold(by=by, until=math.inf if until is None else until)
        for esp_id, gpio, by, until in rows
    }


def has_safety_mirror(database: Database) -> bool:
    """Whether a latch was ever written: if so, a missing latch file was lost."""
    return bool(database.rows(SafetyMirror.select().limit(1)))
