"""The checks that every energising command must pass, one function each, in order.

A check reads frozen facts and returns a `Check`; an unknown fact counts against the command.
None of them raises, whatever the input.
"""

from __future__ import annotations

from collections.abc import Callable

from godkaiser.domain.entities import Approval, Command
from godkaiser.domain.safety.facts import ActuatorFacts, Check, CommandFacts, Verdict
from godkaiser.domain.safety.interlocks import objection
from godkaiser.domain.safety.level import Lease, Level, as_float, asked_level, lease, wire_verb
from godkaiser.domain.safety.stop_state import StopState

MOST_AGE_S = 5.0
"""An older energising decision is void. Not longer than the minimum age of a stop at its clear (5
s), so that nothing decided before a stop can be released after its clear; a handshake takes
milliseconds."""

_AUTOMATIC = frozenset({"rule", "schedule"})
_OFF_REASON = "not needed: switching off is always allowed"

_Judged = Callable[[Command, CommandFacts, ActuatorFacts, Lease, float], Check]


def judge(command: Command, facts: CommandFacts, now: float) -> Verdict:
    """The verdict on a command, from facts alone. `now` is monotonic seconds.

    OFF, and a level of 0, passes whenever the actuator is known (law 3).
    """
    actuator = facts.actuator
    if actuator is None:
        reason = f"device {command.esp_id} has no actuator on GPIO {command.gpio}"
        unknown = _failed("actuator_known", reason, "ACTUATOR_NOT_FOUND")
        return _verdict(command, Level(None), Lease(0.0), (unknown, *_NOT_JUDGED), actuator)
    level = asked_level(command, actuator)
    value = _passed_or_failed("value", level.problem, level.code)
    if level.value == 0.0:
        checks = (_KNOWN, value, *_NOT_NEEDED_FOR_OFF)
        return _verdict(command, level, Lease(0.0), checks, actuator)
    granted = lease(command, actuator, now)
    checks = (
        _KNOWN,
        value,
        *[check(command, facts, actuator, granted, now) for check in _ENERGISING.values()],
    )
    return _verdict(command, level, granted, checks, actuator)


def _verdict(
    command: Command,
    level: Level,
    granted: Lease,
    checks: tuple[Check, ...],
    actuator: ActuatorFacts | None,
) -> Verdict:
    failed = next((check for check in checks if not check.passed), None)
    value = level.value or 0.0
    understood = level.value is not None and actuator is not None
    return Verdict(
        allowed=failed is None,
        energising=value > 0.0,
        verb=wire_verb(value, actuator.config) if understood and actuator else command.verb,
        value=value,
        lease_s=granted.seconds if value > 0.0 else 0.0,
        checks=checks,
        lease_ends=granted.ends,
        code="" if failed is None else failed.code,
        message="" if failed is None else failed.reason,
    )


def _failed(name: str, reason: str, code: str = "COMMAND_REFUSED") -> Check:
    return Check(name, passed=False, reason=reason, code=code)


def _passed_or_failed(name: str, problem: str, code: str = "COMMAND_REFUSED") -> Check:
    return _failed(name, problem, code) if problem else _PASSED[name]


def _duration(_c: Command, _f: CommandFacts, _a: ActuatorFacts, granted: Lease, _n: float) -> Check:
    if granted.note:
        return Check("duration", passed=True, reason=granted.note)
    return _passed_or_failed("duration", granted.problem, granted.code)


def _stop(command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float) -> Check:
    stop = facts.stop
    if stop is None or stop.state is StopState.NORMAL:
        return _PASSED["emergency_stop"]
    reason = (
        f"{command.esp_id} is under the emergency stop of {stop.scope} ({stop.state.value}, by"
        f" {stop.by}: {stop.reason}); clear the stop before you switch anything on"
    )
    return _failed("emergency_stop", reason, "EMERGENCY_STOP_ACTIVE")


def _record(_c: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float) -> Check:
    problem = "the safety record is not on disk; only OFF is accepted"
    return _passed_or_failed("safety_record", "" if facts.record_ok else problem)


def _link(_c: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float) -> Check:
    problem = "the MQTT broker is not connected, so no command reaches a device"
    return _passed_or_failed("link", "" if facts.link_up else problem, "BROKER_UNAVAILABLE")


