from __future__ import annotations

import random

from godkaiser.domain.records.broker_window import GROUPS_IN_A_ROW, WindowWatch, observe


def watched(groups):
    watch = WindowWatch()
    for group, under_way, came_after_s in groups:
        watch = observe(watch, group=group, under_way=under_way, came_after_s=came_after_s)
        if watch.throttling:
            return watch.throttling
    return 0


def test_the_same_number_at_once_again_and_again_is_a_window():
    assert watched([(20, 20, 0.0006)] * GROUPS_IN_A_ROW) == 20
    assert watched([(20, 20, 0.0006)] * (GROUPS_IN_A_ROW - 1)) == 0


def test_one_message_that_came_while_the_disk_was_busy_begins_the_count_again():
    some = [(20, 20, 0.0006)] * (GROUPS_IN_A_ROW - 1)
    assert watched([*some, (20, 21, 0.0006), *some]) == 0
    assert watched([*some, (20, 20, 0.5), *some]) == 0
    assert watched([*some, (19, 19, 0.0006), *some]) == 0
    assert watched([*some, (20, 20, -1.0), *some]) == 0, "the clock was set back"


def test_a_steady_stream_without_a_window_is_never_taken_for_one():
    """Evenly spaced messages against a disk that takes 5 to 20 ms."""
    chance = random.Random(1)
    for per_second in (20, 100, 130, 150, 200, 1000, 5000):
        groups, now, sent = [], 0.0, 0
        for _ in range(5000):
            waiting = int(now * per_second) - sent
            came = now if waiting else (sent + 1) / per_second
            group = max(1, waiting)
            sent += group
            # What came before the last acknowledgement came before it by however long it waits.
            after_s = came - now if not waiting else -0.001
            now = came + 0.005 + chance.uniform(0.0005, 0.015)
            groups.append((group, max(group, int(now * per_second) - sent + group), after_s))
        assert watched(groups) == 0, per_second
