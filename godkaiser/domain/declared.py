"""The declarations of an administrator in files. They override the database, and REST cannot change
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, SensorConfig, SensorKey
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.stop_inputs import StopInput


class DeclaredDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A declared device. It is approved, because its author may approve devices."""

    device_id: str
    name: str
    board: str
    zone_id: str


class DeclaredRule(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is the place of the declaration, such as `conf/rules.d/vent.toml:3`."""

    definition: RuleDefinition
    where: str


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """`origins` maps each key to the place of its declaration, such as
    `conf/devices.d/tank.toml:12`.
    """

    devices: tuple[DeclaredDevice, ...] = ()
    sensors: tuple[SensorConfig, ...] = ()
    actuators: tuple[ActuatorConfig, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    stop_inputs: tuple[StopInput, ...] = ()
    rules: tuple[DeclaredRule, ...] = ()
    origins: Mapping[str | SensorKey | ActuatorKey, str] = {}


NOTHING = Declared()
