"""What a site makes of a rule at save: what it names is missing, not clear, or never allowed.

The kind of fault: a rule that is kept and can never do what it says, or does it to something else, without a
word.
"""

from __future__ import annotations

import pytest

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorType,
    DeviceRecord,
    SensorConfig,
    Verb,
)
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    RampAction,
    RuleDefinition,
    SensorCondition,
    StopAction,
    TimeWindow,
    problems_of,
    site_of,
)

TANK = "ESP_A00001"
LAMP, PUMP = 19, 25
PROBES = ("28AA", "28BB")
SITE = site_of(
    [DeviceRecord(device_id=TANK, zone_id="north")],
    [
        *(SensorConfig(esp_id=TANK, gpio=4, sensor_type="ds18b20", address=a) for a in PROBES),
        SensorConfig(esp_id=TANK, gpio=34, sensor_type="moisture"),
    ],
    [
        ActuatorConfig(
            esp_id=TANK, gpio=LAMP, actuator_type=ActuatorType.PWM, max_runtime_s=3600,
            min_value=0.2, max_value=0.8,
        ),
        ActuatorConfig(
            esp_id=TANK, gpio=PUMP, actuator_type=ActuatorType.PUMP, max_runtime_s=60,
            min_on_s=5.0, max_on_s_per_hour=40.0, max_switches_per_hour=4,
        ),
    ],
)  # fmt: skip
DRY = SensorCondition(esp_id=TANK, gpio=34, sensor_type="moisture", operator="<", value=30.0)


def turn(verb=Verb.ON, gpio=PUMP, **how):
    return ActuatorAction(esp_id=TANK, gpio=gpio, command=verb, **how)


def told(*actions, conditions=(DRY,), **how):
    rule = RuleDefinition(name="r", conditions=conditions, actions=actions, **how)
    return [(p.severity, p.path, p.message) for p in problems_of(rule, SITE)]


@pytest.mark.parametrize(
    ("action", "path", "says"),
    [
        (StopAction(esp_id="ESP_FFFFFF"), "actions[0].esp_id", "no device ESP_FFFFFF"),
        (StopAction(zone_id="nord"), "actions[0].zone_id", "zones are: north"),
    ],
)
def test_a_stop_that_would_stop_nothing_is_refused(action, path, says):
    ((severity, where, message),) = told(action)
    assert (severity, where) == ("error", path)
    assert says in message


@pytest.mark.parametrize("action", [StopAction(), StopAction(esp_id=TANK), StopAction(zone_id="north")])  # fmt: skip
def test_a_stop_of_what_there_is_is_none(action):
    assert told(action) == []


def probe(address=""):
    return SensorCondition(
        esp_id=TANK, gpio=4, sensor_type="ds18b20", address=address, operator=">", value=25.0
    )


def test_two_probes_on_one_pin_are_named_by_their_addresses():
    ((severity, path, message),) = told(turn(duration=10.0), conditions=(probe(),))
    assert (severity, path) == ("warning", "conditions[0]")
    assert "28AA, 28BB" in message
    assert told(turn(duration=10.0), conditions=(probe("28BB"),)) == []
    ((_, _, message),) = told(turn(duration=10.0), conditions=(probe("28CC"),))
    assert "has the address 28CC" in message


@pytest.mark.parametrize(
    ("action", "how", "says"),
    [
        (turn(duration=61.0), {}, "runs 60 s at most"),
        (turn(duration=41.0), {}, "40 s that it may be on in an hour"),
        (turn(duration=2.0), {}, "minimum on time of 5 s"),
        (turn(duration=10.0), {"max_per_hour": 3}, "allows 4 an hour"),
        (turn(Verb.PWM, LAMP, value=0.1, duration=10.0), {}, "takes 0.2 to 0.8"),
        (turn(Verb.PWM, LAMP, value=0.9, duration=10.0), {}, "takes 0.2 to 0.8"),
        (RampAction(esp_id=TANK, gpio=LAMP, start=0.3, end=0.8, seconds=7200.0), {}, "takes 7200 s"),
        (RampAction(esp_id=TANK, gpio=LAMP, start=0.0, end=1.0, seconds=60.0), {}, "takes 0.2 to 0.8"),
    ],
)  # fmt: skip
def test_what_the_limits_never_allow_is_told(action, how, says):
    found = told(action, **how)
    assert any(says in message for _, _, message in found)
    assert {severity for severity, _, _ in found} == {"warning"}


@pytest.mark.parametrize(
    "action",
    [turn(duration=30.0), turn(Verb.OFF), turn(Verb.PWM, LAMP, value=0.0), turn(Verb.ON, LAMP, duration=60.0)],
)  # fmt: skip
def test_what_the_limits_allow_is_not(action):
    assert told(action) == []


def test_a_window_that_is_longer_than_the_actuator_may_run_is_told():
    day = TimeWindow(start="06:00", end="22:00")
    assert any("16 h long" in m for _, _, m in told(turn(gpio=LAMP), conditions=(day,)))
    short = TimeWindow(start="23:40", end="00:20")
    assert told(turn(gpio=LAMP), conditions=(short,)) == []
    assert told(turn(Verb.ON, LAMP, duration=600.0), conditions=(day,)) == []
