"""The facts by which a command is judged, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, Approval, Verb
from godkaiser.domain.safety.interlocks import Interlock, OtherActuator
from godkaiser.domain.safety.stop_state import StopRecord


class Check(msgspec.Struct, frozen=True):
    """`reason` may be empty for a passed check; `code` is the error code of a failed one."""

    name: str
    passed: bool
    reason: str = ""
    code: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`checks` are all checks, in their order; `code` and `message` those of the first failed one.

    `value` is the level for the actuator, 0.0 to 1.0, as its device can set it: a pump
    has 0 and 1, a valve 0, 0.5 and 1. `verb` is the verb to send: OFF, ON or PWM, never
    TOGGLE. `lease_s` is the end of the energising command, `lease_ends` the reason of that end:
    duration, max_runtime or hour_limit.
    """

    allowed: bool
    energising: bool
    verb: Verb
    value: float
    lease_s: float
    checks: tuple[Check, ...]
    lease_ends: str = "max_runtime"
    code: str = ""
    message: str = ""


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    approval: Approval
    online: bool
    zone_id: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A person holds the actuator: rules do not energise it until `until`, in seconds of the
    monotonic clock (infinity: until it is released).
    """

    by: str
    until: float


class ActuatorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`reported` is None while the device has not reported; `off_since` is when it last became
    known off. `switches_last_hour` counts how often it was switched on. `coming`: an energising
    command may be on its way. `limit_locked`: its device's own runtime limit has locked it.
    """

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
    coming: bool = False
    limit_locked: bool = False

    @property
    def energised(self) -> bool:
        """Whether it counts as on; if unknown, the last desired level counts."""
        return self.desired > 0 or bool(self.reported) or self.coming


class CommandFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`stop` is the strictest stop that covers the device. `interlocks` are those that name the
    actuator, `others` the actuators that they name. `pin_user` is another user of one of its pins.
    `record_ok` is false while the database has lost its safety record.
    """

    stop: StopRecord | None
    device: DeviceFacts | None
    actuator: ActuatorFacts | None
    link_up: bool
    automation_held: bool = False
    record_ok: bool = True
    pin_user: str = ""
    interlocks: tuple[Interlock, ...] = ()
    others: Mapping[ActuatorKey, OtherActuator] = {}
