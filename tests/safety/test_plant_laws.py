"""The test of the test: each law finds a violation that is played to it, and nothing where there is none."""

from __future__ import annotations

import json

import pytest

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Command,
    Issuer,
    Verb,
)
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind
from tests.safety.plant_laws import Laws
from tests.safety.world.agenda import Agenda
from tests.safety.world.plant_model import Plant

A, B, C = (ActuatorKey("ESP_A00001", gpio) for gpio in (25, 26, 27))
FAR = ActuatorKey("ESP_A00002", 25)
NEVER_WITH = Interlock(kind=InterlockKind.NEVER_WITH, actuator=A, other=B)
ONLY_WITH = Interlock(kind=InterlockKind.ONLY_WITH, actuator=C, other=A)
ONLY_AFTER = Interlock(kind=InterlockKind.ONLY_AFTER, actuator=FAR, other=A, after_s=5.0)


class Play:
    """A plant of four actuators, and the words to say what happens there."""

    def __init__(self, *interlocks, **limits):
        self.time = 0.0
        self.agenda = Agenda(lambda: self.time)
        configs = [
            ActuatorConfig(
                esp_id=key.esp_id, gpio=key.gpio, actuator_type=ActuatorType.RELAY,
                max_runtime_s=20, **limits,
            )
            for key in (A, B, C, FAR)
        ]  # fmt: skip
        zones = {"ESP_A00001": "north", "ESP_A00002": "south"}
        self.plant = Plant(configs, zones, lambda: self.time)
        self.laws = Laws(
            self.plant, self.agenda, interlocks, {"rule:1": 100, "rule:2": 50}, {"rule:1": 60.0}
        )
        for device_id in zones:
            self.plant.connection(device_id, up=True)
        self.tickets = 0

    def wait(self, seconds):
        end = self.time + seconds
        while (due := self.agenda.next_due) is not None and due <= end:
            self.time = max(due, self.time)
            self.agenda.run_due()
        self.time = end

    def decide(self, key, verb=Verb.ON, by="user:operator", duration_s=5.0):
        self.tickets += 1
        name = f"c{self.tickets}"
        command = Command(
            esp_id=key.esp_id, gpio=key.gpio, verb=verb, duration_s=duration_s,
            issuer=Issuer(*by.split(":")), correlation_id=name, requested_at=0.0,
        )  # fmt: skip
        self.plant.judging(command, self.time)
        self.plant.judged(command, allowed=True, energises=verb is not Verb.OFF)
        return name, key, verb, by

    def hand(self, decision):
        name, key, verb, by = decision
        topic = f"kaiser/god/esp/{key.esp_id}/actuator/{key.gpio}/command"
        body = {"command": verb.value, "value": 1.0, "correlation_id": name, "issued_by": by}
        message = (int(name[1:]), topic, json.dumps(body).encode())
        self.plant.handed(*message)
        return message

    def do(self, decision):
        """It leaves, arrives and is done."""
        name, key, verb, _ = decision
        message = self.hand(decision)
        self.plant.left(*message)
        self.plant.delivered(message[0])
        self.plant.carried_out(key, name)
        self.plant.switched(key, 0.0 if verb is Verb.OFF else 1.0, own_doing=False)
        self.tell(key, verb is not Verb.OFF)
        return message

    def on(self, key, **how):
        return self.do(self.decide(key, **how))

    def off(self, key, **how):
        return self.do(self.decide(key, Verb.OFF, **how))

    def tell(self, key, state, emergency="normal"):
        topic = f"kaiser/god/esp/{key.esp_id}/actuator/{key.gpio}/status"
        body = {"state": bool(state), "emergency": emergency}
        self.plant.heard(topic, json.dumps(body).encode())

    def by_hand(self, key, level, *, told=True):
        self.plant.switched(key, level, own_doing=True)
        if told:
            self.tell(key, level > 0)

    def stop(self, scope="global"):
        self.laws.stop_coming(scope)
        topic = "kaiser/broadcast/emergency"
        if scope != "global":
            topic = "kaiser/god/esp/ESP_A00001/actuator/emergency"
        self.plant.handed(-1, topic, b'{"command":"emergency_stop"}')
        self.laws.stop_answered(scope)

    def clear(self, scope="global"):
        self.laws.clear_asked(scope)
        for device_id in ("ESP_A00001", "ESP_A00002"):
            topic = f"kaiser/god/esp/{device_id}/actuator/emergency"
            self.plant.left(-2, topic, b'{"command":"clear_emergency"}')

    @property
    def found(self):
        return self.plant.wrong


