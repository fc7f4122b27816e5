"""Intervals that outlive the process: the id of this boot of the machine, and the time since it began.

A moment that is read back after a restart is worth something only beside the id of the boot in which it
was written. Nobody can set this clock; it also runs while the machine is suspended. From any thread.
"""

from __future__ import annotations

import time
import uuid
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds since the machine was started (CLOCK_BOOTTIME)."""
    return time.clock_gettime(_CLOCK)


@cache
def boot_id() -> str:
    """The same for all processes of one boot; where the kernel does not tell, one of this process."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip() or str(uuid.uuid4())
    except (OSError, ValueError):
        return str(uuid.uuid4())
