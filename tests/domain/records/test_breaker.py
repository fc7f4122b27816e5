from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.breaker import (
    Breaker,
    BreakerPolicy,
    BreakerState,
    admit,
    failed,
    retry_after_s,
    succeeded,
)

POLICY = BreakerPolicy()


def opened(at=100.0):
    breaker = Breaker()
    for _ in range(POLICY.failures):
        breaker = failed(breaker, POLICY, at)
    return breaker


def test_five_failures_in_a_row_open_it_and_fewer_do_not():
    breaker = Breaker()
    for _ in range(4):
        breaker = failed(breaker, POLICY, 0.0)
    assert admit(breaker, POLICY, 0.0)[1]
    assert failed(succeeded(breaker), POLICY, 0.0).state is BreakerState.CLOSED
    assert failed(breaker, POLICY, 0.0).state is BreakerState.OPEN


def test_open_it_says_when_to_come_back_and_lets_one_through_then():
    breaker = opened(at=100.0)
    assert admit(breaker, POLICY, 159.9) == (breaker, False)
    assert retry_after_s(breaker, POLICY, 130.0) == 30.0
    breaker, allowed = admit(breaker, POLICY, 160.0)
    assert (breaker.state, allowed) == (BreakerState.HALF_OPEN, True)
    assert not admit(breaker, POLICY, 161.0)[1], "one is enough to find out"
    assert succeeded(breaker) == Breaker()
    assert failed(breaker, POLICY, 165.0).state is BreakerState.OPEN


def test_a_try_without_an_answer_counts_as_failed():
    breaker, _ = admit(opened(at=0.0), POLICY, 60.0)
    breaker, allowed = admit(breaker, POLICY, 90.0)
    assert (breaker.state, allowed) == (BreakerState.OPEN, False)
    assert admit(breaker, POLICY, 150.0)[1]


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "success", "failure"]), st.floats(0.0, 100.0)), max_size=60
)


@given(steps)
def test_whatever_happens_it_never_stays_closed_to_a_database_that_works(some):
    now, breaker = 0.0, Breaker()
    let_through = 0
    for step, wait_s in some:
        now += wait_s
        before = breaker
        if step == "ask":
            breaker, allowed = admit(breaker, POLICY, now)
            let_through += allowed
            if before.state is BreakerState.OPEN and now < before.since + POLICY.open_s:
                assert not allowed
        elif step == "success":
            breaker = succeeded(breaker)
            assert breaker.state is BreakerState.CLOSED
        else:
            breaker = failed(breaker, POLICY, now)
    for _ in range(2):
        now += retry_after_s(breaker, POLICY, now) + 1e-3
        breaker, allowed = admit(breaker, POLICY, now)
        if allowed:
            return
        now += POLICY.open_s
    assert admit(breaker, POLICY, now)[1]
