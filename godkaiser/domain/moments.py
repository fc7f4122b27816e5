"""A moment on all clocks. Times that survive a restart are stored with the boot to which they
belong.
"""

from __future__ import annotations

import msgspec


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """`monotonic` in seconds of the boot `boot_id`; `wall` in unix seconds, may be wrong."""

    boot_id: str
    monotonic: float
    wall: float
