"""What a rule remembers: over restarts, over new versions, against loops and fights."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.decision import LOOP_WINDOW_S, MOST_REVERSALS
from godkaiser.domain.rules.facts import Progress
from godkaiser.domain.rules.rules import (
    Fact,
    Facts,
    RuleMemory,
    adopted,
    decide,
    end_of,
    evaluate,
    fingerprint,
)
from godkaiser.domain.rules.schema import (
    ActuatorAction,
    Delay,
    HysteresisCondition,
    NotificationAction,
    RuleDefinition,
    SensorCondition,
    SequenceAction,
)

SENSOR = ("ESP_A00001", 0, "sht31_temp")
FAN = ("ESP_A00002", 25)
NOW = 1_767_096_000.0
HOT = SensorCondition(esp_id=SENSOR[0], gpio=0, sensor_type=SENSOR[2], operator=">", value=25.0)
VENT = HysteresisCondition(
    esp_id=SENSOR[0], gpio=0, sensor_type=SENSOR[2], activate_above=28.0, deactivate_below=25.0
)
ON = ActuatorAction(esp_id=FAN[0], gpio=FAN[1], command=Verb.ON)
TELL = NotificationAction(channel="mqtt", target="heat")


def rule(**how):
    return RuleDefinition(**{"name": "r", "conditions": (HOT,), "actions": (ON,), **how})


def look(definition, memory, now, *, value=30.0, level=0.0, owner=""):
    facts = Facts(
        {SENSOR: Fact(value, now)}, levels={FAN: level}, owners={FAN: owner} if owner else {}
    )
    evaluation = evaluate(definition, facts, memory, now)
    return decide(definition, evaluation, memory, facts, now)


# ---- limits


@given(st.integers(1, 10), st.lists(st.floats(0.0, 900.0), min_size=1, max_size=150))
def test_it_never_fires_more_often_in_an_hour_than_it_may(most, pauses):
    definition = rule(cooldown_seconds=0.0, max_per_hour=most)
    memory, now, fired = RuleMemory(), NOW, []
    for pause in pauses:
        now += pause
        decision = look(definition, memory, now)
        memory = decision.memory
        if decision.fired:
            fired.append(now)
    for at in fired:
        assert sum(at - 3600.0 < other <= at for other in fired) <= most
    assert memory.fired_count == len(fired)


def test_a_rule_that_fires_as_a_loop_does_is_suspended_and_says_so():
    definition = rule(cooldown_seconds=0.0, suspend_after=40)
    memory, told = RuleMemory(), []
    for number in range(45):
        decision = look(definition, memory, NOW + number)
        memory = decision.memory
        told += [decision.remark] if decision.remark else []
    assert memory.fired_count == 40
    assert len(told) == 1
    assert "hysteresis" in told[0]
    assert memory.suspended == told[0]
    later = look(definition, memory, NOW + 10 * LOOP_WINDOW_S)
    assert not later.fired, "only who changes the rule lets it go on"


def test_a_rule_that_may_fires_as_often_as_it_must_and_remembers_no_more_for_it():
    memory = RuleMemory()
    for number in range(500):
        memory = look(rule(cooldown_seconds=0.0, suspend_after=0), memory, NOW + number).memory
    assert (memory.fired_count, memory.suspended, memory.recent) == (500, "", ())


def test_two_rules_that_undo_each_other_are_told_apart_from_one_that_works():
    definition = rule(cooldown_seconds=10.0)
    memory = RuleMemory()
    for number in range(MOST_REVERSALS + 1):
        decision = look(definition, memory, NOW + 20.0 * number, owner="rule:7" if number else "")
        memory = decision.memory
    assert "rule:7 has undone" in memory.suspended
    assert "ESP_A00002/25" in memory.suspended
    calm = RuleMemory()
    for number in range(50):
        calm = look(definition, calm, NOW + 20.0 * number, owner="user:operator").memory
    assert calm.suspended == "", "a person who switches off is no loop"


def test_undone_now_and_then_is_no_fight():
    memory = RuleMemory()
    for number in range(30):
        memory = look(rule(), memory, NOW + LOOP_WINDOW_S * number, owner="rule:7").memory
    assert memory.suspended == ""


# ---- a notification


def test_a_rule_that_only_tells_does_so_once_in_its_cooldown():
    definition = rule(actions=(TELL,), cooldown_seconds=60.0)
    memory, told = RuleMemory(), 0
    for number in range(13):
        decision = look(definition, memory, NOW + 10.0 * number)
        memory, told = decision.memory, told + len(decision.notifications)
    assert told == 3


# ---- from one version to the next


def remembering(definition):
    return RuleMemory(
        firing=True, hysteresis={"conditions[0]": True}, since={"x": NOW}, last_fired=NOW,
        fired_count=4, recent=(NOW - 60.0, NOW), reversals=(NOW,), suspended="suspended: a fight",
        text=fingerprint(definition),
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"priority": 900}, {"cooldown_seconds": 5.0}, {"description": "x"}],
)
def test_what_does_not_change_its_meaning_keeps_everything(change):
    memory = remembering(rule())
    assert adopted(rule(**change), memory) == (memory, None)


@pytest.mark.parametrize(
    "change", [{"conditions": (VENT,)}, {"actions": (TELL,)}, {"logic_operator": "OR"}]
)
def test_a_new_meaning_keeps_only_what_protects_the_plant(change):
    memory, left = adopted(rule(**change), remembering(rule()))
    assert left is None
    assert (memory.last_fired, memory.fired_count, memory.recent) == (NOW, 4, (NOW - 60.0, NOW))
    assert (memory.firing, memory.hysteresis, memory.since, memory.suspended) == (False, {}, {}, "")
    assert memory.text == fingerprint(rule(**change))


def test_a_sequence_of_another_text_is_broken_off():
    old = rule(actions=(SequenceAction(steps=(ON, Delay(seconds=60))),))
    memory = msgspec.structs.replace(
        remembering(old), progress=Progress(action=0, step=1, since=NOW, energised=(FAN,))
    )
    assert adopted(old, memory) == (memory, None)
    kept, left = adopted(rule(), memory)
    assert kept.progress is None
    assert left is not None
    assert [(c.command, c.ref) for c in left.commands] == [(Verb.OFF, FAN)]


def test_a_rule_that_goes_leaves_nothing_on():
    careful = (ActuatorAction(esp_id=FAN[0], gpio=26, command=Verb.OFF),)
    for on_abort, expected in ((None, [(Verb.OFF, FAN)]), (careful, [(Verb.OFF, (FAN[0], 26))])):
        steps = SequenceAction(steps=(ON, Delay(seconds=60)), on_abort=on_abort)
        progress = Progress(action=0, step=1, since=NOW, energised=(FAN,))
        left = end_of(rule(actions=(steps,)), RuleMemory(progress=progress), "it is deleted")
        assert left is not None
        assert [(c.command, c.ref) for c in left.commands] == expected
        assert left.outcome == "aborted: it is deleted"
    assert end_of(rule(), RuleMemory(), "it is deleted") is None


def test_a_memory_is_the_same_after_the_database():
    memory = msgspec.structs.replace(
        remembering(rule()), progress=Progress(action=0, step=1, since=NOW, energised=(FAN,))
    )
    assert msgspec.json.decode(msgspec.json.encode(memory), type=RuleMemory) == memory
