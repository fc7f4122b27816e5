"""Two boards with one device id: told apart from one that reboots, moves, or is late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices.twin_boards import MEMORY_S, SenderBoard, TwinBoards

HERE, THERE = "192.168.1.10", "192.168.1.11"


def hear(*beats):
    """`beats` are (time, address, uptime); the last state and time."""
    twins, now = TwinBoards(), 0.0
    for now, address, uptime_s in beats:
        twins = twins.heard(SenderBoard(address, "b1", uptime_s), now)
    return twins, now


@pytest.mark.parametrize("addresses", [(HERE, THERE), ("", "")])
def test_two_boards_that_were_started_apart_are_found_at_the_third_heartbeat(addresses):
    first, second = addresses
    twins, now = hear((0, first, 5000), (4, second, 60), (8, first, 5008))
    assert twins.pair(now) == (SenderBoard(second, "b1", 60), SenderBoard(first, "b1", 5008))


def test_two_boards_that_were_started_together_are_found_by_their_addresses():
    twins, now = hear(*((at, (HERE, THERE)[at // 4 % 2], 100 + at) for at in range(0, 21, 4)))
    assert twins.pair(now) is not None


@given(
    st.lists(
        st.tuples(st.integers(1, 120), st.booleans(), st.booleans(), st.integers(0, 14)),
        max_size=40,
    )
)
def test_one_board_is_never_two_however_often_it_reboots_or_is_late(steps):
    """It may get another address at a reboot, and keeps it."""
    twins, now, booted_at, address = TwinBoards(), 0.0, 0.0, 0
    for pause_s, reboots, moves, late_s in steps:
        now += pause_s
        if reboots:
            booted_at, address = now, address + moves
        twins = twins.heard(
            SenderBoard(f"10.0.0.{address}", "b1", int(now - booted_at)), now + late_s
        )
        assert twins.pair(now + late_s) is None


def test_heartbeats_that_a_frozen_broker_lets_go_at_once_are_of_one_board():
    twins, now = hear(
        (0, HERE, 5000), (300, HERE, 5060), (300, HERE, 5120), (301, HERE, 20), (301, HERE, 80)
    )
    assert twins.pair(now) is None


def test_when_one_of_them_is_gone_it_is_forgotten():
    twins, now = hear((0, HERE, 5000), (4, THERE, 60), (8, HERE, 5008))
    assert twins.pair(now + MEMORY_S) is not None
    assert twins.pair(now + MEMORY_S + 1) is None
