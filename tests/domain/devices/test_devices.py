"""Ids, approval, liveness and what the acknowledgement says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices.devices import (
    ACK_STATUS,
    Liveness,
    Vitals,
    decide_approval,
    handover_epoch,
    health_score,
    validate_device_id,
    validate_zone_id,
)
from godkaiser.domain.entities import Approval
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.devices import InvalidDeviceId, InvalidZone
from tests.domain.safety.safety_builders import NOW

OFFLINE_AFTER_S = 180.0


@pytest.mark.parametrize("device_id", ["ESP_4F3A9C", "ESP_00000001", "MOCK_A", "MOCK_TENT01"])
def test_a_device_id_by_the_rule_is_accepted(device_id: str) -> None:
    validate_device_id(device_id)


@pytest.mark.parametrize(
    "device_id",
    ["", "ESP_TEST001", "ESP_4f3a9c", "ESP_4F3A9", "ESP_4F3A9C000", "MOCK_", "MOCK_a",
     "ESP_4F3A9C\n", " ESP_4F3A9C", "x/ESP_4F3A9C", "MOCK_" + "A" * 27, "#", "+"],
)  # fmt: skip
def test_any_other_device_id_is_refused_with_the_rule(device_id: str) -> None:
    with pytest.raises(InvalidDeviceId, match="ESP_ and 6 to 8 upper-case hex digits"):
        validate_device_id(device_id)


@pytest.mark.parametrize("zone_id", ["", "tent-1", "a" * 32])
def test_a_zone_id_by_the_rule_is_accepted(zone_id: str) -> None:
    validate_zone_id(zone_id)


@pytest.mark.parametrize("zone_id", ["Tent", "a" * 33, "a/b", "zelt\n", "ä"])
def test_any_other_zone_id_is_refused(zone_id: str) -> None:
    with pytest.raises(InvalidZone):
        validate_zone_id(zone_id)


@pytest.mark.parametrize("present", Approval)
@pytest.mark.parametrize("approved", [True, False])
def test_a_decision_can_be_changed_but_not_repeated(present: Approval, *, approved: bool) -> None:
    wanted = Approval.APPROVED if approved else Approval.REJECTED
    if present is wanted:
        with pytest.raises(InvalidTransition):
            decide_approval(present, approved=approved)
    else:
        assert decide_approval(present, approved=approved) is wanted


def test_every_approval_has_a_status_that_the_firmware_understands() -> None:
    assert set(ACK_STATUS) == set(Approval)
    assert set(ACK_STATUS.values()) <= {"online", "approved", "pending_approval", "rejected"}


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_epoch_of_an_acknowledgement_is_never_0_and_the_device_s_own_first(
    active: int, announced: int
) -> None:
    epoch = handover_epoch(active, announced)
    assert epoch == (active or announced or 1)


def test_a_device_is_online_from_its_heartbeat_until_it_is_silent_too_long() -> None:
    alive, rebooted = Liveness().heartbeat(NOW, 10)
    assert (alive.online, rebooted) == (True, False)
    assert alive.tick(NOW + OFFLINE_AFTER_S, OFFLINE_AFTER_S).online
    assert not alive.tick(NOW + OFFLINE_AFTER_S + 1, OFFLINE_AFTER_S).online


def test_a_will_ends_it_at_once_and_a_retained_one_is_old_news() -> None:
    alive, _ = Liveness().heartbeat(NOW, 10)
    assert not alive.will(retained=False).online
    assert alive.will(retained=True).online
    assert not Liveness().will(retained=True).online


def test_an_uptime_that_grew_by_much_less_than_the_time_is_a_reboot() -> None:
    alive, _ = Liveness().heartbeat(NOW, 2)
    alive, rebooted = alive.heartbeat(NOW + 60, 60)
    assert not rebooted
    alive, rebooted = alive.heartbeat(NOW + 200, 62)
    assert rebooted


def test_an_uptime_that_fell_is_a_reboot() -> None:
    alive, _ = Liveness().heartbeat(NOW, 100)
    alive, rebooted = alive.heartbeat(NOW + 60, 160)
    assert not rebooted
    alive, rebooted = alive.heartbeat(NOW + 120, 3)
    assert rebooted
    assert alive.boots == 1


events = st.lists(
    st.tuples(st.sampled_from(["heartbeat", "will", "retained", "tick"]), st.floats(0, 400)),
    max_size=20,
)


@given(events)
def test_online_always_means_heard_of_lately(history: list[tuple[str, float]]) -> None:
    now, heard, state = NOW, None, Liveness()
    for event, seconds in history:
        now += seconds
        match event:
            case "heartbeat":
                state, _ = state.heartbeat(now, 10)
                heard = now
            case "will" | "retained":
                state = state.will(retained=event == "retained")
            case _:
                state = state.tick(now, OFFLINE_AFTER_S)
                assert not state.online or now - (heard or 0.0) <= OFFLINE_AFTER_S
        assert heard is not None or not state.online


@given(
    st.builds(
        Vitals,
        online=st.booleans(),
        wifi_rssi=st.none() | st.integers(-200, 10),
        heap_free=st.none() | st.integers(-1, 10**6),
        reboots_last_day=st.integers(-1, 10**6),
        degraded=st.booleans(),
        persistence_degraded=st.booleans(),
    )
)
def test_a_health_score_is_0_for_offline_and_1_to_100_otherwise(vitals: Vitals) -> None:
    score = health_score(vitals)
    assert (score == 0) is (not vitals.online)
    assert score <= 100


def test_a_health_score_falls_with_each_complaint() -> None:
    fine = Vitals(online=True, wifi_rssi=-60, heap_free=140_000)
    weak = Vitals(online=True, wifi_rssi=-80, heap_free=140_000)
    worse = Vitals(online=True, wifi_rssi=-90, heap_free=10_000, degraded=True)
    assert health_score(fine) == 100
    assert health_score(fine) > health_score(weak) > health_score(worse)
