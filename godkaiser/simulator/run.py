"""`godkaiser simulate`: a fleet until it is told to stop."""

from __future__ import annotations

import threading
from pathlib import Path

from godkaiser.simulator.fleet import Fleet

REPORT_S = 5.0


def simulate(
    host: str,
    port: int,
    devices: int,
    interval_s: float | None,
    stop: threading.Event,
    *,
    seed: int = 1,
    state_dir: Path | None = None,
    credentials: tuple[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run a fleet and print a line of counts now and then. Blocks until `stop` is set."""
    fleet = Fleet(
        host,
        port,
        devices,
        seed=seed,
        interval_s=interval_s,
        state_dir=state_dir,
        credentials=credentials,
    )
    fleet.start()
    try:
        while not stop.wait(REPORT_S):
            if not quiet:
                print(
                    f"{fleet.registered} of {devices} devices registered,"
                    f" {fleet.published} messages published",
                    flush=True,
                )
    finally:
        fleet.stop()
