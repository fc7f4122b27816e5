"""Servers that go away under load: nothing acknowledged is lost or doubled, and control goes on."""

from __future__ import annotations

import random

import pytest

from tests.provision.servers import PostgreSQL
from tests.system.outage import OutageSite
from tests.system.site import eventually


@pytest.fixture
def outage_site(tmp_path, own_mosquitto, postgres):
    """`postgres` is asked for only to skip where there is none."""
    cluster = PostgreSQL()
    cluster.start()
    site = OutageSite(tmp_path, own_mosquitto, cluster)
    yield site
    if cluster._process is None:
        cluster.start()
    site.close()
    cluster.stop()


def test_while_the_database_is_away_commands_go_on_and_no_reading_is_lost(outage_site):
    took = outage_site.hold_database_away(3.0)
    assert max(took) < 2.0, "no command waits for the database"
    assert outage_site.spool()["replayed"] or outage_site.spool()["readings"]
    outage_site.check()


def test_a_kill_with_the_spool_in_use_loses_and_doubles_nothing(outage_site):
    chance = random.Random(20)
    for away in (True, False, True):
        outage_site.kill_gateway(chance, database_away=away)
    outage_site.check()


def test_a_broker_that_restarts_while_the_database_is_away(outage_site):
    outage_site.postgres.stop()
    eventually(lambda: outage_site.spool()["readings"])
    outage_site.broker.restart()
    eventually(lambda: outage_site.gateway.client.get("/health")["broker"]["connected"], 30.0)
    outage_site.postgres.start()
    outage_site.check()


def test_requests_that_need_the_database_are_told_when_to_come_back(outage_site):
    client = outage_site.gateway.client
    outage_site.postgres.stop()
    for _ in range(6):
        status, answer = client.call("GET", "/audit/log")
        assert (status, answer["error"]["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert int(client.last_headers["Retry-After"]) >= 1
    assert eventually(lambda: client.get("/health")["database"]["breaker"] == "open")
    assert client.get("/system/storage")["breaker"]["retry_after_s"] > 0
    client.post("/actuators/emergency_stop", {"reason": "also without a database"}, 200)
    outage_site.postgres.start()
    eventually(lambda: client.call("GET", "/audit/log")[0] == 200, 15.0)
    outage_site.check()
