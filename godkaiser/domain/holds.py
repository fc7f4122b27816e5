"""The holds of a site as a record: who has taken which actuator from the rules."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.safety_facts import Hold


class HeldActuator(msgspec.Struct, frozen=True):
    """`until` in unix seconds; None: until somebody releases it."""

    esp_id: str
    gpio: int
    by: str
    until: float | None


class Holds(msgspec.Struct, frozen=True):
    held: tuple[HeldActuator, ...] = ()

    def by_actuator(self) -> dict[ActuatorKey, Hold]:
        return {
            ActuatorKey(one.esp_id, one.gpio): Hold(
                by=one.by, until=math.inf if one.until is None else one.until
            )
            for one in self.held
        }


def record_of(holds: Mapping[ActuatorKey, Hold]) -> Holds:
    return Holds(
        tuple(
            HeldActuator(
                key.esp_id, key.gpio, hold.by, None if math.isinf(hold.until) else hold.until
            )
            for key, hold in holds.items()
        )
    )
