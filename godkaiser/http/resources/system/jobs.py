"""/system/jobs: what the gateway does by itself."""

from __future__ import annotations

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.mock_keeper import ORPHANS_JOB
from godkaiser.actors.services.sensor_watch import SENSORS_JOB
from godkaiser.actors.services.timekeeper import JobView
from godkaiser.actors.storage.housekeeper import PURGE_JOB, RETENTION_JOB, RunJob, RunView
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.services import UnknownJob
from godkaiser.http.endpoint import ADMIN, VIEWER, Endpoint, Entries, Example
from godkaiser.http.exchange import RequestBody, ask, issuer_of, read_body, reply
from godkaiser.http.services import Services

OWNERS = {
    RETENTION_JOB: paths.HOUSEKEEPER,
    PURGE_JOB: paths.HOUSEKEEPER,
    ORPHANS_JOB: paths.MOCK_KEEPER,
    SENSORS_JOB: paths.SENSOR_WATCH,
}
"""Who runs it, publishes its result, and may be told to run it now."""


class RunBody(RequestBody, frozen=True, kw_only=True):
    dry_run: bool = True


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A job; times in unix seconds. `result` null: it tells none, or did not run yet."""

    name: str
    last_run: float | None
    next_run: float | None
    runs: int
    last_error: str
    result: RunView | None


ENDPOINTS = (
    Endpoint(
        "GET", "/system/jobs", "jobs", VIEWER,
        "List what the gateway does by itself: last run, next run, result, progress.", Entries[JobAnswer],
    ),
    Endpoint(
        "POST", "/system/jobs/{job}/run", "run", ADMIN, "Run a job now; without a body it is a dry run.", RunView, 202,
        details=f"One of {', '.join(f'`{job}`' for job in sorted(OWNERS))}; its progress is in the list.",
        body=RunBody, refuses=(UnknownJob, InvalidTransition),
        examples=(Example({"dry_run": True}, {"job": RETENTION_JOB}),),
    ),
)  # fmt: skip


class JobResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_jobs(self, req: falcon.Request, resp: falcon.Response) -> None:
        """From what timekeeper and housekeeper have published."""
        data = [self._job(name) for name in self._names()]
        reply(resp, Entries(data=data, count=len(data)))

    def on_post_run(self, req: falcon.Request, resp: falcon.Response, job: str) -> None:
        """A dry run, unless the body says otherwise; 202, and its progress is in the list."""
        if job not in self._names():
            raise UnknownJob(job=job[:64])
        if job not in OWNERS:
            reason = f"{job} runs by itself every few seconds; only {', '.join(sorted(OWNERS))} can be run."
            raise InvalidTransition(reason=reason)
        dry_run = read_body(req, RunBody).dry_run
        message = RunJob(job=job, dry_run=dry_run, by=str(issuer_of(req)))
        reply(resp, ask(self._services.system, OWNERS[job], message), 202)

    def _names(self) -> list[str]:
        published = self._services.system.published(paths.TIMEKEEPER)
        return sorted(view.job for view in published.values() if isinstance(view, JobView))

    def _job(self, name: str) -> JobAnswer:
        system = self._services.system
        due = system.published_value(paths.TIMEKEEPER, name)
        owner = OWNERS.get(name)
        run = None if owner is None else system.published_value(owner, name)
        return JobAnswer(
            name=name,
            last_run=due.last_run if isinstance(due, JobView) else None,
            next_run=due.next_run if isinstance(due, JobView) else None,
            runs=due.runs if isinstance(due, JobView) else 0,
            last_error=due.last_error if isinstance(due, JobView) else "",
            result=run if isinstance(run, RunView) else None,
        )
