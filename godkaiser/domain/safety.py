"""`judge`: may this command be given? Every check is listed with its result and its reason.

A verdict never fails: bad input is refused like anything else. OFF is allowed whenever the actuator
is known, whatever else is in doubt (law 3).
"""

from __future__ import annotations

import math

import msgspec

from godkaiser.domain.entities import ActuatorConfig, Approval, Command, Verb
from godkaiser.domain.safety_state import StopRecord, StopState

MAX_DURATION_S = 24 * 3600.0
PERCENT_FULL = 100.0


class Check(msgspec.Struct, frozen=True):
    name: str
    passed: bool
    reason: str = ""
    code: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`value` is the level to set, 0.0 to 1.0; `lease_s` the end that an energising command has.

    `code` and `message` are those of the first check that failed.
    """

    allowed: bool
    energising: bool
    verb: Verb
    value: float
    lease_s: float
    checks: tuple[Check, ...]
    code: str = ""
    message: str = ""


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    approval: Approval
    online: bool
    zone_id: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A person has taken the actuator; rules do not touch it until then."""

    by: str
    until: float


class ActuatorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`reported` is None while the device has not told; `changed_at` is the last real change."""

    config: ActuatorConfig
    desired: float = 0.0
    reported: float | None = None
    on_since: float | None = None
    off_since: float | None = None
    on_seconds_last_hour: float = 0.0
    switches_last_hour: int = 0
    hold: Hold | None = None
    owner_kind: str = ""
    owner_name: str = ""
    owner_priority: int = 0

    @property
    def energised(self) -> bool:
        """In doubt, what was wanted last counts as done."""
        return self.desired > 0 or bool(self.reported)


class CommandFacts(msgspec.Struct, frozen=True, kw_only=True):
    stop: StopRecord | None
    device: DeviceFacts | None
    actuator: ActuatorFacts | None
    link_up: bool
    automation_held: bool = False


def judge(command: Command, facts: CommandFacts, now: float) -> Verdict:
    """The verdict on a command, from facts alone."""
    actuator = facts.actuator
    if actuator is None:
        check = Check(
            "actuator_known",
            passed=False,
            reason=f"device {command.esp_id} has no actuator on GPIO {command.gpio}",
            code="ACTUATOR_NOT_FOUND",
        )
        return _verdict(command, (check,), 0.0, 0.0)
    value, range_check = _level(command, actuator)
    checks = [Check("actuator_known", passed=True), range_check]
    if value == 0.0 and range_check.passed:
        return _verdict(command, tuple(checks), 0.0, 0.0)
    lease_s, lease_check = _lease(command, actuator.config)
    checks.append(lease_check)
    checks.append(_stop_check(facts.stop, command))
    checks.extend(_device_checks(facts, command))
    checks.extend(_switching_checks(actuator, now))
    checks.append(_automation_check(facts, command))
    checks.append(_owner_check(command, actuator, now))
    return _verdict(command, tuple(checks), value, lease_s)


def _verdict(
    command: Command, checks: tuple[Check, ...], value: float, lease_s: float
) -> Verdict:
    failed = next((check for check in checks if not check.passed), None)
    return Verdict(
        allowed=failed is None,
        energising=value > 0.0,
        verb=command.verb,
        value=value,
        lease_s=lease_s,
        checks=checks,
        code="" if failed is None else failed.code,
        message="" if failed is None else failed.reason,
    )


def _level(command: Command, actuator: ActuatorFacts) -> tuple[float, Check]:
    """The level that the command means, and whether it is one."""
    config = actuator.config
    match command.verb:
        case Verb.OFF:
            return 0.0, Check("value", passed=True)
        case Verb.TOGGLE:
            # In doubt a toggle switches off: energised counts what was wanted, too.
            value = 0.0 if actuator.energised else config.max_value
            return value, Check("value", passed=True)
        case Verb.ON:
            return config.max_value, Check("value", passed=True)
        case Verb.PWM:
            return _pwm_level(command.value, config)


def _pwm_level(value: float | None, config: ActuatorConfig) -> tuple[float, Check]:
    problem = ""
    if value is None:
        problem = "PWM needs a value from 0.0 to 1.0"
    elif not math.isfinite(value):
        problem = f"{value} is not a value from 0.0 to 1.0"
    elif not 0.0 <= value <= 1.0:
        problem = f"value {value:g} is out of range 0.0 to 1.0"
        if 1.0 < value <= PERCENT_FULL:
            problem += f"; for {value:g} % send {value / PERCENT_FULL:g}"
    elif value > 0.0 and not config.min_value <= value <= config.max_value:
        problem = (
            f"value {value:g} is outside the limits {config.min_value:g} to"
            f" {config.max_value:g} of this actuator"
        )
    if problem or value is None:
        # Not 0.0: what cannot be understood is refused, it is not an OFF.
        return math.nan, Check("value", passed=False, reason=problem, code="VALUE_OUT_OF_RANGE")
    return value, Check("value", passed=True)


def _lease(command: Command, config: ActuatorConfig) -> tuple[float, Check]:
    duration_s = command.duration_s
    limit_s = float(config.max_runtime_s)
    if not math.isfinite(duration_s) or not 0.0 <= duration_s <= MAX_DURATION_S:
        reason = f"a duration of {duration_s:g} s is out of range 0 to {MAX_DURATION_S:g}"
        return 0.0, Check("duration", passed=False, reason=reason, code="VALUE_OUT_OF_RANGE")
    if duration_s > limit_s:
        reason = (
            f"{duration_s:g} s is longer than the maximum runtime of this actuator, {limit_s:g} s"
        )
        return limit_s, Check("duration", passed=False, reason=reason, code="VALUE_OUT_OF_RANGE")
    return duration_s or limit_s, Check("duration", passed=True)


def _stop_check(stop: StopRecord | None, command: Command) -> Check:
    if stop is None or stop.state is StopState.NORMAL:
        return Check("emergency_stop", passed=True)
    reason = (
        f"{command.esp_id} is under the emergency stop of {stop.scope} ({stop.state.value}, by"
        f" {stop.by}: {stop.reason}); clear it before anything is switched on"
    )
    return Check("emergency_stop", passed=False, reason=reason, code="EMERGENCY_STOP_ACTIVE")


def _device_checks(facts: CommandFacts, command: Command) -> list[Check]:
    device = facts.device
    approved = device is not None and device.approval is Approval.APPROVED
    online = device is not None and device.online
    return [
        Check("link", passed=True)
        if facts.link_up
        else Check(
            "link",
            passed=False,
            reason="the MQTT broker is not connected, so no command reaches a device",
            code="BROKER_UNAVAILABLE",
        ),
        Check("device_approved", passed=True)
        if approved
        else Check(
            "device_approved",
            passed=False,
            reason=f"device {command.esp_id} is not approved",
            code="DEVICE_NOT_APPROVED",
        ),
        Check("device_online", passed=True)
        if online
        else Check(
            "device_online",
            passed=False,
            reason=f"device {command.esp_id} is not online; only OFF is accepted",
            code="DEVICE_OFFLINE",
        ),
    ]


def _switching_checks(actuator: ActuatorFacts, now: float) -> list[Check]:
    """Limits of how often and how long; only those that the actuator declares."""
    config = actuator.config
    checks = []
    starting = not actuator.energised
    if config.min_off_s and starting:
        off_s = math.inf if actuator.off_since is None else now - actuator.off_since
        checks.append(
            _limit(
                "min_off_time",
                f"off for {off_s:.1f} s of the {config.min_off_s:g} s that it must rest",
                passed=off_s >= config.min_off_s,
            )
        )
    if config.max_on_s_per_hour:
        used_s = actuator.on_seconds_last_hour
        checks.append(
            _limit(
                "on_time_per_hour",
                f"on for {used_s:.0f} s in the last hour, at most {config.max_on_s_per_hour:g} s",
                passed=used_s < config.max_on_s_per_hour,
            )
        )
    if config.max_switches_per_hour and starting:
        checks.append(
            _limit(
                "switching_rate",
                f"switched {actuator.switches_last_hour} times in the last hour, at most"
                f" {config.max_switches_per_hour}",
                passed=actuator.switches_last_hour < config.max_switches_per_hour,
            )
        )
    return checks


def _limit(name: str, reason: str, *, passed: bool) -> Check:
    return Check(name, passed, "" if passed else reason, "" if passed else "COMMAND_REFUSED")


def _automation_check(facts: CommandFacts, command: Command) -> Check:
    if command.issuer.kind == "user" or not facts.automation_held:
        return Check("automation", passed=True)
    reason = (
        "rules are held back since the emergency stop; an operator lets them act again with"
        " POST /api/v1/actuators/resume"
    )
    return Check("automation", passed=False, reason=reason, code="AUTOMATION_HELD")


def _owner_check(command: Command, actuator: ActuatorFacts, now: float) -> Check:
    """A manual hold beats rules; between rules the higher priority keeps the actuator."""
    if command.issuer.kind == "user":
        return Check("owner", passed=True)
    hold = actuator.hold
    if hold is not None and now < hold.until:
        left_s = hold.until - now
        reason = f"held by {hold.by} for another {left_s:.0f} s"
        return Check("owner", passed=False, reason=reason, code="COMMAND_REFUSED")
    if (
        actuator.energised
        and actuator.owner_kind == "rule"
        and command.issuer.kind == "rule"
        and actuator.owner_name != command.issuer.name
        and actuator.owner_priority > command.issuer.priority
    ):
        reason = (
            f"rule {actuator.owner_name} with priority {actuator.owner_priority} has the actuator"
        )
        return Check("owner", passed=False, reason=reason, code="COMMAND_REFUSED")
    return Check("owner", passed=True)
