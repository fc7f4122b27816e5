"""The latch on disk, as the safety actor finds it after whatever happened to it."""

from __future__ import annotations

import os
import resource

import pytest

from godkaiser.domain.checked_record import RecordUnreadable
from godkaiser.domain.safety_state import GLOBAL, SafetyState, StopRecord, StopState
from godkaiser.storage.record_file import RecordFile

STOPPED = SafetyState(
    (
        StopRecord(
            scope=GLOBAL, state=StopState.ACTIVE, since=1.0, last_stop=1.0, by="user:a", reason="r"
        ),
    )
)


def test_it_comes_back_as_written_and_only_the_newest(tmp_path):
    latch = RecordFile(tmp_path / "deep" / "latch", SafetyState)
    assert latch.read() is None
    latch.write(STOPPED)
    assert RecordFile(tmp_path / "deep" / "latch", SafetyState).read() == STOPPED
    latch.write(SafetyState())
    assert latch.read() == SafetyState()


def test_a_write_that_was_cut_off_leaves_the_record_before_it(tmp_path, monkeypatch):
    latch = RecordFile(tmp_path / "latch", SafetyState)
    latch.write(STOPPED)

    def power_cut(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="No space"):
        latch.write(SafetyState())
    monkeypatch.undo()
    assert latch.read() == STOPPED


def test_a_disk_that_fills_up_half_way_is_told(tmp_path):
    latch = RecordFile(tmp_path / "latch", SafetyState)
    latch.write(STOPPED)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            latch.write(SafetyState())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert latch.read() == STOPPED


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"{}", b"not a latch"])
def test_a_damaged_record_is_no_record_to_trust(tmp_path, damage):
    path = tmp_path / "latch"
    path.write_bytes(damage)
    with pytest.raises(RecordUnreadable):
        RecordFile(path, SafetyState).read()


def test_a_record_that_cannot_be_opened_is_no_record_to_trust(tmp_path):
    (tmp_path / "latch").mkdir()
    with pytest.raises(RecordUnreadable):
        RecordFile(tmp_path / "latch", SafetyState).read()
