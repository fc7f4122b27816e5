"""Requests a second, for each person, key and address: a token bucket each, bounded in number."""

from __future__ import annotations

import threading
from collections import OrderedDict

from godkaiser.errors.base import TooManyRequests

BURST_S = 2.0
"""So many seconds' worth may come at once."""
REMEMBERED = 10_000


class RateLimit:
    """Safe from any thread. `per_s` 0 is no limit."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = per_s * BURST_S
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, who: str, now: float) -> None:
        """Raises TooManyRequests. A clock that is set back gives nothing, and takes nothing away."""
        if self._per_s <= 0.0:
            return
        with self._lock:
            left, at = self._left.pop(who, (self._most, now))
            left = min(self._most, left + max(0.0, now - at) * self._per_s)
            taken = left >= 1.0
            self._left[who] = (left - taken, now)
            if len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
        if not taken:
            raise TooManyRequests(retry_after_s=max(1, int((1.0 - left) / self._per_s) + 1))
