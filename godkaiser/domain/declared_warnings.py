"""Warnings about the site files, the same as REST gives when such an entry is saved; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from godkaiser.domain.declared import Declared
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.outlets import Outlets
from godkaiser.domain.sensors.sensors import SENSOR_TYPES


def warnings_of(declared: Declared, outlets: Outlets) -> Iterator[tuple[str, str]]:
    """Pairs of a place, such as `conf/rules.d/vent.toml:3`, and a warning. Sensors and actuators
    that were added by REST are not known here.
    """
    stop_inputs = {stop_input.sensor for stop_input in declared.stop_inputs}
    for sensor in declared.sensors:
        # A stop input uses its raw value, so its type does not matter.
        text = "" if sensor.key in stop_inputs else unknown_type(sensor.sensor_type)
        if text:
            yield declared.origins[sensor.key], text
    site = rules.site_of(declared.devices, declared.sensors, declared.actuators, outlets)
    numbered = dict(enumerate((rule.definition for rule in declared.rules), start=1))
    for number, rule in enumerate(declared.rules, start=1):
        for problem in (
            *rules.problems_of(rule.definition, site),
            *rules.conflicts_of(number, rule.definition, numbered),
        ):
            # A missing entry may have been added by REST, so these are never errors.
            yield rule.where, f"{rule.definition.name}: {problem.path}: {problem.message}"


def unknown_type(sensor_type: str) -> str:
    """A warning about an unknown sensor type; "" for a known one."""
    if sensor_type in SENSOR_TYPES:
        return ""
    near = difflib.get_close_matches(sensor_type, SENSOR_TYPES, n=1)
    hint = f'; perhaps "{near[0]}"' if near else ""
    return f'type "{sensor_type}" is not known, so its values are not converted{hint}'
