"""Readings that come later and later. The kind: an overload that nobody is told of until something is dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.arrivals import LATE_S, SUSTAINED_S, WINDOW_S, ArrivalWatch, observe


def watched(ages, every_s=1.0, watch=ArrivalWatch()):
    for number, age in enumerate(ages):
        watch = observe(watch, [age], 1000.0 + number * every_s)
    return watch


def test_a_backlog_that_grows_is_told_and_taken_back_when_it_is_gone():
    growing = watched([0.1 + 0.5 * n for n in range(30)])
    assert growing.is_late
    assert growing.behind_s == 14.5
    assert not observe(growing, [0.3], 1100.0).is_late


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0.0, 1.9), min_size=1, max_size=50))
def test_clocks_that_are_wrong_are_no_backlog(wrong_by_s, jitter):
    assert not watched([wrong_by_s + extra for extra in jitter]).is_late


def test_one_device_that_replays_its_memory_is_none_either():
    watch = ArrivalWatch()
    for second in range(100):
        watch = observe(watch, [0.1, 80.0], 1000.0 + second)
    assert not watch.is_late


def test_a_short_stall_is_none_either():
    ages = [0.1] * 10 + [8.0 - n for n in range(int(SUSTAINED_S))] + [0.1]
    assert not watched(ages).is_late


def test_an_overload_is_not_forgotten_by_and_by():
    watch = watched([0.1] * 10)
    for second in range(int(4 * WINDOW_S)):
        watch = observe(watch, [LATE_S + 20.0], 2000.0 + second)
    assert watch.is_late


def test_a_clock_that_was_set_is_not_held_against_it_for_ever():
    watch = watched([0.1] * 10)
    for step in range(3):
        # The lowest of two windows counts.
        watch = observe(watch, [1.5], 2000.0 + step * (WINDOW_S + 1))
    assert watch.behind_s == 0.0


def test_nothing_measured_tells_nothing():
    growing = watched([0.1 + 0.5 * n for n in range(30)])
    assert observe(growing, [], 5000.0) == growing
