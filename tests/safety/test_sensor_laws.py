"""The test of the test: a button that stops nothing and a rule that acts on what is past are found."""

from __future__ import annotations

import json

from godkaiser.actors.safety.messages import ClearStop
from godkaiser.domain.entities import SensorKey
from godkaiser.domain.rules.rules import ActuatorAction, RuleDefinition
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.domain.safety.stop_state import GLOBAL
from tests.safety.sensor_laws import SensorLaws
from tests.safety.test_plant_laws import A, Play, leaves
from tests.safety.world.people import OPERATOR
from tests.safety.world.site import when

DEVICE = "ESP_A00001"
BUTTON = StopInput(sensor=SensorKey(DEVICE, 34, "moisture"), scope=GLOBAL, pressed_below=1000.0)
VENT = RuleDefinition(
    name="vent",
    conditions=(when(DEVICE, 0, "sht31_temp", ">", 28.0), when(DEVICE, 0, "sht31_humidity", "<", 70.0)),
    actions=(ActuatorAction(esp_id=DEVICE, gpio=25, command="ON", release=True),),
)  # fmt: skip


def a_play():
    play = Play()
    play.readings = SensorLaws(play.plant, play.laws, (VENT,), (BUTTON,))
    play.laws.more = play.readings.energising_left
    return play


def hear(play, kind, value, ts, gpio=0):
    body = {"sensor_type": kind, "ts": ts, "value": value, "raw": value}
    play.readings.heard(f"kaiser/god/esp/{DEVICE}/sensor/{gpio}/data", json.dumps(body).encode())


def test_a_button_that_stops_nothing():
    play = a_play()
    play.readings.is_stopped = lambda _scope: False
    hear(play, "moisture", 100.0, 10, gpio=34)
    play.wait(10.0)
    assert "is pressed, and global is not stopped" in play.found[0]


def test_a_button_that_is_heard_or_released_in_time():
    play = a_play()
    hear(play, "moisture", 100.0, 10, gpio=34)
    play.wait(10.0)
    play.readings.is_stopped = lambda _scope: False
    hear(play, "moisture", 100.0, 20, gpio=34)
    hear(play, "moisture", 2000.0, 21, gpio=34)
    play.wait(10.0)
    assert not play.found


def test_a_clear_while_the_button_is_pressed_whatever_is_heard_of_the_past():
    play = a_play()
    hear(play, "moisture", 100.0, 10, gpio=34)
    hear(play, "moisture", 2000.0, 5, gpio=34)
    play.wait(2.0)
    play.readings.cleared(ClearStop(issuer=OPERATOR), "global")
    assert "was cleared while its button" in play.found[0]


def test_a_rule_that_acts_on_an_older_reading():
    play = a_play()
    hear(play, "sht31_temp", 35.0, 10)
    hear(play, "sht31_humidity", 90.0, 10)
    hear(play, "sht31_humidity", 50.0, 5)
    play.wait(3.0)
    leaves(play, play.decide(A, by="rule:1"))
    assert "the newest readings are against it" in play.found[0]


def test_a_rule_that_does_not_let_go():
    play = a_play()
    hear(play, "sht31_temp", 35.0, 10)
    hear(play, "sht31_humidity", 50.0, 10)
    play.on(A, by="rule:1", duration_s=18.0)
    assert not play.found
    hear(play, "sht31_humidity", 90.0, 11)
    play.wait(5.0)
    assert "is not true any more" in play.found[0]


def test_a_rule_that_lets_go():
    play = a_play()
    hear(play, "sht31_temp", 35.0, 10)
    hear(play, "sht31_humidity", 50.0, 10)
    play.on(A, by="rule:1", duration_s=18.0)
    hear(play, "sht31_humidity", 90.0, 11)
    play.off(A, by="rule:1")
    play.wait(60.0)
    assert not play.found
