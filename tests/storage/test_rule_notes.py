"""The notes of the rules: the newest of each survives the end of the process, whatever happens to the file."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.rules.rules import RuleMemory, Truth
from godkaiser.storage.files import notes_file
from godkaiser.storage.files.notes_file import NotesFile
from godkaiser.storage.files.rule_notes import RuleNote, RuleNotes
from tests.host.disk_faults import FaultyDisk


def notes_in(path):
    return RuleNotes(path, path.with_name("doses"))


def memory(changes, **how):
    return RuleMemory(truth=Truth.TRUE, last_fired=1.5, hysteresis={"a": True}, changes=changes, **how)  # fmt: skip


def test_the_newest_of_each_rule_comes_back(tmp_path):
    notes = notes_in(tmp_path / "notes")
    for changes in (1, 2, 3):
        notes.note(7, memory(changes))
    notes.note(8, memory(1))
    # Nobody closes what is killed.
    again = notes_in(tmp_path / "notes")
    assert again.newer(7, None) == memory(3)
    assert again.newer(7, memory(2)) == memory(3)
    assert again.newer(7, memory(4)) == memory(4)
    assert again.newer(9, None) is None
    again.note(8, None)
    assert notes_in(tmp_path / "notes").newer(8, None) is None
    assert notes_in(tmp_path / "notes").newer(7, None) == memory(3)


@given(cut=st.integers(0, 400), rubbish=st.binary(max_size=20))
def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path_factory, cut, rubbish):
    path = tmp_path_factory.mktemp("notes") / "notes"
    notes = notes_in(path)
    notes.note(1, memory(1))
    first = path.stat().st_size
    notes.note(2, memory(5))
    notes.close()
    path.write_bytes(path.read_bytes()[: first + cut % first] + rubbish)
    again = notes_in(path)
    assert again.newer(1, None) == memory(1)
    assert again.newer(2, None) in (None, memory(5))
    again.note(1, memory(2))
    assert notes_in(path).newer(1, None) == memory(2)


def test_the_file_begins_anew_before_it_grows_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(notes_file, "GROWTH_BYTES", 2000)
    notes = notes_in(tmp_path / "notes")
    for changes in range(200):
        notes.note(changes % 5, memory(changes))
    assert (tmp_path / "notes").stat().st_size < 5000
    again = notes_in(tmp_path / "notes")
    assert [again.newer(n, None) for n in range(5)] == [memory(195 + n) for n in range(5)]


def test_a_disk_that_cannot_be_written_stops_nobody_and_what_comes_after_is_noted(tmp_path):
    notes_in(tmp_path / "notes").note(1, memory(1))
    notes = notes_in(tmp_path / "notes")
    (tmp_path / "notes.new").mkdir()
    for changes in (2, 3):
        notes.note(1, memory(changes))
    assert notes_in(tmp_path / "notes").newer(1, None) == memory(1)
    (tmp_path / "notes.new").rmdir()
    notes.note(2, memory(1))
    again = notes_in(tmp_path / "notes")
    assert (again.newer(1, None), again.newer(2, None)) == (memory(3), memory(1))


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"[]\n{}\n", b'{"rule_id":1}\n'])
def test_a_file_of_something_else_holds_nothing(tmp_path, content):
    (tmp_path / "notes").write_bytes(content)
    notes = notes_in(tmp_path / "notes")
    assert notes.newer(1, memory(0)) == memory(0)
    notes.note(1, memory(1))
    assert notes_in(tmp_path / "notes").newer(1, None) == memory(1)


def test_many_threads_may_note_at_once(tmp_path):
    notes = notes_in(tmp_path / "notes")

    def work(rule_id):
        for changes in range(200):
            notes.note(rule_id, memory(changes))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    again = notes_in(tmp_path / "notes")
    assert [again.newer(n, None) for n in range(4)] == [memory(199)] * 4


def test_what_the_file_begins_anew_with_and_what_is_flushed_survives_a_power_cut(
    tmp_path, monkeypatch
):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "notes"
    disk = FaultyDisk(monkeypatch, path.parent)
    flushed = []
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    notes = NotesFile(path, lambda: [b"1", b"2"])
    notes.add(b"2")
    assert disk.after_power_cut("notes") == b"1\n2\n"
    notes.add(b"3")
    assert not flushed
    notes.add(b"4", flush=True)
    assert len(flushed) == 1
    assert path.read_bytes() == b"1\n2\n3\n4\n"


# ---- a power cut


class Disk:
    """Knows of each file what would be there after a power cut: what was flushed, under flushed names."""

    def __init__(self, monkeypatch, folder):
        self.folder = folder
        self.flushed = {}
        self.names = {}
        self.fails = False
        self._fsync, self._fdatasync = os.fsync, os.fdatasync
        monkeypatch.setattr(os, "fsync", lambda d: self._sync(d, self._fsync))
        monkeypatch.setattr(os, "fdatasync", lambda d: self._sync(d, self._fdatasync))

    def _sync(self, descriptor, real):
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            self.names = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
        else:
            again = Path(f"/proc/self/fd/{descriptor}")
            self.flushed[about.st_ino] = again.read_bytes()

    def cut(self):
        """What was in the page cache only is gone."""
        for path in self.folder.iterdir():
            path.unlink()
        for name, number in self.names.items():
            if number in self.flushed:
                (self.folder / name).write_bytes(self.flushed[number])


def test_what_was_kept_survives_a_power_cut_and_a_note_alone_need_not(tmp_path, monkeypatch):
    disk = Disk(monkeypatch, tmp_path)
    notes = notes_in(tmp_path / "notes")
    for changes in range(1, 6):
        notes.note(1, memory(changes))
        notes.keep([RuleNote(1, memory(changes)), RuleNote(2, memory(changes + 1))])
        notes.note(3, memory(changes))
    disk.cut()
    again = notes_in(tmp_path / "notes")
    assert again.newer(1, None) == memory(5)
    assert again.newer(2, memory(3)) == memory(6)


def test_a_flush_that_fails_is_told_and_the_next_one_writes_everything_again(tmp_path, monkeypatch):
    """After a failed flush the kernel may have dropped the pages, and a later one says nothing of it."""
    disk = Disk(monkeypatch, tmp_path)
    notes = notes_in(tmp_path / "notes")
    notes.keep([RuleNote(1, memory(1))])
    disk.fails = True
    with pytest.raises(OSError, match="Input/output"):
        notes.keep([RuleNote(1, memory(2))])
    disk.fails = False
    notes.keep([RuleNote(2, memory(7))])
    disk.cut()
    again = notes_in(tmp_path / "notes")
    assert again.newer(1, None) == memory(2)
    assert again.newer(2, None) == memory(7)


def test_the_newer_of_both_files_counts(tmp_path):
    notes = notes_in(tmp_path / "notes")
    notes.keep([RuleNote(1, memory(2))])
    notes.note(1, memory(3))
    assert notes_in(tmp_path / "notes").newer(1, memory(1)) == memory(3)
    notes.keep([RuleNote(1, memory(4))])
    assert notes_in(tmp_path / "notes").newer(1, None) == memory(4)


def test_a_note_never_waits_for_the_disk(tmp_path, monkeypatch):
    """It is written in a worker of the pool; only what is kept is flushed, by the one writer."""
    monkeypatch.setattr(notes_file, "GROWTH_BYTES", 500)
    disk = Disk(monkeypatch, tmp_path)
    disk.fails = True
    notes = notes_in(tmp_path / "notes")
    for changes in range(50):
        notes.note(changes % 3, memory(changes))
    assert notes_in(tmp_path / "notes").newer(1, None) == memory(49)
