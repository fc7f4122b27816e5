"""What is doubtful in the site files, as REST tells it when it is saved there; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from godkaiser.domain import rules
from godkaiser.domain.declared import Declared
from godkaiser.domain.sensors import SENSOR_TYPES


def warnings_of(declared: Declared) -> Iterator[tuple[str, str]]:
    """A place such as `conf/rules.d/vent.toml:3`, and what is doubtful there. Sensors and actuators that
    were made by REST are not known here.
    """
    for sensor in declared.sensors:
        if sensor.sensor_type not in SENSOR_TYPES:
            near = difflib.get_close_matches(sensor.sensor_type, SENSOR_TYPES, n=1)
            hint = f'; perhaps "{near[0]}"' if near else ""
            text = (
                f'type "{sensor.sensor_type}" is not known, so its values are not converted{hint}'
            )
            yield declared.origins[sensor.key], text
    sensors = frozenset((s.esp_id, s.gpio, s.sensor_type) for s in declared.sensors)
    actuators = {(a.esp_id, a.gpio): a for a in declared.actuators}
    numbered = dict(enumerate((rule.definition for rule in declared.rules), start=1))
    for number, rule in enumerate(declared.rules, start=1):
        for problem in (
            *rules.problems_of(rule.definition, sensors, actuators),
            *rules.quarrels_of(number, rule.definition, numbered),
        ):
            if problem.severity == "warning":
                yield rule.where, f"{rule.definition.name}: {problem.path}: {problem.message}"


def unknown_type(sensor_type: str) -> str:
    """What is doubtful about a type that the gateway does not know; "" when it does."""
    if sensor_type in SENSOR_TYPES:
        return ""
    near = difflib.get_close_matches(sensor_type, SENSOR_TYPES, n=1)
    hint = f'; perhaps "{near[0]}"' if near else ""
    return f'type "{sensor_type}" is not known, so its values are not converted{hint}'
