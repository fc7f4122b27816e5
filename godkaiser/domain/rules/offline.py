"""Compiles rules that a device can run offline while its server is away (contract, section 13).

A rule is compiled only if it means exactly the same on the device; for every other rule there is a
reason for the operator.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from typing import Any

import msgspec

from godkaiser.domain.entities import Verb
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    HysteresisCondition,
    RuleDefinition,
    TimeWindow,
    releases,
)

MOST_RULES = 8
LONGEST_TYPE = 23
NEEDS_CALIBRATION = ("ph", "ec", "moisture", "soil")
TIMEZONES = ("UTC", "Europe/Berlin")
INERT_TYPE = "__inert"


class Compiled(msgspec.Struct, frozen=True):
    """`entry` is sent to the device; None if no device can run the rule, and then `reason` says
    why.
    """

    rule_id: int
    device_id: str
    entry: dict[str, Any] | None
    reason: str = ""


def compile_rule(rule_id: int, definition: RuleDefinition) -> Compiled:
    """Compile one rule for the device of its actuator."""
    device_id = next((a.esp_id for a in definition.actions if isinstance(a, ActuatorAction)), "")
    reason = _obstacle(definition, device_id)
    if reason:
        return Compiled(rule_id, device_id, None, reason)
    condition = next(c for c in definition.conditions if isinstance(c, HysteresisCondition))
    (action,) = definition.actions
    assert isinstance(action, ActuatorAction)
    entry: dict[str, Any] = {
        "actuator_gpio": action.gpio,
        "sensor_gpio": condition.gpio,
        "sensor_value_type": condition.sensor_type,
    }
    for name in ("activate_below", "deactivate_above", "activate_above", "deactivate_below"):
        value = getattr(condition, name)
        if value is not None:
            entry[name] = value
    window = next((c for c in definition.conditions if isinstance(c, TimeWindow)), None)
    if window is not None:
        entry["time_filter"] = _time_filter(window)
    return Compiled(rule_id, device_id, entry)


def for_device(compiled: Iterable[Compiled], device_id: str) -> list[dict[str, Any]]:
    """The entries of a device, in the order of the rules, up to the device's maximum."""
    mine = (c.entry for c in compiled if c.device_id == device_id and c.entry is not None)
    return list(mine)[:MOST_RULES]


def inert_rule(free_pin: int) -> dict[str, Any]:
    """A rule that never holds. A device with only sensors needs a rule to be ready after a boot
    (12.8).
    """
    return {
        "actuator_gpio": free_pin,
        "sensor_gpio": 255,
        "sensor_value_type": INERT_TYPE,
        "activate_above": 1e9,
        "deactivate_below": 1e8,
    }


def _obstacle(definition: RuleDefinition, device_id: str) -> str:
    """Why no device can run this rule; empty if one can."""
    if not definition.keep_offline:
        return "keep_offline is not set"
    if not definition.enabled:
        return "the rule is disabled"
    if definition.logic_operator != "AND":
        return "a device supports only AND"
    if len(definition.actions) != 1 or not isinstance(definition.actions[0], ActuatorAction):
        return "a device supports one actuator for each rule"
    action = definition.actions[0]
    if action.command is not Verb.ON or not releases(definition, action):
        return "a device only switches ON, and OFF when the condition ends"
    if action.duration:
        return "a device does not support a duration; it uses the maximum runtime"
    hysteresis = [c for c in definition.conditions if isinstance(c, HysteresisCondition)]
    windows = [c for c in definition.conditions if isinstance(c, TimeWindow)]
    others = len(definition.conditions) - len(hysteresis) - len(windows)
    if len(hysteresis) != 1 or len(windows) > 1 or others:
        return "a device needs exactly one hysteresis and at most one time window"
    return _condition_obstacle(hysteresis[0], device_id) or (
        "" if not windows else _window_obstacle(windows[0])
    )


def _condition_obstacle(condition: HysteresisCondition, device_id: str) -> str:
    if condition.esp_id != device_id:
        return "sensor and actuator are on different devices"
    if condition.address:
        return "a device cannot distinguish sensors on one pin"
    if condition.sensor_type.startswith(NEEDS_CALIBRATION):
        return f"a device has no calibration for {condition.sensor_type}"
    if len(condition.sensor_type) > LONGEST_TYPE:
        return f"a device reads only {LONGEST_TYPE} characters of a sensor type"
    thresholds = (
        condition.activate_above, condition.activate_below,
        condition.deactivate_above, condition.deactivate_below,
    )  # fmt: skip
    if 0.0 in thresholds:
        return "a threshold of exactly 0 means 'not set' to a device"
    return ""


def _window_obstacle(window: TimeWindow) -> str:
    if window.timezone not in TIMEZONES:
        return f"a device supports only the time zones {' and '.join(TIMEZONES)}"
    if any(time.fromisoformat(at).second for at in (window.start, window.end)):
        return "a device supports only hours and minutes"
    if window.catch_up_seconds:
        return "a device does not catch up a missed window"
    return ""


def _time_filter(window: TimeWindow) -> dict[str, Any]:
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    return {
        "enabled": True,
        "start_hour": start.hour,
        "start_minute": start.minute,
        "end_hour": end.hour,
        "end_minute": end.minute,
        # Ours: 0 is Monday. The device's: bit 0 is Sunday.
        "days_of_week_mask": sum(1 << (day + 1) % 7 for day in set(window.weekdays)),
        "timezone": window.timezone,
    }
