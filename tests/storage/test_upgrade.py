"""A schema that is brought up to date over years of readings. The kind: a change that is killed in its midst for ever,
done twice at once, or cannot be taken back.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.errors.process import PassingCondition
from godkaiser.errors.storage import BackupRefused
from godkaiser.host import service_manager
from godkaiser.host.service_manager import ServiceManager
from godkaiser.storage.backup import backup
from godkaiser.storage.engine import migrations, upgrade
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.series.readings import ReadingWriter

OLD = 8
KEY = SensorKey("ESP_A00001", 4, "ds18b20")


@pytest.fixture
def old(database_url, tmp_path):
    """A database of an earlier version, with readings in it."""
    (tmp_path / "data").mkdir()
    database = open_database(database_url)
    migrations.migrate(database, until=OLD)
    ReadingWriter(database).write(
        [Reading(KEY, 1e9 + n, 1e9 + n, n, n, "", Quality.GOOD, content_key=n) for n in range(100)]
    )
    yield database
    database.close_all()


def backups(tmp_path):
    folder = tmp_path / "data" / "backups"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_backup_comes_first_and_leads_back(old, tmp_path, request):
    told = []

    @contextmanager
    def busy(what):
        told.append(what)
        assert migrations.version_of(old) == OLD
        yield
        assert migrations.version_of(old) == migrations.NEWEST

    taken = upgrade.upgrade(old, tmp_path / "data", busy)
    assert len(taken) == migrations.NEWEST - OLD
    assert taken[0] in told[0]
    (made,) = backups(tmp_path)
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    other = (
        f"sqlite:///{tmp_path / 'other.db'}"
        if old.is_sqlite
        else request.getfixturevalue("postgres").create_database()
    )
    backup.restore(other, made, lambda *_how_far: None, force=False)
    restored = open_database(other)
    assert migrations.version_of(restored) == OLD
    assert restored.fetch("SELECT count(*) FROM sensor_data") == [(100,)]
    restored.close_all()


def test_what_is_up_to_date_or_empty_gets_no_backup(database, database_url, tmp_path, request):
    assert upgrade.upgrade(database, tmp_path / "data") == []
    empty = open_database(
        f"sqlite:///{tmp_path / 'empty.db'}"
        if database.is_sqlite
        else request.getfixturevalue("postgres").create_database()
    )
    assert len(upgrade.upgrade(empty, tmp_path / "data")) == migrations.NEWEST
    empty.close_all()
    assert backups(tmp_path) == []


def test_without_a_backup_nothing_is_changed(old, tmp_path, monkeypatch):
    def failing(*_args, **_how):
        raise BackupRefused(reason="the disk is full")

    monkeypatch.setattr(backup, "create", failing)
    with pytest.raises(PassingCondition, match="disk is full"):
        upgrade.upgrade(old, tmp_path / "data")
    assert migrations.version_of(old) == OLD


def test_without_room_for_it_nothing_is_changed(old, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    if not old.is_sqlite:
        pytest.skip("of a server's database nobody here knows the size")
    with pytest.raises(PassingCondition, match="--no-backup"):
        upgrade.upgrade(old, tmp_path / "data")
    assert migrations.version_of(old) == OLD
    assert backups(tmp_path) == []


def test_the_newest_two_of_them_are_kept(old, tmp_path, monkeypatch):
    stamps = iter(["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"])
    monkeypatch.setattr(upgrade.time, "strftime", lambda *_args: next(stamps))
    for _ in range(3):
        upgrade._back_up(old, tmp_path / "data" / "backups", OLD)
    assert [made.name[-16:] for made in backups(tmp_path)] == [
        "20260102T000000Z",
        "20260103T000000Z",
    ]


MIGRATE = """
import sys
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
database = open_database(sys.argv[1])
sys.stdin.readline()
print(len(migrate(database)))
database.close_all()
"""


def test_of_programs_that_do_it_at_once_each_step_is_done_by_one(old, database_url):
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, database_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    taken = [int(program.communicate(timeout=60)[0]) for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0]
    assert sum(taken) == migrations.NEWEST - OLD
    assert migrations.pending(old) == []


def test_systemd_is_asked_for_more_time_as_long_as_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(service_manager, "EXTENDED_S", 0.2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        with manager.busy("a long change"):
            for _ in range(5):
                said = systemd.recv(1000).decode()
                assert said == "EXTEND_TIMEOUT_USEC=200000\nSTATUS=a long change"
        assert "extend-timeout" not in {thread.name for thread in threading.enumerate()}
        manager.ready()
        while (said := systemd.recv(1000).decode()) != "READY=1":
            assert said.startswith(("EXTEND_TIMEOUT_USEC", "STATUS="))
