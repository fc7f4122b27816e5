"""Checks a rule against the site: it names something missing or ambiguous, or an actuator's limits
forbid it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from godkaiser.domain.entities import (
    ActuatorConfig,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.rules.actuator_limits import never_allowed
from godkaiser.domain.rules.outlets import Outlets, untellable
from godkaiser.domain.rules.problems import Problem, is_too_large, mistakes_of
from godkaiser.domain.rules.schema import (
    ActuatorRef,
    Condition,
    DifferenceCondition,
    Group,
    OfSensor,
    RuleDefinition,
    Sensor,
    StopAction,
    TimeWindow,
    energises,
    every_command,
    every_condition,
)
from godkaiser.domain.rules.windows import length_of
from godkaiser.domain.safety.level import longest_run_s

Found = Iterator[tuple[str, str]]


class KnownSite(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of the site: the things that a rule may name."""

    sensors: frozenset[SensorKey] = frozenset()
    actuators: Mapping[ActuatorRef, ActuatorConfig] = {}
    devices: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    outlets: Outlets | None = None


class Placed(Protocol):
    """A device, registered or declared."""

    @property
    def device_id(self) -> str: ...
    @property
    def zone_id(self) -> str: ...


def site_of(
    devices: Iterable[Placed],
    sensors: Iterable[SensorConfig],
    actuators: Iterable[ActuatorConfig],
    outlets: Outlets | None = None,
) -> KnownSite:
    records = tuple(devices)
    return KnownSite(
        sensors=frozenset(config.key for config in sensors),
        actuators={(config.esp_id, config.gpio): config for config in actuators},
        devices=frozenset(record.device_id for record in records),
        zones=frozenset(record.zone_id for record in records if record.zone_id),
        outlets=outlets,
    )


def problems_of(definition: RuleDefinition, site: KnownSite) -> list[Problem]:
    """All mistakes and doubts; errors first."""
    found = mistakes_of(definition)
    is_wrong = any(map(_is_error, found))
    if is_wrong and is_too_large(definition):
        return found
    errors = [Problem(path, "error", text) for path, text in _stops_nothing(definition, site)]
    warnings = [
        Problem(path, "warning", text)
        for path, text in (
            *_sensors(definition, site),
            *_actuators(definition, site),
            *never_allowed(definition, site.actuators),
            *(() if site.outlets is None else untellable(definition, site.outlets)),
            *(() if is_wrong else _never_ends(definition, site)),
        )
    ]
    return sorted([*found, *errors, *warnings], key=lambda problem: not _is_error(problem))


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


def _stops_nothing(definition: RuleDefinition, site: KnownSite) -> Found:
    """An emergency stop without any device to stop; nobody would notice it before an emergency."""
    for index, action in enumerate(definition.actions):
        if not isinstance(action, StopAction):
            continue
        if action.esp_id is not None and action.esp_id not in site.devices:
            yield f"actions[{index}].esp_id", f"there is no device {action.esp_id} to stop"
        elif action.zone_id is not None and action.zone_id not in site.zones:
            known = ", ".join(sorted(site.zones)[:10]) or "none"
            text = f"no device is in a zone {action.zone_id}; the zones are: {known}"
            yield f"actions[{index}].zone_id", text


def _sensors(definition: RuleDefinition, site: KnownSite) -> Found:
    for path, condition in every_condition(definition):
        named: list[Sensor] = [condition] if isinstance(condition, OfSensor) else []
        if isinstance(condition, DifferenceCondition):
            named.append(condition.other)
        for sensor in named:
            text = _doubt_about(sensor, site)
            if text:
                yield path, text


def _doubt_about(sensor: Sensor, site: KnownSite) -> str:
    alike = sorted(
        key.address
        for key in site.sensors
        if (key.esp_id, key.gpio, key.sensor_type) == sensor.ref[:3]
    )
    where = f"{sensor.sensor_type} on GPIO {sensor.gpio} of {sensor.esp_id}"
    if not alike:
        if sensor.sensor_type == "vpd":
            return ""
        return f"no sensor {where.replace(' on ', ' is configured on ', 1)} yet"
    if sensor.address and sensor.address not in alike:
        known = ", ".join(filter(None, alike)) or "none with an address"
        return f"no {where} has the address {sensor.address}; there are: {known}"
    if not sensor.address and len(alike) > 1:
        return f"{len(alike)} sensors {where}: name one by its address ({', '.join(alike)})"
    return ""


def _actuators(definition: RuleDefinition, site: KnownSite) -> Found:
    for path, action in every_command(definition):
        if action.ref not in site.actuators:
            text = f"no actuator is configured on GPIO {action.gpio} of {action.esp_id} yet"
            yield path, text


def _never_ends(definition: RuleDefinition, site: KnownSite) -> Found:
    """A time window longer than its actuator may run: the actuator goes off in between, and on
    again.
    """
    longest_s = max((length_of(leaf) for leaf in _windows(definition.conditions)), default=0.0)
    for path, action in every_command(definition):
        config = site.actuators.get(action.ref)
        if config is None or action.duration or not energises(action):
            continue
        if longest_s > longest_run_s(config):
            text = (
                f"the window is {longest_s / 3600.0:g} h long, and the actuator goes off at its maximum"
                f" runtime of {longest_run_s(config):g} s; set max_runtime_s for as long as it may run"
            )
            yield path, text


def _windows(conditions: tuple[Condition, ...]) -> Iterator[TimeWindow]:
    for condition in conditions:
        if isinstance(condition, TimeWindow):
            yield condition
        elif isinstance(condition, Group) and condition.operator != "NOT":
            yield from _windows(condition.conditions)
