"""Down-sampling, the pure part: spans, the choice of a resolution, buckets into points."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.rollups import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MOST_POINTS,
    WIDTH_MS,
    Bucket,
    Resolution,
    Span,
    ceil_to,
    choose,
    first_piece,
    floor_to,
    merged,
    points,
)

moments = st.integers(-(10**12), 10**13)
spans = st.builds(
    lambda series, start, length: Span(series, start, start + length),
    st.integers(1, 3), st.integers(0, 50), st.integers(1, 10),
)  # fmt: skip


@given(moments, st.sampled_from([MINUTE_MS, HOUR_MS]))
def test_floor_and_ceiling_hold_the_moment_also_before_1970(at, width):
    assert floor_to(at, width) <= at <= ceil_to(at, width)
    assert floor_to(at, width) % width == ceil_to(at, width) % width == 0
    assert ceil_to(at, width) - floor_to(at, width) in {0, width}


@given(st.lists(spans, max_size=20))
def test_merged_spans_hold_the_same_times_once(given_spans):
    def times(spans):
        return [(s.series_id, t) for s in spans for t in range(s.start_ms, s.end_ms)]

    found = merged(given_spans)
    assert len(times(found)) == len(set(times(found)))
    assert set(times(found)) == set(times(given_spans))
    for one, other in itertools.pairwise(found):
        assert one.series_id < other.series_id or one.end_ms < other.start_ms


@given(st.integers(0, 400), st.one_of(st.none(), st.integers(0, 400)))
def test_a_long_span_ends_after_finitely_many_pieces(days, first_day):
    span = Span(1, 0, days * DAY_MS)
    rounds = 0
    while span.start_ms < span.end_ms:
        first = None if first_day is None else max(first_day * DAY_MS, span.start_ms)
        piece = first_piece(span, first if first is None or first < span.end_ms else None)
        assert piece.start_ms == span.start_ms < piece.end_ms <= span.end_ms
        span = Span(1, piece.end_ms, span.end_ms)
        rounds += 1
    assert rounds <= days + 1


@given(st.integers(0, 10**9))
def test_the_chosen_resolution_gives_no_more_points_than_an_answer_holds(seconds):
    chosen = choose(Resolution.AUTO, 0, seconds * 1000)
    width = WIDTH_MS.get(chosen, 1000)
    assert seconds * 1000 / width <= MOST_POINTS or chosen is Resolution.HOUR
    assert choose(Resolution.RAW, 0, seconds * 1000) is Resolution.RAW


def test_a_day_is_in_minutes_and_a_year_in_hours():
    assert choose(Resolution.AUTO, 0, DAY_MS) is Resolution.MINUTE
    assert choose(Resolution.AUTO, 0, 365 * DAY_MS) is Resolution.HOUR


def bucket(minute, quality, values, first_ms=0):
    return Bucket(
        bucket_ms=minute * MINUTE_MS,
        quality=quality,
        count=len(values) + 1,
        valued=len(values),
        total=sum(values),
        lowest=min(values, default=None),
        highest=max(values, default=None),
        last=values[-1] if values else None,
        last_ms=minute * MINUTE_MS + first_ms + len(values) if values else None,
    )


values = st.lists(st.floats(-1e6, 1e6), max_size=5)


@given(values, values)
def test_qualities_of_one_minute_become_one_point(good, bad):
    (point,) = points([bucket(3, "good", good), bucket(3, "bad", bad, first_ms=100)])
    every = good + bad
    assert point.timestamp == 180.0
    assert point.count == len(every) + 2
    assert point.by_quality == {"good": len(good) + 1, "bad": len(bad) + 1}
    assert (point.min, point.max) == (min(every, default=None), max(every, default=None))
    assert point.last == (every[-1] if every else None)
    if every:
        assert math.isclose(point.mean, sum(every) / len(every), abs_tol=1e-6)
    else:
        assert point.mean is None


def test_each_minute_is_a_point_of_its_own():
    found = points([bucket(1, "good", [1.0]), bucket(2, "bad", [2.0]), bucket(2, "good", [3.0])])
    assert [(p.timestamp, p.count) for p in found] == [(60.0, 2), (120.0, 4)]
    assert points([]) == []
