"""The timekeeper: turns intervals and calendar time into messages to other actors.

Intervals are timers of the monotonic clock, so changes of the wall clock do not affect them.
APScheduler is only used for calendars. A change of the wall clock is logged, and the calendar
restarts from the new time: skipped runs are neither counted nor caught up. The deadlines of a
single actor are that actor's own timers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from godkaiser.actors.message import Message
from godkaiser.supervision import Actor

WATCH_CLOCK_S = 5.0
CLOCK_WAS_SET_S = 2.0
"""The wall clock may drift, and NTP slews it; a larger difference within `WATCH_CLOCK_S` means that
it was set.
"""

log = structlog.get_logger("godkaiser.time")


class Tick(Message, frozen=True, kw_only=True):
    """To the group of the job's name: it is due."""

    job: str
    at: float


class JobView(Message, frozen=True, kw_only=True):
    """Published under the job's name."""

    job: str
    last_run: float | None = None
    next_run: float | None = None
    runs: int = 0
    last_error: str = ""


class JobFailed(Message, frozen=True, kw_only=True):
    job: str
    reason: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Each `every_s` seconds, or at each time of `calendar`, the members of the group `name` are told a Tick."""

    name: str
    every_s: float = 0.0
    calendar: BaseTrigger | None = None


class IntervalOver(Message, frozen=True, kw_only=True):
    """To oneself: the job is due."""

    job: str


class WatchClock(Message, frozen=True, kw_only=True):
    """To oneself: check whether the wall clock was set."""


class TimekeeperActor(Actor):
    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._jobs = {job.name: job for job in jobs}
        self._scheduler: Any = None
        self._offset = 0.0

    def on_start(self) -> None:
        own = self.context.own
        scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": 60}
        )

        def report(event: JobExecutionEvent) -> None:
            own.tell(JobFailed(job=event.job_id, reason=repr(event.exception or "missed")))

        scheduler.add_listener(report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        now = self.context.now
        for job in self._jobs.values():
            if job.calendar is None:
                self._wait_for(job)
                continue
            scheduler.add_job(
                lambda name=job.name: own.tell(Tick(job=name, at=now())),
                job.calendar,
                id=job.name,
            )
        scheduler.start()
        self._scheduler = scheduler
        self._offset = self._offset_now()
        self.context.schedule(WATCH_CLOCK_S, WatchClock(), key="clock")
        for name in self._jobs:
            self._show(self._view(name))

    def on_receive(self, message: object) -> None:
        match message:
            case IntervalOver(job=name):
                self._wait_for(self._jobs[name])
                self._run(Tick(job=name, at=self.context.now()))
            case Tick():
                self._run(message)
            case JobFailed(job=job, reason=reason):
                view = self._view(job)
                self.context.publish(job, msgspec.structs.replace(view, last_error=reason))
            case WatchClock():
                self.context.schedule(WATCH_CLOCK_S, message, key="clock")
                self._watch_clock()
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def on_failure(self, *_exc_info: object) -> None:
        self.on_stop()

    def _wait_for(self, job: Job) -> None:
        self.context.schedule(job.every_s, IntervalOver(job=job.name), key=job.name)

    def _run(self, tick: Tick) -> None:
        for member in self.context.members(tick.job):
            member.tell(tick)
        view = self._view(tick.job)
        self._show(JobView(job=tick.job, last_run=tick.at, runs=view.runs + 1))

    def _offset_now(self) -> float:
        return self.context.now() - self.context.monotonic()

    def _watch_clock(self) -> None:
        offset = self._offset_now()
        by_s = offset - self._offset
        self._offset = offset
        if abs(by_s) < CLOCK_WAS_SET_S:
            return
        now = self.context.now()
        log.warning(
            "clock_was_set",
            by_s=round(by_s, 1),
            before=datetime.fromtimestamp(now - by_s, UTC).isoformat(timespec="seconds"),
            now=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        )
        for job in self._jobs.values():
            if job.calendar is not None:
                self._scheduler.reschedule_job(job.name, trigger=job.calendar)
            self._show(self._view(job.name))

    def _show(self, view: JobView) -> None:
        known = self._jobs[view.job]
        if known.calendar is None:
            at: float | None = self.context.now() + known.every_s
        else:
            job = self._scheduler.get_job(view.job)
            at = None if job is None or job.next_run_time is None else job.next_run_time.timestamp()
        self.context.publish(view.job, msgspec.structs.replace(view, next_run=at))

    def _view(self, job: str) -> JobView:
        view = self.context.recall(job)
        return view if isinstance(view, JobView) else JobView(job=job)
