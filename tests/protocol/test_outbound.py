"""What the gateway sends fits into the device's small parsers, whatever goes in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.protocol import budget, clock, outbound
from godkaiser.protocol.errors import PayloadError
from godkaiser.protocol.topics import Tail

ids = st.text(min_size=1, max_size=120)


@given(
    st.sampled_from(["online", "approved", "pending_approval", "rejected", "error"]),
    st.integers(1, 2**32 - 1),
    st.floats(0, 4e9),
    st.text(max_size=80),
)
def test_a_heartbeat_ack_fits_256_bytes_and_has_an_epoch(status, epoch, now, reason):
    payload = outbound.heartbeat_ack(status, epoch, now, reason_code=reason)
    fields = json.loads(payload)
    assert budget.parse_cost(fields) <= 220 <= budget.PARSE_BUDGET_BYTES[Tail.HEARTBEAT_ACK]
    assert fields["handover_epoch"] == epoch and isinstance(fields["server_time"], int)


@given(
    st.sampled_from(["ON", "OFF", "PWM", "TOGGLE"]),
    st.floats(0, 1),
    st.floats(0, 31_536_000),
    ids,
    ids,
)
def test_a_command_is_flat_short_plain_and_begins_with_the_verb(
    verb, value, duration, correlation, by
):
    payload = outbound.actuator_command(verb, value, duration, correlation, by)
    assert len(payload) <= budget.COMMAND_TEXT_BYTES
    assert payload.startswith(b'{"command":"' + verb.encode())
    assert payload.isascii() and b"\\" not in payload and b'" :' not in payload
    fields = json.loads(payload)
    assert not any(isinstance(v, dict | list) or v is None for v in fields.values())
    # The device counts whole seconds: its end of the lease is never before ours.
    assert duration <= fields["duration"] <= duration + 1


@given(ids, ids, ids, st.floats(0, 4e9))
def test_a_stop_for_all_has_text_where_the_device_needs_text(reason, by, correlation, now):
    fields = json.loads(outbound.broadcast_stop(reason, by, correlation, now))
    assert fields["command"] == "stop_all"
    assert all(isinstance(value, str) for value in fields.values())
    assert budget.parse_cost(fields) <= budget.BROADCAST_BUDGET_BYTES


@given(
    st.sampled_from(["emergency_stop", "clear_emergency"]), ids, ids, st.text("abc-9", max_size=64)
)
def test_an_emergency_message_to_one_device_fits_its_256_bytes(command, reason, correlation, token):
    fields = json.loads(outbound.device_emergency(command, reason, correlation, token))
    assert budget.parse_cost(fields) <= budget.PARSE_BUDGET_BYTES[Tail.ACTUATOR_EMERGENCY]
    assert fields.get("auth_token", "") == token


def test_a_configuration_that_the_device_cannot_read_is_refused():
    sensors = [{"gpio": n, "sensor_type": "ph", "sensor_name": "x" * 200} for n in range(40)]
    with pytest.raises(PayloadError) as caught:
        outbound.config_push(outbound.ConfigPart("c", 1, sensors=sensors))
    assert caught.value.reason == "TOO_LARGE"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=10))
def test_the_parse_cost_counts_each_member_and_each_distinct_string(fields):
    strings = set(fields) | {v for v in fields.values() if isinstance(v, str)}
    expected = 16 * len(fields) + sum(len(text.encode()) + 1 for text in strings)
    assert budget.parse_cost(fields) == expected


@given(st.text(max_size=100))
def test_wire_text_survives_a_device_that_escapes_nothing(text):
    sent = outbound.wire_text(text)
    assert len(sent) <= 63 and '"' not in sent and "\\" not in sent and sent.isascii()


NOW = 1_767_096_100.0


@pytest.mark.parametrize(
    ("ts", "valid", "at", "from_device", "replayed", "current"),
    [
        (1_767_096_090, True, 1_767_096_090.0, True, False, True),
        (1_767_096_090_500, True, 1_767_096_090.5, True, False, True),
        (1_767_096_090, False, NOW, False, False, True),
        (None, None, NOW, False, False, True),
        (0, None, NOW, False, False, True),
        (12_345, None, NOW, False, False, True),
        (1e15, True, NOW, False, False, True),
        (1e300, True, NOW, False, False, True),
        (-1e300, True, NOW, False, False, True),
        (NOW - 25 * 3600, True, NOW - 25 * 3600, True, True, False),
        (NOW - 600, True, NOW - 600, True, False, False),
        (NOW + 600, True, NOW, False, False, False),
        (NOW + 1e9, True, NOW, False, False, False),
    ],
)
def test_a_devices_clock_is_made_usable(ts, valid, at, from_device, replayed, current):
    time = clock.normalise(ts, NOW, time_valid=valid)
    assert (time.at, time.from_device, time.replayed, time.current) == (
        at, from_device, replayed, current,
    )  # fmt: skip
