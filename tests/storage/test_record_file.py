"""The latch and the holds on disk, as the safety actor finds them after whatever happened to them.

The kind: a record of which memory says one thing and the disk another. Refused means unchanged, on disk too; what
holds and could not be written is written as soon as it can be.
"""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from godkaiser.domain.records.checked_record import RecordUnreadable
from godkaiser.domain.safety.stop_state import GLOBAL, SafetyState, StopRecord, StopState
from godkaiser.host.durable_file import InDoubt
from godkaiser.storage.files.record_file import RecordFile
from tests import ROOT
from tests.host.disk_faults import STEPS, FaultyDisk

STOPPED = SafetyState(
    (
        StopRecord(
            scope=GLOBAL, state=StopState.ACTIVE, since=1.0, last_stop=1.0, by="user:a", reason="r"
        ),
    )
)
CLEARED = SafetyState()


@pytest.fixture
def path(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "latch"


@pytest.fixture
def latch(path):
    return RecordFile(path, SafetyState)


@pytest.fixture
def disk(path, monkeypatch):
    return FaultyDisk(monkeypatch, path.parent)


def after_kill(path):
    return RecordFile(path, SafetyState).read()


def after_power_cut(disk, tmp_path):
    record = disk.after_power_cut("latch")
    assert record is not None
    (tmp_path / "found").write_bytes(record)
    return RecordFile(tmp_path / "found", SafetyState).read()


def test_it_comes_back_as_written_and_only_the_newest(path, latch):
    assert latch.read() is None
    latch.write(STOPPED)
    assert after_kill(path) == STOPPED
    latch.write(CLEARED)
    assert latch.read() == CLEARED


@pytest.mark.parametrize("step", STEPS)
def test_a_clear_that_was_refused_is_not_found_done(path, latch, disk, tmp_path, step):
    latch.write(STOPPED)
    disk.fail(step)
    with pytest.raises(OSError, match="Input/output"):
        latch.write(CLEARED)
    assert not latch.unwritten
    assert latch.read() == after_kill(path) == after_power_cut(disk, tmp_path) == STOPPED


def test_a_clear_in_doubt_leaves_the_stop_in_force_until_the_disk_holds_it_again(
    path, latch, disk, tmp_path
):
    latch.write(STOPPED)
    disk.fail("fsync of the folder", times=3)
    with pytest.raises(InDoubt):
        latch.write(CLEARED)
    assert latch.unwritten
    assert latch.read() == after_kill(path) == STOPPED
    with pytest.raises(OSError, match="Input/output"):
        latch.retry()
    assert latch.unwritten
    latch.retry()
    assert not latch.unwritten
    assert latch.read() == after_kill(path) == after_power_cut(disk, tmp_path) == STOPPED


@pytest.mark.parametrize("step", [step for step in STEPS if step != "link"])
def test_a_stop_is_in_force_at_once_and_written_as_soon_as_it_can_be(
    path, latch, disk, tmp_path, step
):
    latch.write(CLEARED)
    disk.fail(step, times=2)
    with pytest.raises(OSError, match="Input/output"):
        latch.insist(STOPPED)
    assert latch.unwritten
    assert latch.read() == STOPPED
    with pytest.raises(OSError, match="Input/output"):
        latch.retry()
    latch.retry()
    assert not latch.unwritten
    assert latch.read() == after_kill(path) == after_power_cut(disk, tmp_path) == STOPPED


def test_a_stop_whose_flush_fails_is_found_by_a_process_that_starts_after_a_kill(path, latch, disk):
    latch.write(CLEARED)
    disk.fail("fsync of the folder", times=9)
    with pytest.raises(InDoubt):
        latch.insist(STOPPED)
    assert after_kill(path) == STOPPED


def test_a_refused_clear_does_not_forget_a_stop_that_is_not_written_yet(path, latch, disk):
    latch.write(CLEARED)
    disk.fail("open", times=2)
    with pytest.raises(OSError, match="Input/output"):
        latch.insist(STOPPED)
    with pytest.raises(OSError, match="Input/output"):
        latch.write(CLEARED)
    assert latch.read() == STOPPED
    latch.retry()
    assert after_kill(path) == STOPPED


def test_nothing_unwritten_is_nothing_to_write(latch, disk):
    latch.write(STOPPED)
    disk.fail("open")
    latch.retry()


KILLED = """
import os, signal, stat, sys
from pathlib import Path
from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.storage.files.record_file import RecordFile
latch = RecordFile(Path(sys.argv[1]), SafetyState)
assert latch.read().records
fsync = os.fsync
def failing(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(5, "Input/output error")
    fsync(descriptor)
os.fsync = failing
try:
    latch.write(SafetyState())
except OSError:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_after_a_refused_clear_finds_the_stop(path, latch):
    latch.write(STOPPED)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert after_kill(path) == STOPPED


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"{}", b"not a latch"])
def test_a_damaged_record_is_no_record_to_trust(path, latch, damage):
    path.write_bytes(damage)
    with pytest.raises(RecordUnreadable):
        latch.read()


def test_a_record_that_cannot_be_opened_is_no_record_to_trust(path, latch):
    path.mkdir()
    with pytest.raises(RecordUnreadable):
        latch.read()


def test_a_full_disk_takes_a_stop_into_the_room_that_was_kept(path, latch, disk):
    latch.write(CLEARED)
    disk.fail("write", code=errno.ENOSPC)
    latch.insist(STOPPED)
    assert after_kill(path) == STOPPED
    assert path.with_name("latch.reserve").exists()


def test_what_is_in_force_is_unwritten_while_its_folder_is_another_one(path, latch):
    latch.insist(STOPPED)
    right = path.parent.rename(path.parent.with_name("moved"))
    path.parent.mkdir()
    for write in (latch.check, lambda: latch.insist(STOPPED), lambda: latch.write(CLEARED)):
        with pytest.raises(OSError, match="unmounted or swapped"):
            write()
    assert latch.unwritten
    assert latch.read() == STOPPED
    assert list(path.parent.iterdir()) == []
    path.parent.rmdir()
    right.rename(path.parent)
    latch.retry()
    assert not latch.unwritten
    assert after_kill(path) == STOPPED
