"""The age of a request, and stalls of the process: a command that lay in between is not given late.

A frozen process (a suspended machine, a full swap) finds requests in its sockets whose clients gave up long
ago. The thread that reads them shows the stall itself: it comes round at least once a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godkaiser.host.boot_clock import boot_time

STALL_S = 2.0
GRACE_S = 1.0
"""After a stall: until then what is read may have waited in the kernel."""
ACCEPTED_AT = "godkaiser.accepted_at"
STALLS = "godkaiser.stalls"


class StallWatch:
    """Times on the clock of the boot. Written by the thread that reads, read by all."""

    def __init__(self) -> None:
        self._came_round_at = boot_time()
        self._stalled_until = float("-inf")

    def come_round(self, now: float) -> None:
        """The reading thread begins a turn; also before it reads in one that took long."""
        if now - self._came_round_at > STALL_S:
            self._stalled_until = now
        self._came_round_at = now

    def lay_in_a_stall(self, accepted_at: float, now: float) -> bool:
        """Whether a request that was read at `accepted_at` waited while the process stood still."""
        # This thread may be the first to run again.
        stands_still = now - self._came_round_at > STALL_S
        return stands_still or accepted_at < self._stalled_until + GRACE_S


def accepted_at(environ: Mapping[str, Any]) -> float:
    """When the first byte of the request was read."""
    found = environ.get(ACCEPTED_AT)
    return found if isinstance(found, float) else boot_time()


def lay_in_a_stall(environ: Mapping[str, Any]) -> bool:
    watch = environ.get(STALLS)
    return isinstance(watch, StallWatch) and watch.lay_in_a_stall(accepted_at(environ), boot_time())
