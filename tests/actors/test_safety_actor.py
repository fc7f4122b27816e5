"""The truth about an actuator and the order of commands: one owner, one generation, nothing races.

Each test is a fault that trials found, or a neighbour of one: commands that outlive a stop, interlocks
that look at stale facts, a stop that counts as confirmed too early, memories that a crash loses.
"""

from __future__ import annotations

import pytest
import structlog

from godkaiser import paths
from godkaiser.actors.devices.messages import (
    DeviceRemoved,
    InstallActuator,
    OfferOfflineRules,
    ReadingAccepted,
    UninstallActuator,
)
from godkaiser.actors.link.router import BroadcastSeen
from godkaiser.actors.safety.messages import HoldActuator
from godkaiser.domain.entities import (
    ActuatorKey,
    Issuer,
    Quality,
    Reading,
    SensorKey,
    Subzone,
    Verb,
)
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.domain.safety.stop_state import GLOBAL
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.errors.safety import StopInputPressed
from godkaiser.mqtt.ports import NotAllowed
from godkaiser.protocol import inbound
from godkaiser.protocol.outbound import ConfigPart
from tests.actors.safety_bench import DEVICE, OPERATOR, OTHER, Bench, interlock, relay

A, B, C = 25, 26, 27


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Announced crashes."""
    caplog.set_level("CRITICAL", logger="godkaiser.supervision")
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


def _drop(_logger, _name, _event):
    raise structlog.DropEvent


# ---- row 1: nothing decided before a stop is delivered after it, nor after its clear


def test_an_on_that_waits_in_the_broker_dies_with_the_stop():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.wire.slow = True
    assert bench.command(A).allowed
    bench.stop()
    bench.wire.receive()
    bench.run()
    assert "ON" not in bench.verbs(A)
    assert bench.verbs(A)[-1] == "OFF"
    assert bench.view(A).desired_value == 0.0


def test_a_clear_waits_for_the_answer_to_the_off_that_followed_the_stop():
    bench = Bench([relay(A)])
    bench.know_off(A)
    assert bench.command(A).allowed
    bench.stop()
    bench.alert(A)
    bench.run(6.0)
    bench.clear()
    assert "clear_emergency" not in bench.traffic()
    # A stopped actuator refuses the OFF, and that is an answer, too.
    bench.answer(A, success=False)
    assert bench.traffic()[-1] == "clear_emergency"


def test_an_operator_ends_a_clear_without_an_answer_and_the_actuator_counts_as_on():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    assert bench.command(A).allowed
    bench.stop()
    bench.run(6.0)
    bench.clear()
    assert bench.safety.stops[0].state == "clearing"
    bench.clear(accept_unconfirmed=True)
    assert bench.traffic()[-1] == "clear_emergency"
    bench.status(A, 0)
    bench.status(B, 0)
    assert bench.safety.state == "normal"
    assert "in doubt" in bench.explain(B).message


def test_a_command_that_is_too_old_is_refused_and_one_that_ages_on_its_way_is_withheld():
    bench = Bench([relay(A)])
    bench.know_off(A)
    late = bench.command(A, decided_at=bench.runtime.monotonic() - 6.0)
    assert not late.allowed
    assert "decided 6.0 s ago" in late.message
    bench.wire.slow = True
    assert bench.command(A).allowed
    bench.run(6.0)
    bench.wire.receive()
    bench.run()
    assert "ON" not in bench.verbs(A)
    assert bench.view(A).last_outcome.state == "refused"


def test_the_client_says_how_long_its_command_is_meant():
    bench = Bench([relay(A)])
    bench.know_off(A)
    decided_at = bench.runtime.monotonic() - 3.0
    assert not bench.command(A, decided_at=decided_at, max_age_s=2.0).allowed
    assert bench.command(A, decided_at=decided_at).allowed


# ---- row 2: interlocks count what is wanted and what is on its way


def test_a_partner_is_refused_until_the_other_is_known_to_be_off():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    bench.command(A, Verb.OFF)
    assert bench.command(A).allowed
    refused = bench.command(B)
    assert not refused.allowed
    # The status of before the ON was carried out proves nothing.
    bench.status(A, 0)
    assert not bench.command(B).allowed
    bench.execute(A)
    assert not bench.command(B).allowed
    bench.command(A, Verb.OFF)
    assert not bench.command(B).allowed
    bench.execute(A)
    assert bench.command(B).allowed


def test_a_violation_that_arises_anyway_is_mended_at_once_and_told():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.status(B, 1)
    assert bench.verbs(B)[-1] == "OFF"
    assert bench.verbs(A)[-1] == "ON"
    assert any("released" in str(entry) for entry in bench.journal)


def test_a_younger_partner_that_does_not_go_off_takes_the_older_one_with_it():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.status(B, 1)
    bench.run(16.0)
    bench.status(B, 1)
    assert bench.verbs(A)[-1] == "OFF"


def test_dependents_go_off_first():
    bench = Bench([relay(A), relay(B)], [interlock("only_with", B, A)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    assert bench.command(B).allowed
    bench.execute(B)
    before = len(bench.wire.sent)
    bench.command(A, Verb.OFF)
    words = [word for word in bench.traffic()[before:] if word.endswith("OFF")]
    assert words == [f"{B} OFF", f"{A} OFF"]


def test_an_on_that_is_under_way_is_released_when_what_it_needs_goes_off():
    bench = Bench([relay(A), relay(B)], [interlock("only_with", B, A)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.wire.slow = True
    assert bench.command(B).allowed
    bench.status(A, 0)
    bench.wire.receive()
    bench.run()
    assert bench.verbs(B)[-1] == "OFF"


# ---- row 3: commands to one actuator leave in the order in which they were decided


@pytest.mark.parametrize("seed", range(20))
def test_an_off_never_overtakes_the_on_before_it(seed):
    bench = Bench([relay(A)], seed=seed)
    bench.know_off(A)
    for _ in range(5):
        bench.command(A, run=False)
        bench.command(A, Verb.OFF, run=False)
        bench.run()
        assert bench.verbs(A)[-1] == "OFF"


def test_an_off_replaces_an_on_that_has_not_left():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.wire.slow = True
    bench.command(A)
    bench.command(A, Verb.OFF)
    bench.wire.receive()
    bench.run()
    assert bench.verbs(A)[-1] == "OFF"
    assert "ON" not in bench.verbs(A)


# ---- rows 4 and 5: a stop is confirmed by each actuator; who may be on is told OFF


def test_a_stop_is_confirmed_by_each_actuator():
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    for gpio in (A, B):
        bench.command(gpio)
        bench.execute(gpio)
    bench.stop()
    bench.status(A, 0, "active")
    bench.status(B, 1, "active")
    (stop,) = bench.safety.stops
    assert stop.unconfirmed == (DEVICE,)
    assert stop.unconfirmed_actuators == (f"{DEVICE}/{B}",)
    before = bench.traffic().count("emergency_stop")
    for _ in range(8):
        bench.run(8.0)
        bench.status(B, 1, "active")
    # It is told OFF; its device is not stopped again.
    assert bench.verbs(B).count("OFF") >= 4
    assert bench.traffic().count("emergency_stop") == before
    assert f"GPIO {B} is on" in bench.safety.alarm
    bench.status(B, 0, "active")
    assert bench.safety.stops[0].confirmed == (DEVICE,)
    assert bench.safety.stops[0].unconfirmed == ()


def test_an_alert_does_not_confirm_what_a_newer_status_denies():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.execute(A)
    bench.stop()
    bench.status(A, 1, "active")
    bench.alert(A)
    assert bench.safety.stops[0].unconfirmed == (DEVICE,)


def test_an_acknowledgement_confirms_nothing():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.stop()
    bench.report(inbound.EmergencyAck(esp_id=DEVICE))
    bench.run()
    assert bench.safety.stops[0].unconfirmed == (DEVICE,)


def test_an_off_follows_a_stop_at_once_for_what_is_not_known_to_be_off():
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    before = bench.verbs(B).count("OFF")
    bench.command(A)
    bench.stop()
    assert bench.verbs(A)[-1] == "OFF"
    assert bench.verbs(B).count("OFF") == before


def test_a_stop_that_somebody_else_lifts_is_given_again():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.stop()
    bench.status(A, 0, "active")
    assert bench.safety.stops[0].confirmed == (DEVICE,)
    bench.run(6.0)
    bench.status(A, 0, "normal")
    assert bench.traffic()[-1] == "emergency_stop"
    assert bench.safety.stops[0].unconfirmed == (DEVICE,)


def test_a_stop_that_the_device_says_is_lifted_is_given_again_at_once():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.stop()
    bench.status(A, 0, "active")
    bench.run(7.0)
    before = bench.traffic().count("emergency_stop")
    bench.report(inbound.RecoveryConfirm(esp_id=DEVICE, state="cleared"))
    bench.run()
    assert bench.traffic().count("emergency_stop") == before + 1
    assert bench.safety.stops[0].unconfirmed == (DEVICE,)


def test_a_device_that_answers_before_it_is_its_turn_has_confirmed():
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    publish = bench.wire.publish

    def answer_at_once(topic, payload, **how):
        publish(topic, payload, **how)
        if "broadcast" in topic:
            for gpio in (A, B):
                bench.status(gpio, 0, "active", run=False)

    bench.wire.publish = answer_at_once
    bench.stop()
    assert bench.safety.stops[0].confirmed == (DEVICE,)
    bench.run(3.0)
    bench.stop()
    assert bench.safety.stops[0].confirmed == (DEVICE,)


def test_an_absent_device_on_which_something_ran_holds_a_clear_open():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.execute(A)
    bench.present(online=False)
    bench.stop()
    bench.run(6.0)
    assert bench.clear().stops[0].clearing == (DEVICE,)
    bench.run(60.0)
    assert bench.safety.state == "clearing"
    assert bench.clear(accept_unconfirmed=True).state == "normal"


def _remove(bench, gpio, device):
    """As the registrar does it: the actuator first."""
    bench.guard.ask(UninstallActuator(key=ActuatorKey(device, gpio)), timeout_s=5.0)
    bench.guard.tell(DeviceRemoved(device_id=device))
    bench.run()


def test_no_stop_waits_for_a_removed_device_and_no_alarm_names_it():
    bench = Bench([relay(A), relay(B, OTHER)])
    bench.know_off(A)
    bench.know_off(B, device=OTHER)
    bench.present(OTHER, online=False)
    bench.stop()
    bench.alert(A)
    bench.run(40.0)
    assert OTHER in bench.safety.alarm
    _remove(bench, B, OTHER)
    assert OTHER not in bench.safety.alarm
    assert bench.safety.stops[0].unconfirmed == ()
    bench.run(120.0)
    assert OTHER not in bench.safety.alarm


def _clearing_of_two(bench):
    """Both are told to clear, and neither confirms it."""
    bench.know_off(A)
    bench.know_off(B, device=OTHER)
    bench.stop()
    bench.run(6.0)
    assert bench.clear().stops[0].clearing == (DEVICE, OTHER)


def test_a_clear_does_not_wait_for_a_removed_device_nor_does_its_latch():
    bench = Bench([relay(A), relay(B, OTHER)])
    _clearing_of_two(bench)
    _remove(bench, B, OTHER)
    assert bench.safety.stops[0].clearing == (DEVICE,)
    assert bench.latch.disk.records[0].clearing == {DEVICE}
    _remove(bench, A, DEVICE)
    assert bench.safety.state == "normal"


def test_a_clear_that_waits_for_a_removed_device_ends_when_the_disk_takes_it():
    bench = Bench([relay(A), relay(B, OTHER)])
    _clearing_of_two(bench)
    bench.latch.broken = OSError(28, "No space left on device")
    _remove(bench, B, OTHER)
    assert bench.safety.stops[0].clearing == (DEVICE, OTHER)
    bench.latch.broken = None
    bench.run(60.0)
    assert bench.safety.stops[0].clearing == (DEVICE,)


def test_the_alarm_of_a_later_stop_does_not_wait_for_the_repetition_of_an_earlier_one():
    bench = Bench([relay(A), relay(B, OTHER)])
    bench.know_off(A)
    bench.know_off(B, device=OTHER)
    bench.stop(esp_id=DEVICE)
    bench.run(38.0)
    bench.stop(esp_id=OTHER)
    bench.run(34.0)
    assert OTHER in bench.safety.alarm


def test_what_cannot_be_confirmed_is_shown_with_its_reason():
    bench = Bench([relay(A), relay(B, OTHER)])
    bench.know_off(A)
    bench.present(OTHER, approved=False)
    bench.stop()
    reasons = bench.safety.stops[0].cannot_confirm
    assert "not approved" in reasons[OTHER]
    bench.present(DEVICE, online=False)
    assert "offline" in bench.safety.stops[0].cannot_confirm[DEVICE]


# ---- row 7: failed withdraws the wish only


def test_a_device_that_switches_off_by_itself_frees_its_partner():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.status(A, 0)
    assert bench.view(A).desired_value == 0.0
    assert bench.command(B).allowed


def test_a_failed_on_frees_its_partner_once_it_is_known_to_be_off():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.answer(A, success=False)
    assert bench.view(A).last_outcome.state == "failed"
    assert not bench.command(B).allowed
    bench.execute(A)
    assert bench.command(B).allowed


def test_firmware_without_a_counter_proves_it_by_two_reports():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", A, B)])
    bench.present()
    for gpio in (A, B):
        bench.status(gpio, 0, seq=None)
        bench.status(gpio, 0, seq=None)
    bench.command(A)
    bench.status(A, 1, seq=None)
    bench.command(A, Verb.OFF)
    bench.status(A, 0, seq=None)
    assert not bench.command(B).allowed
    bench.status(A, 0, seq=None)
    assert bench.command(B).allowed


# ---- rows 8 and 9: crashes


def test_limits_rest_and_owner_outlive_a_crash_of_the_safety_actor():
    bench = Bench([relay(A, min_off_s=300.0, max_switches_per_hour=1), relay(B)])
    bench.know_off(A, B)
    bench.command(A)
    bench.execute(A)
    bench.command(A, Verb.OFF)
    bench.execute(A)
    bench.command(B, issuer=Issuer("rule", "1", 900))
    bench.execute(B)
    bench.crash(paths.SAFETY)
    failed = [check.name for check in bench.explain(A).checks if not check.passed]
    assert {"min_off_time", "switching_rate"} <= set(failed)
    low = bench.explain(B, issuer=Issuer("rule", "2", 10))
    assert "rule 1 with priority 900" in low.message


@pytest.mark.parametrize("victim", ["shell", "guard"])
def test_an_off_is_repeated_over_a_crash(victim):
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.execute(A)
    bench.command(A, Verb.OFF)
    before = bench.verbs(A).count("OFF")
    bench.crash(paths.actuator(DEVICE, A) if victim == "shell" else paths.SAFETY)
    bench.run(60.0)
    assert bench.verbs(A).count("OFF") >= before + 4


@pytest.mark.parametrize("victim", ["shell", "guard"])
def test_an_on_in_doubt_becomes_an_off_over_a_crash(victim):
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A)
    bench.crash(paths.actuator(DEVICE, A) if victim == "shell" else paths.SAFETY)
    bench.run(20.0)
    assert bench.verbs(A)[-1] == "OFF"
    assert bench.view(A).desired_value == 0.0


def test_a_lease_ends_though_both_crashed():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.command(A, duration=30.0)
    bench.execute(A)
    bench.crash(paths.SAFETY)
    bench.crash(paths.actuator(DEVICE, A))
    bench.run(30.0)
    assert bench.verbs(A)[-1] == "OFF"
    assert bench.view(A).owner == "system:duration"


# ---- row 13: revoke everything that the scope covers, then publish


def test_no_command_leaves_between_the_stops_of_two_devices_of_a_zone():
    bench = Bench([relay(A), relay(B, OTHER)])
    bench.present(DEVICE, "north")
    bench.present(OTHER, "north")
    bench.status(A, 0)
    bench.status(B, 0, device=OTHER)
    bench.wire.slow = True
    bench.command(B, device=OTHER)
    publish = bench.wire.publish

    def receive_first(topic, payload, **how):
        if topic.endswith(f"{DEVICE}/actuator/emergency"):
            bench.wire.publish = publish
            bench.wire.receive()
        publish(topic, payload, **how)

    bench.wire.publish = receive_first
    bench.stop(zone_id="north")
    assert "ON" not in bench.verbs(B, OTHER)


# ---- row 14: the guard asks nobody


def test_an_actuator_that_is_slow_to_start_holds_up_nobody():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.guard.tell(InstallActuator(config=relay(B)))
    before = bench.system.info(paths.SAFETY).restarts
    bench.stop()
    assert bench.traffic().count("stop_all") == 1
    assert bench.system.info(paths.SAFETY).restarts == before
    assert bench.view(B).config.gpio == B


# ---- rows 15 and 17: stop inputs

INPUT = StopInput(
    sensor=SensorKey(DEVICE, 34, "analog"), scope=GLOBAL, pressed_below=1000.0, silent_after_s=600.0
)


def _read(bench, raw, at, received_at=None):
    reading = Reading(INPUT.sensor, at, received_at or at, raw, raw, "", Quality.GOOD)
    for member in bench.system.groups.members(("stop_input", INPUT.sensor)):
        member.tell(ReadingAccepted(reading=reading))
    bench.run()


def test_an_older_reading_does_not_release_a_stop_button():
    bench = Bench([relay(A)], stop_inputs=[INPUT])
    bench.know_off(A)
    _read(bench, 4000.0, 100.0)
    _read(bench, 0.0, 200.0)
    assert bench.safety.state == "active"
    bench.status(A, 0, "active")
    bench.run(6.0)
    _read(bench, 4000.0, 150.0, received_at=206.0)
    with pytest.raises(StopInputPressed):
        bench.clear()
    _read(bench, 4000.0, 201.0)
    assert bench.clear().stops[0].state == "clearing"


def test_readings_of_a_clock_that_was_set_right_are_heard():
    bench = Bench([relay(A)], stop_inputs=[INPUT])
    bench.know_off(A)
    _read(bench, 4000.0, 9000.0)
    for at in range(100, 900, 100):
        bench.run(100.0)
        _read(bench, 4000.0, float(at))
    assert bench.safety.state == "normal"


def test_a_flood_of_an_input_refuses_no_stop():
    bench = Bench([relay(A)], stop_inputs=[INPUT])
    bench.know_off(A)
    reading = Reading(INPUT.sensor, 1.0, 1.0, 4000.0, 4000.0, "", Quality.GOOD)
    (member,) = bench.system.groups.members(("stop_input", INPUT.sensor))
    for _ in range(5000):
        member.tell(ReadingAccepted(reading=reading))
    assert bench.stop(run=False).state == "active"


# ---- rows 18 to 20: the disk


def test_a_stop_that_could_not_be_latched_is_latched_as_soon_as_it_can_be():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.latch.broken = OSError(28, "No space left on device")
    view = bench.stop()
    assert view.state == "active"
    assert not bench.safety.latched
    assert "not latched" in bench.safety.alarm
    bench.run(10.0)
    bench.latch.broken = None
    bench.run(12.0)
    assert bench.latch.disk.records
    assert bench.safety.latched
    assert bench.safety.alarm == ""


def test_a_stop_tries_a_full_disk_once_and_then_with_growing_pauses():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.latch.broken = OSError(28, "No space left on device")
    bench.latch.tries = 0
    bench.stop()
    assert bench.latch.tries == 1
    bench.stop()
    assert bench.latch.tries == 2
    bench.run(60.0)
    # After 1, 2, 4, 8, then each 10 s.
    assert 8 <= bench.latch.tries <= 12


def test_a_refused_clear_leaves_the_stop_in_force():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.stop()
    bench.status(A, 0, "active")
    bench.run(6.0)
    bench.latch.broken = OSError(5, "Input/output error")
    with pytest.raises(ServiceUnavailable):
        bench.clear()
    assert bench.safety.state == "active"
    assert bench.latch.disk.records[0].state.value == "active"


def test_a_refused_release_leaves_the_hold_in_force():
    bench = Bench([relay(A)])
    bench.know_off(A)
    key = ActuatorKey(DEVICE, A)
    bench.guard.ask(HoldActuator(key=key, seconds=None, issuer=OPERATOR), timeout_s=5.0)
    bench.holds.broken = OSError(5, "Input/output error")
    with pytest.raises(ServiceUnavailable):
        bench.guard.ask(HoldActuator(key=key, seconds=0, issuer=OPERATOR), timeout_s=5.0)
    assert "held by" in bench.explain(A, issuer=Issuer("rule", "1")).message


def test_a_broadcast_stop_is_acknowledged_after_the_latch():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.latch.broken = OSError(28, "No space left on device")
    payload = b'{"command":"stop_all","issued_by":"panel","reason":"leak"}'
    bench.guard.tell(BroadcastSeen(payload=payload, retained=False, token=(1, 7)))
    bench.run()
    assert bench.safety.state == "active"
    assert bench.acknowledged == []
    bench.latch.broken = None
    bench.run(3.0)
    assert bench.latch.disk.records
    assert bench.acknowledged == [(1, 7)]


def test_a_broadcast_that_is_latched_is_acknowledged_whatever_becomes_of_the_holds():
    bench = Bench([relay(A)])
    bench.know_off(A)
    bench.holds.pending, bench.holds.broken = (), OSError(28, "No space left on device")
    payload = b'{"command":"stop_all","issued_by":"panel","reason":"leak"}'
    bench.guard.tell(BroadcastSeen(payload=payload, retained=False, token=(1, 7)))
    bench.run()
    assert bench.latch.disk.records
    assert bench.acknowledged == [(1, 7)]
    bench.holds.broken = None
    bench.run(10.0)
    assert bench.holds.pending is None


# ---- a device's own limit, and who ended a run


def test_a_devices_own_limit_locks_one_actuator_and_is_no_stop():
    bench = Bench([relay(A), relay(B)])
    bench.know_off(A, B)
    for gpio in (A, B):
        bench.command(gpio)
        bench.execute(gpio)
    bench.alert(A, "runtime_protection")
    bench.alert(A)
    bench.status(A, 0, "active")
    assert bench.safety.state == "normal"
    assert "runtime limit" in bench.explain(A).message
    assert bench.view(A).limit_locked
    # An operator's clear frees it, after an OFF to the others.
    before = len(bench.wire.sent)
    bench.clear(esp_id=DEVICE)
    assert bench.traffic()[before:] == [f"{B} OFF"]
    bench.execute(B)
    assert bench.traffic()[before:] == [f"{B} OFF", "clear_emergency"]
    bench.status(A, 0)
    assert bench.explain(A).allowed


def test_an_old_word_on_a_device_that_is_sent_again_makes_it_not_absent():
    """A dead letter of the start says that the device is offline: a clear would pass it by for ever."""
    bench = Bench([relay(A)])
    bench.know_off(A)
    began = bench.runtime.monotonic()
    bench.run(60.0)
    bench.present(online=True)
    bench.present(online=False, told_at=began)
    assert bench.explain(A).allowed
    bench.present(online=False)
    assert not bench.explain(A).allowed


# ---- what a device may energise by itself

ENTRY = {"actuator_gpio": A, "sensor_gpio": 0, "sensor_value_type": "sht31_temp"}
PUSH = ConfigPart("c", 1, offline_rules=[dict(ENTRY)])
BENCH = Subzone(subzone_id="bench", name="", gpios=(A,))


def _may_keep(bench):
    try:
        bench.ports.devices.config(DEVICE, PUSH)
    except NotAllowed:
        return False
    return True


def test_a_rule_that_a_device_keeps_alone_is_withdrawn_by_a_stop_and_by_a_hold():
    bench = Bench([relay(A)])
    bench.know_off(A)
    assert not _may_keep(bench)
    bench.guard.tell(OfferOfflineRules(device_id=DEVICE, entries=(ENTRY,)))
    bench.run()
    assert _may_keep(bench)
    bench.ports.devices.subzone_assign(DEVICE, BENCH, "c", safe_mode=False)
    key = ActuatorKey(DEVICE, A)
    bench.guard.ask(HoldActuator(key=key, seconds=20.0, issuer=OPERATOR), timeout_s=5.0)
    assert not _may_keep(bench)
    bench.run(60.0)
    assert _may_keep(bench)
    bench.stop()
    assert not _may_keep(bench)
    with pytest.raises(NotAllowed):
        bench.ports.devices.subzone_assign(DEVICE, BENCH, "c", safe_mode=False)
    with pytest.raises(NotAllowed):
        bench.ports.devices.subzone_safe(DEVICE, "bench", "", "c", enable=False)
    bench.ports.devices.subzone_safe(DEVICE, "bench", "", "c", enable=True)


def test_a_rule_of_an_interlocked_actuator_is_never_left_to_its_device():
    bench = Bench([relay(A), relay(B)], [interlock("never_with", B, A)])
    bench.know_off(A, B)
    bench.guard.tell(OfferOfflineRules(device_id=DEVICE, entries=(ENTRY,)))
    bench.run()
    assert not _may_keep(bench)


def test_every_stop_without_acknowledgement_goes_out_twice_within_its_second_whoever_gave_it():
    """Also that of a device which returns, and while younger stops keep coming."""
    bench = Bench([relay(A), relay(A, OTHER), relay(A, "ESP_A00003")])
    bench.know_off(A)
    bench.stop()
    bench.run(2.0)
    bench.wire.acknowledges_stops = False
    topics = [f"kaiser/god/esp/{device}/actuator/emergency" for device in (OTHER, "ESP_A00003")]
    sent = len(bench.wire.sent)
    bench.present(OTHER)
    bench.run(0.6)
    bench.present("ESP_A00003")
    bench.run(0.5)
    told = [topic for topic, _ in bench.wire.sent[sent:]]
    assert told.count(topics[0]) == 2
    assert told.count(topics[1]) == 1
    bench.run(0.6)
    assert [topic for topic, _ in bench.wire.sent[sent:]].count(topics[1]) == 2
