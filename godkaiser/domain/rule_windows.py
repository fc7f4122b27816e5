"""Time windows of rules: local time, weekdays, across midnight, and what was missed."""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from godkaiser.domain.rule_schema import TimeWindow


def is_open(window: TimeWindow, now: float) -> tuple[bool, str]:
    """Whether it is open, and the local time that decided."""
    local = _local(window, now)
    clock = local.time().replace(tzinfo=None)
    start, end = _time(window.start), _time(window.end)
    weekday = local.weekday()
    if start <= end:
        opened = start <= clock < end and weekday in window.weekdays
    elif clock >= start:
        opened = weekday in window.weekdays
    else:
        opened = clock < end and (weekday - 1) % 7 in window.weekdays
    return opened, f"{local:%a %H:%M} {window.timezone} in {window.start} to {window.end}"


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
    zone = ZoneInfo(window.timezone)
    start, end = _time(window.start), _time(window.end)
    today = _local(window, now).date()
    for days in range(9):
        day = today - timedelta(days=days)
        begin = _moment(day, start, zone)
        if begin <= now and day.weekday() in window.weekdays:
            return begin, _moment(day if start < end else day + timedelta(days=1), end, zone)
    # Without a weekday it never opens; that is refused at save.
    return now, now


def _local(window: TimeWindow, now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.timezone))


def _moment(day: date, clock: time, zone: ZoneInfo) -> float:
    return datetime.combine(day, clock, zone).timestamp()


@functools.lru_cache(maxsize=1000)
def _time(text: str) -> time:
    return time.fromisoformat(text)
