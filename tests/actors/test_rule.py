"""A rule and its commands: in order, once, counted only when safety lets them through.

The kinds of faults: what a rule believes to have done was never done (refused, overtaken, lost in a crash);
what it has done is done again (crash, power cut).
"""

from __future__ import annotations

import msgspec
import pytest

from godkaiser.actors.devices.messages import ReadingAccepted
from godkaiser.actors.rules.messages import EndRule
from godkaiser.actors.rules.requests import DURABLE_S
from godkaiser.actors.rules.rule import RuleActor
from godkaiser.actors.safety.messages import StopAll
from godkaiser.domain.entities import Quality, Reading, Verb
from godkaiser.domain.rules.attempts import LONGEST_RETRY_S, VERDICT_S
from godkaiser.domain.rules.rules import (
    Delay,
    HysteresisCondition,
    NotificationAction,
    RuleDefinition,
    SensorCondition,
    SequenceAction,
    StopAction,
)
from godkaiser.domain.rules.schema import RateCondition
from godkaiser.supervision import RestartChild
from tests.actors.rule_stage import HOT, KEY, Stage, turn, when_hot

DOSE = turn(Verb.ON, duration=5.0)
FAN = turn(Verb.ON, release=True)
TELL = NotificationAction(channel="mqtt", target="doses", message="dosed")
STOPPED = ("EMERGENCY_STOP_ACTIVE", "it is under an emergency stop")


# ---- a crash


class Dying(RuleActor):
    """Dies once, as soon as it has asked for something."""

    deaths: list[str]
    known: list[int]
    notes: dict

    def on_start(self):
        super().on_start()
        self._requests = DyingRequests(self, self._requests)


class DyingRequests:
    def __init__(self, actor, requests):
        self._actor, self._requests = actor, requests

    def __getattr__(self, name):
        return getattr(self._requests, name)

    def ask(self, commands, decided_at):
        actor = self._actor
        if not commands:
            return
        memory = actor.notes.get(1)
        actor.known.append(0 if memory is None else memory.fired_count)
        self._requests.ask(commands, decided_at)
        self._die(commands)

    def go(self, ticket):
        memory = self._actor.notes.get(1)
        self._actor.known.append(0 if memory is None else memory.fired_count)
        self._requests.go(ticket)
        self._die([(ticket, DOSE)])

    def _die(self, commands):
        if not self._actor.deaths:
            self._actor.deaths.append(commands[0][1].command.value)
            reason = "announced"
            raise RuntimeError(reason)


@pytest.mark.parametrize("verb", [Verb.ON, Verb.OFF])
def test_what_was_asked_for_is_not_asked_for_again_but_an_off_is(verb):
    action = turn(verb, duration=5.0 * (verb is Verb.ON))
    deaths, noted, known = [], {}, []
    dying = type("Doomed", (Dying,), {"deaths": deaths, "notes": noted, "known": known})
    stage = Stage(when_hot(action, cooldown_seconds=600.0), actor=dying, noted=noted)
    stage.obeys = lambda _command: None
    for second in range(5):
        stage.reads(30.0, after_s=1.0 + second)
    assert deaths == [verb.value]
    # Known to be undone, an OFF is asked for again; a dose may be lost, and never doubled.
    assert stage.asked == (["ON"] if verb is Verb.ON else ["OFF", "OFF"])
    # It is noted as done before a dose is asked for, and after an OFF is.
    assert known == ([1] if verb is Verb.ON else [0, 0])


# ---- order


def test_commands_leave_in_the_order_in_which_they_were_decided():
    """The guard is busy meanwhile: an urgent OFF would overtake the ON."""
    stage = Stage(when_hot(FAN, cooldown_seconds=0.0))
    for n in range(20):
        stage.system.handle("/control/rules/1")
        stage.reads(30.0 if n % 2 == 0 else 20.0)
    assert stage.asked == ["ON", "OFF"] * 10
    rule = stage.system.handle("/control/rules/1")
    before = len(stage.asked)
    # Both in one breath.
    for value in (30.0, 20.0):
        _tell(stage, rule, value)
    stage.runtime.run_for(1.0)
    assert stage.asked[before:] == ["ON", "OFF"]


