"""The emergency stop as a state machine: each transition, and all of them in any order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from godkaiser.domain import safety_state
from godkaiser.domain.checked_record import decode, encode
from godkaiser.domain.safety import judge
from godkaiser.domain.safety_state import (
    CLEAR_LOCKOUT_S,
    GLOBAL,
    SafetyState,
    Scope,
    ScopeKind,
    StopRecord,
    StopState,
)
from godkaiser.errors import ClearLockedOut, InvalidTransition, NoEmergencyStop
from tests.domain.safety_builders import NOW, PUMP, a_command, facts

ZONES = {"ESP_4F3A9C": "tent", "ESP_4F3A9D": "tent", "ESP_4F3A9E": ""}
TENT = Scope(ScopeKind.ZONE, "tent")
DEVICE = Scope(ScopeKind.DEVICE, PUMP.esp_id)
LATER = NOW + CLEAR_LOCKOUT_S


def stopped(scope: Scope = GLOBAL, **changes: bool) -> SafetyState:
    covered = [device for device, zone in ZONES.items() if scope.covers(device, zone)]
    return safety_state.stop(
        SafetyState(), scope, by="user:1", reason="leak", now=NOW, devices=covered, **changes
    )


def cleared(state: SafetyState, scope: Scope = GLOBAL, now: float = LATER) -> SafetyState:
    record = state.find(scope)
    devices = [device for device, zone in ZONES.items() if scope.covers(device, zone)]
    assert record is not None
    return safety_state.begin_clear(state, scope, by="user:2", now=now, reachable=devices)


def confirmed(state: SafetyState) -> SafetyState:
    for device in ZONES:
        state = safety_state.confirm_clear(state, device, now=LATER + 2)
    return state


def the(state: SafetyState, scope: Scope = GLOBAL) -> StopRecord:
    record = state.find(scope)
    assert record is not None
    return record


def test_a_stop_goes_the_whole_way_round() -> None:
    state = stopped()
    assert state.strictest is StopState.ACTIVE
    state = cleared(state)
    assert state.strictest is StopState.CLEARING
    state = confirmed(state)
    assert state.strictest is StopState.RESUMING
    state = safety_state.finish_resume(state, GLOBAL)
    assert state.strictest is StopState.NORMAL


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
    held = {d for d, zone in ZONES.items() if state.effective(d, zone) is not StopState.NORMAL}
    assert held == covered


def test_the_strictest_of_several_stops_wins() -> None:
    state = stopped(DEVICE)
    state = safety_state.stop(state, TENT, by="rule:1", reason="smoke", now=NOW + 9, devices=[])
    state = cleared(state, DEVICE)
    assert state.effective("ESP_4F3A9C", "tent") is StopState.ACTIVE
    assert safety_state.held_by_another(state, DEVICE, "ESP_4F3A9C", "tent")
    assert not safety_state.held_by_another(state, TENT, "ESP_4F3A9C", "tent")


def test_who_has_confirmed_the_stop_and_who_not_is_known_with_the_time() -> None:
    state = safety_state.confirm_stop(stopped(), "ESP_4F3A9C", now=NOW + 1)
    record = the(state)
    assert record.stopped == {"ESP_4F3A9C"}
    assert record.confirmed_at == {"ESP_4F3A9C": NOW + 1}
    assert record.stopping == {"ESP_4F3A9D", "ESP_4F3A9E"}
    assert record.told_at["ESP_4F3A9D"] == NOW


def test_a_device_that_comes_back_during_a_stop_has_not_confirmed_it() -> None:
    state = safety_state.confirm_stop(stopped(), "ESP_4F3A9C", now=NOW + 1)
    state = safety_state.device_to_be_stopped(state, "ESP_4F3A9C", "tent", now=NOW + 30)
    assert "ESP_4F3A9C" in the(state).stopping
    assert the(state).told_at["ESP_4F3A9C"] == NOW + 30
    assert the(state).confirmed_at == {}
    state = safety_state.device_to_be_stopped(state, "MOCK_NEW", "", now=NOW + 31)
    assert "MOCK_NEW" in the(state).stopping


def test_a_clear_is_locked_out_for_5_seconds_after_the_last_stop() -> None:
    with pytest.raises(ClearLockedOut):
        cleared(stopped(), now=NOW + CLEAR_LOCKOUT_S - 0.1)
    with pytest.raises(ClearLockedOut):
        cleared(stopped(), now=NOW - 60)
    again = safety_state.stop(stopped(), GLOBAL, by="x", reason="y", now=NOW + 4, devices=[])
    with pytest.raises(ClearLockedOut):
        cleared(again)


def test_a_second_stop_keeps_the_first_reason_and_asks_everybody_again() -> None:
    state = safety_state.confirm_stop(stopped(), "ESP_4F3A9C")
    state = safety_state.stop(state, GLOBAL, by="rule:1", reason="b", now=NOW + 1, devices=ZONES)
    record = the(state)
    assert (record.since, record.last_stop) == (NOW, NOW + 1)
    assert (record.by, record.reason) == ("user:1", "leak")
    assert record.stopping == set(ZONES)


@pytest.mark.parametrize("until", [StopState.CLEARING, StopState.RESUMING])
def test_a_stop_while_clearing_or_resuming_goes_back_to_active(until: StopState) -> None:
    state = cleared(stopped())
    if until is StopState.RESUMING:
        state = confirmed(state)
    assert state.strictest is until
    state = safety_state.stop(state, GLOBAL, by="x", reason="y", now=LATER + 3, devices=ZONES)
    assert state.strictest is StopState.ACTIVE
    assert the(state).clearing == frozenset()


def test_a_clear_without_a_stop_or_twice_is_refused() -> None:
    with pytest.raises(NoEmergencyStop):
        safety_state.begin_clear(SafetyState(), GLOBAL, by="x", now=NOW, reachable=[])
    with pytest.raises(InvalidTransition):
        cleared(cleared(stopped()))
    with pytest.raises(NoEmergencyStop):
        safety_state.accept_unconfirmed(SafetyState(), GLOBAL)
    with pytest.raises(InvalidTransition):
        safety_state.accept_unconfirmed(stopped(), GLOBAL)


def test_an_active_stop_cannot_be_resumed() -> None:
    with pytest.raises(InvalidTransition):
        safety_state.finish_resume(stopped(), GLOBAL)
    with pytest.raises(InvalidTransition):
        safety_state.begin_resume(stopped(), GLOBAL, by="user:1", now=NOW)


def test_whom_an_operator_accepts_unconfirmed_is_kept_with_his_name() -> None:
    state = safety_state.confirm_clear(cleared(stopped()), "ESP_4F3A9C", now=LATER + 1)
    assert the(state).confirmed_at == {"ESP_4F3A9C": LATER + 1}
    state = safety_state.accept_unconfirmed(state, GLOBAL, by="user:3", now=LATER + 9)
    record = the(state)
    assert record.state is StopState.RESUMING
    assert record.accepted == {"ESP_4F3A9D", "ESP_4F3A9E"}
    assert (record.accepted_by, record.accepted_at) == ("user:3", LATER + 9)


def test_a_stop_that_asks_for_an_operator_waits_for_him_in_resuming() -> None:
    state = confirmed(cleared(stopped(resume_requires_operator=True)))
    with pytest.raises(InvalidTransition):
        safety_state.finish_resume(state, GLOBAL)
    state = safety_state.begin_resume(state, GLOBAL, by="user:4", now=LATER + 5)
    with pytest.raises(InvalidTransition):
        safety_state.begin_resume(state, GLOBAL, by="user:5", now=LATER + 6)
    assert safety_state.finish_resume(state, GLOBAL).strictest is StopState.NORMAL


def test_after_a_stop_automation_is_held_until_an_operator_lets_it_go_on() -> None:
    state = safety_state.finish_resume(confirmed(cleared(stopped(TENT), TENT)), TENT)
    assert state.holds_automation("ESP_4F3A9C", "tent")
    assert not state.holds_automation("ESP_4F3A9E", "")
    with pytest.raises(InvalidTransition):
        safety_state.resume_automation(state, DEVICE)
    state = safety_state.resume_automation(state, GLOBAL)
    assert not state.holds_automation("ESP_4F3A9C", "tent")


def test_an_answer_of_nobody_known_changes_nothing() -> None:
    state = stopped()
    assert safety_state.confirm_stop(state, "ESP_FFFFFF", now=NOW) == state
    assert safety_state.confirm_clear(state, "ESP_4F3A9C", now=NOW) == state


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

    @rule(scope=scopes, strict=st.booleans())
    def stop(self, scope: Scope, *, strict: bool) -> None:
        covered = [d for d, zone in ZONES.items() if scope.covers(d, zone)]
        self.move(
            safety_state.stop(
                self.state,
                scope,
                by="x",
                reason="y",
                now=self.now,
                devices=covered,
                resume_requires_operator=strict,
            )
        )
        assert self.state.find(scope) is not None

    @rule(scope=scopes, reachable=st.sets(devices))
    def clear(self, scope: Scope, reachable: set[str]) -> None:
        record = self.state.find(scope)
        try:
            state = safety_state.begin_clear(
                self.state, scope, by="op", now=self.now, reachable=reachable
            )
        except (NoEmergencyStop, ClearLockedOut, InvalidTransition):
            return
        assert record is not None
        assert self.now - record.last_stop >= CLEAR_LOCKOUT_S
        self.operator_cleared.add(scope)
        self.move(state)

    @rule(device=devices)
    def device_confirms_the_stop(self, device: str) -> None:
        before = self.state.strictest
        self.move(safety_state.confirm_stop(self.state, device, now=self.now))
        assert self.state.strictest is before

    @rule(device=devices)
    def device_confirms_the_clear(self, device: str) -> None:
        self.move(safety_state.confirm_clear(self.state, device, now=self.now))

    @rule(device=devices)
    def device_comes_back(self, device: str) -> None:
        self.move(
            safety_state.device_to_be_stopped(self.state, device, ZONES[device], now=self.now)
        )

    @rule(scope=scopes)
    def operator_accepts(self, scope: Scope) -> None:
        try:
            self.move(safety_state.accept_unconfirmed(self.state, scope, by="op", now=self.now))
        except (NoEmergencyStop, InvalidTransition):
            return

    @rule(scope=scopes)
    def operator_resumes(self, scope: Scope) -> None:
        try:
            self.move(safety_state.begin_resume(self.state, scope, by="op", now=self.now))
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
        assert record.resumed_by or not record.resume_requires_operator
        assert scope in self.state.held

    @rule()
    def gateway_restarts(self) -> None:
        assert decode(encode(self.state), SafetyState) == self.state

    @invariant()
    def nothing_is_energised_unless_all_is_normal(self) -> None:
        for device, zone in ZONES.items():
            effective = self.state.effective(device, zone)
            command = a_command(requested_at=self.now, esp_id=device)
            verdict = judge(command, facts(stop=self.state.covering(device, zone)), self.now)
            assert verdict.allowed == (effective is StopState.NORMAL)

    @invariant()
    def the_strictest_wins(self) -> None:
        for device, zone in ZONES.items():
            effective = self.state.effective(device, zone)
            for record in self.state.records:
                if record.scope.covers(device, zone) and record.state is StopState.ACTIVE:
                    assert effective is StopState.ACTIVE

    @invariant()
    def nobody_is_confirmed_and_unconfirmed(self) -> None:
        for record in self.state.records:
            assert not record.stopped & record.stopping
            assert record.clearing <= record.told_at.keys()
            assert record.state is not StopState.NORMAL
        assert len({record.scope for record in self.state.records}) == len(self.state.records)


TestStopMachine = StopMachine.TestCase
TestStopMachine.settings = settings(max_examples=150, stateful_step_count=40)


def test_the_latch_of_a_thousand_stopped_devices_is_read_as_it_was_written() -> None:
    many = [f"ESP_{n:06X}" for n in range(1000)]
    state = safety_state.stop(SafetyState(), GLOBAL, by="x", reason="y", now=NOW, devices=many)
    assert decode(encode(state), SafetyState) == state
