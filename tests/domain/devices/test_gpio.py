"""The table of pins and its interpreter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices.gpio import (
    BOARDS,
    NO_AUX,
    ONEWIRE_USER,
    Board,
    actuator_pins,
    board,
    check_actuator,
    check_sensor,
)
from godkaiser.domain.entities import ActuatorConfig, ActuatorType, SensorConfig
from godkaiser.errors.devices import GpioConflict, InvalidGpio

WROOM = "esp32_wroom"


def sensor(gpio: int, sensor_type: str = "ds18b20") -> SensorConfig:
    return SensorConfig(esp_id="ESP_4F3A9C", gpio=gpio, sensor_type=sensor_type)


def actuator(
    gpio: int, kind: ActuatorType = ActuatorType.PUMP, aux_gpio: int = NO_AUX
) -> ActuatorConfig:
    return ActuatorConfig(esp_id="ESP_4F3A9C", gpio=gpio, actuator_type=kind, aux_gpio=aux_gpio)


@pytest.mark.parametrize("pins", BOARDS.values(), ids=BOARDS)
def test_the_table_does_not_contradict_itself(pins: Board) -> None:
    assert not pins.usable & (pins.reserved | pins.flash)
    assert pins.input_only | pins.i2c | pins.adc1 <= pins.usable
    assert not pins.adc1 & pins.adc2
    assert max(pins.usable) <= 39


@pytest.mark.parametrize(
    ("gpio", "words"),
    [(99, "has no such pin"), (-1, "has no such pin"), (6, "flash memory"), (0, "reserved"),
     (12, "reserved"), (21, "I2C bus"), (20, "has no such pin")],
)  # fmt: skip
def test_a_pin_that_cannot_be_used_is_refused_with_the_reason(gpio: int, words: str) -> None:
    with pytest.raises(InvalidGpio, match=words):
        check_actuator(WROOM, actuator(gpio), {})
    with pytest.raises(InvalidGpio, match=words):
        check_sensor(WROOM, sensor(gpio), {})


def test_gpio_99_is_answered_with_the_pins_that_there_are() -> None:
    with pytest.raises(InvalidGpio) as caught:
        check_sensor(WROOM, sensor(99), {})
    assert caught.value.message.startswith("GPIO 99: esp32_wroom has no such pin. Usable: 4, 5, 14")


@pytest.mark.parametrize("gpio", [34, 35, 36, 39])
def test_an_input_only_pin_drives_nothing_but_measures(gpio: int) -> None:
    with pytest.raises(InvalidGpio, match="input only"):
        check_actuator(WROOM, actuator(gpio), {})
    check_sensor(WROOM, sensor(gpio, "ph"), {})


def test_an_analogue_sensor_needs_adc1() -> None:
    with pytest.raises(InvalidGpio, match="does not work while Wi-Fi is on"):
        check_sensor(WROOM, sensor(25, "ph"), {})
    with pytest.raises(InvalidGpio, match="needs a pin of ADC1"):
        check_sensor(WROOM, sensor(17, "ph"), {})


def test_the_gpio_of_an_i2c_sensor_is_a_label() -> None:
    check_sensor(WROOM, sensor(0, "sht31_temp"), {0: "anything"})
    with pytest.raises(InvalidGpio):
        check_sensor(WROOM, sensor(99, "sht31_temp"), {})


def test_a_pin_has_one_owner_who_is_named() -> None:
    with pytest.raises(GpioConflict, match="GPIO 25 of ESP_4F3A9C is used by pump tank"):
        check_actuator(WROOM, actuator(25), {25: "pump tank"})
    with pytest.raises(GpioConflict, match="used by pump tank"):
        check_sensor(WROOM, sensor(25), {25: "pump tank"})


def test_onewire_sensors_share_one_pin_and_only_that() -> None:
    check_sensor(WROOM, sensor(4), {4: ONEWIRE_USER})
    with pytest.raises(InvalidGpio, match="one OneWire bus, and this device has it on GPIO 4"):
        check_sensor(WROOM, sensor(5), {4: ONEWIRE_USER})
    with pytest.raises(GpioConflict, match="the OneWire bus"):
        check_actuator(WROOM, actuator(4), {4: ONEWIRE_USER})


def test_a_valve_takes_two_different_pins() -> None:
    assert actuator_pins(actuator(25, ActuatorType.VALVE)) == (25, 26)
    assert actuator_pins(actuator(25, ActuatorType.VALVE, 33)) == (25, 33)
    with pytest.raises(GpioConflict):
        check_actuator(WROOM, actuator(25, ActuatorType.VALVE), {26: "relay lamp"})
    with pytest.raises(InvalidGpio, match="two pins"):
        check_actuator(WROOM, actuator(25, ActuatorType.VALVE, 25), {})
    with pytest.raises(InvalidGpio, match="GPIO 34: it is input only"):
        check_actuator(WROOM, actuator(33, ActuatorType.VALVE), {})


def test_an_unknown_board_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidGpio, match="esp32_wroom, xiao_esp32c3"):
        board("esp8266")


@given(st.sampled_from(sorted(BOARDS)), st.integers(-5, 300), st.sampled_from(ActuatorType))
def test_whatever_is_accepted_can_be_driven(name: str, gpio: int, kind: ActuatorType) -> None:
    pins = BOARDS[name]
    config = actuator(gpio, kind)
    try:
        check_actuator(name, config, {})
    except InvalidGpio:
        return
    driven = set(actuator_pins(config))
    assert driven <= pins.usable - pins.input_only - pins.i2c - pins.reserved - pins.flash
