"""Files that are replaced. The kind: a failed write of which nobody knows what it left behind."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
from contextlib import suppress

import pytest

from godkaiser.host import durable_file
from godkaiser.host.durable_file import InDoubt, make_folder, new_file, replace_file
from tests.host.disk_faults import STEPS, FaultyDisk


@pytest.fixture
def disk(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"old")
    (tmp_path / "data" / "file").chmod(0o640)
    return FaultyDisk(monkeypatch, tmp_path / "data")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "file"


def replace(path, **how):
    replace_file(path, b"new", mode=0o600, **how)


def test_it_is_on_disk_when_the_call_returns(disk, path):
    replace(path)
    assert disk.after_power_cut("file") == path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_refused_means_unchanged_whichever_step_fails(disk, path, step, code):
    disk.fail(step, code=code)
    with pytest.raises(OSError, match=os.strerror(code)) as refusal:
        replace(path)
    assert not isinstance(refusal.value, InDoubt)
    assert disk.after_power_cut("file") == path.read_bytes() == b"old"
    assert disk.is_certain
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    replace(path)
    assert disk.after_power_cut("file") == path.read_bytes() == b"new"


@pytest.mark.parametrize("step", STEPS)
def test_where_no_file_was_none_is_after_a_refusal(disk, path, step):
    path.unlink()
    disk.sync()
    disk.fail(step)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace(path)
    assert list(path.parent.iterdir()) == []
    assert disk.after_power_cut("file") is None
    assert disk.is_certain


def test_a_flush_that_goes_on_failing_is_told_as_doubt_and_a_process_that_is_killed_finds_the_old_one(
    disk, path
):
    disk.fail("fsync of the folder", times=2)
    with pytest.raises(InDoubt):
        replace(path)
    assert path.read_bytes() == b"old"
    assert not disk.is_certain


def test_what_must_hold_anyway_is_left_there(disk, path):
    disk.fail("fsync of the folder")
    with pytest.raises(InDoubt):
        replace(path, roll_back=False)
    assert path.read_bytes() == b"new"


def test_a_filesystem_without_hard_links_is_one_too(disk, path):
    disk.fail("link", code=errno.EPERM)
    disk.fail("fsync of the folder")
    with pytest.raises(OSError, match="Input/output"):
        replace(path)
    assert disk.after_power_cut("file") == path.read_bytes() == b"old"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_disk_that_takes_a_part_of_it_is_full(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            replace_file(path, b"n" * 100, mode=0o600)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which only root may")
def test_a_real_full_disk_keeps_the_old_one_and_takes_the_new_one_when_there_is_room(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        path = small / "file"
        replace_file(path, b"o" * 5000, mode=0o600)
        filler = (small / "filler").open("wb", buffering=0)
        with filler, suppress(OSError):
            while filler.write(b"\0" * 4096) == 4096:
                pass
        with pytest.raises(OSError, match="No space"):
            replace_file(path, b"n" * 9000, mode=0o600)
        assert path.read_bytes() == b"o" * 5000
        assert sorted(p.name for p in small.iterdir()) == ["file", "filler"]
        (small / "filler").unlink()
        replace_file(path, b"n" * 9000, mode=0o600)
        assert path.read_bytes() == b"n" * 9000
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(("mode", "folder_mode"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_who_may_read_it_is_the_programs_choice_and_not_that_of_the_umask(
    tmp_path, mode, folder_mode, umask
):
    path = tmp_path / "a" / "b" / "file"
    before = os.umask(umask)
    try:
        make_folder(path.parent, folder_mode)
        replace_file(path, b"new", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == folder_mode


def test_folders_that_are_made_are_flushed_and_those_that_are_there_stay_as_they_are(
    tmp_path, monkeypatch
):
    tmp_path.chmod(0o755)
    flushed = []
    monkeypatch.setattr(durable_file, "sync_folder", flushed.append)
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        make_folder(tmp_path / "plain")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_root_leaves_no_file_of_its_own_in_a_folder_of_another_user(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 12345, 54321)
    make_folder(folder / "deep")
    replace_file(folder / "deep" / "file", b"1", mode=0o600)
    for path in (folder / "deep", folder / "deep" / "file"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)
    os.chown(folder / "deep" / "file", 12345, 777)
    replace_file(folder / "deep" / "file", b"2", mode=0o640)
    assert (folder / "deep" / "file").stat().st_gid == 777
    assert (folder / "deep" / "file").read_bytes() == b"2"


def test_a_new_file_is_whole_or_is_not(tmp_path):
    with new_file(tmp_path / "f") as file:
        file.write(b"all of it")
    assert (tmp_path / "f").read_bytes() == b"all of it"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError), new_file(tmp_path / "f"):
        pass
    assert (tmp_path / "f").read_bytes() == b"all of it"
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "g") as file:
        file.write(b"half of it")
        raise ZeroDivisionError
    assert not (tmp_path / "g").exists()
