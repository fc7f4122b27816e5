"""Hostile messages by the hundred thousand against a gateway that has other work to do."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.provision.servers import Mosquitto
from tests.system.devices.hostile import Siege
from tests.system.site import Site

AT_ONCE = 5_000


def hold(count: int, seed: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("broker", "site")]
        for folder in folders:
            folder.mkdir()
        broker = Mosquitto(folders[0])
        broker.start()
        site = Site(folders[1], broker, devices=2)
        try:
            site.disable_rules()
            site.start_fleet(interval_s=1.0)
            site.wait_in_sync()
            siege = Siege(site)
            began = time.monotonic()
            for first in range(0, count, AT_ONCE):
                siege.send(seed + first, min(AT_ONCE, count - first))
            rejected = siege.check()
            took = time.monotonic() - began
            print(f"siege: {count:,} hostile messages in {took:.0f} s; rejected {rejected};"
                  " the readings beside them stored once each, no actor restarted", flush=True)  # fmt: skip
        except AssertionError as error:
            print(f"siege FAILED: {error}", flush=True)
            return False
        finally:
            site.close()
            broker.stop()
    return True
