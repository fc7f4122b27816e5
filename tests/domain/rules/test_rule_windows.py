"""Windows on the nights on which the clocks change: each opens once, as cron runs a job once.

The kind of fault: a time that does not exist is never, one that exists twice is twice.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.rules.schema import TimeWindow
from godkaiser.domain.rules.windows import is_open, last_begun, length_of

BERLIN = "Europe/Berlin"
# From 2:00 to 3:00 on 29 March, back from 3:00 to 2:00 on 25 October 2026.
SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


def openings(window, start, hours=36):
    """As local times, with the minutes that each lasts."""
    zone = ZoneInfo(window.timezone)
    found, since = [], None
    for minute in range(hours * 60 + 1):
        moment = start + timedelta(minutes=minute)
        opened, _ = is_open(window, moment.timestamp())
        if opened and since is None:
            since = moment
        elif not opened and since is not None:
            minutes = (moment - since).total_seconds() / 60.0
            found.append((f"{since.astimezone(zone):%d %H:%M}", minutes))
            since = None
    return found


@pytest.mark.parametrize(
    ("start", "end", "spring", "autumn"),
    [
        # Altogether in the hour that does not exist, and in the one that exists twice.
        ("02:15", "02:45", [("29 03:00", 30)], [("25 02:15", 30)]),
        # It begins in it.
        ("02:30", "03:30", [("29 03:00", 30)], [("25 02:30", 120)]),
        # It ends in it.
        ("01:30", "02:30", [("29 01:30", 30)], [("25 01:30", 60)]),
        # Around it.
        ("01:00", "04:00", [("29 01:00", 120)], [("25 01:00", 240)]),
        ("22:00", "06:00", [("28 22:00", 420)], [("24 22:00", 540)]),
        # Beside it.
        ("03:00", "04:00", [("29 03:00", 60)], [("25 03:00", 60)]),
    ],
)
def test_each_opens_once(start, end, spring, autumn):
    window = TimeWindow(start=start, end=end, timezone=BERLIN)
    assert openings(window, SPRING, 20) == spring
    assert openings(window, AUTUMN, 20) == autumn


clocks = st.integers(0, 24 * 4 - 1).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")


@given(clocks, clocks, st.sampled_from([SPRING, AUTUMN, datetime(2026, 6, 1, 12, tzinfo=UTC)]))
def test_a_window_opens_once_a_day_and_never_for_nothing(start, end, day):
    if start == end:
        return
    window = TimeWindow(start=start, end=end, timezone=BERLIN)
    found = []
    for minute in range(0, 72 * 60, 5):
        moment = (day + timedelta(minutes=minute)).timestamp()
        opened, _ = is_open(window, moment)
        begin, finish = last_begun(window, moment)
        # Both ways of looking at it agree.
        assert opened == (begin <= moment < finish)
        found.append(begin)
    # Once each day, of 23, 24 or 25 hours; in the change itself it may come a little later.
    begins = sorted(set(found))
    gaps_h = [(later - earlier) / 3600.0 for earlier, later in itertools.pairwise(begins)]
    assert all(22.0 <= gap_h <= 26.0 for gap_h in gaps_h)
    assert finish > begin
    assert length_of(window) > 0


def test_the_weekday_is_that_on_which_it_begins():
    friday_night = TimeWindow(start="22:00", end="06:00", weekdays=(4,), timezone=BERLIN)
    monday = datetime(2026, 6, 1, tzinfo=UTC)
    assert openings(friday_night, monday, 7 * 24) == [("05 22:00", 480)]


@pytest.mark.parametrize("step_minutes", [5, 60, 150])
def test_through_the_hour_that_comes_twice_an_open_window_stays_open(step_minutes):
    # OpenCCU/OpenCCU#450: what happens every few minutes did not, for an hour.
    zone = ZoneInfo("Europe/Berlin")
    window = TimeWindow(start="01:00", end="03:30", timezone="Europe/Berlin")
    begin = datetime(2018, 10, 28, 1, 0, tzinfo=zone).timestamp()
    last = datetime(2018, 10, 28, 3, 30, tzinfo=zone).timestamp()
    assert last - begin == 3.5 * 3600
    at = begin
    while at < last:
        assert is_open(window, at)[0]
        at += step_minutes * 60.0
    assert not is_open(window, last)[0]
