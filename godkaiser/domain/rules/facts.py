"""What a rule knows, what it remembers, and how its conditions came out."""

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
    """A usable value of a sensor; measured `at`, in seconds of the clock that counts intervals."""

    value: float
    at: float


class Facts(msgspec.Struct, frozen=True):
    """The newest usable `readings`; `trails` of those whose rate is asked for, oldest first;
    whether devices are `online`; what the actuators are set to (`levels`, what is on its way counts
    as done) and what their devices `reported`; None is not known. `owners`: who set them last.
    """

    readings: Mapping[SensorRef, Fact] = {}
    trails: Mapping[SensorRef, Sequence[Fact]] = {}
    online: Mapping[str, bool | None] = {}
    levels: Mapping[ActuatorRef, float | None] = {}
    reported: Mapping[ActuatorRef, float | None] = {}
    owners: Mapping[ActuatorRef, str] = {}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sequence stands: which action and step, since when, and what it has switched on.

    `sent`: the command of the step is on its way, with the correlation id `asked`. `resumed`: when the
    gateway started again in the midst of it; None once its devices are back.
    """

    action: int
    step: int
    since: float
    sent: bool = False
    energised: tuple[ActuatorRef, ...] = ()
    asked: str = ""
    resumed: float | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule remembered before a firing, to have it again when the firing is refused."""

    firing: bool
    last_fired: float | None
    fired_at: float | None
    fired_count: int
    recent: tuple[float, ...]
    reversals: tuple[float, ...]
    energised: tuple[ActuatorRef, ...]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A firing until its commands are judged; `waiting` are the correlation ids of those that are not.

    It counts as fired, so that a crash repeats nothing; when all are refused, `before` holds again.
    """

    since: float
    before: Undo
    waiting: tuple[str, ...] = ()
    allowed: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last attempt to fire came to nothing, how often in a row, and when the next one is due."""

    code: str
    message: str
    count: int
    retry_at: float


class ClockStamp(msgspec.Struct, frozen=True):
    """The two clocks at one moment: that of intervals (of one boot of the machine) and the wall clock.

    A `Moment` with the names under which the memories of rules are stored.
    """

    boot: str
    steady: float
    wall: float


class RuleMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule must remember between evaluations, and across restarts.

    Times are of the clock that counts intervals, within the boot of `clock`; `last_fired` and `seen` (when
    a time window was last seen open) are unix seconds.

    `changes`: how often it has changed, so that of two the newer can be told.
    `since`: when what must hold for a while began to; `recent`: when it fired within the last hour;
    `reversals`: when another rule undid what this one did; `suspended`: why it fires no more; `text`: a digest of
    the rule that remembers it; `energised`: what it has switched on and not off again; `unsettled`: commands
    of a dose whose outcome is not known; `doubt`: why a dose may or may not have been given.
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
    """How one condition came out, with the value that decided it."""

    path: str
    truth: Truth
    detail: str


class Evaluation(msgspec.Struct, frozen=True):
    """`wake_at`: when it comes out otherwise though nothing is heard; None if never."""

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
    # One from before the window stays: it is where the window begins.
    first = next((i for i, old in enumerate(trail) if old.at >= since), len(trail))
    kept = tuple(trail[max(0, first - 1) :])
    if len(kept) > 1 and fact.at - kept[-2].at < window_s / TRAIL_POINTS:
        kept = kept[:-1]
    return (*kept, fact)


def earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)
