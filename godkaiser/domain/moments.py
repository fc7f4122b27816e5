"""A moment on all clocks: what is kept over a restart is written beside the boot that it belongs to."""

from __future__ import annotations

import msgspec


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """`monotonic` in seconds of the boot `boot_id`; `wall` in unix seconds, and perhaps wrong."""

    boot_id: str
    monotonic: float
    wall: float
