"""What ends a stop, and what does not. The kind: a message that speaks of an earlier moment than the one at
which it arrives (a slow broker, a queue in the device) is taken for news; and news is taken for such a message.
"""

from __future__ import annotations

import pytest

from godkaiser.domain.entities import Verb
from godkaiser.protocol import inbound
from tests.actors.safety_bench import DEVICE, Bench, relay

A, B = 25, 26

CLEARED = inbound.EmergencyResponse(esp_id=DEVICE, status="emergency_cleared")
CONFIRMED = inbound.RecoveryConfirm(esp_id=DEVICE, state="cleared")


def stopped(*, shown=True):
    """A device with two actuators under a stop that may be cleared."""
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    bench.stop()
    if shown:
        for gpio in (A, B):
            bench.alert(gpio)
    bench.run(6.0)
    return bench


def normal(*, shown=True):
    bench = stopped(shown=shown)
    bench.clear()
    bench.run(2.0)
    bench.report(CLEARED)
    bench.run()
    for gpio in (A, B):
        bench.status(gpio, 0)
    assert bench.safety.state == "normal"
    return bench


@pytest.mark.parametrize("shown", [True, False])
def test_a_report_from_before_the_stop_that_comes_after_the_clear_ends_nothing(shown):
    bench = stopped(shown=shown)
    bench.clear()
    for _ in range(3):
        bench.status(A, 0)
        bench.status(B, 0)
        bench.run(0.3)
    assert bench.safety.stops[0].clearing == (DEVICE,)
    told = bench.traffic().count("clear_emergency")
    bench.run(10.0)
    assert bench.traffic().count("clear_emergency") > told
    bench.report(CLEARED)
    bench.run()
    assert not bench.safety.stops or bench.safety.stops[0].state == "resuming"


@pytest.mark.parametrize("answer", [CLEARED, CONFIRMED])
def test_a_late_answer_to_an_earlier_clear_ends_no_later_stop(answer):
    bench = normal()
    bench.stop()
    bench.run(6.0)
    bench.clear()
    bench.report(answer)
    bench.run()
    assert bench.safety.stops[0].clearing == (DEVICE,)
    # The device's messages keep their order: what follows its word on this stop is an answer to this clear.
    bench.alert(A)
    bench.report(answer)
    bench.run()
    assert not bench.safety.stops or bench.safety.stops[0].state == "resuming"


def test_one_actuator_does_not_speak_for_its_device():
    bench = stopped()
    bench.clear()
    bench.run(2.0)
    bench.status(A, 0)
    assert bench.safety.stops[0].clearing == (DEVICE,)
    bench.status(B, 0)
    assert bench.safety.state == "normal"


def test_an_alert_right_after_a_clear_is_a_stop_of_its_own():
    bench = normal()
    bench.run(0.5)
    bench.status(A, 0, "active")
    bench.alert(A)
    bench.status(B, 0, "active")
    bench.alert(B)
    assert bench.safety.stops[0].by == f"device:{DEVICE}"
    assert not bench.command(A).allowed


def test_a_report_that_says_active_right_after_a_clear_is_looked_at_again():
    bench = normal()
    bench.run(0.5)
    for gpio in (A, B):
        bench.status(gpio, 0, "active")
    assert bench.safety.state == "normal"
    bench.run(4.0)
    assert bench.safety.stops[0].by == f"device:{DEVICE}"


def test_a_report_from_before_the_clear_is_no_new_stop():
    bench = normal()
    bench.run(0.5)
    for emergency in ("active", "normal"):
        for gpio in (A, B):
            bench.status(gpio, 0, emergency)
    bench.run(20.0)
    assert bench.safety.state == "normal"


def test_a_device_whose_clear_was_accepted_in_its_absence_is_told_when_it_returns():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.execute(A)
    bench.present(online=False)
    bench.stop()
    bench.run(6.0)
    bench.clear()
    bench.clear(accept_unconfirmed=True)
    assert "clear_emergency" not in bench.traffic()
    bench.present(online=True)
    assert bench.traffic().count("clear_emergency") == 1
    # It hears the stop that waited for it at the broker, and says so.
    bench.alert(A)
    bench.status(A, 0, "active")
    bench.run(6.0)
    bench.status(A, 0, "active")
    assert bench.traffic().count("clear_emergency") == 2
    bench.report(CLEARED)
    bench.status(A, 0)
    assert bench.safety.state == "normal"
    bench.run(10.0)
    # From now on its stops are its own again.
    bench.alert(A)
    bench.status(A, 0, "active")
    assert bench.safety.stops[0].by == f"device:{DEVICE}"


def test_an_actuator_that_stays_on_is_alarmed_whatever_becomes_of_the_stop():
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.stop()
    bench.alert(B)
    for _ in range(8):
        bench.status(A, 1, "active")
        bench.run(5.0)
    assert str(A) in bench.safety.alarm
    for sent in bench.commands(A):
        bench.answer(A, sent["correlation_id"], success=False)
    answer = bench.clear()
    assert f"GPIO {A} is on" in answer.alarm
    bench.run(3.0)
    bench.report(CLEARED)
    for _ in range(4):
        bench.status(A, 1)
        bench.status(B, 0)
        bench.run(5.0)
    assert bench.safety.state == "normal"
    assert "on although OFF was sent" in bench.safety.alarm
    bench.status(A, 0)
    assert bench.safety.alarm == ""


def test_an_actuator_that_takes_a_while_to_go_off_is_no_alarm():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.execute(A)
    bench.command(A, Verb.OFF)
    bench.run(10.0)
    bench.execute(A)
    bench.run(60.0)
    assert bench.safety.alarm == ""
