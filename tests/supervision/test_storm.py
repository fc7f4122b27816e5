"""A thousand storms, each from its seed; `make soak` runs a hundred thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.supervision.storm import Storm

SEEDS = 1000
SHARE = 50


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_nothing_is_lost_doubled_or_out_of_order(first, caplog):
    caplog.set_level("CRITICAL", logger="godkaiser.supervision")
    wrong = {seed: found for seed in range(first, first + SHARE) if (found := Storm(seed).run())}
    assert not wrong


def test_a_seed_is_replayed_step_by_step():
    for seed in (3, 17, 171):
        one, two = Storm(seed), Storm(seed)
        one.run()
        two.run()
        assert list(one.runtime.trace) == list(two.runtime.trace)
        assert one.runtime.steps > 100


def test_a_seed_is_the_same_run_in_another_process():
    """Nothing hangs on the order of a set or on an address."""
    script = (
        "import logging; logging.disable(); from tests.supervision.storm import Storm;"
        "s = Storm(171); s.run(); print(s.runtime.steps, *list(s.runtime.trace)[-30:])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(n)},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        for n in (1, 2)
    }
    assert len(runs) == 1


def test_storms_do_crash_and_interrupt():
    """The test of the test: the faults that it promises do happen."""
    storms = [Storm(seed) for seed in range(40)]
    for storm in storms:
        storm.run()
    assert sum(storm.runtime.crashes for storm in storms) > 100
    gave_up = [e for s in storms for e in s.system.events.recent() if e.step == "gave_up"]
    assert gave_up
    assert any(s.system.dead_letters.counts().get("overflow") for s in storms)