def _tell(stage, rule, value):
    now = stage.runtime.now()
    rule.tell(ReadingAccepted(reading=Reading(KEY, now, now, 0.0, value, "°C", Quality.GOOD)))


def test_a_dose_that_waits_for_the_disk_does_not_leave_when_it_is_to_be_off_again():
    stage = Stage(when_hot(turn(Verb.ON, duration=60.0, release=True)))
    stage.disk = "hangs"
    rule = stage.system.handle("/control/rules/1")
    _tell(stage, rule, 30.0)
    _tell(stage, rule, 20.0)
    stage.runtime.run_for(DURABLE_S / 2)
    assert stage.asked == ["OFF"]
    stage.disk = "good"
    stage.runtime.run_for(100.0)
    assert stage.asked == ["OFF"]
    assert stage.view.fired_count == 0


def test_an_off_does_not_wait_for_the_disk():
    stage = Stage(when_hot(turn(Verb.OFF), DOSE))
    stage.show_pump(1.0)
    rule = when_hot(turn(Verb.OFF), turn(Verb.ON, ref=("ESP_A00003", 26), duration=5.0))
    stage = Stage(rule)
    stage.disk = "hangs"
    stage.reads(30.0)
    assert stage.asked == ["OFF"]


# ---- refused is not fired


def test_a_refusal_that_counts_down_is_told_once_and_another_one_again():
    """The kind: a number that changes with each attempt makes one reason many."""
    stage = Stage(when_hot(DOSE))
    left_s = iter(range(3600, 0, -2))
    stage.verdict = lambda _command: ("OWNER", f"held by user:anna for another {next(left_s)} s")
    for _ in range(100):
        stage.reads(30.0, after_s=2.0)
    assert len(stage.asked) > 2
    assert stage.history == [(False, "refused (OWNER): held by user:anna for another 3600 s")]
    assert stage.view.last_result.endswith(f"another {next(left_s) + 2} s"), "what is shown is new"
    stage.verdict = lambda _command: ("OWNER", "held by user:otto for another 3600 s")
    stage.reads(30.0, after_s=LONGEST_RETRY_S)
    assert len(stage.history) == 2
    stage.verdict = lambda _command: ("RANGE", "GPIO 25 takes 0.2 to 0.8")
    stage.reads(30.0, after_s=LONGEST_RETRY_S)
    assert len(stage.history) == 3


def test_a_refused_firing_does_not_count_and_is_tried_again_when_the_reason_goes():
    """A stop eats no rule: no cooldown, nothing of the limit an hour, nobody told, never suspended."""
    rule = when_hot(DOSE, TELL, cooldown_seconds=600.0, max_per_hour=2, suspend_after=5)
    stage = Stage(rule)
    stage.verdict = lambda _command: STOPPED
    for _ in range(300):
        stage.reads(30.0, after_s=2.0)
    view = stage.view
    assert (view.fired_count, view.last_fired, view.suspended) == (0, None, "")
    assert view.refused == STOPPED[1]
    assert "EMERGENCY_STOP_ACTIVE" in view.last_result
    assert stage.told == []
    # Told once, though it was tried again and again, at longer intervals.
    assert stage.history == [(False, f"refused (EMERGENCY_STOP_ACTIVE): {STOPPED[1]}")]
    assert 600.0 / LONGEST_RETRY_S <= len(stage.asked) <= 600.0 / LONGEST_RETRY_S + 10
    stage.verdict = lambda _command: None
    stage.reads(30.0, after_s=LONGEST_RETRY_S)
    assert (stage.view.fired_count, stage.view.refused, stage.view.last_result) == (1, "", "fired")
    assert [note.text for note in stage.told] == ["dosed"]
    # And now its cooldown holds.
    before = len(stage.asked)
    stage.show_pump(0.0)
    stage.reads(30.0, after_s=60.0)
    assert len(stage.asked) == before


