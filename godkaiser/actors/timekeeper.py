"""The timekeeper: APScheduler turns calendar time into messages to other actors.

Deadlines of a single actor are that actor's own timers; here is what the whole gateway does at
fixed intervals and hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from godkaiser.messages import Message
from godkaiser.supervision import Actor


class Tick(Message, frozen=True, kw_only=True):
    """To the group of the job's name: its time has come."""

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


class Job(msgspec.Struct, frozen=True):
    """At each time of `trigger`, the members of the group `name` are told a Tick."""

    name: str
    trigger: BaseTrigger


class TimekeeperActor(Actor):
    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self._jobs = tuple(jobs)
        self._scheduler: Any = None

    def on_start(self) -> None:
        own = self.context.own
        # A late run is worth more than none, and several missed ones are worth one.
        scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": 60}
        )

        def report(event: JobExecutionEvent) -> None:
            own.tell(JobFailed(job=event.job_id, reason=repr(event.exception or "missed")))

        scheduler.add_listener(report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        now = self.context.now
        for job in self._jobs:
            scheduler.add_job(
                lambda name=job.name: own.tell(Tick(job=name, at=now())),
                job.trigger,
                id=job.name,
            )
        scheduler.start()
        self._scheduler = scheduler
        for job in self._jobs:
            self._show(self._view(job.name))

    def on_receive(self, message: object) -> None:
        match message:
            case Tick(job=job, at=at):
                for member in self.context.members(job):
                    member.tell(message)
                view = self._view(job)
                self._show(JobView(job=job, last_run=at, runs=view.runs + 1))
            case JobFailed(job=job, reason=reason):
                view = self._view(job)
                self.context.publish(job, msgspec.structs.replace(view, last_error=reason))
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def on_failure(self, *_exc_info: object) -> None:
        self.on_stop()

    def _show(self, view: JobView) -> None:
        job = self._scheduler.get_job(view.job)
        at = None if job is None or job.next_run_time is None else job.next_run_time.timestamp()
        self.context.publish(view.job, msgspec.structs.replace(view, next_run=at))

    def _view(self, job: str) -> JobView:
        view = self.context.recall(job)
        return view if isinstance(view, JobView) else JobView(job=job)