def leaves(play, decision):
    message = play.hand(decision)
    play.plant.left(*message)
    return message


# ---- stops


@pytest.mark.parametrize("scope", ["global", "zone north", "device ESP_A00001"])
def test_energising_under_a_stop(scope):
    play = Play()
    decision = play.decide(A)
    play.stop(scope)
    leaves(play, decision)
    assert "left under a stop" in play.found[0]


def test_a_stop_of_a_zone_covers_all_of_it_from_its_first_word():
    play = Play()
    play.laws.stop_coming("zone north")
    play.plant.handed(-1, "kaiser/god/esp/ESP_A00001/actuator/emergency",
                      b'{"command":"emergency_stop"}')  # fmt: skip
    leaves(play, play.decide(FAR))
    assert not play.found
    leaves(play, play.decide(B))
    assert "left under a stop" in play.found[0]


def test_what_left_before_a_stop_and_arrives_after_its_clear():
    play = Play()
    message = leaves(play, play.decide(A))
    play.stop()
    play.off(A)
    play.wait(6.0)
    play.clear()
    play.plant.delivered(message[0])
    assert "was delivered after a clear" in play.found[0]


def test_after_clear_it_may_energise_again_and_a_refused_clear_ends_nothing():
    play = Play()
    play.stop()
    token = play.laws.clear_asked("global")
    play.laws.clear_refused(token)
    leaves(play, play.decide(A))
    assert "left under a stop" in play.found.pop()
    play.clear()
    leaves(play, play.decide(B))
    assert not play.found


@pytest.mark.parametrize("arrives", [False, True])
def test_a_stop_without_an_off_for_what_may_run(arrives):
    play = Play()
    if arrives:
        play.on(A)
    else:
        leaves(play, play.decide(A))
    play.stop()
    play.wait(5.0)
    assert "a stop, and no OFF for ESP_A00001:25" in play.found[0]


def test_a_stop_confirmed_by_one_actuator_of_two():
    play = Play()
    play.on(A)
    play.stop()
    for key in (B, C):
        play.tell(key, 0, "active")
    play.tell(A, 1, "active")
    play.laws.confirmed("global", "ESP_A00001")
    assert "ESP_A00001:25 has not shown it" in play.found[0]


def test_an_unconfirmed_stop_without_an_alarm():
    play = Play()
    play.laws.unconfirmed = lambda _scope: (("ESP_A00001",), "")
    play.stop()
    play.wait(200.0)
    assert "there is no alarm" in play.found[0]


# ---- order and age


def test_an_on_that_leaves_after_an_off():
    play = Play()
    on = play.hand(play.decide(A))
    play.hand(play.decide(A, Verb.OFF))
    play.plant.left(*on)
    assert "left after an OFF that was published later" in play.found[0]
    play = Play()
    decision = play.decide(A)
    play.off(A)
    leaves(play, decision)
    assert any("left after an OFF that was decided later" in text for text in play.found)


def test_two_that_leave_in_the_wrong_order():
    play = Play()
    first, second = play.decide(A), play.decide(A)
    leaves(play, second)
    leaves(play, first)
    assert "left after a command that was decided later" in play.found[0]


def test_a_decision_of_yesterday():
    play = Play()
    decision = play.decide(A)
    play.wait(86_400.0)
    leaves(play, decision)
    assert "was decided long ago" in play.found[0]


# ---- interlocks


@pytest.mark.parametrize(("one", "other"), [(A, B), (B, A)])
@pytest.mark.parametrize("done", [False, True])
def test_two_that_never_run_together_are_commanded(one, other, done):
    play = Play(NEVER_WITH)
    if done:
        play.on(one)
    else:
        leaves(play, play.decide(one))
    leaves(play, play.decide(other))
    assert "may run" in play.found[0]


def test_after_its_off_is_done_the_other_may_run():
    play = Play(NEVER_WITH)
    play.on(A)
    play.off(A)
    play.on(B)
    play.off(B)
    play.wait(100.0)
    assert not play.found


def test_what_the_device_did_by_itself_counts_from_its_report():
    play = Play(NEVER_WITH)
    play.by_hand(B, 1.0, told=False)
    leaves(play, play.decide(A))
    assert not play.found
    play = Play(NEVER_WITH)
    play.by_hand(B, 1.0)
    play.wait(2.0)
    leaves(play, play.decide(A))
    assert "may run" in play.found[0]


