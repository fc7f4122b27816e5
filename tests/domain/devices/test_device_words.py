"""System commands, error codes, health: the tables that speak to an operator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.devices import error_codes, system_commands
from godkaiser.domain.devices.devices import Vitals, health_reasons, health_score
from godkaiser.errors.base import ValidationFailed


@given(st.integers(-(2**31), 2**31))
def test_every_code_has_a_meaning_and_an_advice(code):
    found = error_codes.meaning_of(code)
    assert found.first <= code <= found.last
    assert found.meaning and found.advice


def test_the_ranges_are_in_order_and_do_not_overlap():
    bounds = [bound for entry in error_codes.TABLE for bound in (entry.first, entry.last)]
    assert bounds == sorted(bounds)
    assert len({entry.first for entry in error_codes.TABLE}) == len(error_codes.TABLE)
    assert error_codes.meaning_of(4999).category == "APPLICATION"


@pytest.mark.parametrize(
    ("command", "given", "says"),
    [
        ("reboot", {}, "not a system command"),
        ("safe_mode", {}, "emergency_stop"),
        ("exit_safe_mode", {}, "clear_emergency"),
        ("status", {"x": 1}, "no parameter 'x'"),
        ("set_log_level", {}, "level must be one of"),
        ("set_log_level", {"level": "debug"}, "level must be one of"),
        ("onewire/scan", {"pin": True}, "pin must be"),
        ("onewire/scan", {"pin": 99}, "pin must be"),
        ("set_emergency_token", {"token_type": "esp"}, "token must be"),
        ("set_emergency_token", {"token": "x" * 65}, "token must be"),
        ("set_emergency_token", {"token": "ok", "token_type": "all"}, "token_type must be"),
    ],
)
def test_a_wrong_system_command_is_refused_with_what_is_right(command, given, says):
    with pytest.raises(ValidationFailed, match=says):
        system_commands.parameters_of(command, given)


def test_a_factory_reset_carries_the_confirmation_that_the_device_wants():
    assert system_commands.parameters_of("factory_reset", {}) == {"confirm": True}


@pytest.mark.parametrize(
    ("fields", "command", "success"),
    [
        ({"command": "status", "success": True}, "status", True),
        ({"command": "status", "success": False}, "status", False),
        ({"status": "factory_reset_initiated"}, "factory_reset", True),
        ({"command": "onewire/scan", "status": "ok", "found_count": 1}, "onewire/scan", True),
        ({"error": "no device", "pin": 4}, "onewire/scan", False),
        ({"error": "busy", "requested_pin": 4, "active_pin": 5}, "onewire/scan", False),
        ({"command": "", "success": False, "error": "JSON_PARSE_ERROR"}, "", False),
        ({"command": 7}, "", False),
    ],
)
def test_a_reply_is_matched_by_what_it_has(fields, command, success):
    assert system_commands.command_of_reply(fields) == command
    assert system_commands.succeeded(fields) is success


@given(
    st.builds(
        Vitals,
        online=st.booleans(),
        wifi_rssi=st.none() | st.integers(-120, 0),
        heap_free=st.none() | st.integers(0, 400_000),
        reboots_last_day=st.integers(0, 20),
        degraded=st.booleans(),
        persistence_degraded=st.booleans(),
    )
)
def test_a_score_below_a_hundred_has_its_reasons(vitals):
    assert (health_score(vitals) < 100) == bool(health_reasons(vitals))
