"""A database that is there and of no use. The kind: neither 'there' nor 'away' - read-only, locked, silent,
damaged, with an answer that is lost. Control goes on, nothing acknowledged is lost, and health says so.
"""

from __future__ import annotations

import threading
import time

import psycopg2
import pytest

from godkaiser.demo.demo import seed
from godkaiser.simulator.fleet import Fleet
from godkaiser.storage.engine.database import open_database
from tests.provision.proxy import ProxiedPostgreSQL
from tests.provision.servers import PostgreSQL
from tests.storage.test_opening import damage
from tests.system.process import GatewayProcess
from tests.system.storage.outage import OutageSite
from tests.waiting import eventually

TAKEN_OVER_S = 6.0
"""2 s until the deadline, and what a loaded machine adds."""


@pytest.fixture
def cluster(postgres):
    """`postgres` is asked for only to skip where there is none."""
    own = PostgreSQL()
    own.start()
    yield own
    own.stop()


@pytest.fixture
def proxied(cluster):
    behind = ProxiedPostgreSQL(cluster)
    yield behind
    behind.close()


@pytest.fixture
def silent_site(tmp_path, own_mosquitto, proxied):
    site = OutageSite(tmp_path, own_mosquitto, proxied)
    site.database.close_all()
    site.database = open_database(proxied.direct_url)
    yield site
    proxied.proxy.thaw()
    site.close()


def health(site):
    return site.gateway.client.get("/health")


def admin(url):
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


def command_again_and_again(site, seconds):
    """Whether each command is confirmed soon, whatever the database does."""
    deadline = time.monotonic() + seconds
    verb = "ON"
    while time.monotonic() < deadline:
        began = time.monotonic()
        outcome = site.command(verb)
        assert outcome == "confirmed", outcome
        assert time.monotonic() - began < TAKEN_OVER_S
        verb = "OFF"
        threading.Event().wait(0.2)


def test_postgresql_that_turns_read_only_is_spooled_for_and_told(tmp_path, own_mosquitto, cluster):
    site = OutageSite(tmp_path, own_mosquitto, cluster)
    name = site.database.url.rpartition("/")[2]
    site.database.close_all()
    connection = admin(cluster._url("postgres"))

    def set_read_only(state):
        cursor = connection.cursor()
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )

    try:
        set_read_only("on")
        command_again_and_again(site, 3.0)
        eventually(lambda: site.spool()["readings"] and site.spool()["journal"])
        told = health(site)
        assert told["status"] == "degraded"
        assert eventually(lambda: "read-only" in health(site)["database"]["error"])
        set_read_only("off")
        site.check()
        assert health(site)["database"]["ok"]
    finally:
        connection.close()
        site.close()


def test_a_start_on_a_read_only_database_is_refused_to_be_tried_again(
    tmp_path, own_mosquitto, cluster
):
    url = cluster.create_database()
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url).start()
    gateway.stop()
    connection = admin(cluster._url("postgres"))
    name = url.rpartition("/")[2]
    connection.cursor().execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    connection.close()
    # What the site files declare is brought into the database at each start.
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text('[devices.ESP_A00001]\nzone = "greenhouse"\n')
    code, said = gateway.run_to_its_end()
    assert code == 75, said
    assert "read-only" in said


def test_a_silent_postgresql_is_taken_over_by_the_spool_and_control_never_feels_it(silent_site):
    proxy = silent_site.postgres.proxy
    proxy.freeze()
    began = time.monotonic()
    eventually(lambda: silent_site.spool()["readings"])
    assert time.monotonic() - began < TAKEN_OVER_S
    command_again_and_again(silent_site, 8.0)
    told = health(silent_site)
    assert (told["status"], told["database"]["ok"]) == ("degraded", False)
    assert told["database"]["error"]
    proxy.thaw()
    silent_site.check()


def test_sigterm_beside_a_silent_postgresql_stops_in_order_and_loses_nothing(silent_site):
    proxy = silent_site.postgres.proxy
    command_again_and_again(silent_site, 0.5)
    proxy.freeze()
    command_again_and_again(silent_site, 1.0)
    began = time.monotonic()
    assert silent_site.gateway.stop() == 0
    assert time.monotonic() - began < 20.0
    proxy.thaw()
    silent_site.gateway.start()
    silent_site.gateway.log_in()
    silent_site.check()


def test_a_table_that_somebody_has_locked_holds_up_no_acknowledgement(
    tmp_path, own_mosquitto, cluster
):
    site = OutageSite(tmp_path, own_mosquitto, cluster)
    locker = psycopg2.connect(site.database.url)
    try:
        locker.cursor().execute("LOCK TABLE sensor_data, audit_log IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        eventually(lambda: site.spool()["readings"])
        assert time.monotonic() - began < TAKEN_OVER_S
        command_again_and_again(site, 5.0)
        assert health(site)["status"] == "degraded"
        locker.rollback()
        site.check()
    finally:
        locker.close()
        site.close()


def test_a_commit_whose_answer_is_lost_is_in_the_journal_once(silent_site):
    proxy = silent_site.postgres.proxy
    for _ in range(3):
        before = proxy.losses
        proxy.lose_commit_of(b"INSERT INTO audit_log")
        command_again_and_again(silent_site, 0.3)
        eventually(lambda before=before: proxy.losses > before)
        eventually(lambda: not silent_site.spool()["journal"])
    silent_site.check()
    rows = silent_site.database.fetch(
        "SELECT at, who, what, details, count(*) FROM audit_log GROUP BY at, who, what, details"
        " HAVING count(*) > 1"
    )
    assert rows == []


def test_a_damaged_table_of_sqlite_is_spooled_for_and_told(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    gateway.stop()
    damage(tmp_path / "var" / "godkaiser.db", "sensor_data", "audit_log")
    registering = open_database(f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}")
    seed(registering, 1, 5, time.time())
    registering.close_all()
    gateway.start()
    try:
        gateway.log_in()
        fleet = Fleet("127.0.0.1", own_mosquitto.port, 1, interval_s=1.0)
        fleet.start()
        eventually(lambda: gateway.client.get("/system/storage")["spool"]["readings"])
        eventually(lambda: gateway.client.get("/system/storage")["spool"]["journal"])
        told = eventually(
            lambda: (now := gateway.client.get("/health"))["status"] == "degraded" and now
        )
        assert "malformed" in told["database"]["error"]
        gateway.client.post("/actuators/emergency_stop", {"reason": "also now"}, 200)
        tree = gateway.client.get("/system/tree")["data"]
        assert [(a["path"], a["last_error"]) for a in tree if a["restarts"]] == []
        fleet.stop()
    finally:
        assert gateway.stop() == 0
