"""Interprets the timestamps of devices (contract, section 5.2)."""

from __future__ import annotations

import msgspec

MILLISECONDS_ABOVE = 1e10
EARLIEST = 1_577_836_800.0  # 2020-01-01
LATEST = 4_102_444_800.0  # 2100-01-01: beyond it a clock is broken, not set
REPLAY_AGE_S = 24 * 3600.0
STALE_AGE_S = 120.0
AHEAD_S = 30.0


class DeviceTime(msgspec.Struct, frozen=True):
    """`at` in unix seconds. `from_device` is false if the receive time is used instead.

    `replayed` readings are too old to be kept, `current` ones may trigger rules. `age_s` is the age
    at the receipt, as far as it is known.
    """

    at: float
    from_device: bool
    replayed: bool
    current: bool
    age_s: float = 0.0


def seconds_of(ts: float | None, *, time_valid: bool | None) -> float | None:
    """A device's time in unix seconds; None where its clock is unset or broken."""
    if ts is None or time_valid is False:
        return None
    seconds = ts / 1000.0 if ts > MILLISECONDS_ABOVE else ts
    return seconds if EARLIEST <= seconds < LATEST else None


def normalise(
    ts: float | None,
    received_at: float,
    *,
    time_valid: bool | None,
    live_ts: float | None = None,
) -> DeviceTime:
    """The time of a message whose timestamp may be unset, in milliseconds, or wrong.

    `live_ts` is the time of the device's clock at the receipt, estimated from its heartbeats. With
    it the age of a message is known even when one of the two clocks, ours or the device's, is
    wrong.
    """
    seconds = seconds_of(ts, time_valid=time_valid)
    if seconds is None:
        return DeviceTime(received_at, from_device=False, replayed=False, current=True)
    age_s = received_at - seconds
    current = _is_current(age_s)
    if live_ts is not None:
        own_age_s = live_ts - seconds
        if _is_current(own_age_s) and not current:
            # The clocks differ, and it was measured just now. Our clock is used, because everything
            # else uses it, unless it is not set at all.
            if received_at >= EARLIEST:
                return DeviceTime(received_at, from_device=False, replayed=False, current=True)
            current = True
        age_s = own_age_s
    if age_s < -AHEAD_S and received_at >= EARLIEST:
        # Nothing is measured in the future, so when this was is not known.
        return DeviceTime(received_at, from_device=False, replayed=False, current=False)
    return DeviceTime(
        seconds,
        from_device=True,
        replayed=age_s > REPLAY_AGE_S,
        current=current,
        age_s=max(0.0, age_s),
    )


def _is_current(age_s: float) -> bool:
    return -AHEAD_S <= age_s <= STALE_AGE_S
