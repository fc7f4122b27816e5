"""A save that was refused. The kind: 503 'try again', and yet it is done seconds later, so that the second try does it
twice. For every write by REST: nothing happens after a refusal.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from godkaiser.demo.demo import seed
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from tests.system.process import GatewayProcess
from tests.system.safety.test_rules import rule, turn
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

DEVICE, FAN = "ESP_A00001", 25
LOCKED_S = 12.0
WRITES = {
    "rule": ("POST", "/logic/rules", {**rule(turn(FAN)), "name": "again and again"}),
    "rule once more": ("POST", "/logic/rules", {**rule(turn(FAN)), "name": "again and again"}),
    "user": ("POST", "/users", {"username": "olga", "password": PASSWORD, "role": "viewer"}),
    "device": ("PATCH", f"/esp/devices/{DEVICE}", {"name": "renamed"}),
    "sensor": ("POST", f"/sensors/{DEVICE}/33", {"sensor_type": "ph"}),
    "interlocks": ("PUT", "/safety/interlocks", {"interlocks": []}),
    "webhook": ("POST", "/webhooks", {"name": "w", "url": "https://8.8.8.8/hook"}),
}


@pytest.fixture
def gateway(tmp_path, mosquitto):
    (tmp_path / "var").mkdir()
    database = open_database(f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}")
    migrate(database)
    seed(database, 1, 5, time.time())
    database.close_all()
    process = GatewayProcess(tmp_path, mosquitto.port).start()
    process.log_in()
    yield process
    assert process.stop() == 0


def call(gateway, request):
    client = Client(gateway.port)
    client.token = gateway.client.token
    try:
        return client.call(*request)
    finally:
        client.close()


def content(path):
    """All that people configure, as it is stored."""
    tables = ("rules", "users", "devices", "sensors", "actuators", "interlocks", "webhooks")
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: sorted(map(str, connection.execute(f"SELECT * FROM {table}")))
            for table in tables
        }


def test_what_was_refused_while_the_database_was_locked_never_happens(gateway, tmp_path):
    path = tmp_path / "var" / "godkaiser.db"
    before = content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with ThreadPoolExecutor(len(WRITES)) as people:
            answers = dict(
                zip(
                    WRITES,
                    people.map(lambda request: call(gateway, request), WRITES.values()),
                    strict=True,
                )
            )
        threading.Event().wait(max(0.0, LOCKED_S - (time.monotonic() - began)))
        tool.execute("ROLLBACK")
    for name, (status, answer) in answers.items():
        assert status == 503, (name, answer)
        assert answer["error"]["code"] in {"DATABASE_UNAVAILABLE", "OVERLOADED"}, (name, answer)
    # What waited behind the lock would be done now.
    eventually(lambda: call(gateway, WRITES["device"])[0] == 200)
    # Its actor shows it when it has heard of it.
    eventually(lambda: gateway.client.get(f"/esp/devices/{DEVICE}")["name"] == "renamed")
    after = content(path)
    for table in before.keys() - {"devices"}:
        assert after[table] == before[table], table
    for name in ("rule", "user"):
        status, answer = call(gateway, WRITES[name])
        assert status == 201, answer
    assert len(content(path)["rules"]) == len(before["rules"]) + 1
