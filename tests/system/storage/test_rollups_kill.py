"""Minutes and hours of a gateway that is killed while it makes them: each reading is in them once."""

from __future__ import annotations

import pytest

from tests.storage.test_rollups import assert_right
from tests.system.process import GatewayProcess
from tests.system.storage.test_hard_kill import Publisher, prepare
from tests.waiting import eventually

EVERY = "SELECT COALESCE(sum(count), 0) FROM rollup_1h"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_kill_while_minutes_are_made_counts_nothing_twice(
    engine, tmp_path, own_mosquitto, request
):
    (tmp_path / "var").mkdir()
    url = (
        f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}"
        if engine == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    database = prepare(url)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port, url).start()
    publisher = Publisher(own_mosquitto.port)

    def rolled():
        return int(database.fetch(EVERY)[0][0])

    try:
        publisher.send(2000)
        # Fifty minutes of readings: killed when the first of them are made.
        eventually(rolled, 30.0)
        gateway.kill()
        publisher.send(500)
        gateway.start()
        publisher.finish()
        eventually(lambda: rolled() == 2500, 40.0)
        assert_right(database)
    finally:
        gateway.kill()
        database.close_all()
