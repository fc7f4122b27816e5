"""`godkaiser simulate`: runs a fleet until it is stopped."""

from __future__ import annotations

import threading

from godkaiser.simulator.fleet import Fleet

REPORT_S = 5.0


def simulate(fleet: Fleet, stop: threading.Event, *, quiet: bool = False) -> None:
    """Run a fleet and print a line of counts now and then. Blocks until `stop` is set."""
    fleet.start()
    try:
        while not stop.wait(REPORT_S):
            if not quiet:
                print(
                    f"{fleet.registered} of {len(fleet.devices)} devices registered,"
                    f" {fleet.published} messages published",
                    flush=True,
                )
    finally:
        fleet.stop()
