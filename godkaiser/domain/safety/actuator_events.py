"""The events of an actuator and their effects: plain frozen data.

`actuator_machine.step` takes one event and returns effects. Times are monotonic seconds.
"""

from __future__ import annotations

import msgspec

from godkaiser.domain.entities import ActuatorConfig, Issuer
from godkaiser.domain.safety.actuator_state import ActuatorState
from godkaiser.domain.safety.facts import Hold


class SwitchOn(msgspec.Struct, frozen=True, kw_only=True):
    """An allowing verdict: `level` for `lease_s` seconds. `lease_reason` names what ends the lease."""

    correlation_id: str
    level: float
    lease_s: float
    lease_reason: str
    issuer: Issuer


class SwitchOff(msgspec.Struct, frozen=True, kw_only=True):
    """OFF in any state: by a person, a rule, an interlock, a stop, the shutdown."""

    correlation_id: str
    issuer: Issuer


class StopGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A stop, given at `at`, covers the actuator. It is sent OFF unless it is known off."""

    correlation_id: str
    at: float


class StopLifted(msgspec.Struct, frozen=True, kw_only=True):
    """The device reported that its own stop is lifted."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The device answered a command; old firmware does not name the command (empty id)."""

    correlation_id: str
    success: bool
    message: str
    seq: int | None = None
    redelivered: bool = False


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The device reported its state; `heard_at` is the time of receipt. `redelivered`: the broker
    may have delivered it before.
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
    """A command was not sent and never will be."""

    correlation_id: str
    state: str
    reason: str


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The broker has confirmed a command (the handshake is complete)."""

    correlation_id: str


class TimePassed(msgspec.Struct, frozen=True, kw_only=True):
    """The shell's timer has fired; everything that is due now is done."""


class WentOffline(msgspec.Struct, frozen=True, kw_only=True):
    """The device is offline."""


class CameOnline(msgspec.Struct, frozen=True, kw_only=True):
    """The device is online (again). `new_session`: the broker has dropped its earlier messages to
    it.
    """

    new_session: bool


class LinkCameUp(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway has a connection to the broker again."""


class ShellRestarted(msgspec.Struct, frozen=True, kw_only=True):
    """The actuator's shell, or the safety actor, has crashed and restarted."""


class Doubted(msgspec.Struct, frozen=True, kw_only=True):
    """A former process may have commands on their way: only an answer to an OFF proves otherwise."""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    config: ActuatorConfig
    pin_user: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A person holds the actuator, or (None) released the hold."""

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
    """Publish a command of this generation. `level` 0.0 is an OFF. `duration_s` is sent with an ON."""

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