def test_under_a_stop_that_lasts_it_asks_once_in_a_while_and_acts_when_the_stop_ends():
    """Each question leaves a record: a night under a stop must not leave thousands."""
    stage = Stage(when_hot(DOSE))
    stage.verdict = lambda _command: STOPPED
    stage.show_safety("active")
    for _ in range(720):
        stage.reads(30.0, after_s=5.0)
    assert len(stage.asked) <= 15
    stage.show_safety("clearing")
    stage.runtime.run_for(3.0)
    assert len(stage.asked) <= 16
    # Held back until somebody resumes.
    stage.verdict = lambda _command: ("AUTOMATION_HELD", "an operator has to resume")
    stage.show_safety("normal", automation_held=("global",))
    stage.runtime.run_for(40.0)
    before = len(stage.asked)
    stage.verdict = lambda _command: None
    stage.runtime.run_for(40.0)
    assert len(stage.asked) == before
    stage.show_safety("normal")
    stage.runtime.run_for(5.0)
    assert stage.view.fired_count == 1


def test_it_tries_again_by_itself_when_no_reading_comes():
    stage = Stage(when_hot(DOSE))
    stage.verdict = lambda _command: STOPPED
    stage.reads(30.0)
    stage.verdict = lambda _command: None
    stage.runtime.run_for(10.0)
    assert stage.asked == ["ON", "ON"]
    assert stage.view.fired_count == 1


def test_a_firing_of_which_one_command_is_allowed_counts():
    other = ("ESP_A00003", 26)
    stage = Stage(when_hot(DOSE, turn(Verb.ON, ref=other, duration=5.0), TELL))
    stage.verdict = lambda command: STOPPED if command.esp_id == other[0] else None
    stage.reads(30.0)
    assert stage.view.fired_count == 1
    assert len(stage.told) == 1


@pytest.mark.parametrize("first", [None, Delay(seconds=5.0)])
def test_a_sequence_whose_first_command_is_refused_has_not_fired(first):
    steps = (*([first] if first else []), turn(Verb.ON), Delay(seconds=5.0), turn(Verb.OFF))
    stage = Stage(when_hot(SequenceAction(steps=steps), TELL, cooldown_seconds=3600.0))
    stage.verdict = lambda _command: STOPPED
    for _ in range(20):
        stage.reads(30.0, after_s=1.0)
    assert stage.view.fired_count == 0
    assert stage.told == []
    stage.verdict = lambda _command: None
    for _ in range(60):
        stage.reads(30.0, after_s=1.0)
    assert stage.view.fired_count == 1
    assert stage.asked[-2:] == ["ON", "OFF"]
    assert stage.view.last_result == "sequence done"
    # It looks again when something is due, and does not spin meanwhile.
    assert stage.runtime.steps < 2000


def test_a_later_step_that_is_refused_breaks_the_sequence_at_once():
    steps = (turn(Verb.ON), Delay(seconds=1.0), turn(Verb.PWM, value=0.5), Delay(seconds=60.0))
    stage = Stage(when_hot(SequenceAction(steps=steps), cooldown_seconds=3600.0))
    stage.verdict = lambda command: STOPPED if command.verb is Verb.PWM else None
    for _ in range(8):
        stage.reads(30.0, after_s=0.5)
    assert stage.view.last_result == f"sequence aborted: {STOPPED[1]}"
    assert stage.asked == ["ON", "PWM", "OFF"]
    assert stage.view.fired_count == 1


# ---- at most once


def test_a_dose_leaves_when_it_is_on_disk_and_not_before():
    stage = Stage(when_hot(DOSE))
    seen = []
    keep = stage._keep

    def watched(notes):
        seen.append(list(stage.asked))
        keep(notes)

    stage._keep = watched
    stage.system.crash("/control/storage/doses")
    stage.runtime.run_for(5.0)
    stage.reads(30.0)
    assert seen[0] == []
    assert stage.asked == ["ON"]
    (first, *_) = stage.kept
    assert first.memory.fired_count == 1
    assert first.memory.unsettled


def test_what_is_no_dose_does_not_wait_for_the_disk():
    stage = Stage(when_hot(FAN))
    stage.disk = "hangs"
    stage.reads(30.0)
    assert stage.asked == ["ON"]
    # The rule may say otherwise, both ways.
    stage = Stage(when_hot(FAN, at_most_once=True))
    stage.disk = "hangs"
    stage.reads(30.0)
    assert stage.asked == []
    stage = Stage(when_hot(DOSE, at_most_once=False))
    stage.disk = "hangs"
    stage.reads(30.0)
    assert stage.asked == ["ON"]


