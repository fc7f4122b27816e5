"""The queues between the receiving task and the control task (contract, 12.5, 16.2, 24).

They are empty again within the call that filled them, unless the control task is stalled: a fault
that tests inject.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes


@dataclass(frozen=True, slots=True)
class Job:
    flow: str
    intent: Intent
    run: Callable[[], None]
    dropped: Callable[[], None]


def _nothing() -> None:
    return


class Lane:
    def __init__(self, core: Core, outcomes: Outcomes, capacity: int) -> None:
        self._core = core
        self._outcomes = outcomes
        self._capacity = capacity
        self._jobs: deque[Job] = deque()
        self.stalled_until = 0.0

    @property
    def is_busy(self) -> bool:
        return bool(self._jobs)

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= self._capacity

    def add(
        self, flow: str, intent: Intent, run: Callable[[], None],
        dropped: Callable[[], None] = _nothing,
    ) -> None:  # fmt: skip
        """`dropped` is called if the job is dropped without having run."""
        self._jobs.append(Job(flow, intent, run, dropped))

    def work(self) -> None:
        while self._jobs and self._core.now >= self.stalled_until:
            job = self._jobs.popleft()
            if job.intent.expired(self._core.now):
                self._outcomes.tell(job.flow, job.intent, "expired", "TTL_EXPIRED")
                job.dropped()
            else:
                job.run()

    def flush(self) -> None:
        """A stop: drop the waiting jobs (11.1)."""
        while self._jobs:
            job = self._jobs.popleft()
            self._outcomes.tell(job.flow, job.intent, "expired", "SAFETY_QUEUE_FLUSHED")
            job.dropped()
