"""One flush serves all doses that wait; a disk that fails is told to each, and logged once."""

from __future__ import annotations

import structlog

from godkaiser.actors.rules.dose_keeper import DoseKeeperActor, KeepMemory, MemoryKept
from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.supervision import ActorSystem, ChildSpec, SimulatedRuntime, supervisor
from tests.actors.rule_stage import Listener


class Stage:
    def __init__(self):
        self.groups, self.told = [], []
        self.fails = False
        self.runtime = SimulatedRuntime(1)
        self.runtime.calm()
        tree = supervisor(
            "gateway",
            [
                ChildSpec(name="doses", factory=lambda: DoseKeeperActor(self._keep)),
                ChildSpec(name="rule", factory=lambda: Listener(self.told)),
            ],
        )
        self.system = ActorSystem(tree, self.runtime)
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 60.0)

    def _keep(self, notes):
        # A slow disk: meanwhile the next ones come.
        self.runtime.pause(0.05)
        if self.fails:
            raise OSError(28, "No space left on device")
        self.groups.append([note.rule_id for note in notes])

    def keep(self, numbers, *, reply=True):
        for number in numbers:
            self.system.handle("/doses").tell(
                KeepMemory(
                    rule_id=number,
                    memory=RuleMemory(changes=number),
                    ticket=f"t{number}",
                    reply_to=self.system.handle("/rule") if reply else None,
                )
            )


def test_what_comes_during_a_flush_is_one_group():
    stage = Stage()
    stage.keep([1])
    stage.runtime.run_for(0.01)
    stage.keep(range(2, 400))
    stage.runtime.run_for(5.0)
    assert sorted(number for group in stage.groups for number in group) == list(range(1, 400))
    assert len(stage.groups) <= 3
    assert [kept.ticket for kept in stage.told] == [f"t{n}" for n in range(1, 400)]
    assert all(kept.problem == "" for kept in stage.told)


def test_a_disk_that_fails_is_told_to_each_and_logged_once():
    stage = Stage()
    stage.fails = True
    with structlog.testing.capture_logs() as lines:
        for number in range(5):
            stage.keep([number])
            stage.runtime.run_for(1.0)
        stage.fails = False
        stage.keep([9])
        stage.runtime.run_for(1.0)
    assert [bool(kept.problem) for kept in stage.told] == [True] * 5 + [False]
    assert isinstance(stage.told[0], MemoryKept)
    assert "No space left on device" in stage.told[0].problem
    assert [line["event"] for line in lines] == ["doses_held_back", "doses_go_on"]


def test_who_waits_for_nothing_is_told_nothing():
    stage = Stage()
    stage.keep([1, 2], reply=False)
    stage.runtime.run_for(1.0)
    assert sorted(number for group in stage.groups for number in group) == [1, 2]
    assert stage.told == []
