"""What a supervisor decides, as pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.supervision import Backoff, Intensity, Restart, Strategy
from godkaiser.supervision.strategy import (
    Escalate,
    admit_restart,
    affected,
    backoff_delay,
    wants_restart,
)

names = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@given(names, st.data())
def test_affected_are_the_failed_one_all_or_the_rest(order, data):
    failed = data.draw(st.sampled_from(order))
    assert affected(Strategy.ONE_FOR_ONE, order, failed) == (failed,)
    assert affected(Strategy.ONE_FOR_ALL, order, failed) == tuple(order)
    rest = affected(Strategy.REST_FOR_ONE, order, failed)
    assert rest[0] == failed
    assert tuple(order[: len(order) - len(rest)]) + rest == tuple(order)


@pytest.mark.parametrize(
    ("restart", "after_crash", "after_end"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.TRANSIENT, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_who_is_started_again(restart, after_crash, after_end):
    assert wants_restart(restart, crashed=True) is after_crash
    assert wants_restart(restart, crashed=False) is after_end


@given(
    st.lists(st.floats(0.001, 100.0), max_size=60),
    st.integers(0, 6),
    st.floats(0.01, 50.0),
)
def test_no_window_ever_holds_more_restarts_than_allowed(gaps, most, within_s):
    intensity = Intensity(max_restarts=most, within_s=within_s)
    history: tuple[float, ...] = ()
    admitted: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        outcome = admit_restart(history, now, intensity)
        recent = sum(1 for at in admitted if now - at < within_s)
        if isinstance(outcome, Escalate):
            assert recent >= most
            return
        assert recent < most
        history = outcome
        admitted.append(now)
        assert len(history) <= most


@given(st.integers(1, 2000), st.floats(0.0, 0.999_999), st.floats(0.0, 1.0))
def test_backoff_is_bounded_spread_and_absent_at_first(attempt, chance, jitter):
    backoff = Backoff(base_s=0.1, factor=2.0, max_s=30.0, jitter=jitter)
    delay = backoff_delay(backoff, attempt, chance)
    assert 0.0 <= delay <= 30.0 * (1.0 + jitter)
    if attempt == 1:
        assert delay == 0.0
    else:
        middle = min(0.1 * 2.0 ** min(attempt - 2, 60), 30.0)
        assert middle * (1 - jitter) - 1e-9 <= delay <= middle * (1 + jitter) + 1e-9