@pytest.mark.parametrize("disk", ["full", "hangs"])
def test_a_dose_that_cannot_be_remembered_is_not_given_until_it_can(disk):
    stage = Stage(when_hot(DOSE, cooldown_seconds=600.0))
    stage.disk = disk
    stage.reads(30.0)
    stage.runtime.run_for(DURABLE_S + 0.1)
    assert stage.asked == []
    assert stage.view.fired_count == 0
    assert "could not be written" in stage.view.refused
    stage.disk = "good"
    stage.runtime.run_for(200.0)
    assert stage.asked == ["ON"]
    assert stage.view.fired_count == 1


@pytest.mark.parametrize("lost", ["before it left", "the verdict", "the outcome"])
def test_a_dose_in_doubt_after_a_power_cut_is_told_and_never_repeated(lost):
    rule = when_hot(DOSE, TELL, cooldown_seconds=600.0)
    stage = Stage(rule)
    stage.answers = lost != "the outcome"
    if lost != "the outcome":
        stage.verdict = None
    stage.reads(30.0)
    assert stage.asked == ["ON"]
    # Of all that was in memory or in the page cache, what was flushed comes back.
    (flushed, *_) = stage.kept
    again = Stage(rule, flushed.memory)
    assert "in doubt" in again.view.last_result
    assert again.view.doubt
    assert [(False, again.view.last_result)] == again.history
    assert "in doubt" in again.told[0].text
    for _ in range(50):
        again.reads(30.0, after_s=10.0)
    assert again.asked == []
    # The next one is due after its cooldown.
    again.reads(30.0, after_s=601.0)
    assert again.asked == ["ON"]
    assert again.view.doubt == ""


def test_a_dose_whose_outcome_is_known_is_not_in_doubt():
    stage = Stage(when_hot(DOSE))
    stage.reads(30.0)
    again = Stage(stage.rule, stage.noted[1])
    assert again.view.doubt == ""
    assert again.told == []


def test_without_a_verdict_it_counts_as_fired_and_is_told():
    """The guard crashed on the command, or before it: nobody knows."""
    stage = Stage(when_hot(DOSE, cooldown_seconds=600.0))
    stage.verdict = None
    stage.reads(30.0)
    stage.runtime.run_for(VERDICT_S + 1.0)
    assert "in doubt" in stage.view.last_result
    stage.verdict = lambda _command: None
    stage.reads(30.0, after_s=30.0)
    assert stage.asked == ["ON"]


# ---- changed, deleted, ended


def test_what_the_old_text_has_switched_on_goes_off_with_a_change():
    rule = when_hot(turn(Verb.ON), name="light")
    for change in ("conditions", "deleted", "switched off", "a name only"):
        stage = Stage(rule)
        stage.reads(30.0)
        new = {
            "conditions": when_hot(turn(Verb.ON), logic_operator="OR"),
            "switched off": msgspec.structs.replace(rule, enabled=False),
            "a name only": msgspec.structs.replace(rule, name="lamp"),
        }.get(change)
        if new is None:
            stage.system.handle("/control/rules/1").tell(EndRule(why="deleted"))
        else:
            spec = stage.spec(new)
            stage.system.handle("/control/rules").tell(RestartChild(spec.name, spec))
        stage.runtime.run_for(1.0)
        if change == "switched off":
            stage.look()
        assert stage.asked == (["ON"] if change == "a name only" else ["ON", "OFF"]), change


def test_what_somebody_else_has_taken_meanwhile_stays():
    stage = Stage(when_hot(turn(Verb.ON)))
    stage.reads(30.0)
    stage.show_pump(1.0, owner="user:anna")
    new = stage.spec(when_hot(turn(Verb.ON), logic_operator="OR"))
    stage.system.handle("/control/rules").tell(RestartChild(new.name, new))
    stage.runtime.run_for(1.0)
    assert stage.asked == ["ON"]


def test_after_a_start_with_another_text_what_the_old_one_switched_on_goes_off():
    stage = Stage(when_hot(turn(Verb.ON)))
    stage.reads(30.0)
    again = Stage(when_hot(turn(Verb.ON), logic_operator="OR"), stage.noted[1])
    again.runtime.run_for(1.0)
    assert again.asked == ["OFF"]


