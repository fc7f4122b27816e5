"""The pins of a board and their permitted uses (contract, section 19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_GPIO = 39
NO_PIN = 255


@dataclass(frozen=True, slots=True)
class Board:
    reserved: frozenset[int]
    usable: frozenset[int]
    input_only: frozenset[int]
    i2c: frozenset[int]
    adc2: frozenset[int]
    onewire: int
    max_sensors: int
    max_actuators: int

    def refuses(self, pin: int, users: Mapping[int, str]) -> str:
        """The user of the pin, or why it cannot be used; "" if it is free."""
        if pin in self.reserved or pin not in self.usable:
            return "system"
        if pin in self.i2c:
            return "I2C bus"
        return users.get(pin, "")


ESP32_WROOM = Board(
    reserved=frozenset((0, 1, 2, 3, 12, 13)),
    usable=frozenset((4, 5, *range(14, 20), 21, 22, 23, 25, 26, 27, 32, 33, 34, 35, 36, 39)),
    input_only=frozenset((34, 35, 36, 39)),
    i2c=frozenset((21, 22)),
    adc2=frozenset((0, 2, 4, 12, 13, 14, 15, 25, 26, 27)),
    onewire=4,
    max_sensors=20,
    max_actuators=12,
)
XIAO_C3 = Board(
    reserved=frozenset((0, 1, 3)),
    usable=frozenset((2, *range(4, 11), 21)),
    input_only=frozenset(),
    i2c=frozenset((4, 5)),
    adc2=frozenset(),
    onewire=6,
    max_sensors=10,
    max_actuators=6,
)
