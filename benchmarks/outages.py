"""The fault tests of tests/system/storage/test_outage.py, longer: real servers that go away under load."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from tests.provision.servers import Mosquitto, PostgreSQL
from tests.system.storage.outage import OutageSite


def hold(away_s: float, kills: int, seed: int) -> bool:
    """PostgreSQL away for `away_s`, then so many kill -9, some of them while it is away again."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("broker", "site")]
        for folder in folders:
            folder.mkdir()
        broker, cluster = Mosquitto(folders[0]), PostgreSQL(durable=True)
        broker.start()
        cluster.start()
        site = OutageSite(folders[1], broker, cluster)
        try:
            took = site.hold_database_away(away_s)
            print(f"outage: {away_s:.0f} s without PostgreSQL, {len(took)} commands meanwhile,"
                  f" the slowest {max(took) * 1000:.0f} ms", flush=True)  # fmt: skip
            for number in range(kills):
                site.kill_gateway(chance, database_away=chance.random() < 0.5)
                if number % 5 == 4:
                    broker.restart()
            began = time.monotonic()
            site.check()
            print(f"outage: {kills} kills; {site.publisher.sent:,} readings, each stored once"
                  f" ({time.monotonic() - began:.1f} s after the last)", flush=True)  # fmt: skip
        except AssertionError as error:
            print(f"outage FAILED: {error}", flush=True)
            return False
        finally:
            site.close()
            cluster.stop()
            broker.stop()
    return True