def test_what_ends_at_its_maximum_runtime_is_not_switched_on_again_without_a_word():
    stage = Stage(when_hot(turn(Verb.ON), cooldown_seconds=10.0))
    stage.reads(30.0)
    stage.show_pump(0.0, owner="rule:1")
    stage.reads(30.0, after_s=20.0)
    assert stage.asked == ["ON", "ON"]
    assert "maximum runtime" in stage.view.last_result
    assert "maximum runtime" in stage.history[-1][1]


# ---- time


@pytest.mark.parametrize("jump_s", [-3600.0, -56 * 365 * 86_400.0, 30 * 86_400.0])
def test_the_wall_clock_shifts_no_interval(jump_s):
    """Set back an hour, to 1970, a month forward: cooldown, `for at least`, freshness, pauses go on."""
    stage = Stage(when_hot(DOSE, cooldown_seconds=600.0))
    stage.reads(30.0)
    stage.runtime.jump_clock(jump_s)
    stage.show_pump(0.0)
    stage.reads(30.0, after_s=500.0)
    assert stage.asked == ["ON"]
    stage.reads(30.0, after_s=101.0)
    assert stage.asked == ["ON", "ON"]
    assert stage.view.last_fired <= stage.runtime.now()


def test_a_pause_of_a_sequence_is_as_long_as_it_should_be_whatever_the_clock_does():
    steps = (turn(Verb.ON), Delay(seconds=60.0), turn(Verb.OFF))
    for jump_s in (-3600.0, 3600.0):
        stage = Stage(when_hot(SequenceAction(steps=steps), cooldown_seconds=3600.0))
        stage.reads(30.0)
        stage.runtime.run_for(5.0)
        stage.runtime.jump_clock(jump_s)
        stage.runtime.run_for(50.0)
        assert stage.asked == ["ON"]
        stage.runtime.run_for(10.0)
        assert stage.asked == ["ON", "OFF"]


def test_a_value_that_has_grown_old_is_unknown_whatever_the_clock_does():
    stage = Stage(when_hot(turn(Verb.ON), cooldown_seconds=0.0))
    stage.verdict = lambda _command: STOPPED
    stage.reads(30.0)
    stage.runtime.jump_clock(-3600.0)
    stage.look(after_s=301.0)
    assert stage.view.truth == "unknown"
    stage.reads(30.0)
    stage.runtime.jump_clock(3600.0)
    stage.look(after_s=10.0)
    assert stage.view.truth == "true"


# ---- readings


def test_an_older_reading_never_replaces_a_newer_one():
    stage = Stage(when_hot(turn(Verb.ON)))
    now = stage.runtime.now()
    stage.reads(20.0, at=now, dated=True)
    stage.reads(30.0, at=now - 100.0, dated=True, redelivered=True)
    assert stage.view.truth == "false"
    # Delivered again without a time of its own, nothing shows that it is new.
    stage.reads(30.0, redelivered=True)
    assert stage.view.truth == "false"
    # From the memory of the device, not delivered twice, and old all the same.
    stage.reads(30.0, at=now - 50.0, dated=True)
    assert stage.view.truth == "false"
    stage.reads(30.0)
    assert stage.view.truth == "true"


def test_an_error_makes_the_value_unknown_at_once():
    stage = Stage(when_hot(turn(Verb.ON)))
    stage.verdict = lambda _command: STOPPED
    stage.reads(30.0)
    assert stage.view.truth == "true"
    stage.reads(None, quality=Quality.ERROR)
    assert stage.view.truth == "unknown"


# ---- a restart in the midst of a sequence


def test_a_sequence_waits_for_its_devices_after_a_start():
    steps = (turn(Verb.ON), Delay(seconds=10.0), turn(Verb.PWM, value=0.5), turn(Verb.OFF))
    stage = Stage(when_hot(SequenceAction(steps=steps), cooldown_seconds=3600.0))
    stage.reads(30.0)
    stage.runtime.run_for(3.0)
    assert stage.asked == ["ON"]
    again = Stage(stage.rule, stage.noted[1])
    again.show_device(online=False)
    again.runtime.run_for(60.0)
    assert again.asked == []
    assert "waits for its devices" in again.view.sequence
    again.show_device(online=True)
    again.show_pump(1.0, owner="rule:1")
    again.runtime.run_for(20.0)
    assert again.asked == ["PWM", "OFF"]
    assert again.view.last_result == "sequence done"


