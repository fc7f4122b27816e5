"""Time windows of rules: local time, weekdays, across midnight, the change of the clocks, what was missed.

On the nights on which the clocks change a window does as cron does. A window that begins at a time that does
not exist begins with the change; one that lies in such an hour altogether is as long as it should be from
then on. A time that exists twice counts the first time, so that no window opens twice.
"""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from godkaiser.domain.rules.schema import TimeWindow

DAY_S = 86_400.0
_TO_ONE_SECOND = 1.0


def is_open(window: TimeWindow, now: float) -> tuple[bool, str]:
    """Whether it is open, and the local time that decided."""
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
    """Seconds, on a day like any other."""
    return _between_s(_time(window.start), _time(window.end))


def is_caught_up(window: TimeWindow, seen: float | None, now: float) -> bool:
    """Whether the window that has ended last is open still, because nothing of it was seen.

    `seen` is when this window was last known open, or first looked at; None if it never was. Unix seconds.
    """
    if seen is None:
        return False
    start, end = last_begun(window, now)
    return seen < start and end <= now < end + window.catch_up_seconds


def last_begun(window: TimeWindow, now: float) -> tuple[float, float]:
    """Begin and end of the newest window that has begun, in unix seconds."""
    today = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.timezone)).date()
    for days in range(9):
        day = today - timedelta(days=days)
        begin, end = _span(window.start, window.end, window.timezone, day)
        if begin <= now and day.weekday() in window.weekdays:
            return begin, end
    # Without a weekday it never opens; that is refused at save.
    return now, now


@functools.lru_cache(maxsize=4096)
def _span(start: str, end: str, zone: str, day: date) -> tuple[float, float]:
    """Begin and end of the window that begins on this day, unix seconds."""
    first, last = _time(start), _time(end)
    begin, begins_late = _moment(day, first, ZoneInfo(zone))
    finish, _ = _moment(day if first < last else day + timedelta(days=1), last, ZoneInfo(zone))
    if begins_late and finish <= begin:
        # All of it is in the hour that does not exist.
        finish = begin + _between_s(first, last)
    return begin, finish


def _between_s(first: time, last: time) -> float:
    """From one time of day to the next time that it is the other."""
    between = datetime.combine(date.min, last) - datetime.combine(date.min, first)
    return between.total_seconds() % DAY_S


def _moment(day: date, clock: time, zone: ZoneInfo) -> tuple[float, bool]:
    """When it is that time; where it never is, the moment of the change, and True."""
    wanted = datetime.combine(day, clock, zone)
    moment = wanted.timestamp()
    if datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0) == wanted.replace(
        tzinfo=None
    ):
        return moment, False
    # By the offset before the change it is too late, by the one after it too early.
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
