"""The latch record: it comes back whole, or it is a stop."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.checked_record import RecordUnreadable, decode, encode
from godkaiser.domain.safety.latch import stopped_in_doubt
from godkaiser.domain.safety.stop_state import (
    GLOBAL,
    SafetyState,
    Scope,
    ScopeKind,
    StopRecord,
    StopState,
)
from tests.domain.safety.safety_builders import NOW

devices = st.frozensets(st.text(max_size=8), max_size=4)
times = st.floats(0, 4e9)
scopes = st.builds(Scope, st.sampled_from(ScopeKind), st.text(max_size=8))
records = st.builds(
    StopRecord,
    scope=scopes,
    state=st.sampled_from(StopState),
    since=times,
    last_stop=times,
    by=st.text(),
    reason=st.text(),
    clearing=devices,
    cleared_at=times | st.none(),
    accepted=devices,
)
states = st.builds(
    SafetyState,
    records=st.lists(records, max_size=3).map(tuple),
    held=st.lists(scopes, max_size=2).map(tuple),
)


@given(states)
def test_every_state_comes_back_from_its_record(state: SafetyState) -> None:
    assert decode(encode(state), SafetyState) == state


@given(states, st.data())
def test_a_truncated_record_is_unreadable(state: SafetyState, data: st.DataObject) -> None:
    record = encode(state)
    with pytest.raises(RecordUnreadable):
        decode(record[: data.draw(st.integers(0, len(record) - 1))], SafetyState)


@given(states, st.data())
def test_a_changed_record_is_unreadable_or_says_the_same(
    state: SafetyState, data: st.DataObject
) -> None:
    record = bytearray(encode(state))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RecordUnreadable):
        assert decode(bytes(record), SafetyState) == state


@given(st.binary())
def test_what_was_never_a_record_is_unreadable(content: bytes) -> None:
    with pytest.raises(RecordUnreadable):
        decode(content, SafetyState)


def test_a_valid_checksum_does_not_make_a_state_of_something_else() -> None:
    body = b'{"records":[{"scope":7}]}'
    with pytest.raises(RecordUnreadable):
        decode(b"1 %08x %s\n" % (zlib.crc32(body), body), SafetyState)


def test_a_record_that_cannot_be_read_is_a_stop_of_everything_with_its_reason() -> None:
    state = stopped_in_doubt("its checksum does not match", NOW)
    record = state.find(GLOBAL)
    assert record is not None
    assert state.covering("ESP_4F3A9C", "tent").state is StopState.ACTIVE
    assert "its checksum does not match" in record.reason
