"""A circuit breaker, pure: after some failures all calls are refused for a while, then one is
tried.

closed    every call is admitted; `failures` in a row open the breaker
open      no call is admitted; after `open_s` the breaker is half open
half_open one call is admitted. Its success closes the breaker, its failure opens it; without a
          result within `half_open_s` it counts as failed
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
    """`since` is when it entered its state; `failures` counts failures in a row."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    since: float = 0.0


def admit(breaker: Breaker, policy: BreakerPolicy, now: float) -> tuple[Breaker, bool]:
    """The new state, and whether the call is admitted."""
    if breaker.state is BreakerState.CLOSED:
        return breaker, True
    if retry_after_s(breaker, policy, now) > 0.0:
        return breaker, False
    if breaker.state is BreakerState.HALF_OPEN:
        return msgspec.structs.replace(breaker, state=BreakerState.OPEN, since=now), False
    return msgspec.structs.replace(breaker, state=BreakerState.HALF_OPEN, since=now), True


def succeeded(breaker: Breaker) -> Breaker:
    """The state after a success, of any call, even one that was not admitted here."""
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
    """Seconds until the next call may be admitted; 0: now."""
    if breaker.state is BreakerState.CLOSED:
        return 0.0
    wait_s = policy.open_s if breaker.state is BreakerState.OPEN else policy.half_open_s
    return max(0.0, breaker.since + wait_s - now)


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    failures: int
    retry_after_s: float
