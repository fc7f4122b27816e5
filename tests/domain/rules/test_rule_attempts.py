"""A dose is asked for once in its cooldown, whatever becomes of the question: any order of readings, verdicts,
outcomes, lost messages, crashes, restarts and power cuts.

The kind of fault: what is remembered and what was done differ after something broke in between.
"""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.domain.clock_belief import MADE_AT
from godkaiser.domain.entities import Verb
from godkaiser.domain.rules import attempts as rule_attempts
from godkaiser.domain.rules import clock as rule_clock
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    ClockStamp,
    Fact,
    Facts,
    RuleDefinition,
    RuleMemory,
    SensorCondition,
    decide,
    energises,
    evaluate,
)

SENSOR = ("ESP_A00001", 4, "ds18b20")
PUMP = ("ESP_A00002", 25)
COOLDOWN_S = 100.0
HOT = SensorCondition(esp_id=SENSOR[0], gpio=4, sensor_type=SENSOR[2], operator=">", value=25.0)
DOSE = RuleDefinition(
    name="dose",
    conditions=(HOT,),
    actions=(
        ActuatorAction(
            esp_id=PUMP[0], gpio=PUMP[1], command=Verb.ON, duration=5.0, release=True
        ),
    ),
    cooldown_seconds=COOLDOWN_S,
    suspend_after=0,
)  # fmt: skip


class Life:
    """The rule actor in short: what it asks goes out when its memory is flushed, and may get lost."""

    def __init__(self):
        self.boot, self.now, self.wall = 0, 1000.0, MADE_AT + 1e6
        self.memory = RuleMemory()
        self.flushed = self.memory
        self.ids = itertools.count()
        self.open: list[str] = []
        # When an ON left, and whether it was refused.
        self.left: dict[str, float] = {}
        self.refused: set[str] = set()

    @property
    def stamp(self):
        return ClockStamp(f"boot {self.boot}", self.now, self.wall)

    def remember(self, memory):
        self.memory = msgspec.structs.replace(
            memory, changes=self.memory.changes + 1, clock=self.stamp
        )

    def look(self, value, *, dies=""):
        late = rule_attempts.expired(self.memory, self.now)
        if late is not None:
            self.remember(late)
        facts = Facts({SENSOR: Fact(value, self.now)}, levels={PUMP: 0.0})
        found = evaluate(DOSE, facts, self.memory, self.now, self.wall)
        decision = decide(DOSE, found, self.memory, facts, self.now, wall=self.wall)
        given = [(str(next(self.ids)), a) for a in (*decision.released, *decision.actions)]
        memory = decision.memory
        if decision.commanded:
            memory = rule_attempts.begun(self.memory, memory, self.now)
        self.remember(rule_attempts.asked(memory, given, self.now, once=True))
        if dies == "before the flush":
            return
        if any(energises(action) for _, action in given):
            self.flushed = self.memory
        if dies == "before it left":
            return
        for one, action in given:
            if energises(action):
                self.left[one] = self.total
                self.open.append(one)

    @property
    def total(self):
        """Seconds of the world, which goes on while the machine is off."""
        return self.wall

    def judge(self, *, allowed):
        if not self.open:
            return
        one = self.open.pop(0)
        if not allowed:
            self.refused.add(one)
        found = rule_attempts.judged(
            DOSE, self.memory, one, allowed=allowed, code="X", message="x", now=self.now
        )
        self.remember(found.memory)

    def settle(self, which):
        known = list(self.left)
        if known:
            self.remember(rule_attempts.settled(self.memory, known[which % len(known)]))

    def restart(self, *, power_cut):
        self.open.clear()
        memory = self.flushed if power_cut else self.memory
        if power_cut:
            self.boot += 1
            self.now = 5.0
        self.memory = rule_attempts.doubted(rule_clock.read_back(memory, self.stamp))
        self.flushed = self.memory if not power_cut else self.flushed


events = st.one_of(
    st.tuples(st.just("look"), st.sampled_from([20.0, 30.0, 30.0, 30.0]),
              st.sampled_from(["", "", "", "before the flush", "before it left"])),
    st.tuples(st.just("judge"), st.booleans(), st.just(None)),
    st.tuples(st.just("lose"), st.just(None), st.just(None)),
    st.tuples(st.just("settle"), st.integers(0, 5), st.just(None)),
    st.tuples(st.just("restart"), st.booleans(), st.just(None)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 16.0, 40.0, 101.0]), st.just(None)),
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(events, max_size=60))
def test_a_dose_leaves_once_in_its_cooldown_whatever_breaks(happenings):
    life = Life()
    for what, one, two in happenings:
        match what:
            case "look":
                life.look(one, dies=two)
                if two:
                    # A crash: only what was flushed, or noted, is left.
                    life.restart(power_cut=two == "before the flush")
            case "judge":
                life.judge(allowed=one)
            case "lose":
                life.open.clear()
            case "settle":
                life.settle(one)
            case "restart":
                life.restart(power_cut=one)
            case "wait":
                life.now += one
                life.wall += one
    given_at = sorted(at for one, at in life.left.items() if one not in life.refused)
    gaps = [later - earlier for earlier, later in itertools.pairwise(given_at)]
    assert all(gap >= COOLDOWN_S - 1e-6 for gap in gaps), given_at
    # No moment that is remembered lies in the future.
    memory = life.memory
    assert all(at <= life.now for at in (memory.fired_at or 0.0, *memory.recent))


def test_a_refusal_leaves_nothing_behind():
    life = Life()
    before = life.memory
    life.look(30.0)
    life.judge(allowed=False)
    after = life.memory
    for name in ("fired_at", "last_fired", "fired_count", "recent", "energised", "unsettled"):
        assert getattr(after, name) == getattr(before, name)
    assert after.refused is not None
    assert after.attempt is None


def test_it_comes_from_the_past_and_goes_on_after_a_week_under_refusal():
    life = Life()
    for _ in range(500):
        life.look(30.0)
        life.judge(allowed=False)
        life.now += 5.0
        life.wall += 5.0
    assert life.memory.fired_count == 0
    assert len(life.left) < 500 / 5
    life.now += 60.0
    life.wall += 60.0
    life.look(30.0)
    life.judge(allowed=True)
    assert life.memory.fired_count == 1


def test_rules_that_are_refused_together_do_not_ask_again_together():
    began = rule_attempts.begun(RuleMemory(), RuleMemory(fired_at=10.0), 10.0)
    waits = [
        rule_attempts.undone(began, "REFUSED", "no", 10.0, chance).refused.retry_at - 10.0
        for chance in (0.0, 0.5, 1.0)
    ]
    assert waits == sorted(set(waits))
    assert waits[1] == rule_attempts.FIRST_RETRY_S
    assert waits[2] - waits[0] <= 2.0 * rule_attempts.JITTER * rule_attempts.FIRST_RETRY_S + 1e-9
