from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.latency import BOUNDS_S, Latencies, cumulative, merged

TIMES = st.lists(st.floats(-1.0, 20.0, allow_nan=False))


def of(times):
    found = Latencies()
    for seconds in times:
        found = found.and_one(seconds)
    return found


@given(TIMES)
def test_each_bucket_holds_what_took_no_longer(times):
    buckets = cumulative(of(times))
    for (name, count), bound in zip(buckets, (*BOUNDS_S, float("inf")), strict=True):
        assert float(name) == bound
        assert count == sum(seconds <= bound for seconds in times)


@given(TIMES, TIMES)
def test_the_histogram_of_all_is_that_of_its_parts(some, others):
    assert merged([of(some), of(others)]).counts == of(some + others).counts
    assert merged([]) == Latencies()
