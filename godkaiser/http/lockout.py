"""Wrong logins make the next one wait: by user and by address, doubling, bounded in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from godkaiser.errors import TooManyRequests

FREE_ATTEMPTS = 5
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
REMEMBERED = 10_000


class Lockout:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, keys: tuple[str, ...], now: float) -> None:
        """Raises TooManyRequests while one of the keys has to wait."""
        with self._lock:
            wait_s = max((self._wait(key, now) for key in keys), default=0.0)
        if wait_s > 0.0:
            raise TooManyRequests(retry_after_s=int(wait_s) + 1)

    def failed(self, keys: tuple[str, ...], now: float) -> None:
        with self._lock:
            for key in keys:
                count, _ = self._failures.pop(key, (0, 0.0))
                self._failures[key] = (count + 1, now)
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, keys: tuple[str, ...]) -> None:
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)

    def _wait(self, key: str, now: float) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < FREE_ATTEMPTS:
            return 0.0
        wait_s = min(FIRST_WAIT_S * 2.0 ** (count - FREE_ATTEMPTS), LONGEST_WAIT_S)
        return last + wait_s - now
