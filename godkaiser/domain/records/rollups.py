"""Rollups: buckets of a minute and of an hour, and the choice of a resolution; pure.

Times here are milliseconds since 1970, spans are half open: `start_ms` is included, `end_ms` is
not.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MOST_POINTS = 10_000
"""Maximum number of points in one answer. For more use a coarser resolution, pages, or an export."""


class Resolution(StrEnum):
    AUTO = "auto"
    RAW = "raw"
    MINUTE = "1m"
    HOUR = "1h"


WIDTH_MS = {Resolution.MINUTE: MINUTE_MS, Resolution.HOUR: HOUR_MS}


class Span(msgspec.Struct, frozen=True, order=True):
    """A time span of one series whose buckets must be recomputed from the stored readings."""

    series_id: int
    start_ms: int
    end_ms: int


def floor_to(at_ms: int, width_ms: int) -> int:
    return at_ms - at_ms % width_ms


def ceil_to(at_ms: int, width_ms: int) -> int:
    return -floor_to(-at_ms, width_ms)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same times without overlap; adjacent spans are joined."""
    found: list[Span] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is None or last.series_id != span.series_id or span.start_ms > last.end_ms:
            found.append(span)
        elif span.end_ms > last.end_ms:
            found[-1] = Span(last.series_id, last.start_ms, span.end_ms)
    return found


def first_piece(span: Span, first_row_ms: int | None) -> Span:
    """The part of a long span that is computed at once: a day from its first row, plus the empty
    time before.
    """
    if first_row_ms is None:
        return span
    end = floor_to(max(first_row_ms, span.start_ms), HOUR_MS) + DAY_MS
    return Span(span.series_id, span.start_ms, min(span.end_ms, end))


def choose(wanted: Resolution, start_ms: int, end_ms: int) -> Resolution:
    """The resolution; for AUTO the finest that gives at most MOST_POINTS with one reading a second."""
    if wanted is not Resolution.AUTO:
        return wanted
    length = end_ms - start_ms
    if length <= MOST_POINTS * 1000:
        return Resolution.RAW
    return Resolution.MINUTE if length <= MOST_POINTS * MINUTE_MS else Resolution.HOUR


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """The readings of one quality in one minute or hour. `valued` of them had a value; from those
    come `total`, `lowest`, `highest` and, at `last_ms`, `last`.
    """

    bucket_ms: int
    quality: str
    count: int
    valued: int
    total: float
    lowest: float | None
    highest: float | None
    last: float | None
    last_ms: int | None


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """All qualities together. `timestamp` is the start (unix seconds); only `count` includes
    readings without a value.
    """

    timestamp: float
    count: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None
    by_quality: dict[str, int]


def combined(buckets: Iterable[Bucket], start_ms: int) -> Aggregate:
    """All buckets in one."""
    found = list(buckets)
    valued = sum(bucket.valued for bucket in found)
    by_quality: dict[str, int] = {}
    for bucket in found:
        by_quality[bucket.quality] = by_quality.get(bucket.quality, 0) + bucket.count
    newest = max(
        (bucket for bucket in found if bucket.last_ms is not None),
        key=lambda bucket: bucket.last_ms or 0,
        default=None,
    )
    return Aggregate(
        start_ms / 1000.0,
        sum(bucket.count for bucket in found),
        min((b.lowest for b in found if b.lowest is not None), default=None),
        max((b.highest for b in found if b.highest is not None), default=None),
        sum(bucket.total for bucket in found) / valued if valued else None,
        None if newest is None else newest.last,
        by_quality,
    )


def points(buckets: Iterable[Bucket]) -> list[Aggregate]:
    """One aggregate for each bucket time; `buckets` are ordered by it."""
    found: list[Aggregate] = []
    group: list[Bucket] = []
    for bucket in buckets:
        if group and group[0].bucket_ms != bucket.bucket_ms:
            found.append(_point(group))
            group = []
        group.append(bucket)
    if group:
        found.append(_point(group))
    return found


def _point(group: list[Bucket]) -> Aggregate:
    if len(group) > 1:
        return combined(group, group[0].bucket_ms)
    # The usual case, made fast: a year has nine thousand buckets.
    (one,) = group
    mean = one.total / one.valued if one.valued else None
    return Aggregate(
        one.bucket_ms / 1000.0,
        one.count,
        one.lowest,
        one.highest,
        mean,
        one.last,
        {one.quality: one.count},
    )
