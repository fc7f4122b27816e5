"""The permitted uses of each board's pins (contract, section 19): a table and its interpreter."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorType, SensorConfig
from godkaiser.domain.sensors.sensors import Bus, bus_of
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.devices import GpioConflict, InvalidGpio

MAX_GPIO = 39
NO_AUX = 255


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Pins in `flash` and `reserved` can never be used; those in `adc2` cannot be read while Wi-Fi
    is on.
    """

    usable: frozenset[int]
    input_only: frozenset[int]
    i2c: frozenset[int]
    adc1: frozenset[int]
    adc2: frozenset[int]
    flash: frozenset[int]
    reserved: frozenset[int]
    max_sensors: int
    max_actuators: int


BOARDS: Mapping[str, Board] = {
    "esp32_wroom": Board(
        usable=frozenset(
            (4, 5, 14, 15, 16, 17, 18, 19, 21, 22, 23, 25, 26, 27, 32, 33, 34, 35, 36, 39)
        ),
        input_only=frozenset((34, 35, 36, 39)),
        i2c=frozenset((21, 22)),
        adc1=frozenset((32, 33, 34, 35, 36, 39)),
        adc2=frozenset((0, 2, 4, 12, 13, 14, 15, 25, 26, 27)),
        flash=frozenset(range(6, 12)),
        reserved=frozenset((0, 1, 2, 3, 12, 13)),
        max_sensors=20,
        max_actuators=12,
    ),
    "xiao_esp32c3": Board(
        usable=frozenset((2, 4, 5, 6, 7, 8, 9, 10, 21)),
        input_only=frozenset(),
        i2c=frozenset((4, 5)),
        adc1=frozenset((2, 4)),
        adc2=frozenset(),
        flash=frozenset(),
        reserved=frozenset((0, 1, 3)),
        max_sensors=10,
        max_actuators=6,
    ),
}

PinUsers = Mapping[int, str]
"""The current user of each pin of a device, as text for a person; ONEWIRE_USER for its OneWire bus."""

ONEWIRE_USER = "the OneWire bus"


def board(name: str) -> Board:
    """The board of this name. Raises InvalidGpio with the known boards."""
    found = BOARDS.get(name)
    if found is None:
        known = ", ".join(sorted(BOARDS))
        raise InvalidGpio(gpio="-", reason=f"board '{name}' is not known. Known boards: {known}.")
    return found


def check_sensor(board_name: str, config: SensorConfig, users: PinUsers) -> None:
    """Raises InvalidGpio, GpioConflict, ValidationFailed. The GPIO of an I2C sensor is a label, not a pin."""
    bus = bus_of(config.sensor_type)
    if bus is Bus.COMPUTED:
        reason = f"{config.sensor_type} is computed by the gateway, so it cannot be configured: configure its source sensors."
        raise ValidationFailed(reason=reason)
    if bus is Bus.I2C:
        if not 0 <= config.gpio <= MAX_GPIO:
            raise InvalidGpio(gpio=config.gpio, reason="use 0 to 39; 0 is usual for I2C sensors.")
        return
    pins = board(board_name)
    _check_usable(board_name, pins, config.gpio)
    if bus is Bus.ANALOG and config.gpio not in pins.adc1:
        dead = (
            " This pin belongs to ADC2, which does not work while Wi-Fi is on."
            if config.gpio in pins.adc2
            else ""
        )
        reason = f"an analogue sensor needs a pin of ADC1: {_list(pins.adc1)}.{dead}"
        raise InvalidGpio(gpio=config.gpio, reason=reason)
    user = users.get(config.gpio)
    if user is not None and not (bus is Bus.ONEWIRE and user == ONEWIRE_USER):
        raise GpioConflict(gpio=config.gpio, esp_id=config.esp_id, user=user)
    if bus is Bus.ONEWIRE:
        elsewhere = [pin for pin, name in users.items() if name == ONEWIRE_USER]
        if elsewhere and config.gpio not in elsewhere:
            reason = f"a device has one OneWire bus, and this device has it on GPIO {elsewhere[0]}."
            raise InvalidGpio(gpio=config.gpio, reason=reason)


def check_actuator(board_name: str, config: ActuatorConfig, users: PinUsers) -> None:
    """Raises InvalidGpio or GpioConflict."""
    pins = board(board_name)
    driven = actuator_pins(config)
    if len(set(driven)) < len(driven):
        raise InvalidGpio(
            gpio=config.gpio, reason="a valve needs two pins, but aux_gpio is the same pin."
        )
    for gpio in driven:
        _check_usable(board_name, pins, gpio)
        if gpio in pins.input_only:
            reason = (
                f"it is input only and cannot drive an actuator. Usable outputs: {_outputs(pins)}."
            )
            raise InvalidGpio(gpio=gpio, reason=reason)
        user = users.get(gpio)
        if user is not None:
            raise GpioConflict(gpio=gpio, esp_id=config.esp_id, user=user)


def actuator_pins(config: ActuatorConfig) -> tuple[int, ...]:
    """The pins that an actuator drives; a valve has two."""
    if config.actuator_type is not ActuatorType.VALVE:
        return (config.gpio,)
    aux = config.gpio + 1 if config.aux_gpio == NO_AUX else config.aux_gpio
    return (config.gpio, aux)


def _check_usable(board_name: str, pins: Board, gpio: int) -> None:
    if gpio in pins.i2c:
        raise InvalidGpio(gpio=gpio, reason=f"it belongs to the I2C bus of {board_name}.")
    if gpio in pins.usable:
        return
    if gpio in pins.flash:
        problem = f"the flash memory of {board_name} uses it"
    elif gpio in pins.reserved:
        problem = f"it is reserved on {board_name}"
    else:
        problem = f"{board_name} has no such pin"
    free = _list(pins.usable - pins.i2c)
    raise InvalidGpio(gpio=gpio, reason=f"{problem}. Usable: {free}.")


def _outputs(pins: Board) -> str:
    return _list(pins.usable - pins.input_only - pins.i2c)


def _list(pins: frozenset[int]) -> str:
    return ", ".join(str(pin) for pin in sorted(pins))
