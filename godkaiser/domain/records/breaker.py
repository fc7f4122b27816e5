"""A circuit breaker, pure: after some failures nobody tries any more for a while, then one does.

closed    everything is let through; `failures` in a row open it
open      nothing is; after `open_s` it is half open
half_open one is let through. Its success closes, its failure opens; without an answer in
          `half_open_s` it counts as failed
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    failures: int = 5
    open_s: float = 60.0
    half_open_s: float = 30.0


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """`since` is when it entered its state; `failures` counts those in a row."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    since: float = 0.0


def admit(breaker: Breaker, policy: BreakerPolicy, now: float) -> tuple[Breaker, bool]:
    """The breaker after somebody asked to be let through, and whether he is."""
    if breaker.state is BreakerState.CLOSED:
        return breaker, True
    if retry_after_s(breaker, policy, now) > 0.0:
        return breaker, False
    if breaker.state is BreakerState.HALF_OPEN:
        return msgspec.structs.replace(breaker, state=BreakerState.OPEN, since=now), False
    return msgspec.structs.replace(breaker, state=BreakerState.HALF_OPEN, since=now), True


def succeeded(breaker: Breaker) -> Breaker:
    """Whoever got an answer, let through or not, has proved that it works."""
    if breaker.state is BreakerState.CLOSED and not breaker.failures:
        return breaker
    return Breaker()


def failed(breaker: Breaker, policy: BreakerPolicy, now: float) -> Breaker:
    failures = breaker.failures + 1
    if breaker.state is BreakerState.OPEN:
        return msgspec.structs.replace(breaker, failures=failures)
    if breaker.state is BreakerState.CLOSED and failures < policy.failures:
        return msgspec.structs.replace(breaker, failures=failures)
    return Breaker(state=BreakerState.OPEN, failures=failures, since=now)


def retry_after_s(breaker: Breaker, policy: BreakerPolicy, now: float) -> float:
    """When it is worth asking again; 0 when now."""
    if breaker.state is BreakerState.CLOSED:
        return 0.0
    wait_s = policy.open_s if breaker.state is BreakerState.OPEN else policy.half_open_s
    return max(0.0, breaker.since + wait_s - now)


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    failures: int
    retry_after_s: float
