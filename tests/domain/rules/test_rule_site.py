"""What a site makes of a rule at save: what it names is missing, not clear, or never allowed.

The kind of fault: a rule that is kept and can never do what it says, or does it to something else, without a
word.
"""

from __future__ import annotations

import msgspec
import pytest

from godkaiser.domain.addresses import Destinations
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorType,
    DeviceRecord,
    SensorConfig,
    Verb,
)
from godkaiser.domain.rules.outlets import Outlets
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
from godkaiser.domain.rules.schema import (
    Delay,
    HysteresisCondition,
    NotificationAction,
    SequenceAction,
    WaitUntil,
)

TANK = "ESP_A00001"
LAMP, PUMP, REST = 19, 25, 26
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
        ActuatorConfig(esp_id=TANK, gpio=REST, actuator_type=ActuatorType.PUMP, min_off_s=10.0),
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
    ((severity, path, message),) = told(turn(duration=10.0), conditions=(probe(),), max_per_hour=2)
    assert (severity, path) == ("warning", "conditions[0]")
    assert "28AA, 28BB" in message
    assert told(turn(duration=10.0), conditions=(probe("28BB"),), max_per_hour=2) == []
    ((_, _, message),) = told(turn(duration=10.0), conditions=(probe("28CC"),), max_per_hour=2)
    assert "has the address 28CC" in message


@pytest.mark.parametrize(
    ("action", "how", "says"),
    [
        (turn(duration=61.0), {}, "runs at most 60 s"),
        (turn(duration=41.0), {}, "40 s that it may be on in an hour"),
        (turn(duration=2.0), {}, "minimum on-time of 5 s"),
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
    assert told(action, max_per_hour=2) == []


def test_a_window_that_is_longer_than_the_actuator_may_run_is_told():
    day = TimeWindow(start="06:00", end="22:00")
    assert any("16 h long" in m for _, _, m in told(turn(gpio=LAMP), conditions=(day,)))
    short = TimeWindow(start="23:40", end="00:20")
    assert told(turn(gpio=LAMP), conditions=(short,)) == []
    assert told(turn(Verb.ON, LAMP, duration=600.0), conditions=(day,)) == []


# ---- what takes time


def turned(*steps):
    return SequenceAction(steps=steps)


def wait(seconds):
    return Delay(seconds=seconds)


OFF = turn(Verb.OFF)


@pytest.mark.parametrize(
    ("steps", "path", "says"),
    [
        ((turn(), wait(100.0), OFF), "actions[0].steps[0]", "off after 60 s (max_runtime_s)"),
        ((turn(), wait(40.0), wait(40.0), OFF), "actions[0].steps[0]", "on for 80 s"),
        ((turn(), wait(30.0), turn(Verb.ON, LAMP), wait(50.0), OFF), "actions[0].steps[0]", "80 s"),
        ((turn(), wait(50.0), OFF), "actions[0].steps[0]", "40 s in an hour"),
        ((turn(Verb.ON, REST), wait(5.0), turn(Verb.OFF, REST), wait(9.0), turn(Verb.ON, REST)),
         "actions[0].steps[2]", "rests 10 s"),
    ],
)  # fmt: skip
def test_a_sequence_that_an_actuator_ends_or_refuses_midway_is_told(steps, path, says):
    found = told(turned(*steps), max_per_hour=1)
    assert [(s, where) for s, where, message in found if says in message] == [("warning", path)]


@pytest.mark.parametrize(
    "steps",
    [
        (turn(), wait(40.0), OFF),
        (turn(duration=10.0), wait(100.0), OFF),
        (turn(), turn(Verb.ON, LAMP), wait(30.0), OFF),
        (turn(Verb.ON, REST), wait(5.0), turn(Verb.OFF, REST), wait(10.0), turn(Verb.ON, REST)),
        (turn(Verb.ON, REST), turn(Verb.OFF, REST), WaitUntil(condition=DRY, timeout_seconds=60.0),
         turn(Verb.ON, REST)),
    ],
)  # fmt: skip
def test_a_sequence_that_can_be_kept_is_not_told(steps):
    assert told(turned(*steps), max_per_hour=1) == []


# ---- how often


COOLING = HysteresisCondition(
    esp_id=TANK, gpio=34, sensor_type="moisture", activate_above=60.0, deactivate_below=50.0
)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"cooldown_seconds": 1.0}, "a cooldown of 1 s lets it fire far more often than the 4"),
        ({"cooldown_seconds": 0.0}, "set max_per_hour 2"),
        ({"cooldown_seconds": 1799.0}, "a longer cooldown_seconds"),
        ({"max_per_hour": 3}, "takes up to 6 switches"),
    ],
)
def test_firings_beyond_what_the_actuator_switches_in_an_hour_are_told(how, says):
    ((severity, path, message),) = told(turn(duration=10.0), **how)
    assert (severity, path) == ("warning", "actions[0]")
    assert says in message


@pytest.mark.parametrize(
    "how", [{"max_per_hour": 2}, {"cooldown_seconds": 1800.0}, {"conditions": (COOLING,)}]
)
def test_firings_within_it_are_not_told(how):
    assert told(turn(duration=10.0), **how) == []


def test_one_firing_may_be_too_much_already():
    steps = [step for _ in range(3) for step in (turn(duration=6.0), wait(10.0))]
    ((_, _, message),) = told(turned(*steps))
    assert "each firing takes 6 switches" in message


# ---- what is to be told


def notified(channel, target, *allow, sends_mail=False):
    outlets = Outlets(destinations=Destinations(allow), sends_mail=sends_mail)
    note = NotificationAction(channel=channel, target=target)
    rule = RuleDefinition(
        name="r", conditions=(DRY,), actions=(note, SequenceAction(steps=(note,)))
    )
    site = msgspec.structs.replace(SITE, outlets=outlets)
    return [(p.severity, p.path, p.message) for p in problems_of(rule, site)]


INSIDE = ("127.0.0.1", "localhost", "127.1", "0", "2130706433", "0x7f000001", "0177.0.0.1",
          "[::1]", "192.168.1.5", "169.254.169.254", "[::ffff:10.0.0.1]")  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_a_webhook_to_an_undeclared_address_inside_is_told(host):
    found = notified("webhook", f"http://{host}:8123/hook")
    assert [(severity, path) for severity, path, _ in found] == [
        ("warning", "actions[0]"), ("warning", "actions[1].steps[0]"),
    ]  # fmt: skip
    assert all("[outbound] allow" in message for _, _, message in found)


def test_mail_without_a_mail_server_is_told():
    found = notified("email", "someone@example.com")
    assert len(found) == 2
    assert all("set [notify] smtp_host" in message for _, _, message in found)


@pytest.mark.parametrize(
    ("channel", "target", "allow"),
    [("email", "someone@example.com", ()), ("mqtt", "alarm", ()),
     ("webhook", "https://hooks.example.com/x", ()), ("webhook", "http://127.1/x", ("127.0.0.0/8",)),
     ("webhook", "http://panel.local/x", ()), ("webhook", "http://localhost/x", ("localhost",))],
)  # fmt: skip
def test_what_can_be_told_is_not_doubted(channel, target, allow):
    assert notified(channel, target, *allow, sends_mail=True) == []
