"""The housekeeper: periodic clean-up of the database, one batch at a time.

The timekeeper or an administrator starts it. There is one run at a time, until no old rows are
left: with a daily limit, retention could fall behind the readings. After each batch it pauses for
as long as the batch took, so that others have the database at least half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.config.settings import RetentionConfig
from godkaiser.domain.records import retention
from godkaiser.domain.records.retention import RetentionRun
from godkaiser.domain.records.retention_clock import believed, doubt
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import accounts
from godkaiser.storage.series.retention import (
    BATCH,
    Kind,
    count_before,
    delete_before,
    keep_belief,
    load_belief,
)
from godkaiser.supervision import Actor

PURGE_JOB = "purge_expired_tokens"
RETENTION_JOB = "retention"
JOBS = (PURGE_JOB, RETENTION_JOB)
AFTER_START_S = 900.0
"""A box that is switched off each night would never run retention at its calendar time."""
LONGEST_PAUSE_S = 60.0
log = structlog.get_logger("godkaiser.housekeeper")


class RunJob(Message, frozen=True, kw_only=True):
    """Run a job now. Reply: RunView, at the start. Refusals: InvalidTransition while it runs."""

    job: str
    dry_run: bool
    by: str


class NextBatch(Message, frozen=True, kw_only=True):
    """To oneself."""


class RunView(Message, frozen=True, kw_only=True):
    """Published under the job's name. `state`: never, running, done or failed."""

    job: str
    state: str = "never"
    dry_run: bool = False
    by: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    batches: int = 0
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    result: str = ""


class HousekeeperActor(Actor):
    refusals = (InvalidTransition,)

    def __init__(self, database: Database, policy: RetentionConfig) -> None:
        super().__init__()
        self._database = database
        self._policy = policy
        self._run: RetentionRun | None = None
        self._doubt = ""

    def on_start(self) -> None:
        for job in JOBS:
            self.context.join(job)
            view = self._view(job)
            if view.state == "running":
                # The run ended with the previous incarnation; its finished batches stay.
                view = msgspec.structs.replace(view, state="failed", result="it crashed")
            self.context.publish(job, view)
        if not self._policy.dry_run:
            tick = Tick(job=RETENTION_JOB, at=self.context.now() + AFTER_START_S)
            self.context.schedule(AFTER_START_S, tick, key=RETENTION_JOB)

    def on_receive(self, message: object) -> Any:
        match message:
            case Tick(job=job):
                if self._view(job).state == "running":
                    return None
                return self._begin(job, self._policy.dry_run and job == RETENTION_JOB, "timekeeper")
            case RunJob(job=job, dry_run=dry_run, by=by):
                if self._view(job).state == "running":
                    raise InvalidTransition(reason=f"{job} is already running; see its progress.")
                return self._begin(job, dry_run, by)
            case NextBatch():
                self._next_batch()
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        self._database.close_thread()

    def _begin(self, job: str, dry_run: bool, by: str) -> RunView:
        now = self.context.now()
        view = RunView(job=job, state="running", dry_run=dry_run, by=by, started_at=now)
        self.context.publish(job, view)
        if job == RETENTION_JOB:
            self._attempt(job, lambda: self._plan(dry_run))
        else:
            # Update retention's time every hour.
            self._attempt(job, self._believe)
            if self._view(job).state == "running":
                self._attempt(job, lambda: self._purge(now, dry_run))
        return self._view(job)

    def _plan(self, dry_run: bool) -> None:
        now = self._believe()
        self._run = retention.plan(_kept_days(self._policy), now, dry_run=dry_run)
        self.context.own.tell(NextBatch())

    def _believe(self) -> float:
        """The time for retention."""
        wall = self.context.now()
        before = load_belief(self._database)
        belief = believed(before, wall, self.context.monotonic(), self.context.boot_id())
        keep_belief(self._database, belief)
        self._doubt = doubt(belief, wall)
        if self._doubt:
            log.warning("clock_not_believed", reason=self._doubt)
        return belief.at

    def _purge(self, now: float, dry_run: bool) -> None:
        if dry_run:
            count = accounts.count_expired(self._database, now)
        else:
            count = accounts.purge_expired(self._database, now)
        verb = "would be removed" if dry_run else "removed"
        self._end(PURGE_JOB, "done", f"{count} tokens {verb}", counts={"tokens": count})

    def _next_batch(self) -> None:
        run = self._run
        if run is None:
            return
        if run.current is None:
            self._run = None
            told = "; ".join(filter(None, (retention.summary(run), self._doubt)))
            self._end(RETENTION_JOB, "done", told)
            return
        self._attempt(RETENTION_JOB, lambda: self._forget(run))

    def _forget(self, run: RetentionRun) -> None:
        assert run.current is not None
        kind, before = run.current
        began = self.context.monotonic()
        if run.dry_run:
            count = count_before(self._database, Kind(kind), before)
        else:
            count = delete_before(self._database, Kind(kind), before)
        self._run = run = retention.after_batch(run, count, BATCH)
        view = self._view(RETENTION_JOB)
        view = msgspec.structs.replace(view, batches=run.batches, counts=run.removed)
        self.context.publish(RETENTION_JOB, view)
        pause_s = min(self.context.monotonic() - began, LONGEST_PAUSE_S)
        self.context.schedule(pause_s, NextBatch(), key="batch")

    def _attempt(self, job: str, work: Callable[[], object]) -> None:
        try:
            work()
        except DatabaseUnavailable as error:
            self._run = None
            # Its last batch was rolled back; earlier ones stay.
            self._end(job, "failed", error.message)

    def _end(self, job: str, state: str, result: str, **changes: Any) -> None:
        view = msgspec.structs.replace(
            self._view(job), state=state, result=result, ended_at=self.context.now(), **changes
        )
        self.context.publish(job, view)
        if any(view.counts.values()) and not view.dry_run and job == RETENTION_JOB:
            entry = AuditEntry(
                at=self.context.now(),
                who=view.by if ":" in view.by else f"system:{view.by}",
                what=f"{job} {state}",
                result="ok" if state == "done" else "failed",
                details=result[:500],
            )
            self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))

    def _view(self, job: str) -> RunView:
        view = self.context.recall(job)
        return view if isinstance(view, RunView) else RunView(job=job)


def _kept_days(policy: RetentionConfig) -> dict[str, float]:
    return {
        "readings": policy.readings_days,
        "minutes": policy.minutes_days,
        "hours": policy.hours_days,
        "commands": policy.history_days,
        "executions": policy.history_days,
        "audit": policy.audit_days,
    }