def test_a_violation_that_is_told_and_not_mended():
    play = Play(NEVER_WITH)
    play.on(A, duration_s=18.0)
    play.by_hand(B, 1.0)
    play.wait(5.0)
    assert "switches nothing off" in play.found[0]
    play = Play(NEVER_WITH)
    play.on(A, duration_s=18.0)
    play.by_hand(B, 1.0)
    play.hand(play.decide(B, Verb.OFF))
    play.wait(5.0)
    assert not play.found


def test_a_violation_that_stays_although_an_off_was_sent():
    play = Play(NEVER_WITH)
    play.by_hand(A, 1.0)
    play.by_hand(B, 1.0)
    play.hand(play.decide(B, Verb.OFF))
    play.wait(300.0)
    assert "has been broken for" in play.found[0]


def test_one_that_needs_another_is_commanded_without_it():
    play = Play(ONLY_WITH)
    leaves(play, play.decide(C))
    assert "is off" in play.found[0]
    play = Play(ONLY_WITH)
    play.on(A)
    play.hand(play.decide(A, Verb.OFF))
    leaves(play, play.decide(C))
    assert "is told OFF" in play.found[0]


def test_one_that_comes_too_early():
    play = Play(ONLY_AFTER)
    play.on(A)
    play.wait(2.0)
    leaves(play, play.decide(FAR))
    assert "left too early" in play.found[0]


def test_one_that_stays_on_alone():
    play = Play(ONLY_WITH)
    play.on(A)
    play.on(C, duration_s=19.0)
    play.off(A)
    play.wait(3.0)
    assert "was left on alone" in play.found[0]


# ---- limits, leases, owners


def test_rest_and_rate():
    play = Play(min_off_s=10.0)
    play.on(A)
    play.off(A)
    play.wait(3.0)
    leaves(play, play.decide(A))
    assert "after it went off" in play.found[0]
    play = Play(max_switches_per_hour=2)
    for _ in range(3):
        play.on(A)
        play.off(A)
        play.wait(60.0)
    assert "start number 3" in play.found[0]
    play = Play(max_on_s_per_hour=10.0)
    play.on(A)
    play.wait(4.0)
    play.off(A)
    play.wait(30.0)
    play.on(A, duration_s=0.0)
    play.wait(18.0)
    play.off(A)
    play.wait(30.0)
    leaves(play, play.decide(A))
    assert "of running within an hour" in play.found[0]


def test_a_lease_that_nothing_ends():
    play = Play()
    play.on(A, duration_s=5.0)
    play.wait(20.0)
    assert "past its lease and nothing ends it" in play.found[0]
    play = Play()
    play.on(A, duration_s=5.0)
    play.wait(5.0)
    play.hand(play.decide(A, Verb.OFF))
    play.wait(200.0)
    assert "still runs" in play.found[0]


def test_while_the_gateway_is_hindered_its_deadlines_wait():
    play = Play()
    play.on(A, duration_s=5.0)
    play.plant.hinder("no link")
    play.wait(100.0)
    assert not play.found
    play.plant.unhinder("no link")
    play.wait(20.0)
    assert play.found


def test_holds_priorities_and_doses():
    play = Play()
    play.laws.held.add(A)
    leaves(play, play.decide(A, by="rule:2"))
    assert "while a person held" in play.found[0]
    play = Play()
    play.on(A, by="rule:1", duration_s=18.0)
    leaves(play, play.decide(A, by="rule:2"))
    assert "took the actuator from rule:1" in play.found[0]
    play = Play()
    play.on(B, by="rule:1", duration_s=1.0)
    play.off(B)
    play.wait(30.0)
    leaves(play, play.decide(B, by="rule:1"))
    assert "a dose was given twice" in play.found[0]
    play = Play()
    play.laws.holds_automation = lambda _device_id: True
    leaves(play, play.decide(A, by="rule:2"))
    assert "before an operator resumed" in play.found[0]


def test_an_ordinary_day_has_nothing_wrong():
    play = Play(NEVER_WITH, ONLY_WITH, ONLY_AFTER, min_off_s=3.0)
    for _ in range(3):
        play.on(A, duration_s=18.0)
        play.wait(6.0)
        play.on(C)
        play.on(FAR)
        play.wait(1.0)
        for key in (FAR, C, A):
            play.off(key)
        play.wait(5.0)
        play.on(B)
        play.wait(2.0)
        play.off(B)
        play.wait(4.0)
    play.stop()
    play.wait(6.0)
    play.clear()
    play.wait(100.0)
    assert not play.found
