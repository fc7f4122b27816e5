"""What happens to an actuator (events), and what follows from it (effects): plain frozen data.

`actuator_machine.step` takes one event and returns effects. Times are monotonic seconds.
"""

from __future__ import annotations

import msgspec

from godkaiser.domain.entities import ActuatorConfig, Issuer
from godkaiser.domain.safety.actuator_state import ActuatorState
from godkaiser.domain.safety.facts import Hold


class SwitchOn(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that allows: have `level` for `lease_s` seconds. `lease_reason` names what ends it."""

    correlation_id: str
    level: float
    lease_s: float
    lease_reason: str
    issuer: Issuer


class SwitchOff(msgspec.Struct, frozen=True, kw_only=True):
    """OFF, whatever was going on: a person, a rule, an interlock, a stop, the shutdown."""

    correlation_id: str
    issuer: Issuer


class StopGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A stop covers the actuator, given at `at`. It is told OFF unless it is known to be off."""

    correlation_id: str
    at: float


class StopLifted(msgspec.Struct, frozen=True, kw_only=True):
    """The device has said that its own stop is lifted."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The device answered a command; old firmware does not say which (an empty id)."""

    correlation_id: str
    success: bool
    message: str
    seq: int | None = None
    redelivered: bool = False


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The device told its state; `heard_at` is when that was received. `redelivered`: the broker may have
    sent it before.
    """

    level: float
    runtime_s: float
    emergency: str
    heard_at: float
    seq: int | None = None
    redelivered: bool = False


class Alerted(msgspec.Struct, frozen=True, kw_only=True):
    """The device raised an alert for this pin: `emergency_stop`, `runtime_protection`, or another."""

    kind: str
    heard_at: float
    redelivered: bool = False


class Died(msgspec.Struct, frozen=True, kw_only=True):
    """A command never left, and never will."""

    correlation_id: str
    state: str
    reason: str


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The broker has taken a command for good."""

    correlation_id: str


class TimePassed(msgspec.Struct, frozen=True, kw_only=True):
    """The shell's timer is over; what is due now is done."""


class WentOffline(msgspec.Struct, frozen=True, kw_only=True):
    """The device is not there now."""


class CameOnline(msgspec.Struct, frozen=True, kw_only=True):
    """The device is there (again). `new_session`: what the broker had for it before is lost."""

    new_session: bool


class LinkCameUp(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway has a connection to the broker again."""


class ShellRestarted(msgspec.Struct, frozen=True, kw_only=True):
    """The actor that publishes for this actuator has crashed, or the one that steps this machine."""


class Doubted(msgspec.Struct, frozen=True, kw_only=True):
    """A former process may have commands on their way: only an answer to an OFF proves otherwise."""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    config: ActuatorConfig
    pin_user: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A person took it from the rules, or (None) released it."""

    hold: Hold | None


ActuatorEvent = (
    SwitchOn
    | SwitchOff
    | StopGiven
    | StopLifted
    | Answered
    | Reported
    | Alerted
    | Died
    | Delivered
    | TimePassed
    | WentOffline
    | CameOnline
    | LinkCameUp
    | ShellRestarted
    | Doubted
    | Configured
    | Held
)


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a command of this generation. `level` 0.0 is an OFF. `duration_s` goes with an ON."""

    correlation_id: str
    generation: int
    level: float
    duration_s: float
    issued_by: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A command has an outcome; `took_s` from its sending to the device's answer, if it answered."""

    correlation_id: str
    state: str
    message: str
    took_s: float | None = None


Effect = Send | Ended
Transition = tuple[ActuatorState, tuple[Effect, ...]]
