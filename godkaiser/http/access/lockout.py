"""Who tries out passwords or tokens waits, longer with each failure; who does not is not kept out by it.

Failures count for a person from an address, for the address, and, with a long rope, for the person from
anywhere: somebody elsewhere who tries out an operator's password must not keep the operator away from a stop.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

import msgspec

from godkaiser.errors.base import TooManyRequests

FIRST_WAIT_S = 1.0
REMEMBERED = 10_000


class Limit(msgspec.Struct, frozen=True):
    """So many failures are free; then each wait is twice the one before, up to `longest_s`."""

    free: int
    longest_s: float

    def wait_s(self, failures: int) -> float:
        if failures < self.free:
            return 0.0
        return min(FIRST_WAIT_S * 2.0 ** min(failures - self.free, 60), self.longest_s)


class _Failures(msgspec.Struct):
    count: int
    last: float


class Lockout:
    """Safe from any thread. Bounded: of 10,000 the one that failed longest ago is forgotten."""

    def __init__(self, free: int = 5, longest_s: float = 300.0) -> None:
        """`free` wrong attempts and then waits of up to `longest_s` for one person from one address."""
        self._pair = Limit(free, longest_s)
        self._address = Limit(4 * free, 4 * longest_s)
        self._person = Limit(20 * free, min(30.0, longest_s))
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self.counts: Counter[str] = Counter(failed=0, blocked=0)
        """Attempts by what became of them: failed, and blocked without a look."""

    def check(self, person: str, address: str, now: float) -> None:
        """`person` "": somebody who has not said a name. Raises TooManyRequests while one has to wait."""
        with self._lock:
            wait_s = max(
                self._last(key, now) + limit.wait_s(self._count(key, limit, now)) - now
                for key, limit in self._keys(person, address)
            )
            self.counts["blocked"] += wait_s > 0.0
        if wait_s > 0.0:
            raise TooManyRequests(retry_after_s=int(wait_s) + 1)

    def failed(self, person: str, address: str, now: float) -> str:
        """What is worth telling: who is kept out from now on, and for how long; "" while nobody is."""
        told = []
        with self._lock:
            self.counts["failed"] += 1
            for key, limit in self._keys(person, address):
                count = self._count(key, limit, now) + 1
                self._failures.pop(key, None)
                self._failures[key] = _Failures(count, now)
                wait_s = limit.wait_s(count)
                if wait_s > 0.0:
                    told.append(f"{key} waits {wait_s:g} s after {count} failures")
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)
        return "; ".join(told)

    def succeeded(self, person: str, address: str) -> None:
        """What failed from this address stays with it: one good password makes nobody's guesses good."""
        with self._lock:
            self._failures.pop(f"{person} from {address}", None)

    def _keys(self, person: str, address: str) -> list[tuple[str, Limit]]:
        keys = [(f"address {address}", self._address)]
        if person:
            keys += [(f"{person} from {address}", self._pair), (person, self._person)]
        return keys

    def _count(self, key: str, limit: Limit, now: float) -> int:
        """Forgotten when nothing failed for twice the longest wait; a clock set back forgets nothing."""
        found = self._failures.get(key)
        if found is None or now - found.last > 2.0 * limit.longest_s:
            return 0
        return found.count

    def _last(self, key: str, now: float) -> float:
        found = self._failures.get(key)
        # Failures of the future are of a clock that was set back: nobody waits longer for that.
        return now if found is None else min(found.last, now)
