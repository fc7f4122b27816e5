"""What a device may energise by itself is judged like a command, and for the time that nobody watches."""

from __future__ import annotations

import pytest

from godkaiser.domain.safety.interlocks import Interlock, InterlockKind
from godkaiser.domain.safety.safety import Hold
from godkaiser.domain.safety.standing_orders import DeviceSituation, PinFacts, judged
from tests.domain.safety.safety_builders import NOW, PUMP, VALVE, a_config

ENTRY = {"actuator_gpio": PUMP.gpio, "sensor_gpio": 0, "sensor_value_type": "sht31_temp"}
FREE = DeviceSituation(approved=True)


def pin(**changes) -> PinFacts:
    return PinFacts(**{"config": a_config(), **changes})


def test_what_nothing_forbids_stands() -> None:
    standing = judged([ENTRY], FREE, {PUMP.gpio: pin()}, NOW)
    assert standing.entries == (ENTRY,)
    assert standing.refused == ()
    assert standing.may_leave_safe_mode


@pytest.mark.parametrize(
    ("situation", "facts", "reason"),
    [
        (DeviceSituation(approved=False), pin(), "not approved"),
        (DeviceSituation(approved=True, stopped="global (leak)"), pin(), "stopped: global"),
        (DeviceSituation(approved=True, automation_held=True), pin(), "rules are held"),
        (FREE, None, "no such actuator"),
        (FREE, pin(pin_user="sensor ds18b20"), "also used by"),
        (FREE, pin(hold=Hold(by="user:1", until=NOW + 1)), "held by user:1"),
        (
            FREE,
            pin(interlocks=(Interlock(kind=InterlockKind.NEVER_WITH, actuator=VALVE, other=PUMP),)),
            "never with",
        ),
        (FREE, pin(config=a_config(min_off_s=60.0)), "minimum rest"),
        (FREE, pin(config=a_config(max_switches_per_hour=4)), "switchings per hour"),
    ],
)
def test_what_forbids_a_command_forbids_a_standing_order(situation, facts, reason) -> None:
    pins = {} if facts is None else {PUMP.gpio: facts}
    standing = judged([ENTRY], situation, pins, NOW)
    assert standing.entries == ()
    assert reason in standing.refused[0][1]


def test_a_hold_that_is_over_forbids_nothing() -> None:
    held = pin(hold=Hold(by="user:1", until=NOW - 1))
    assert judged([ENTRY], FREE, {PUMP.gpio: held}, NOW).entries == (ENTRY,)
