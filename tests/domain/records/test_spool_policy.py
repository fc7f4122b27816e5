from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.domain.records.spool_policy import ALARM_LEVELS, alarm_level, choose_victims

percents = st.floats(0, 100)
levels = st.sampled_from((0, *ALARM_LEVELS))


@given(percents, levels)
def test_an_alarm_is_raised_at_once_and_left_a_little_below(percent, before):
    level = alarm_level(percent, before)
    assert level in {0, *ALARM_LEVELS}
    assert level >= max((x for x in ALARM_LEVELS if percent >= x), default=0)
    if percent <= before - 5:
        assert level < before
    assert alarm_level(percent, level) == level


def test_a_spool_at_the_edge_does_not_flutter():
    level, told = 0, []
    for percent in (79, 80, 79.5, 80.5, 76, 80, 75, 96, 95, 94, 40):
        after = alarm_level(percent, level)
        if after != level:
            told.append(after)
        level = after
    assert told == [50, 80, 50, 95, 0]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 1000), max_size=20))
def test_the_busiest_go_and_no_more_of_them_than_needed(waiting):
    victims = choose_victims(waiting)
    total = sum(waiting.values())
    assert bool(victims) == (total > 0)
    spared = max((n for name, n in waiting.items() if name not in victims), default=0)
    assert all(waiting[name] >= spared for name in victims)
    if victims:
        assert sum(waiting[name] for name in victims) >= total * 0.1 - 1e-6
        least = min(waiting[name] for name in victims)
        assert sum(waiting[name] for name in victims) - least < total * 0.1
