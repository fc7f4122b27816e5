"""Latencies as a histogram, in the format of Prometheus; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latencies(msgspec.Struct, frozen=True):
    """`counts` holds one number for each bound (values up to it and above the last one), and one
    for values above all.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    sum_s: float = 0.0

    def and_one(self, seconds: float) -> Latencies:
        """Add one latency; a negative one (the clock was set back) counts as 0."""
        seconds = max(0.0, seconds)
        place = bisect_left(BOUNDS_S, seconds)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Latencies(counts, self.sum_s + seconds)


def merged(parts: Iterable[Latencies]) -> Latencies:
    found = list(parts)
    return Latencies(
        tuple(map(sum, zip(*(one.counts for one in found), strict=True))) or Latencies().counts,
        sum(one.sum_s for one in found),
    )


def cumulative(latencies: Latencies) -> list[tuple[str, float]]:
    """The buckets for Prometheus: each includes those before it."""
    total, found = 0, []
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), latencies.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
