"""A supervisor against a model: whatever is asked of it and whatever happens to its children, it has
the children that it should have, each in the life that it should be in.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from godkaiser.supervision import (
    Backoff,
    ChildExists,
    Intensity,
    Restart,
    RestartChild,
    StartChild,
    StopChild,
    Strategy,
    supervisor,
)
from tests.supervision.parts import Poison, diary, root, settle, simulated

NAMES = st.sampled_from("abcde")
KINDS = st.sampled_from(list(Restart))
ROBUST = Intensity(1_000_000, 1.0)


class SupervisorMachine(RuleBasedStateMachine):
    """`lives` is the model: name to [kind, incarnation]; in start order, as the strategies see it."""

    @initialize(strategy=st.sampled_from(list(Strategy)), seed=st.integers(0, 2**32))
    def begin(self, strategy, seed):
        self.strategy = strategy
        spec = supervisor("s", strategy=strategy, intensity=ROBUST, backoff=Backoff(base_s=0.0))
        self.system, self.runtime = simulated(root(spec, intensity=ROBUST), seed)
        self.boss = self.system.handle("/s")
        self.lives: dict[str, list] = {}

    def settled(self):
        settle(self.runtime, self.system)

    def ask(self, message):
        reply = self.boss.ask(message, timeout_s=60.0)
        self.settled()
        return reply

    def affected_by(self, name):
        order = list(self.lives)
        if self.strategy is Strategy.ONE_FOR_ONE:
            return [name]
        return order if self.strategy is Strategy.ONE_FOR_ALL else order[order.index(name) :]

    def restarted(self, names, failed=None):
        for name in names:
            if self.lives[name][0] is Restart.TEMPORARY and name != failed:
                del self.lives[name]
            else:
                self.lives[name][1] += 1

    @rule(name=NAMES, kind=KINDS)
    def start(self, name, kind):
        message = StartChild(diary(name, restart=kind))
        if name in self.lives:
            with pytest.raises(ChildExists):
                self.ask(message)
        else:
            self.ask(message)
            self.lives[name] = [kind, 1]

    @rule(name=NAMES)
    def stop(self, name):
        assert self.ask(StopChild(name)) is (name in self.lives)
        self.lives.pop(name, None)

    @rule(name=NAMES)
    def restart(self, name):
        assert self.ask(RestartChild(name)) is (name in self.lives)
        if name in self.lives:
            self.lives[name][1] += 1

    @rule(name=NAMES, crash=st.booleans())
    def end(self, name, crash):
        if name not in self.lives:
            return
        handle = self.system.handle(f"/s/{name}")
        handle.tell(Poison() if crash else lambda actor: actor.context.exit())
        self.settled()
        kind = self.lives[name][0]
        if kind is Restart.PERMANENT or (kind is Restart.TRANSIENT and crash):
            self.restarted(self.affected_by(name), failed=name)
        else:
            del self.lives[name]

    @rule()
    def crash_of_the_supervisor(self):
        self.system.crash("/s")
        self.settled()
        self.restarted(list(self.lives))

    @invariant()
    def it_has_whom_it_should_have(self):
        if not hasattr(self, "system"):
            return
        infos = {i.path: i for i in self.system.tree() if i.path.startswith("/s/")}
        assert {path: i.incarnation for path, i in infos.items()} == {
            f"/s/{name}": life for name, (_, life) in self.lives.items()
        }

    def teardown(self):
        if hasattr(self, "system"):
            assert self.system.stop(60.0)
            assert not self.system.cells()


SupervisorMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestSupervisorMachine = SupervisorMachine.TestCase