def test_a_device_that_does_not_come_back_breaks_the_sequence_in_the_end():
    steps = (turn(Verb.ON), Delay(seconds=10.0), turn(Verb.OFF))
    stage = Stage(when_hot(SequenceAction(steps=steps), cooldown_seconds=3600.0))
    stage.reads(30.0)
    stage.runtime.run_for(3.0)
    again = Stage(stage.rule, stage.noted[1])
    again.show_device(online=False)
    again.runtime.run_for(200.0)
    assert "did not come back" in again.view.last_result
    assert again.asked == ["OFF"]


# ---- what it names


def test_a_stop_of_what_has_gone_since_is_alarmed_when_it_fires():
    for stop, says in (
        (StopAction(esp_id="ESP_FFFFFF"), "no device ESP_FFFFFF"),
        (StopAction(zone_id="gone"), "no device is in a zone gone"),
    ):
        stage = Stage(when_hot(stop, TELL))
        stage.show_device(online=True)
        stage.reads(30.0)
        assert any(isinstance(message, StopAll) for message in stage.safety)
        assert says in stage.view.last_result
        assert says in stage.history[-1][1]
        assert any(says in note.text for note in stage.told)


def test_a_probe_is_told_from_another_on_its_pin_by_its_address():
    one, other = (msgspec.structs.replace(KEY, address=address) for address in ("28AA", "28BB"))
    named = msgspec.structs.replace(HOT, address="28BB")
    stage = Stage(when_hot(turn(Verb.ON), conditions=(named,)))
    stage.reads(40.0, key=one)
    assert stage.view.truth == "unknown"
    stage.reads(20.0, key=other)
    stage.reads(40.0, key=one)
    assert stage.view.truth == "false"
    stage.reads(40.0, key=other)
    assert stage.view.truth == "true"
    assert "28BB" in stage.view.findings[0].detail


# ---- the gateway was away


WHERE = {"esp_id": KEY.esp_id, "gpio": KEY.gpio, "sensor_type": KEY.sensor_type}


def test_within_its_hysteresis_a_restart_changes_nothing():
    # home-assistant/core#133377: what was on goes off, though the value is between the thresholds.
    band = HysteresisCondition(**WHERE, activate_above=28.0, deactivate_below=24.0)
    rule = RuleDefinition(name="fan", conditions=(band,), actions=(FAN,))
    noted = {}
    before = Stage(rule, noted=noted)
    before.reads(29.0, after_s=1.0)
    before.reads(26.0, after_s=5.0)
    assert before.asked == ["ON"]
    stage = Stage(rule, noted=noted)
    stage.show_pump(1.0, owner="rule:1")
    stage.look(1.0)
    stage.reads(26.0, after_s=5.0)
    assert stage.asked == []
    stage.reads(23.0, after_s=5.0)
    assert stage.asked == ["OFF"]


def test_what_is_reached_while_the_gateway_is_away_ends_what_the_rule_had_on():
    # home-assistant/core#43803: the heater stays on for ever.
    cold = SensorCondition(**WHERE, operator="<", value=20.0)
    rule = RuleDefinition(name="heat", conditions=(cold,), actions=(FAN,))
    noted = {}
    before = Stage(rule, noted=noted)
    before.reads(18.0, after_s=1.0)
    assert before.asked == ["ON"]
    stage = Stage(rule, noted=noted)
    stage.show_pump(1.0, owner="rule:1")
    stage.reads(22.0, after_s=5.0)
    assert stage.asked == ["OFF"]


def test_readings_of_one_moment_have_no_rate():
    # home-assistant/core#149127: a division by the no time between them.
    rising = RateCondition(**WHERE, operator=">", value=1.0, window_seconds=10.0)
    stage = Stage(RuleDefinition(name="rise", conditions=(rising,), actions=(FAN,)))
    at = stage.runtime.now()
    for value in (10.0, 30.0, 10.0, 50.0):
        stage.reads(value, at=at)
    assert stage.asked == []
    for second in range(6):
        stage.reads(50.0 + second, after_s=1.0)
    assert stage.asked == ["ON"]
