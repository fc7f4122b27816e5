"""`godkaiser backup`, `restore` and `migrate-data`, with a real gateway beside them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.series.readings import ReadingWriter
from tests.system.site import Site

KEY = SensorKey("ESP_C00001", 4, "ds18b20", "")


def godkaiser(folder, *arguments):
    config = folder / "godkaiser.toml"
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", *arguments, "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def configure(folder, data_dir, url=""):
    folder.mkdir(exist_ok=True)
    (folder / "godkaiser.toml").write_text(
        f'[gateway]\ndata_dir = "{data_dir}"\n[database]\nurl = "{url}"\n'
    )
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, tmp_path, own_mosquitto):
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Site(tmp_path, own_mosquitto, database_url=url)
    configure(tmp_path, tmp_path / "var", url)
    now = time.time()
    ReadingWriter(made.gateway.database).write(
        [Reading(KEY, now - n, now, 1.0, float(n), "", Quality.GOOD) for n in range(100)]
    )
    made.gateway.database.close_thread()
    yield made
    made.close()


def test_a_running_gateway_is_backed_up_and_not_restored_over(site, tmp_path, request):
    made = godkaiser(tmp_path, "backup", "--to", str(tmp_path / "b"))
    assert made.returncode == 0, made.stderr
    assert "checked" in made.stdout
    assert (tmp_path / "b" / "manifest.json").stat().st_mode & 0o077 == 0
    refused = godkaiser(tmp_path, "restore", "--from", str(tmp_path / "b"), "--force")
    assert refused.returncode == 1
    assert "another gateway" in refused.stderr
    assert site.client.get("/sensors/data")["count"] == 100
    is_sqlite = site.gateway.database.is_sqlite
    url = "" if is_sqlite else request.getfixturevalue("postgres").create_database()
    box = configure(tmp_path / "box", tmp_path / "box" / "var", url)
    restored = godkaiser(box, "restore", "--from", str(tmp_path / "b"))
    assert restored.returncode == 0, restored.stderr
    assert "counts compared" in restored.stdout
    again = godkaiser(box, "restore", "--from", str(tmp_path / "b"))
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert godkaiser(box, "audit", "verify").returncode == 0


def test_a_site_moves_to_postgresql_and_starts_there(tmp_path, own_mosquitto, postgres_url):
    site = Site(tmp_path, own_mosquitto, devices=1)
    configure(tmp_path, tmp_path / "var")
    refused = godkaiser(tmp_path, "migrate-data", "--to", postgres_url)
    assert (refused.returncode, "another gateway" in refused.stderr) == (1, True)
    devices = [d["device_id"] for d in site.client.get("/esp/devices")["data"]]
    site.stop_gateway()
    moved = godkaiser(tmp_path, "migrate-data", "--to", postgres_url)
    assert moved.returncode == 0, moved.stderr
    assert "counts compared" in moved.stdout
    there = Site(tmp_path, own_mosquitto, database_url=postgres_url)
    assert [d["device_id"] for d in there.client.get("/esp/devices")["data"]] == devices
    there.close()


def test_migrate_check_tells_what_is_missing_and_a_newer_schema_is_refused(
    tmp_path, database, database_url
):
    box = configure(tmp_path / "box", tmp_path / "box" / "var", database_url)
    assert godkaiser(box, "migrate", "--check").returncode == 0
    database.execute("DELETE FROM schema_version WHERE version >= 7", ())
    database.close_thread()
    missing = godkaiser(box, "migrate", "--check")
    assert (missing.returncode, "missing: rollups" in missing.stdout) == (1, True)
    database.execute("INSERT INTO schema_version (version, name) VALUES (999, 'later')", ())
    database.close_thread()
    for command in (("migrate", "--check"), ("migrate",), ("run",)):
        refused = godkaiser(box, *command)
        assert (refused.returncode, "newer program" in refused.stderr) == (78, True), command


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_restore_by_root_leaves_the_files_to_the_user_of_the_gateway(tmp_path, is_there):
    """The kind: a command of root after which the service cannot read its own files."""
    source = configure(tmp_path / "source", tmp_path / "source" / "var")
    database = open_database(f"sqlite:///{tmp_path / 'source' / 'var' / 'godkaiser.db'}")
    migrate(database)
    database.close_all()
    made = godkaiser(source, "backup", "--to", str(tmp_path / "b"))
    assert made.returncode == 0, made.stderr
    box = configure(tmp_path / "box", tmp_path / "box" / "var")
    data = tmp_path / "box" / "var"
    data.mkdir(exist_ok=True)
    if is_there:
        database = open_database(f"sqlite:///{data / 'godkaiser.db'}")
        migrate(database)
        ReadingWriter(database).write([Reading(KEY, 1.0, 1.0, 1.0, 1.0, "", Quality.GOOD)])
        database.close_all()
        (data / "godkaiser.db").chmod(0o640)
    for path in (data, *data.iterdir()):
        os.chown(path, 12345, 54321)
    restored = godkaiser(box, "restore", "--from", str(tmp_path / "b"), "--force")
    assert restored.returncode == 0, restored.stderr
    files = {path.name: path.stat() for path in data.iterdir()}
    assert {"godkaiser.db", "gateway.lock"} <= files.keys()
    assert {(it.st_uid, it.st_gid) for it in files.values()} == {(12345, 54321)}
    assert files["godkaiser.db"].st_mode & 0o777 == (0o640 if is_there else 0o600)
