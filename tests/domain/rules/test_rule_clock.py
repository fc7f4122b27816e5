"""Moments that outlive a restart: by the boot's clock, by a plausible wall clock, or on the safe side.

The kind of fault: an interval that hangs on a clock which somebody sets, or which means something else after
another boot; and something remembered that lies in the future.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.clock_belief import MADE_AT, is_believable
from godkaiser.domain.rules.attempts import begun, undone
from godkaiser.domain.rules.clock import LONGEST_AWAY_S, read_back
from godkaiser.domain.rules.rules import ClockStamp, Progress, RuleMemory

DAY_S = 86_400.0
THEN = ClockStamp("boot-a", 5000.0, MADE_AT + 100 * DAY_S)
MEMORY = RuleMemory(
    last_fired=THEN.wall - 60.0, fired_at=4940.0, recent=(4000.0, 4940.0), since={"c": 4900.0},
    seen={"w": THEN.wall - 10.0}, reversals=(4500.0,), clock=THEN,
    progress=Progress(action=0, step=1, since=4960.0),
)  # fmt: skip


def test_in_the_same_boot_everything_means_what_it_meant():
    now = ClockStamp("boot-a", 5030.0, THEN.wall - 3600.0)
    found = read_back(MEMORY, now)
    assert (found.fired_at, found.recent, found.since) == (4940.0, (4000.0, 4940.0), {"c": 4900.0})
    assert found.progress == msgspec.structs.replace(MEMORY.progress, resumed=5030.0)
    # The wall clock was set back meanwhile: nothing that is shown lies in the future.
    assert found.last_fired == now.wall
    assert found.seen == {}


def test_after_another_boot_a_plausible_wall_clock_tells_how_long_it_was_away():
    found = read_back(MEMORY, ClockStamp("boot-b", 20.0, THEN.wall + 600.0))
    assert found.fired_at == 20.0 - 660.0
    assert found.progress.since == 20.0 - 640.0
    # What held until the machine went down may not have held since.
    assert found.since == {}


def test_a_firing_that_is_refused_after_another_boot_leaves_no_moment_of_the_boot_before():
    """A rule would stay silent until the new boot reached the old one's moments, however long that takes."""
    began = begun(MEMORY, msgspec.structs.replace(MEMORY, fired_at=4990.0), 4990.0)
    found = read_back(began, ClockStamp("boot-b", 20.0, THEN.wall + 600.0))
    assert found.attempt.since == 20.0 - 610.0
    undo = undone(found, "REFUSED", "no", 30.0)
    assert (undo.fired_at, undo.reversals) == (20.0 - 660.0, (20.0 - 1100.0,))
    assert undo.recent == (20.0 - 1600.0, 20.0 - 660.0)
    assert undo.last_fired == MEMORY.last_fired
    unsure = undone(read_back(began, ClockStamp("boot-b", 20.0, 0.0)), "REFUSED", "no", 30.0)
    assert (unsure.fired_at, unsure.last_fired) == (20.0, 0.0)


@pytest.mark.parametrize(
    "wall",
    [0.0, THEN.wall - 1.0, MADE_AT - 1.0, THEN.wall + LONGEST_AWAY_S + 1.0, THEN.wall + 30 * 366 * DAY_S],
    ids=["1970", "back", "older than the program", "more than a year", "far future"],
)  # fmt: skip
def test_where_the_clock_tells_nothing_it_counts_as_just_fired(wall):
    """The safe side: no dose early, and a pause begins again."""
    found = read_back(MEMORY, ClockStamp("boot-b", 20.0, wall))
    assert (found.fired_at, found.progress.since) == (20.0, 20.0)
    assert found.recent == (20.0, 20.0)


def test_what_a_version_before_remembered_counts_as_just_fired():
    old = RuleMemory(last_fired=THEN.wall, recent=(THEN.wall,))
    found = read_back(old, ClockStamp("boot-b", 20.0, THEN.wall + 9999.0))
    assert (found.fired_at, found.recent) == (20.0, (20.0,))


moments = st.floats(0.0, 1e6)
walls = st.floats(-1e9, 1e10)


@given(moments, walls, moments, walls, st.booleans(), moments)
def test_nothing_remembered_lies_in_the_future_and_nothing_is_due_early(
    then, wall_then, now, wall_now, same, fired_ago
):
    memory = RuleMemory(
        last_fired=wall_then, fired_at=then - fired_ago, recent=(then - fired_ago,),
        reversals=(then,), seen={"w": wall_then}, clock=ClockStamp("a", then, wall_then),
        progress=Progress(action=0, step=0, since=then),
    )  # fmt: skip
    found = read_back(memory, ClockStamp("a" if same else "b", now, wall_now))
    every = (found.fired_at, *found.recent, *found.reversals, found.progress.since)
    assert all(at <= now for at in every)
    assert found.last_fired <= wall_now
    assert all(at <= wall_now for at in found.seen.values())
    # Its age is what passed by a clock that can be believed, and never more.
    away_s = now - then if same and now >= then else wall_now - wall_then
    assert now - found.fired_at <= max(0.0, away_s) + fired_ago + 1e-3


def test_a_clock_is_believed_when_it_is_not_before_the_program_nor_before_our_records():
    assert is_believable(MADE_AT)
    assert not is_believable(MADE_AT - 1.0)
    assert not is_believable(MADE_AT + 5.0, MADE_AT + 6.0)
