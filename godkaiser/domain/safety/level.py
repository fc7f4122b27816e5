"""Converts a request into the level, the verb and the lease for an actuator.

Bad input never raises; the result then contains a text that explains the problem.
"""

from __future__ import annotations

import math

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorType, Command, Verb
from godkaiser.domain.safety.facts import ActuatorFacts

MAX_DURATION_S = 24 * 3600.0
DEFAULT_MAX_RUNTIME_S = 3600.0
"""For an actuator without its own maximum: every run must end (contract, 10.6)."""

PERCENT_FULL = 100.0
PUMP_ON_FROM = 0.5
VALVE_OPEN_FROM = 0.66
VALVE_HALF_FROM = 0.33
"""How the firmware reads a PWM for another kind of actuator (contract, 10.1)."""

_VALUE = "VALUE_OUT_OF_RANGE"


class Level(msgspec.Struct, frozen=True):
    """`value` is None if the command is not valid: it is refused, and does not count as an OFF."""

    value: float | None
    problem: str = ""
    code: str = ""


class Lease(msgspec.Struct, frozen=True):
    """`ends` is the reason of its end: duration, max_runtime or hour_limit."""

    seconds: float
    problem: str = ""
    code: str = ""
    note: str = ""
    ends: str = "max_runtime"


_OFF = Level(0.0)


def asked_level(command: Command, actuator: ActuatorFacts) -> Level:
    """The level that the command requests for this actuator."""
    config = actuator.config
    match command.verb:
        case Verb.OFF:
            return _OFF
        case Verb.TOGGLE:
            # In doubt a toggle switches off: if the desired level is on, or the state is unknown.
            off = actuator.energised or actuator.reported is None
            return _OFF if off else _fully_on(config)
        case Verb.ON:
            return _on(command.value, config)
        case Verb.PWM:
            return _pwm(command.value, config)
        case _:
            text = f"'{command.verb}' is not an actuator command; use ON, OFF, PWM or TOGGLE"
            return Level(None, text, "UNKNOWN_COMMAND")


def wire_verb(value: float, config: ActuatorConfig) -> Verb:
    """The verb to send: ON if it means the same, because the device itself ends only an ON
    (contract, 10.1).
    """
    if value == 0.0:
        return Verb.OFF
    full = value == 1.0 or config.actuator_type in {ActuatorType.PUMP, ActuatorType.RELAY}
    return Verb.ON if full else Verb.PWM


def lease(command: Command, actuator: ActuatorFacts, now: float) -> Lease:
    """How long the command may energise: its duration, but never beyond the maximum runtime.

    A second command while it is on does not restart the runtime.
    """
    config = actuator.config
    limit_s = longest_run_s(config)
    duration_s = as_float(command.duration_s)
    if duration_s is None or not 0.0 <= duration_s <= MAX_DURATION_S:
        shown = _shown(command.duration_s)
        return Lease(
            0.0, f"a duration of {shown} s is out of range 0 to {MAX_DURATION_S:g}", _VALUE
        )
    if duration_s > limit_s:
        text = (
            f"{duration_s:g} s is longer than the maximum runtime of this actuator, {limit_s:g} s"
        )
        return Lease(0.0, text, _VALUE)
    seconds = duration_s or limit_s
    note, ends = "", "duration" if duration_s else "max_runtime"
    if actuator.energised and actuator.on_since is not None:
        ran_s = now - actuator.on_since
        left_s = limit_s - ran_s
        if not left_s > 0.0:
            text = f"on for {ran_s:.0f} s, and its maximum runtime is {limit_s:g} s; switch it off"
            return Lease(0.0, text, "COMMAND_REFUSED")
        if left_s < seconds:
            seconds, ends = left_s, "max_runtime"
            note = f"ends after {left_s:.0f} s, with the maximum runtime"
    if config.max_on_s_per_hour > 0:
        left_s = config.max_on_s_per_hour - actuator.on_seconds_last_hour
        # If nothing is left, the check of the on-time per hour refuses.
        if 0.0 < left_s < seconds:
            seconds, ends = left_s, "hour_limit"
            note = f"ends after {left_s:.0f} s, with the on-time of this hour"
    return Lease(seconds, note=note, ends=ends)


def longest_run_s(config: ActuatorConfig) -> float:
    """Its maximum runtime; 0 in its configuration stands for the default."""
    return float(config.max_runtime_s) if config.max_runtime_s > 0 else DEFAULT_MAX_RUNTIME_S


def as_float(value: object) -> float | None:
    """The value as a finite float; None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _fully_on(config: ActuatorConfig) -> Level:
    full = config.max_value if config.actuator_type is ActuatorType.PWM else 1.0
    return _within_limits(full, config)


def _on(value: object, config: ActuatorConfig) -> Level:
    if value is None:
        return _fully_on(config)
    number = as_float(value)
    if number is None or not 0.0 <= number <= 1.0:
        return _out_of_range(value)
    if config.actuator_type is ActuatorType.PWM and number not in (1.0, config.max_value):
        # The firmware would ignore the value and switch to full power.
        text = f"ON switches fully on and takes no value; for {number:g} send PWM"
        return Level(None, text, _VALUE)
    return _fully_on(config)


def _pwm(value: object, config: ActuatorConfig) -> Level:
    if value is None:
        return Level(None, "PWM needs a value from 0.0 to 1.0", _VALUE)
    number = as_float(value)
    if number is None or not 0.0 <= number <= 1.0:
        return _out_of_range(value)
    match config.actuator_type:
        case ActuatorType.PWM:
            level = number
        case ActuatorType.VALVE:
            level = 0.5 if number >= VALVE_HALF_FROM else 0.0
            level = 1.0 if number >= VALVE_OPEN_FROM else level
        case _:
            level = 1.0 if number >= PUMP_ON_FROM else 0.0
    return _OFF if level == 0.0 else _within_limits(level, config)


def _within_limits(level: float, config: ActuatorConfig) -> Level:
    low, high = config.min_value, config.max_value
    if 0.0 < level <= 1.0 and low <= level <= high:
        return Level(level)
    text = f"value {level:g} is outside the limits {low:g} to {high:g} of this actuator"
    return Level(None, text, _VALUE)


def _out_of_range(value: object) -> Level:
    text = f"value {_shown(value)} is out of range 0.0-1.0"
    number = as_float(value)
    if number is not None and 1.0 < number <= PERCENT_FULL:
        text += f"; for {number:g} % send {number / PERCENT_FULL:g}"
    return Level(None, text, _VALUE)


def _shown(value: object) -> str:
    number = as_float(value)
    if number is not None:
        return f"{number:g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "of too many digits"
    return repr(value)[:40]
