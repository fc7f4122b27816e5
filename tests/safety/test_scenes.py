"""The real safety actors in hundreds of dramas; `make soak` plays twenty thousand.

A violation is reported with the seed; `play(seed)` shows it again.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest

from tests.safety.quiet import quiet
from tests.safety.scenes import SCENES, play

SEEDS = 300
SHARE = 20
pytestmark = pytest.mark.skipif(
    find_spec("godkaiser.domain.actuator_machine") is None,
    reason="the promises that it checks are those of the new safety core",
)


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_whatever_happens_the_promises_hold_and_the_site_comes_back(first):
    seeds = range(first, first + SHARE)
    wrong = {seed: found for seed in seeds if (found := play(seed).plant.wrong)}
    assert not wrong


def test_a_seed_is_always_the_same_drama():
    one, other = play(7), play(7)
    assert (one.counts, one.plant.counts, one.runtime.steps) == (
        other.counts, other.plant.counts, other.runtime.steps,
    )  # fmt: skip


def test_dramas_are_dramatic():
    """The test of the test: every scene is played, and things do move, stop and break."""
    stages = [play(seed) for seed in range(40)]
    counts: Counter[str] = Counter()
    for stage in stages:
        counts.update(stage.counts)
        counts.update(stage.plant.counts)
        counts["crashes"] += stage.crashes + stage.runtime.crashes
    for scene, _ in SCENES:
        assert counts[scene.__name__] > 0, scene.__name__
    least = {"energised": 200, "withheld": 10, "stops": 60, "clears": 60, "kills": 4, "crashes": 50}
    for what, number in least.items():
        assert counts[what] > number, what
