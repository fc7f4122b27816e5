"""Decides what a device may energise by itself, without a verdict of the gateway; pure.

An offline rule is a standing order to energise. It is given only if nothing forbids it now, and if
nothing could forbid it while the gateway is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from godkaiser.domain.entities import ActuatorConfig
from godkaiser.domain.safety.facts import Hold
from godkaiser.domain.safety.interlocks import Interlock

Entry = dict[str, Any]
"""An offline rule in the device's format (contract, section 13)."""


class PinFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about the actuator that a standing order would energise."""

    config: ActuatorConfig
    pin_user: str = ""
    hold: Hold | None = None
    interlocks: tuple[Interlock, ...] = ()


class DeviceSituation(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped` names the stop that covers the device; `automation_held`: an operator must still
    resume.
    """

    approved: bool
    stopped: str = ""
    automation_held: bool = False


class Standing(msgspec.Struct, frozen=True):
    """`entries` are allowed; `refused` are pins and reasons. `may_leave_safe_mode` is for its
    subzones.
    """

    entries: tuple[Entry, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    may_leave_safe_mode: bool = False


NOTHING_STANDS = Standing()


def judged(
    entries: Iterable[Entry],
    situation: DeviceSituation,
    pins: Mapping[int, PinFacts],
    now: float,
) -> Standing:
    """The entries that are allowed now. `now` is monotonic seconds."""
    allowed, refused = [], []
    for entry in entries:
        gpio = int(entry["actuator_gpio"])
        reason = _objection(situation, pins.get(gpio), now)
        if reason:
            refused.append((gpio, reason))
        else:
            allowed.append(entry)
    free = situation.approved and not situation.stopped
    return Standing(tuple(allowed), tuple(refused), may_leave_safe_mode=free)


def _objection(situation: DeviceSituation, pin: PinFacts | None, now: float) -> str:
    if not situation.approved:
        return "the device is not approved"
    if situation.stopped:
        return f"stopped: {situation.stopped}"
    if situation.automation_held:
        return "rules are held until an operator resumes them"
    if pin is None:
        return "there is no such actuator"
    if pin.pin_user:
        return f"its pin is also used by {pin.pin_user}"
    if pin.hold is not None and now < pin.hold.until:
        return f"held by {pin.hold.by}"
    if pin.interlocks:
        return f"its interlock is not checked while the gateway is away: {pin.interlocks[0]}"
    config = pin.config
    for limit, name in (
        (config.min_off_s, "minimum rest"),
        (config.min_on_s, "minimum run"),
        (config.max_on_s_per_hour, "on-time per hour"),
        (config.max_switches_per_hour, "switchings per hour"),
    ):
        if limit:
            return f"a device does not enforce the limit '{name}'"
    return ""
