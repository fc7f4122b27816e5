"""The holds of a site as a stored record: who holds which actuator."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.moments import Moment
from godkaiser.domain.safety.facts import Hold


class HeldActuator(msgspec.Struct, frozen=True):
    """`until` in unix seconds, for display; None: until somebody releases it. `boot_until` is the
    same moment on the boot-time clock of the boot `boot_id`, and `left_s` the seconds that were
    left when the record was written.
    """

    esp_id: str
    gpio: int
    by: str
    until: float | None
    boot_id: str = ""
    boot_until: float | None = None
    left_s: float | None = None


class Holds(msgspec.Struct, frozen=True):
    held: tuple[HeldActuator, ...] = ()


def holds_of(record: Holds, now: Moment) -> dict[ActuatorKey, Hold]:
    """The holds in force, with their ends on the monotonic clock."""
    return {
        ActuatorKey(one.esp_id, one.gpio): Hold(by=one.by, until=_until(one, now))
        for one in record.held
    }


def _until(one: HeldActuator, now: Moment) -> float:
    if one.until is None:
        return math.inf
    if one.boot_until is not None and one.boot_id == now.boot_id:
        return one.boot_until
    # After another boot only the wall clock tells the time. A wrong clock may end a hold late, but
    # not later than its remaining time, and not before the wall clock says so.
    left_s = max(0.0, one.until - now.wall)
    if one.left_s is not None:
        left_s = min(left_s, one.left_s)
    return now.monotonic + left_s


def record_of(holds: Mapping[ActuatorKey, Hold], now: Moment) -> Holds:
    return Holds(
        tuple(
            HeldActuator(
                key.esp_id,
                key.gpio,
                hold.by,
                until=None if math.isinf(hold.until) else now.wall + hold.until - now.monotonic,
                boot_id=now.boot_id,
                boot_until=None if math.isinf(hold.until) else hold.until,
                left_s=None if math.isinf(hold.until) else max(0.0, hold.until - now.monotonic),
            )
            for key, hold in holds.items()
        )
    )
