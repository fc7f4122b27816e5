"""How a start fails: 75 for what may pass by itself, so that systemd tries again; 78 for what an admin
must change, which it does not. The kind: a passing condition that is taken for a lasting one leaves a
plant without its gateway until somebody comes.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from typer.testing import CliRunner

from godkaiser.cli.main import app
from godkaiser.config import mounts
from godkaiser.errors.process import PassingCondition, StartupFailed, startup_failure
from godkaiser.host.single_instance import DataFolderLock
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from tests.provision.servers import free_port

TRY_AGAIN, CONFIG = 75, 78


@pytest.fixture
def start(tmp_path):
    """Starts a gateway in a process of its own; for starts that fail. Gives its exit code and its words."""

    def run(text: str = "", *, data_dir: str = "var") -> tuple[int, str]:
        path = tmp_path / "godkaiser.toml"
        sections = "" if "[http]" in text else '[http]\nlisten = "127.0.0.1:0"\n'
        path.write_text(f'[gateway]\ndata_dir = "{data_dir}"\n{sections}{text}')
        done = subprocess.run(
            [sys.executable, "-m", "godkaiser", "run", "--config", str(path)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert "godkaiser" in done.stderr
        return done.returncode, done.stderr

    return run


def test_a_port_in_use_and_an_address_that_is_not_there_yet_pass(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert start(f'[http]\nlisten = "127.0.0.1:{port}"\n')[0] == TRY_AGAIN
        live = f'[http]\nlisten = "127.0.0.1:0"\n[live]\nlisten = "127.0.0.1:{port}"\n'
        assert start(live)[0] == TRY_AGAIN
    # An address of TEST-NET, and a name that no resolver knows.
    for host in ("192.0.2.1", "not-up-yet.invalid"):
        code, told = start(f'[http]\nlisten = "{host}:8000"\n')
        assert (code, host in told) == (TRY_AGAIN, True)


def test_a_database_that_a_tool_has_locked_passes(start, tmp_path):
    (tmp_path / "var").mkdir()
    with sqlite3.connect(tmp_path / "var" / "godkaiser.db") as tool:
        tool.execute("CREATE TABLE t (x)")
        tool.commit()
        tool.execute("BEGIN EXCLUSIVE")
        code, told = start()
    tool.close()
    assert code == TRY_AGAIN
    assert "Another program has locked it" in told
    assert "writable" not in told and "restore" not in told


def test_a_damaged_database_is_told_as_the_end_that_it_is(start, tmp_path):
    """The kind: the words of a gateway that goes on, said by one that ends."""
    (tmp_path / "var").mkdir()
    path = tmp_path / "var" / "godkaiser.db"
    database = open_database(f"sqlite:///{path}")
    migrate(database)
    ((page,),) = database.fetch("SELECT rootpage FROM sqlite_master WHERE name = 'rules'")
    database.close_all()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    code, told = start()
    assert code == TRY_AGAIN
    assert "The file is damaged" in told and "restore a backup" in told
    assert "Control goes on" not in told and "writable" not in told


def test_a_folder_in_place_of_the_database_lasts(start, tmp_path):
    (tmp_path / "here").mkdir()
    code, told = start('[database]\nurl = "sqlite:///here"\n')
    assert (code, "path of a file" in told, "writable" in told) == (CONFIG, True, False)


@pytest.mark.parametrize(
    ("right", "words"),
    [("CREATE", "permission denied for schema public"), ("ALL", "no schema has been selected")],
)
def test_a_right_that_the_database_user_lacks_lasts(start, postgres, right, words):
    url = postgres.create_database()
    name = url.rpartition("/")[2]
    with closing(psycopg2.connect(url)) as admin:
        admin.autocommit = True
        cursor = admin.cursor()
        cursor.execute(f"REVOKE {right} ON SCHEMA public FROM PUBLIC")
        cursor.execute(f"CREATE ROLE reader_{name} LOGIN")
    poor = re.sub("//[^@]*@", f"//reader_{name}@", url)
    code, told = start(f'[database]\nurl = "{poor}"\n')
    assert code == CONFIG, told
    assert words in told
    assert "GRANT CREATE, USAGE ON SCHEMA public" in told
    assert "writable" not in told


def test_a_database_server_that_is_not_there_passes(start):
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    assert start(f'[database]\nurl = "{url}"\n')[0] == TRY_AGAIN


def test_another_gateway_that_is_still_ending_passes(start, tmp_path):
    (tmp_path / "var").mkdir()
    lock = DataFolderLock(tmp_path / "var")
    try:
        assert start()[0] == TRY_AGAIN
    finally:
        lock.release()


def test_the_folder_above_the_data_folder_is_not_made(start, tmp_path):
    """It may be a disk that is not mounted yet: a gateway that starts anew there has lost its stops."""
    code, told = start(data_dir=str(tmp_path / "ssd" / "godkaiser"))
    assert (code, "Mount its disk" in told) == (TRY_AGAIN, True)
    assert not (tmp_path / "ssd").exists()


@pytest.mark.parametrize(
    ("text", "data_dir"),
    [("", "{}"), ('[database]\nurl = "sqlite:///{}/gk.db"\n', "var"),
     ('[mqtt]\nusername = "g"\npassword_file = "{}/password"\n', "var")],
)  # fmt: skip
def test_a_disk_of_fstab_that_is_not_mounted_passes(tmp_path, monkeypatch, text, data_dir):
    """The mount point is there, and empty: without a look at fstab it would be taken for the disk."""
    point = tmp_path / "my disk"
    point.mkdir()
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"# disks\nUUID=1 / ext4 defaults 0 1\nUUID=2 {tmp_path}/my\\040disk ext4 nofail 0 2\n"
    )
    monkeypatch.setattr(mounts, "FSTAB", fstab)
    path = tmp_path / "godkaiser.toml"
    path.write_text(f'[gateway]\ndata_dir = "{data_dir}"\n{text}'.replace("{}", str(point)))
    done = CliRunner().invoke(app, ["run", "--config", str(path)])
    assert done.exit_code == TRY_AGAIN, done.output
    assert list(point.iterdir()) == []


def test_a_mount_point_with_something_mounted_is_no_matter(tmp_path):
    fstab = tmp_path / "fstab"
    fstab.write_text("proc /proc proc defaults 0 0\n/swap none swap sw 0 0\n")
    assert mounts.missing_mount(Path("/proc/self"), fstab) is None
    assert mounts.missing_mount(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(
    "text",
    ['[http]\nlisten = "nowhere"\n', "[http\n", '[mqtt]\nusername = "g"\npassword_file = "x"\n'],
)
def test_a_mistake_in_the_file_lasts(start, text):
    assert start(text)[0] == CONFIG


def test_a_key_file_of_noise_lasts(start, tmp_path):
    """After a power cut a file may hold NULs: signing with those, anybody could log in."""
    (tmp_path / "var").mkdir()
    # A key without a database would be refused for that.
    database = open_database(f"sqlite:///{tmp_path}/var/godkaiser.db")
    migrate(database)
    database.close_all()
    for content in (b"\0" * 65, b"short\n", b"\xff" * 64):
        (tmp_path / "var" / "jwt.key").write_bytes(content)
        code, told = start()
        assert (code, "jwt.key" in told) == (CONFIG, True)


def test_a_file_that_is_no_database_lasts(start, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "godkaiser.db").write_bytes(b"this is no database" * 100)
    assert start()[0] == CONFIG


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EADDRINUSE, PassingCondition), (errno.EADDRNOTAVAIL, PassingCondition),
     (errno.ENOSPC, PassingCondition), (errno.EIO, PassingCondition),
     (errno.EROFS, PassingCondition), (errno.EMFILE, PassingCondition),
     (errno.EACCES, StartupFailed), (errno.ENOTDIR, StartupFailed)],
)  # fmt: skip
def test_system_errors_are_told_apart(number, kind):
    assert type(startup_failure("it", OSError(number, os.strerror(number)))) is kind


# ---- a command makes no database where there is none


@pytest.mark.parametrize(
    "arguments",
    [("backup", "--to", "copy"), ("audit", "verify"), ("migrate", "--check"),
     ("audit", "export", "--to", "out", "--passphrase-file", "phrase")],
)  # fmt: skip
def test_a_command_that_reads_makes_no_empty_database(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phrase").write_text("a long passphrase\n")
    (tmp_path / "godkaiser.toml").write_text('[gateway]\ndata_dir = "."\n')
    done = CliRunner().invoke(app, [*arguments, "--config", "godkaiser.toml"])
    assert done.exit_code != 0
    assert "there is no database in" in done.output
    assert not (tmp_path / "godkaiser.db").exists()


def test_sync_with_the_wrong_configuration_does_not_drop_the_fleet(tmp_path):
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (folder / "passwd").write_text("godkaiser:$7$1$a$b\nESP_4F3A9C:$7$1$a$b\n")
    (tmp_path / "password").write_text("p4ssword\n")
    (tmp_path / "godkaiser.toml").write_text(
        '[mqtt]\nusername = "godkaiser"\npassword_file = "password"\n'
        '[broker_accounts]\nfolder = "mosquitto"\n'
    )
    done = CliRunner().invoke(app, ["mqtt", "sync", "--config", str(tmp_path / "godkaiser.toml")])
    assert done.exit_code == 73
    assert "ESP_4F3A9C" in done.output
    assert "ESP_4F3A9C" in (folder / "passwd").read_text()
    (folder / "passwd").unlink()
    again = CliRunner().invoke(app, ["mqtt", "sync", "--config", str(tmp_path / "godkaiser.toml")])
    assert again.exit_code == 0, again.output


def test_a_backup_is_restored_into_the_folder_of_the_gateway_from_wherever(tmp_path, monkeypatch):
    """Relative to the working directory, it 'succeeded' into another folder."""
    site = tmp_path / "etc"
    (site / "data").mkdir(parents=True)
    (site / "godkaiser.toml").write_text('[gateway]\ndata_dir = "data"\n')
    config = ["--config", str(site / "godkaiser.toml")]
    elsewhere = tmp_path / "home"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for arguments in (["migrate"], ["backup", "--to", str(tmp_path / "copy")]):
        done = CliRunner().invoke(app, [*arguments, *config])
        assert done.exit_code == 0, done.output
    (site / "data" / "godkaiser.db").unlink()
    done = CliRunner().invoke(app, ["restore", "--from", str(tmp_path / "copy"), *config])
    assert done.exit_code == 0, done.output
    assert (site / "data" / "godkaiser.db").stat().st_size > 0
    assert list(elsewhere.iterdir()) == []
