"""The circuit breaker of a database, shared by all threads that use it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from godkaiser.domain.records.breaker import (
    Breaker,
    BreakerPolicy,
    BreakerView,
    admit,
    failed,
    retry_after_s,
    succeeded,
)
from godkaiser.errors.storage import DatabaseUnavailable


class DatabaseBreaker:
    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never jumps."""
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._breaker = Breaker()
        self._last_error = ""

    def admit(self) -> None:
        """Raises DatabaseUnavailable, with the time to retry, while the breaker is open."""
        with self._lock:
            now = self._clock()
            self._breaker, allowed = admit(self._breaker, self._policy, now)
            wait_s = retry_after_s(self._breaker, self._policy, now)
        if not allowed:
            raise DatabaseUnavailable(
                reason=f"{self._last_error or 'it did not answer'}, so no request uses it for a while",
                retry_after_s=max(1, math.ceil(wait_s)),
            )

    def succeeded(self) -> None:
        # Nearly always nothing changes, so no lock is needed.
        if self._breaker != Breaker():
            with self._lock:
                self._breaker = succeeded(self._breaker)

    def failed(self, reason: str) -> None:
        with self._lock:
            self._breaker = failed(self._breaker, self._policy, self._clock())
            self._last_error = reason

    def view(self) -> BreakerView:
        with self._lock:
            breaker, wait_s = (
                self._breaker,
                retry_after_s(self._breaker, self._policy, self._clock()),
            )
        return BreakerView(
            state=breaker.state.value, failures=breaker.failures, retry_after_s=round(wait_s, 1)
        )
