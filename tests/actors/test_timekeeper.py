"""Ticks and the wall clock: an interval goes on whatever becomes of it, and a calendar begins anew.

The kind of fault: a clock that is set back stops what hangs on it, and one that is set forward makes it count
every run that it skipped.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import pytest
import structlog
from apscheduler.triggers.cron import CronTrigger

from godkaiser.actors.services.timekeeper import (
    CLOCK_WAS_SET_S,
    WATCH_CLOCK_S,
    Job,
    TimekeeperActor,
)
from godkaiser.supervision import Actor, ActorSystem, ChildSpec, SimulatedRuntime, supervisor

EVERY = Job(name="often", every_s=10.0)
DAILY = Job(name="daily", calendar=CronTrigger(hour=3, minute=10, timezone="UTC"))


class Member(Actor):
    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    def on_start(self):
        self.context.join("often")

    def on_receive(self, message):
        self._heard.append(self.context.monotonic())


@pytest.fixture
def started():
    heard = []
    runtime = SimulatedRuntime(1)
    runtime.calm()
    # The calendar's own thread goes by the real clock.
    runtime.jump_clock(time.time() - runtime.now())
    system = ActorSystem(
        supervisor(
            "gateway",
            [
                ChildSpec(name="timekeeper", factory=lambda: TimekeeperActor([EVERY, DAILY])),
                ChildSpec(name="member", factory=lambda: Member(heard)),
            ],
        ),
        runtime,
    )
    system.start()
    assert runtime.run_until(system.ready.is_set, 60.0)
    yield runtime, system, heard
    system.stop()


@pytest.mark.parametrize("jump_s", [-3600.0, 30 * 86_400.0, -56 * 365 * 86_400.0])
def test_intervals_go_on_whatever_becomes_of_the_clock(started, jump_s):
    runtime, _, heard = started
    runtime.run_for(25.0)
    runtime.jump_clock(jump_s)
    runtime.run_for(100.0)
    assert len(heard) == 12
    gaps = [later - earlier for earlier, later in itertools.pairwise(heard)]
    assert all(gap == pytest.approx(10.0, abs=0.1) for gap in gaps)


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, 30 * 86_400.0])
def test_the_log_says_when_the_clock_was_set(started, jump_s):
    runtime, _, _ = started
    with structlog.testing.capture_logs() as lines:
        runtime.run_for(3 * WATCH_CLOCK_S)
        assert lines == []
        runtime.jump_clock(jump_s)
        runtime.run_for(3 * WATCH_CLOCK_S)
    (line,) = lines
    assert (line["event"], line["by_s"]) == ("clock_was_set", pytest.approx(jump_s, abs=0.1))
    gap = datetime.fromisoformat(line["now"]) - datetime.fromisoformat(line["before"])
    assert gap.total_seconds() == pytest.approx(jump_s, abs=1.0)


def test_a_clock_that_is_slewed_is_not_told(started):
    runtime, _, _ = started
    with structlog.testing.capture_logs() as lines:
        for _ in range(20):
            runtime.jump_clock(CLOCK_WAS_SET_S / 4)
            runtime.run_for(WATCH_CLOCK_S)
    assert lines == []


def test_the_calendar_begins_anew_and_counts_no_skipped_run(started):
    """After a jump its next run is the next by the new time; the calendar's clock is the real one here."""
    runtime, system, _ = started
    runtime.jump_clock(-3600.0)
    runtime.run_for(2 * WATCH_CLOCK_S)
    view = system.published_value("/timekeeper", "daily")
    assert (view.runs, view.last_error) == (0, "")
    assert 0.0 < view.next_run - time.time() <= 86_400.0
    assert datetime.fromtimestamp(view.next_run, UTC).strftime("%H:%M") == "03:10"