def _approved(
    command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    device = facts.device
    if device is not None and device.approval is Approval.APPROVED:
        return _PASSED["device_approved"]
    reason = f"device {command.esp_id} is not approved"
    return _failed("device_approved", reason, "DEVICE_NOT_APPROVED")


def _online(
    command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    device = facts.device
    if device is not None and device.online:
        return _PASSED["device_online"]
    reason = f"device {command.esp_id} is offline, so its state is unknown; only OFF is accepted"
    return _failed("device_online", reason, "DEVICE_OFFLINE")


def _state_known(
    command: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    if actuator.reported is not None:
        return _PASSED["state_known"]
    reason = (
        f"{command.esp_id} has not reported the state of GPIO {command.gpio} yet; it does so every"
        " 30 s, and OFF is accepted meanwhile"
    )
    return _failed("state_known", reason)


def most_age_s(command: Command) -> float:
    """The number of seconds after which the decision for this command is void."""
    asked_s = as_float(command.max_age_s)
    return MOST_AGE_S if asked_s is None else min(max(asked_s, 0.0), MOST_AGE_S)


def _age(command: Command, _f: CommandFacts, _a: ActuatorFacts, _l: Lease, now: float) -> Check:
    age_s, most_s = now - command.decided_at, most_age_s(command)
    if 0.0 <= age_s <= most_s:
        return _PASSED["age"]
    if age_s < 0.0:
        return _failed("age", "it was decided before the gateway restarted; send it again")
    return _failed("age", f"it was decided {age_s:.1f} s ago; the limit is {most_s:g} s")


def _device_limit(
    command: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    problem = (
        f"{command.esp_id} has stopped GPIO {command.gpio} by its own runtime limit; an operator unlocks"
        " it by clearing the device (POST /api/v1/actuators/clear_emergency)"
    )
    return _passed_or_failed("device_limit", problem if actuator.limit_locked else "")


def _pin(command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float) -> Check:
    if not facts.pin_user:
        return _PASSED["gpio"]
    reason = f"GPIO {command.gpio} of {command.esp_id} is also used by {facts.pin_user}"
    return _failed("gpio", reason, "GPIO_CONFLICT")


def _interlocks(
    command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, now: float
) -> Check:
    if not facts.interlocks:
        return _PASSED["interlocks"]
    found = (objection(entry, command.key, facts.others, now) for entry in facts.interlocks)
    return _passed_or_failed("interlocks", "; ".join(text for text in found if text))


def _min_off(
    _c: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, now: float
) -> Check:
    rest_s = actuator.config.min_off_s
    if rest_s == 0 or actuator.desired > 0:
        return _PASSED["min_off_time"]
    if actuator.energised or actuator.on_since is not None:
        reason = "its minimum rest has not begun, because it is not known to be off yet"
        return _failed("min_off_time", reason)
    if actuator.off_since is None:
        return _PASSED["min_off_time"]
    off_s = now - actuator.off_since
    problem = f"it has been off for {off_s:.1f} s; its minimum rest is {rest_s:g} s"
    return _passed_or_failed("min_off_time", "" if off_s >= rest_s else problem)


def _min_on(
    _c: Command, _f: CommandFacts, actuator: ActuatorFacts, granted: Lease, _n: float
) -> Check:
    """An OFF never waits, so a run that would end too early is not started."""
    least_s = actuator.config.min_on_s
    if least_s == 0 or actuator.desired > 0 or granted.problem:
        return _PASSED["min_on_time"]
    problem = f"it would end after {granted.seconds:.1f} s; its minimum run is {least_s:g} s"
    return _passed_or_failed("min_on_time", "" if granted.seconds >= least_s else problem)


def _on_time(_c: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, _n: float) -> Check:
    most_s = actuator.config.max_on_s_per_hour
    used_s = actuator.on_seconds_last_hour
    if most_s == 0 or used_s < most_s:
        return _PASSED["on_time_per_hour"]
    return _failed(
        "on_time_per_hour", f"on for {used_s:.0f} s in the last hour, at most {most_s:g} s"
    )


def _switching(
    _c: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    most = actuator.config.max_switches_per_hour
    times = actuator.switches_last_hour
    if most == 0 or actuator.desired > 0 or times < most:
        return _PASSED["switching_rate"]
    return _failed("switching_rate", f"switched on {times} times in the last hour, at most {most}")


def _automation(
    command: Command, facts: CommandFacts, _a: ActuatorFacts, _l: Lease, _n: float
) -> Check:
    if command.issuer.is_operator or not facts.automation_held:
        return _PASSED["automation"]
    reason = (
        "rules are held since the emergency stop; an operator lets them act again with"
        " POST /api/v1/actuators/resume"
    )
    return _failed("automation", reason, "AUTOMATION_HELD")


def _owner(
    command: Command, _f: CommandFacts, actuator: ActuatorFacts, _l: Lease, now: float
) -> Check:
    """A manual hold beats rules; between rules the higher priority keeps the actuator."""
    issuer = command.issuer
    if issuer.is_operator:
        return _PASSED["owner"]
    hold = actuator.hold
    if hold is not None and not now >= hold.until:
        left_s = hold.until - now
        until = f"for another {left_s:.0f} s" if left_s < float("inf") else "until it is released"
        return _failed("owner", f"held by {hold.by} {until}")
    if (
        actuator.energised
        and actuator.owner_kind in _AUTOMATIC
        and issuer.kind in _AUTOMATIC
        and (actuator.owner_kind, actuator.owner_name) != (issuer.kind, issuer.name)
        and actuator.owner_priority > issuer.priority
    ):
        owner = f"{actuator.owner_kind} {actuator.owner_name}"
        return _failed(
            "owner", f"{owner} with priority {actuator.owner_priority} has the actuator on"
        )
    return _PASSED["owner"]


_ENERGISING: dict[str, _Judged] = {
    "duration": _duration,
    "emergency_stop": _stop,
    "safety_record": _record,
    "link": _link,
    "device_approved": _approved,
    "device_online": _online,
    "state_known": _state_known,
    "age": _age,
    "device_limit": _device_limit,
    "gpio": _pin,
    "interlocks": _interlocks,
    "min_off_time": _min_off,
    "min_on_time": _min_on,
    "on_time_per_hour": _on_time,
    "switching_rate": _switching,
    "automation": _automation,
    "owner": _owner,
}

CHECKS = ("actuator_known", "value", *_ENERGISING)
"""Every verdict lists these, in this order."""

_PASSED = {name: Check(name, passed=True) for name in CHECKS}
_KNOWN = _PASSED["actuator_known"]
_NOT_NEEDED_FOR_OFF = tuple(Check(name, passed=True, reason=_OFF_REASON) for name in _ENERGISING)
_NOT_JUDGED = tuple(
    _failed(name, "not judged: the actuator is not known", "ACTUATOR_NOT_FOUND")
    for name in CHECKS[1:]
)
