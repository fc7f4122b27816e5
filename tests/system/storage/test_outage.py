"""Servers that go away under load: nothing acknowledged is lost or doubled, and control goes on."""

from __future__ import annotations

import random

import pytest

from tests.provision.servers import PostgreSQL
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import DEVICE, FAN, HOT, PUMP, SITE
from tests.system.storage.outage import OutageSite
from tests.waiting import eventually


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
    # Each is confirmed before the database is back.
    outage_site.hold_database_away(3.0)
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


def test_what_rules_did_and_people_held_while_the_database_was_away_outlives_a_kill(
    tmp_path, own_mosquitto, postgres
):
    cluster = PostgreSQL()
    cluster.start()
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, cluster.create_database()).start()
    gateway.log_in()
    device = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))

    def settle():
        device.beat()
        device.tell_states()
        eventually(
            lambda: all(a["state"] != "unknown" for a in gateway.client.get("/actuators")["data"])
        )

    try:
        settle()
        for gpio, cooldown_s in ((PUMP, 3600.0), (FAN, 0.0)):
            dose = {
                "type": "actuator",
                "esp_id": DEVICE,
                "gpio": gpio,
                "command": "ON",
                "duration": 1,
            }
            gateway.client.post(
                "/logic/rules",
                {"name": str(gpio), "conditions": [HOT], "actions": [dose], "cooldown_seconds": cooldown_s},
                201,
            )  # fmt: skip
        cluster.stop()
        gateway.client.post(f"/actuators/{DEVICE}/{FAN}/hold", {}, 200)
        device.measure(4, "ds18b20", 40 * 16)
        eventually(lambda: device.energised)
        gateway.kill()
        cluster.start()
        gateway.start()
        gateway.log_in()
        settle()
        for _ in range(3):
            before = _looked(gateway, PUMP)
            device.measure(4, "ds18b20", 40 * 16)
            eventually(lambda before=before: (_looked(gateway, PUMP) or 0.0) > (before or 0.0))
        eventually(lambda: "held" in _state(gateway, FAN)["refused"])
        # The dose was given once, and the fan is still its holder's.
        assert [tail for tail, body in device.heard if body.get("command") == "ON"] == [
            f"actuator/{PUMP}/command"
        ]
    finally:
        if cluster._process is None:
            cluster.start()
        device.close()
        gateway.stop()
        cluster.stop()


def _looked(gateway, gpio):
    return _state(gateway, gpio)["last_evaluated"]


def _state(gateway, gpio):
    rules = gateway.client.get("/logic/rules")["data"]
    return next(rule for rule in rules if rule["name"] == str(gpio))["state"]
