"""The decisions of a supervisor, pure: which children restart, whether to give up, how long to
wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from godkaiser.supervision.spec import Backoff, Intensity, Restart, Strategy


class Escalate(msgspec.Struct, frozen=True):
    """Give up: this restart would exceed the intensity."""

    restarts: int
    within_s: float


def affected(strategy: Strategy, order: Sequence[str], failed: str) -> tuple[str, ...]:
    """The children, in start order, that are restarted when `failed` crashed (itself included)."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return (failed,)
        case Strategy.ONE_FOR_ALL:
            return tuple(order)
        case Strategy.REST_FOR_ONE:
            return tuple(order[order.index(failed) :])


def wants_restart(restart: Restart, *, crashed: bool) -> bool:
    """Whether a child that ended is started again."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return crashed
        case Restart.TEMPORARY:
            return False


def admit_restart(
    history: Sequence[float], now: float, intensity: Intensity
) -> tuple[float, ...] | Escalate:
    """The history including this restart, or `Escalate` if it exceeds the intensity."""
    recent = tuple(at for at in history if now - at < intensity.within_s)
    if len(recent) >= intensity.max_restarts:
        return Escalate(restarts=len(recent) + 1, within_s=intensity.within_s)
    return (*recent, now)


def backoff_delay(backoff: Backoff, attempt: int, chance: float) -> float:
    """Seconds before restart number `attempt` in a row (from 1); `chance` in [0, 1) gives the
    jitter.
    """
    if attempt <= 1:
        return 0.0
    try:
        raw = backoff.base_s * backoff.factor ** (attempt - 2)
    except OverflowError:
        raw = backoff.max_s
    spread = 1.0 + backoff.jitter * (2.0 * chance - 1.0)
    return min(raw, backoff.max_s) * spread
