"""Lists the users of a device's pins."""

from __future__ import annotations

from collections.abc import Iterable

from godkaiser.domain.devices import gpio
from godkaiser.domain.entities import ActuatorConfig, SensorConfig
from godkaiser.domain.sensors.sensors import Bus, bus_of


def pin_users(
    sensors: Iterable[SensorConfig], actuators: Iterable[ActuatorConfig], *, without: object
) -> dict[int, str]:
    """The users by pin, as text for a person; the entry with the key `without` is left out."""
    users: dict[int, str] = {}
    for sensor in sensors:
        bus = bus_of(sensor.sensor_type)
        if sensor.key == without or bus is Bus.I2C:
            continue
        users[sensor.gpio] = (
            gpio.ONEWIRE_USER
            if bus is Bus.ONEWIRE
            else f"sensor {sensor.name or sensor.sensor_type}"
        )
    for actuator in actuators:
        if actuator.key != without:
            for pin in gpio.actuator_pins(actuator):
                users[pin] = f"{actuator.actuator_type.value} {actuator.name}".strip()
    return users
