"""A device's clock, made usable (contract, section 5.2)."""

from __future__ import annotations

import msgspec

MILLISECONDS_ABOVE = 1e10
EARLIEST = 1_577_836_800.0  # 2020-01-01
LATEST = 4_102_444_800.0  # 2100-01-01: beyond it a clock is broken, not set
REPLAY_AGE_S = 24 * 3600.0
STALE_AGE_S = 120.0
AHEAD_S = 30.0


class DeviceTime(msgspec.Struct, frozen=True):
    """`at` in unix seconds. `from_device` is false where the receive time stands in for it.

    `replayed` readings are too old to be kept, `current` ones may trigger rules.
    """

    at: float
    from_device: bool
    replayed: bool
    current: bool


def normalise(ts: float | None, received_at: float, *, time_valid: bool | None) -> DeviceTime:
    """The time of a message whose clock may be unset, in milliseconds, or wrong."""
    if ts is None or time_valid is False:
        return DeviceTime(received_at, from_device=False, replayed=False, current=True)
    seconds = ts / 1000.0 if ts > MILLISECONDS_ABOVE else ts
    if not EARLIEST <= seconds < LATEST:
        return DeviceTime(received_at, from_device=False, replayed=False, current=True)
    age_s = received_at - seconds
    return DeviceTime(
        seconds,
        from_device=True,
        replayed=age_s > REPLAY_AGE_S,
        current=-AHEAD_S <= age_s <= STALE_AGE_S,
    )
