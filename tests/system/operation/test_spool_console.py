"""`godkaiser spool`, with the gateway killed while the spool was in use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.provision.servers import PostgreSQL
from tests.system.process import GatewayProcess
from tests.system.storage.test_hard_kill import DEVICE, Publisher, prepare
from tests.waiting import eventually


def spool(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", "spool", "--data", str(folder / "var"), *arguments],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


@pytest.fixture
def killed(tmp_path, own_mosquitto, postgres):
    """A gateway that was killed with 300 readings in its spool; its database is still away."""
    cluster = PostgreSQL()
    cluster.start()
    url = cluster.create_database()
    (tmp_path / "var").mkdir()
    prepare(url).close_all()
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url).start()
    gateway.log_in()
    publisher = Publisher(own_mosquitto.port)
    cluster.stop()
    publisher.send(300)
    eventually(lambda: gateway.client.get("/system/storage")["spool"]["readings"] == 300)
    publisher.finish()
    gateway.kill()
    yield gateway
    gateway.kill()


def test_it_shows_what_waits_and_takes_it_out(killed, tmp_path):
    shown = spool(tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "waiting for the database" in shown.stdout
    assert "readings         300 records" in shown.stdout
    assert "journal" in shown.stdout
    assert "the oldest of 20" in shown.stdout
    taken = spool(tmp_path, "--export", str(tmp_path / "all.ndjson"))
    assert taken.returncode == 0, taken.stderr
    records = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    readings = [r for r in records if r["stream"] == "readings"]
    assert sorted(r["raw"] for r in readings) == list(range(1, 301))
    assert {r["key"]["esp_id"] for r in readings} == {DEVICE}
    assert spool(tmp_path).stdout == shown.stdout, "taking it out leaves it there"
    again = spool(tmp_path, "--export", str(tmp_path / "all.ndjson"))
    assert again.returncode == 74
    assert "choose another file" in again.stderr


def test_a_gateway_whose_database_is_away_at_its_start_asks_to_be_started_again(killed, tmp_path):
    tried = subprocess.run(
        [sys.executable, "-m", "godkaiser", "run", "--config", str(tmp_path / "godkaiser.toml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert tried.returncode == 75, "78 would tell systemd to leave it"
    assert "Check that PostgreSQL runs there" in tried.stderr
    assert "300 records" in spool(tmp_path).stdout, "and the spool is as it was"


def test_an_empty_spool_says_so(tmp_path):
    shown = spool(tmp_path)
    assert shown.returncode == 0
    assert "empty, 0 of 268,435,456 bytes" in shown.stdout
