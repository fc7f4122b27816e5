"""Time windows of rules: local time, weekdays, midnight, daylight saving time, missed windows.

When the clocks change, a window behaves as in cron. A window that begins at a skipped time begins
with the change; one that lies completely in the skipped hour keeps its length from then on. Of a
time that exists twice the first counts, so that no window opens twice.
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from godkaiser.domain.rules.schema import TimeWindow

DAY_S = 86_400.0
_TO_ONE_SECOND = 1.0


def is_open(window: TimeWindow, now: float) -> tuple[bool, str]:
    """Whether the window is open, and the local time that decided."""
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.timezone))
    today = local.date()
    opened = any(
        begin <= now < end
        for day in (today, today - timedelta(days=1))
        if day.weekday() in window.weekdays
        for begin, end in (_span(window.start, window.end, window.timezone, day),)
    )
    return opened, f"{local:%a %H:%M} {window.timezone} in {window.start} to {window.end}"


def start_of(window: TimeWindow) -> float:
    """Seconds after midnight."""
    start = _time(window.start)
    return start.hour * 3600.0 + start.minute * 60.0 + start.second


def length_of(window: TimeWindow) -> float:
    """The length in seconds, on a day without a clock change."""
    return _between_s(_time(window.start), _time(window.end))


def is_caught_up(window: TimeWindow, seen: float | None, now: float) -> bool:
    """Whether the last ended window is still open, because the gateway missed it.

    `seen` is when this window was last known open, or first evaluated; None if never. Unix seconds.
    """
    if seen is None:
        return False
    start, end = last_begun(window, now)
    return seen < start and end <= now < end + window.catch_up_seconds


def last_begun(window: TimeWindow, now: float) -> tuple[float, float]:
    """Start and end of the newest window that has begun, in unix seconds."""
    today = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.timezone)).date()
    for days in range(9):
        day = today - timedelta(days=days)
        begin, end = _span(window.start, window.end, window.timezone, day)
        if begin <= now and day.weekday() in window.weekdays:
            return begin, end
    # Without a weekday it never opens; saving such a rule is refused.
    return now, now


@functools.lru_cache(maxsize=4096)
def _span(start: str, end: str, zone: str, day: date) -> tuple[float, float]:
    """Start and end of the window that begins on this day, unix seconds."""
    first, last = _time(start), _time(end)
    begin, begins_late = _moment(day, first, ZoneInfo(zone))
    finish, _ = _moment(day if first < last else day + timedelta(days=1), last, ZoneInfo(zone))
    if begins_late and finish <= begin:
        # The whole window is in the skipped hour.
        finish = begin + _between_s(first, last)
    return begin, finish


def _between_s(first: time, last: time) -> float:
    """From one time of day to the next time that it is the other."""
    between = datetime.combine(date.min, last) - datetime.combine(date.min, first)
    return between.total_seconds() % DAY_S


def _moment(day: date, clock: time, zone: ZoneInfo) -> tuple[float, bool]:
    """The moment of that local time; if it is skipped, the moment of the change and True."""
    wanted = datetime.combine(day, clock, zone)
    moment = wanted.timestamp()
    if datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0) == wanted.replace(
        tzinfo=None
    ):
        return moment, False
    # With the offset before the change it is too late, with the one after it too early.
    before, after = wanted.replace(fold=1).timestamp(), moment
    offset = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > _TO_ONE_SECOND:
        middle = (before + after) / 2.0
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return float(round(after)), True


@functools.lru_cache(maxsize=1000)
def _time(text: str) -> time:
    return time.fromisoformat(text)
