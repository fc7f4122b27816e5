"""Jobs and retention over REST, and `godkaiser audit verify`, on a real site."""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec
import pytest

from godkaiser.config.settings import RetentionConfig
from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.storage.series.readings import ReadingWriter
from tests.system.site import Site
from tests.waiting import eventually

OLD = SensorKey("ESP_C00001", 4, "ds18b20", "")


@pytest.fixture
def site(tmp_path, own_mosquitto, monkeypatch):
    """A gateway that keeps readings for ten days, with 2,500 that are older."""
    made = Site(tmp_path, own_mosquitto)
    made.stop_gateway()
    made.config = msgspec.structs.replace(made.config, retention=RetentionConfig(readings_days=10))
    made.start_gateway()
    old = time.time() - 11 * 86_400
    ReadingWriter(made.gateway.database).write(
        [Reading(OLD, old + n, old, 1.0, 1.0, "", Quality.GOOD, content_key=n) for n in range(2500)]
    )
    made.gateway.database.close_thread()
    yield made
    made.close()


def job(site, name):
    return next(j for j in site.client.get("/system/jobs")["data"] if j["name"] == name)


def finished(site, name):
    return eventually(
        lambda: (j := job(site, name)["result"])["state"] not in {"running", "never"} and j
    )


def rows(site):
    ((count,),) = site.gateway.database.fetch(
        "SELECT count(*) FROM sensor_data JOIN series ON series.id = series_id WHERE esp_id = ?",
        (OLD.esp_id,),
    )
    site.gateway.database.close_thread()
    return count


def test_retention_tells_first_and_removes_when_told_to(site):
    assert job(site, "retention")["result"]["state"] == "never"
    assert job(site, "retention")["next_run"] > time.time()
    site.client.post("/system/jobs/retention/run", {}, 202)
    done = finished(site, "retention")
    assert (done["state"], done["dry_run"]) == ("done", True)
    assert done["result"] == "2500 readings would be removed"
    assert rows(site) == 2500
    site.client.post("/system/jobs/retention/run", {"dry_run": False}, 202)
    done = eventually(
        lambda: (
            (j := job(site, "retention")["result"])["state"] == "done" and not j["dry_run"] and j
        )
    )
    assert done["result"] == "2500 readings removed"
    assert (done["batches"], done["counts"]) == (3, {"readings": 2500})
    assert rows(site) == 0
    entries = eventually(
        lambda: [e for e in site.client.get("/audit/log")["data"] if e["what"] == "retention done"]
    )
    assert (entries[0]["who"], entries[0]["details"]) == ("user:admin", "2500 readings removed")
    assert site.client.get("/audit/statistics")["by_what"]["retention done"] == 1


def test_the_other_jobs(site):
    site.client.post("/system/jobs/purge_expired_tokens/run", {"dry_run": False}, 202)
    assert finished(site, "purge_expired_tokens")["result"] == "0 tokens removed"
    status, answer = site.client.call("POST", "/system/jobs/elsewhere/run", {})
    assert (status, answer["error"]["code"]) == (404, "JOB_NOT_FOUND")
    name = next(j["name"] for j in site.client.get("/system/jobs")["data"] if j["result"] is None)
    status, answer = site.client.call("POST", f"/system/jobs/{name}/run", {})
    assert (status, answer["error"]["code"]) == (409, "INVALID_TRANSITION")


def verify(site, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", "audit", "verify", *arguments],
        capture_output=True, text=True, check=False, timeout=30,
        env={"DATABASE_URL": site.config.database_url, "PATH": "/usr/bin"},
    )  # fmt: skip


def test_the_audit_trail_is_verified_from_the_command_line_beside_the_gateway(site):
    eventually(lambda: site.client.get("/audit/statistics")["entries"] >= 1)
    good = verify(site)
    assert good.returncode == 0, good.stderr
    head = good.stdout.split()[-1]
    assert verify(site, "--expect", head).returncode == 0
    site.gateway.database.execute("UPDATE audit_log SET who = 'user:mallory' WHERE seq = 1", ())
    site.gateway.database.close_thread()
    bad = verify(site)
    assert bad.returncode == 1
    assert "entry 1: it was changed" in bad.stderr


def audit_command(site, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", "audit", *arguments],
        capture_output=True, text=True, check=False, timeout=30,
        env={"DATABASE_URL": site.config.database_url, "PATH": "/usr/bin"},
    )  # fmt: skip


def test_the_audit_trail_is_exported_for_the_holder_of_a_key(site, tmp_path):
    eventually(lambda: site.client.get("/audit/statistics")["entries"] >= 1)
    private, public = tmp_path / "audit.key", tmp_path / "audit.pub"
    for command in (
        ["genpkey", "-algorithm", "X25519", "-out", str(private)],
        ["pkey", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=30)
    sealed, plain = tmp_path / "audit.sealed", tmp_path / "audit.ndjson"
    made = audit_command(site, "export", "--to", str(sealed), "--recipient", str(public))
    assert made.returncode == 0, made.stderr
    assert sealed.stat().st_mode & 0o077 == 0
    taken = audit_command(
        site, "open", "--from", str(sealed), "--to", str(plain), "--key", str(private)
    )
    assert taken.returncode == 0, taken.stderr
    assert "entries are intact" in taken.stdout
    first = msgspec.json.decode(plain.read_bytes().splitlines()[0])
    assert first["previous_hash"] == "0" * 64
    again = audit_command(site, "export", "--to", str(sealed), "--recipient", str(public))
    assert (again.returncode, "File exists" in again.stderr) == (74, True)
    sealed.write_bytes(sealed.read_bytes()[:-1])
    plain.unlink()
    cut = audit_command(
        site, "open", "--from", str(sealed), "--to", str(plain), "--key", str(private)
    )
    assert cut.returncode == 1
    assert not plain.exists()
    neither = audit_command(site, "export", "--to", str(plain))
    assert (neither.returncode, "give either" in neither.stderr) == (2, True)


def test_sensors_and_mocks_are_looked_after(tmp_path, own_mosquitto):
    site = Site(tmp_path, own_mosquitto, devices=1)
    try:
        answer = site.client.post("/system/jobs/sensor_health/run", {}, 202)
        assert answer["counts"]["never"] > 0
        site.start_fleet(interval_s=0.2)
        site.wait_in_sync()

        def measured():
            site.client.post("/system/jobs/sensor_health/run", {}, 202)
            result = job(site, "sensor_health")["result"]
            return result["counts"]["never"] == 0 and result

        result = eventually(measured)
        assert (result["state"], result["by"]) == ("done", "user:admin")
        assert result["counts"]["good"] + result["counts"]["suspect"] > 0
        site.client.post("/debug/mock-esp", {"mock_id": "MOCK_GONE01", "approve": True}, 201)
        assert site.client.call("DELETE", "/debug/mock-esp/MOCK_GONE01")[0] == 204
        found = site.client.post("/system/jobs/mock_orphans/run", {}, 202)
        assert (found["result"], found["counts"]) == ("MOCK_GONE01", {"orphans": 1})
        assert job(site, "mock_orphans")["result"]["state"] == "done"
        assert job(site, "mock_orphans")["next_run"] > time.time()
    finally:
        site.close()
