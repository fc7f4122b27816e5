"""Retention and the wall clock. The kind: a clock that jumps, and what is young by its own records is gone.
Another: it deletes less in a day than comes in a day, or never, because the box sleeps when it is due.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser import paths
from godkaiser.actors.storage import housekeeper
from godkaiser.actors.storage.housekeeper import PURGE_JOB, RETENTION_JOB, HousekeeperActor, RunJob
from godkaiser.config.settings import RetentionConfig
from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.records.retention import DAY_S
from godkaiser.domain.records.retention_clock import PLAUSIBLE_S, Belief, believed, doubt
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.series.retention import delete_before
from godkaiser.supervision import ActorSystem, Chances, ChildSpec, SimulatedRuntime, supervisor
from tests.supervision.parts import Diary

KEY = SensorKey("ESP_A00001", 4, "ds18b20")
POLICY = RetentionConfig(readings_days=30, dry_run=False)


class Box:
    """A housekeeper on a real database, in simulated time."""

    def __init__(self, database):
        self.database = database
        self.runtime = SimulatedRuntime(1, Chances(interrupt=0.0, drowsy=0.0))
        self.system = ActorSystem(
            supervisor(
                "root",
                [
                    supervisor(
                        "control",
                        [supervisor("storage", [ChildSpec(name="journal", factory=Diary)])],
                    ),
                    supervisor(
                        "services",
                        [
                            ChildSpec(
                                name="housekeeper",
                                factory=lambda: HousekeeperActor(database, POLICY),
                            )
                        ],
                    ),
                ],
            ),
            self.runtime,
        )
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 10.0)

    def run(self, job):
        handle = self.system.handle(paths.HOUSEKEEPER)
        handle.ask(RunJob(job=job, dry_run=False, by="user:a"), timeout_s=60.0)
        self.runtime.run_until(lambda: self.view(job).state in {"done", "failed"}, 60.0)
        assert self.view(job).state == "done", self.view(job).result
        return self.view(job)

    def view(self, job):
        return self.system.published_value(paths.HOUSEKEEPER, job)

    def days(self, count):
        """So many days of uptime, with the job of each hour, and retention at each end."""
        for _ in range(count):
            for _ in range(24):
                self.runtime.run_for(3600.0)
                self.run(PURGE_JOB)
            self.run(RETENTION_JOB)

    def store(self, days_ago):
        at = self.runtime.now() - days_ago * DAY_S
        ReadingWriter(self.database).write(
            [Reading(KEY, at, at, 1.0, 1.0, "", Quality.GOOD, content_key=int(at))]
        )

    def store_old(self, count):
        at = self.runtime.now() - 40 * DAY_S
        ReadingWriter(self.database).write(
            [
                Reading(KEY, at - n, at, 1.0, 1.0, "", Quality.GOOD, content_key=n)
                for n in range(count)
            ]
        )

    def left(self):
        return self.database.fetch("SELECT count(*) FROM sensor_data")[0][0]


@pytest.fixture
def box(database):
    return Box(database)


def test_a_month_forward_deletes_nothing_that_is_young_by_its_own_records(box):
    for days_ago in (1, 10, 29, 31):
        box.store(days_ago)
    box.run(RETENTION_JOB)
    assert box.left() == 3
    box.runtime.jump_clock(40 * DAY_S)
    told = box.run(RETENTION_JOB)
    assert box.left() == 3
    assert "40.0 days ahead" in told.result
    # Somebody sets it right again.
    box.runtime.run_for(5 * 3600.0)
    box.runtime.jump_clock(-40 * DAY_S)
    told = box.run(RETENTION_JOB)
    assert box.left() == 3
    assert "ahead" not in told.result


def test_a_clock_that_stays_is_believed_in_the_end_and_what_is_old_goes(box):
    box.store(1)
    box.run(RETENTION_JOB)
    box.runtime.jump_clock(20 * DAY_S)
    box.days(8)
    assert box.left() == 1
    box.days(22)
    assert box.left() == 0
    assert "ahead" not in box.run(RETENTION_JOB).result


def test_a_run_goes_on_until_all_that_is_old_has_gone(box, monkeypatch):
    # kOlapsis/maintenant#46: what came in a day was more than one run removed.
    monkeypatch.setattr(housekeeper, "BATCH", 20)
    monkeypatch.setattr(
        housekeeper, "delete_before", lambda base, kind, at: delete_before(base, kind, at, 20)
    )
    box.store(1)
    box.store_old(2500)
    told = box.run(RETENTION_JOB)
    assert (box.left(), told.batches, told.counts) == (1, 126, {"readings": 2500})


def test_a_box_that_is_off_each_night_forgets_all_the_same(box):
    box.store(1)
    box.store_old(100)
    assert box.runtime.run_until(lambda: box.view(RETENTION_JOB).state == "done", 3600.0)
    assert box.left() == 1
    assert box.view(RETENTION_JOB).by == "timekeeper"


def test_a_weekend_without_power_is_no_matter(box):
    box.store(28)
    box.run(RETENTION_JOB)
    box.runtime.jump_clock(2.5 * DAY_S)
    told = box.run(RETENTION_JOB)
    assert box.left() == 0
    assert "ahead" not in told.result


@given(
    st.lists(
        st.tuples(st.floats(0.0, 10 * DAY_S), st.floats(-400 * DAY_S, 400 * DAY_S), st.booleans()),
        max_size=30,
    )
)
def test_however_the_clock_jumps_it_is_never_believed_to_run_away(steps):
    """`steps`: time that passes, a jump of the wall clock, and whether the machine was started again."""
    wall, mark, boot = 1e9, 0.0, 0
    belief: Belief | None = None
    for passed, jump, rebooted in steps:
        wall, mark = wall + passed + jump, mark + passed
        if rebooted:
            boot, mark = boot + 1, 0.0
        before = belief
        belief = believed(before, wall, mark, str(boot))
        assert belief.at <= wall
        assert (doubt(belief, wall) == "") == (belief.at == wall)
        if before is not None:
            assert belief.at - before.at <= 2 * passed + PLAUSIBLE_S + 1.0
