"""The facts and the memory of a rule, and the results of its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from godkaiser.domain.rules.schema import ActuatorRef, SensorRef

TRAIL_POINTS = 64


class Truth(StrEnum):
    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Fact(msgspec.Struct, frozen=True):
    """A usable value of a sensor; measured `at`, in seconds of the monotonic clock."""

    value: float
    at: float


class Facts(msgspec.Struct, frozen=True):
    """The newest usable `readings`; `trails` of readings for the rates that are needed, oldest
    first; whether devices are `online`; the desired levels of actuators (`levels`; a command on its
    way counts as done) and the `reported` ones; None is unknown. `owners`: who set them last.
    """

    readings: Mapping[SensorRef, Fact] = {}
    trails: Mapping[SensorRef, Sequence[Fact]] = {}
    online: Mapping[str, bool | None] = {}
    levels: Mapping[ActuatorRef, float | None] = {}
    reported: Mapping[ActuatorRef, float | None] = {}
    owners: Mapping[ActuatorRef, str] = {}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a sequence: its action and step, since when, and the actuators that it
    switched on.

    `sent`: the command of the step is on its way, with the correlation id `asked`. `resumed`: when the
    gateway restarted during the sequence; None once its devices are back.
    """

    action: int
    step: int
    since: float
    sent: bool = False
    energised: tuple[ActuatorRef, ...] = ()
    asked: str = ""
    resumed: float | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's memory before a firing, to restore it when the firing is refused."""

    firing: bool
    last_fired: float | None
    fired_at: float | None
    fired_count: int
    recent: tuple[float, ...]
    reversals: tuple[float, ...]
    energised: tuple[ActuatorRef, ...]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A firing until its commands are judged; `waiting` are the correlation ids of the unjudged
    commands.

    It counts as fired, so that a crash repeats nothing; when all are refused, `before` is restored.
    """

    since: float
    before: Undo
    waiting: tuple[str, ...] = ()
    allowed: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last attempt to fire was refused, how often in a row, and when the next try is due."""

    code: str
    message: str
    count: int
    retry_at: float


class ClockStamp(msgspec.Struct, frozen=True):
    """The two clocks at one moment: the monotonic one (of one boot of the machine) and the wall
    clock.

    A `Moment` with the names under which the memories of rules are stored.
    """

    boot: str
    steady: float
    wall: float


class RuleMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of a rule between evaluations, and across restarts.

    Times are monotonic, within the boot of `clock`; `last_fired` and `seen` (when
    a time window was last seen open) are unix seconds.

    `changes`: a counter of changes, so that the newer of two memories is known.
    `since`: when a condition of `for_at_least` began to hold; `recent`: the firings of the last
    hour;
    `reversals`: when another rule undid this one; `suspended`: why it no longer fires; `text`: a
    digest of the version of the rule; `energised`: actuators that it has switched on and not off
    again; `unsettled`: commands of a dose without a known outcome; `doubt`: why a dose may or may
    not have been given.
    """

    truth: Truth = Truth.UNKNOWN
    firing: bool = False
    hysteresis: dict[str, bool] = {}
    since: dict[str, float] = {}
    seen: dict[str, float] = {}
    last_fired: float | None = None
    fired_at: float | None = None
    fired_count: int = 0
    recent: tuple[float, ...] = ()
    reversals: tuple[float, ...] = ()
    suspended: str = ""
    text: str = ""
    progress: Progress | None = None
    energised: tuple[ActuatorRef, ...] = ()
    attempt: Attempt | None = None
    refused: Refusal | None = None
    unsettled: tuple[str, ...] = ()
    doubt: str = ""
    clock: ClockStamp | None = None
    changes: int = 0


class Finding(msgspec.Struct, frozen=True):
    """The result of one condition, with the value that decided it."""

    path: str
    truth: Truth
    detail: str


class Evaluation(msgspec.Struct, frozen=True):
    """`wake_at`: when time alone changes the result; None if never."""

    truth: Truth
    hysteresis: dict[str, bool]
    findings: tuple[Finding, ...]
    since: dict[str, float] = {}
    seen: dict[str, float] = {}
    wake_at: float | None = None


def extended(trail: Sequence[Fact], fact: Fact, window_s: float) -> tuple[Fact, ...]:
    """The trail with one more reading: bounded, and not much longer than the window."""
    if trail and fact.at <= trail[-1].at:
        return tuple(trail)
    since = fact.at - window_s
    # Keep one reading from before the window: it marks the start of the window.
    first = next((i for i, old in enumerate(trail) if old.at >= since), len(trail))
    kept = tuple(trail[max(0, first - 1) :])
    if len(kept) > 1 and fact.at - kept[-2].at < window_s / TRAIL_POINTS:
        kept = kept[:-1]
    return (*kept, fact)


def earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
