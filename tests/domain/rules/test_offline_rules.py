"""Offline rules: compiled only where the device means the same."""

from __future__ import annotations

import msgspec
import pytest

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.offline import MOST_RULES, compile_rule, for_device
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    HysteresisCondition,
    RuleDefinition,
    SensorCondition,
    StopAction,
    TimeWindow,
)

DEVICE = "ESP_A00001"
HOT = HysteresisCondition(
    esp_id=DEVICE, gpio=0, sensor_type="sht31_temp", activate_above=28.0, deactivate_below=25.0
)
DAY = TimeWindow(start="06:00", end="22:30", weekdays=(0, 6), timezone="Europe/Berlin")
FAN = ActuatorAction(esp_id=DEVICE, gpio=25, command=Verb.ON)


def rule(**fields):
    given = {"name": "r", "conditions": (HOT,), "actions": (FAN,), "keep_offline": True, **fields}
    return RuleDefinition(**given)


def changed(thing, **fields):
    return msgspec.structs.replace(thing, **fields)


def test_a_rule_becomes_the_entry_of_the_contract():
    found = compile_rule(7, rule(conditions=(HOT, DAY)))
    assert (found.rule_id, found.device_id, found.reason) == (7, DEVICE, "")
    assert found.entry == {
        "actuator_gpio": 25, "sensor_gpio": 0, "sensor_value_type": "sht31_temp",
        "activate_above": 28.0, "deactivate_below": 25.0,
        # Monday is bit 1 and Sunday is bit 0 of the device's mask.
        "time_filter": {"enabled": True, "start_hour": 6, "start_minute": 0, "end_hour": 22,
                        "end_minute": 30, "days_of_week_mask": 0b11, "timezone": "Europe/Berlin"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("why", "definition"),
    [
        ("keep_offline", rule(keep_offline=False)),
        ("disabled", rule(enabled=False)),
        ("AND", rule(logic_operator="OR")),
        ("one actuator", rule(actions=(FAN, changed(FAN, gpio=26)))),
        ("one actuator", rule(actions=(StopAction(),))),
        ("only switches ON", rule(actions=(changed(FAN, command=Verb.OFF),))),
        ("only switches ON", rule(actions=(changed(FAN, release=False),))),
        ("duration", rule(actions=(changed(FAN, duration=5.0),))),
        ("only switches ON", rule(conditions=(DAY,))),
        ("hysteresis", rule(conditions=(HOT, HOT))),
        ("hysteresis", rule(conditions=(HOT, SensorCondition(
            esp_id=DEVICE, gpio=0, sensor_type="sht31_temp", operator=">", value=1.0)))),
        ("different devices", rule(conditions=(changed(HOT, esp_id="ESP_B00001"),))),
        ("calibration", rule(conditions=(changed(HOT, sensor_type="moisture"),))),
        ("23 characters", rule(conditions=(changed(HOT, sensor_type="x" * 24),))),
        ("exactly 0", rule(conditions=(changed(HOT, deactivate_below=0.0),))),
        ("time zones", rule(conditions=(HOT, changed(DAY, timezone="Asia/Tokyo")))),
        ("hours and minutes", rule(conditions=(HOT, changed(DAY, end="22:30:15")))),
    ],
)  # fmt: skip
def test_what_a_device_would_understand_otherwise_stays_here(why, definition):
    found = compile_rule(1, definition)
    assert found.entry is None
    assert why in found.reason


def test_a_device_gets_its_own_rules_and_no_more_than_it_takes():
    others = changed(HOT, esp_id="ESP_B00001")
    foreign = rule(conditions=(others,), actions=(changed(FAN, esp_id="ESP_B00001"),))
    compiled = [compile_rule(n, rule()) for n in range(MOST_RULES + 3)]
    compiled.append(compile_rule(99, foreign))
    assert len(for_device(compiled, DEVICE)) == MOST_RULES
    assert len(for_device(compiled, "ESP_B00001")) == 1
