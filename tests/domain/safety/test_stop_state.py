"""The emergency stop as a state machine: each transition, and all of them in any order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from godkaiser.domain.records.checked_record import decode, encode
from godkaiser.domain.safety import stop_state as safety_state
from godkaiser.domain.safety.safety import judge
from godkaiser.domain.safety.stop_state import (
    CLEAR_LOCKOUT_S,
    GLOBAL,
    SafetyState,
    Scope,
    ScopeKind,
    StopRecord,
    StopState,
)
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.safety import ClearLockedOut, NoEmergencyStop
from tests.domain.safety.safety_builders import NOW, PUMP, a_command, facts

ZONES = {"ESP_4F3A9C": "tent", "ESP_4F3A9D": "tent", "ESP_4F3A9E": ""}
TENT = Scope(ScopeKind.ZONE, "tent")
DEVICE = Scope(ScopeKind.DEVICE, PUMP.esp_id)
LATER = NOW + CLEAR_LOCKOUT_S


def stopped(scope: Scope = GLOBAL) -> SafetyState:
    return safety_state.stop(SafetyState(), scope, by="user:1", reason="leak", now=NOW)


def begun(state: SafetyState, scope: Scope = GLOBAL, now: float = LATER) -> SafetyState:
    record = state.find(scope)
    devices = [device for device, zone in ZONES.items() if scope.covers(device, zone)]
    assert record is not None
    return safety_state.begin_clear(
        state, scope, by="user:2", now=now, age_s=now - record.last_stop, reachable=devices
    )


def the(state: SafetyState, scope: Scope = GLOBAL) -> StopRecord:
    record = state.find(scope)
    assert record is not None
    return record


def test_a_stop_goes_the_whole_way_round() -> None:
    state = stopped()
    assert state.strictest is StopState.ACTIVE
    state = begun(state)
    assert state.strictest is StopState.CLEARING
    state = safety_state.cleared(state, GLOBAL)
    assert state.strictest is StopState.RESUMING
    state = safety_state.finish_resume(state, GLOBAL)
    assert state.strictest is StopState.NORMAL


def state_of(state, device_id, zone_id):
    """Of the strictest stop that holds the device."""
    record = state.covering(device_id, zone_id)
    return StopState.NORMAL if record is None else record.state


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (GLOBAL, {"ESP_4F3A9C", "ESP_4F3A9D", "ESP_4F3A9E"}),
        (TENT, {"ESP_4F3A9C", "ESP_4F3A9D"}),
        (DEVICE, {"ESP_4F3A9C"}),
    ],
)
def test_a_stop_holds_its_scope_and_nothing_else(scope: Scope, covered: set[str]) -> None:
    state = stopped(scope)
    held = {d for d, zone in ZONES.items() if state_of(state, d, zone) is not StopState.NORMAL}
    assert held == covered


def test_the_strictest_of_several_stops_wins() -> None:
    state = stopped(DEVICE)
    state = safety_state.stop(state, TENT, by="rule:1", reason="smoke", now=NOW + 9)
    state = begun(state, DEVICE)
    assert state.covering("ESP_4F3A9C", "tent").state is StopState.ACTIVE
    assert safety_state.held_by_another(state, DEVICE, "ESP_4F3A9C", "tent")
    assert not safety_state.held_by_another(state, TENT, "ESP_4F3A9C", "tent")


def test_a_clear_is_locked_out_for_5_seconds_after_the_last_stop() -> None:
    with pytest.raises(ClearLockedOut):
        begun(stopped(), now=NOW + CLEAR_LOCKOUT_S - 0.1)
    with pytest.raises(ClearLockedOut):
        begun(stopped(), now=NOW - 60)
    again = safety_state.stop(stopped(), GLOBAL, by="x", reason="y", now=NOW + 4)
    with pytest.raises(ClearLockedOut):
        begun(again)


def test_a_second_stop_keeps_the_first_reason() -> None:
    state = safety_state.stop(stopped(), GLOBAL, by="rule:1", reason="b", now=NOW + 1)
    record = the(state)
    assert (record.since, record.last_stop) == (NOW, NOW + 1)
    assert (record.by, record.reason) == ("user:1", "leak")


@pytest.mark.parametrize("until", [StopState.CLEARING, StopState.RESUMING])
def test_a_stop_while_clearing_or_resuming_goes_back_to_active(until: StopState) -> None:
    state = begun(stopped())
    if until is StopState.RESUMING:
        state = safety_state.cleared(state, GLOBAL)
    assert state.strictest is until
    state = safety_state.stop(state, GLOBAL, by="x", reason="y", now=LATER + 3)
    assert state.strictest is StopState.ACTIVE
    assert the(state).clearing == frozenset()


def test_a_clear_without_a_stop_or_twice_is_refused() -> None:
    with pytest.raises(NoEmergencyStop):
        safety_state.begin_clear(SafetyState(), GLOBAL, by="x", now=NOW, age_s=9, reachable=[])
    with pytest.raises(InvalidTransition):
        begun(begun(stopped()))
    with pytest.raises(NoEmergencyStop):
        safety_state.accept_unconfirmed(SafetyState(), GLOBAL)
    with pytest.raises(InvalidTransition):
        safety_state.accept_unconfirmed(stopped(), GLOBAL)


def test_an_active_stop_cannot_be_resumed() -> None:
    with pytest.raises(InvalidTransition):
        safety_state.finish_resume(stopped(), GLOBAL)


def test_devices_that_an_operator_accepts_unconfirmed_are_kept_with_the_name() -> None:
    state = safety_state.accept_unconfirmed(
        begun(stopped()), GLOBAL, by="user:3", now=LATER + 9, unconfirmed=["ESP_4F3A9D"]
    )
    record = the(state)
    assert record.state is StopState.RESUMING
    assert record.accepted == {"ESP_4F3A9D"}
    assert (record.accepted_by, record.accepted_at) == ("user:3", LATER + 9)


def test_a_clear_that_no_device_has_to_confirm_goes_on_at_once() -> None:
    state = safety_state.begin_clear(
        stopped(), GLOBAL, by="x", now=LATER, age_s=CLEAR_LOCKOUT_S, reachable=[]
    )
    assert the(state).state is StopState.RESUMING


def test_after_a_stop_automation_is_held_until_an_operator_lets_it_go_on() -> None:
    state = safety_state.finish_resume(safety_state.cleared(begun(stopped(TENT), TENT), TENT), TENT)
    assert state.holds_automation("ESP_4F3A9C", "tent")
    assert not state.holds_automation("ESP_4F3A9E", "")
    with pytest.raises(InvalidTransition):
        safety_state.resume_automation(state, DEVICE)
    state = safety_state.resume_automation(state, GLOBAL)
    assert not state.holds_automation("ESP_4F3A9C", "tent")


def test_a_resume_that_comes_too_soon_is_told_what_is_waited_for() -> None:
    """The kind: the advice is to do what has been done already."""
    with pytest.raises(InvalidTransition, match="clear it first"):
        safety_state.resume_automation(stopped(), GLOBAL)
    clearing = begun(stopped())
    for state in (clearing, safety_state.cleared(clearing, GLOBAL)):
        with pytest.raises(InvalidTransition, match="being cleared already") as refusal:
            safety_state.resume_automation(state, GLOBAL)
        assert "clear it first" not in refusal.value.message
        assert "/safety/status" in refusal.value.message


scopes = st.sampled_from([GLOBAL, TENT, DEVICE])
devices = st.sampled_from(sorted(ZONES))


class StopMachine(RuleBasedStateMachine):
    """Operators, devices and time in any order; the laws hold after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.state = SafetyState()
        self.operator_cleared: set[Scope] = set()

    def move(self, state: SafetyState) -> None:
        """Take the new state; no scope may get from ACTIVE past CLEARING without a clear."""
        for scope in (GLOBAL, TENT, DEVICE):
            before, after = self.state.find(scope), state.find(scope)
            if after is None or after.state is not StopState.ACTIVE:
                if before is not None and before.state is StopState.ACTIVE:
                    assert after is not None, "ACTIVE -> NORMAL"
                    assert scope in self.operator_cleared
            else:
                self.operator_cleared.discard(scope)
        self.state = state

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, -2.0]))
    def time_passes_or_jumps(self, seconds: float) -> None:
        self.now += seconds

    @rule(scope=scopes)
    def stop(self, scope: Scope) -> None:
        self.move(safety_state.stop(self.state, scope, by="x", reason="y", now=self.now))
        assert self.state.find(scope) is not None

    @rule(scope=scopes, reachable=st.sets(devices))
    def clear(self, scope: Scope, reachable: set[str]) -> None:
        record = self.state.find(scope)
        age_s = 0.0 if record is None else self.now - record.last_stop
        try:
            state = safety_state.begin_clear(
                self.state, scope, by="op", now=self.now, age_s=age_s, reachable=reachable
            )
        except (NoEmergencyStop, ClearLockedOut, InvalidTransition):
            return
        assert age_s >= CLEAR_LOCKOUT_S
        self.operator_cleared.add(scope)
        self.move(state)

    @rule(scope=scopes)
    def devices_confirm_the_clear(self, scope: Scope) -> None:
        self.move(safety_state.cleared(self.state, scope))

    @rule(scope=scopes)
    def operator_accepts(self, scope: Scope) -> None:
        try:
            self.move(safety_state.accept_unconfirmed(self.state, scope, by="op", now=self.now))
        except (NoEmergencyStop, InvalidTransition):
            return

    @rule(scope=scopes)
    def states_are_read_back(self, scope: Scope) -> None:
        record = self.state.find(scope)
        try:
            self.move(safety_state.finish_resume(self.state, scope))
        except (NoEmergencyStop, InvalidTransition):
            return
        assert record is not None
        assert record.state is StopState.RESUMING
        assert scope in self.state.held

    @rule()
    def gateway_restarts(self) -> None:
        assert decode(encode(self.state), SafetyState) == self.state

    @invariant()
    def nothing_is_energised_unless_all_is_normal(self) -> None:
        for device, zone in ZONES.items():
            effective = state_of(self.state, device, zone)
            command = a_command(decided_at=self.now, esp_id=device)
            verdict = judge(command, facts(stop=self.state.covering(device, zone)), self.now)
            assert verdict.allowed == (effective is StopState.NORMAL)

    @invariant()
    def the_strictest_wins(self) -> None:
        for device, zone in ZONES.items():
            effective = state_of(self.state, device, zone)
            for record in self.state.records:
                if record.scope.covers(device, zone) and record.state is StopState.ACTIVE:
                    assert effective is StopState.ACTIVE

    @invariant()
    def each_scope_has_one_record(self) -> None:
        assert len({record.scope for record in self.state.records}) == len(self.state.records)
        assert all(record.state is not StopState.NORMAL for record in self.state.records)


TestStopMachine = StopMachine.TestCase
TestStopMachine.settings = settings(max_examples=150, stateful_step_count=40)
