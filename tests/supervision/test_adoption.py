"""A child is adopted without waiting for its supervisor, and its handle works at once.

The kind of fault: an actor on the path from a reading to an actuator that blocks on a supervisor, and
crashes or stands still with it.
"""

from __future__ import annotations

import pytest

from godkaiser.supervision import (
    Actor,
    ActorStopped,
    ActorSystem,
    ChildSpec,
    SimulatedRuntime,
    StopChild,
    UnknownPath,
    supervisor,
)
from tests.supervision.parts import diary


class Founder(Actor):
    """Runs what it is sent, in its own thread."""

    def on_receive(self, message):
        return message(self.context)


class World:
    """A founder beside a private supervisor, as the safety actor is beside that of the actuators."""

    def __init__(self, seed=1):
        self.pages = []
        self.runtime = SimulatedRuntime(seed)
        self.runtime.calm()
        branch = [
            supervisor("many", private=True, intensity=None),
            ChildSpec(name="founder", factory=Founder),
        ]
        self.system = ActorSystem(supervisor("root", [supervisor("branch", branch)]), self.runtime)
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 60.0)

    def do(self, act):
        """In the founder's thread; nobody else runs meanwhile."""
        return self.system.handle("/branch/founder").ask(act, timeout_s=5.0)

    def adopt(self, name="pump"):
        return self.do(lambda context: context.adopt("/branch/many", diary(name, self.pages)))

    def rest(self):
        self.runtime.run_for(1.0)


def test_what_is_told_at_once_is_handled_after_the_start():
    world = World()

    def act(context):
        pump = context.adopt("/branch/many", diary("pump", world.pages))
        pump.tell("on")
        pump.tell("off")

    world.do(act)
    world.rest()
    assert world.pages == [("start", "/branch/many/pump", 1), "on", "off"]


def test_a_child_that_is_there_is_kept_with_its_mailbox():
    world = World()
    first = world.adopt()
    world.rest()
    assert world.adopt() == first
    world.rest()
    assert world.system.info("/branch/many/pump").incarnation == 1


def test_the_founder_does_not_wait_for_a_supervisor_that_stands_still():
    """Proof 24: an ask of the supervisor held up a stop and crashed the safety actor."""
    world = World()
    life = world.system._cells["/branch/many"].life
    receive, life.receive = life.receive, lambda _message: None
    before = world.runtime.monotonic()
    pump = world.adopt()
    pump.tell("on")
    assert world.runtime.monotonic() - before < 0.1
    assert world.system.info("/branch/founder").restarts == 0
    life.receive = receive
    world.system.crash("/branch/many")
    world.rest()
    assert "on" in world.pages


def test_stopping_and_adopting_again_in_one_breath_gives_a_new_child_at_the_same_handle():
    world = World()
    old = world.adopt()
    world.rest()

    def act(context):
        context.handle("/branch/many").tell(StopChild("pump"))
        new = context.adopt("/branch/many", diary("pump", world.pages))
        new.tell("on")
        return new

    new = world.do(act)
    world.rest()
    assert new.alive
    # The old incarnation may still have handled it: it is one actor.
    assert "on" in world.pages
    assert old == new
    assert world.system.info("/branch/many/pump").incarnation == 2
    assert world.system.info("/branch/many/pump").state == "running"


def test_adopting_and_stopping_in_one_breath_leaves_nothing():
    world = World()

    def act(context):
        pump = context.adopt("/branch/many", diary("pump", world.pages))
        context.handle("/branch/many").tell(StopChild("pump"))
        return pump

    pump = world.do(act)
    world.rest()
    assert not pump.alive
    assert world.system.children("/branch/many") == []


@pytest.mark.parametrize("seed", range(200))
def test_the_handle_lasts_however_stops_adoptions_and_crashes_of_the_supervisor_meet(seed):
    world = World(seed)
    choices = world.runtime._jitter

    def act(context):
        many = context.handle("/branch/many")
        for _ in range(choices.randrange(1, 6)):
            if choices.random() < 0.5:
                many.tell(StopChild("pump"))
            if choices.random() < 0.3:
                world.system.crash("/branch/many")
            pump = context.adopt("/branch/many", diary("pump", world.pages))
        return pump

    for number in range(4):
        pump = world.do(act)
        pump.tell(f"word {number}")
        world.runtime.run_for(choices.random() * 0.01)
    world.runtime.run_for(60.0)
    assert "word 3" in world.pages
    assert pump.alive
    assert world.system.info("/branch/many/pump").state == "running"
    assert world.system._cells["/branch/many/pump"].adoptions == 0


def test_a_private_subtree_is_not_open_to_strangers_and_a_gone_supervisor_adopts_nothing():
    world = World()
    with pytest.raises(UnknownPath):
        world.system.adopt(world.system._cells["/branch"], "/branch/many", diary("pump"))
    founder = world.system._cells["/branch/founder"]
    with pytest.raises(UnknownPath):
        world.system.adopt(founder, "/nowhere", diary("pump"))
    world.system._cells["/branch/many"].mailbox.close()
    with pytest.raises(ActorStopped):
        world.system.adopt(founder, "/branch/many", diary("pump"))
    assert world.system.children("/branch/many") == []
