"""Supervisors: order, strategies, kinds of children, intensity, and what is asked of them."""

from __future__ import annotations

import pytest

from godkaiser.supervision import (
    ActorStopped,
    Backoff,
    ChildExists,
    Intensity,
    LifeStep,
    MailboxSpec,
    Restart,
    RestartChild,
    RestartIntensityExceeded,
    StartChild,
    StopChild,
    Strategy,
    UnknownPath,
    supervisor,
)
from tests.supervision.parts import Poison, diary, root, settle, simulated

AT_ONCE = Backoff(base_s=0.0)


def starts(pages):
    return [
        (path, n) for kind, path, n in [p for p in pages if isinstance(p, tuple)] if kind == "start"
    ]


def kinds(pages):
    return [(p[0], p[1]) for p in pages if isinstance(p, tuple)]


def test_children_start_in_order_and_stop_in_reverse():
    pages: list = []
    inner = supervisor("inner", [diary("b", pages), diary("c", pages)])
    system, _ = simulated(root(diary("a", pages), inner, diary("d", pages)), seed=7)
    assert system.stop()
    up = [("start", p) for p in ("/a", "/inner/b", "/inner/c", "/d")]
    down = [("stop", p) for p in ("/d", "/inner/c", "/inner/b", "/a")]
    assert kinds(pages) == up + down
    assert system.exit_code == 0


@pytest.mark.parametrize(
    ("strategy", "again"),
    [
        (Strategy.ONE_FOR_ONE, ["/b"]),
        (Strategy.ONE_FOR_ALL, ["/a", "/b", "/c"]),
        (Strategy.REST_FOR_ONE, ["/b", "/c"]),
    ],
)
def test_a_crash_restarts_whom_the_strategy_says_in_start_order(strategy, again):
    for seed in range(20):
        pages: list = []
        children = [diary(name, pages) for name in "abc"]
        system, runtime = simulated(root(*children, strategy=strategy), seed=seed)
        system.handle("/b").tell(Poison())
        runtime.run_for(1.0)
        assert [path for path, n in starts(pages) if n > 1] == again
        stopped = [p for kind, p in kinds(pages) if kind == "stop"]
        assert stopped == [p for p in reversed(again) if p != "/b"]
        assert all(info.state == "running" for info in system.tree())


@pytest.mark.parametrize(
    ("restart", "crashes", "comes_back"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_permanent_transient_temporary(restart, crashes, comes_back):
    pages: list = []
    system, runtime = simulated(root(diary("a", pages, restart=restart)))
    handle = system.handle("/a")
    handle.tell(Poison() if crashes else lambda actor: actor.context.exit())
    runtime.run_for(1.0)
    assert len(starts(pages)) == (2 if comes_back else 1)
    assert handle.alive is comes_back
    if not comes_back:
        with pytest.raises(UnknownPath):
            system.handle("/a")


def test_a_finished_child_of_a_group_comes_back_with_the_group():
    pages: list = []
    children = [
        diary("once", pages, restart=Restart.TRANSIENT),
        diary("never_again", pages, restart=Restart.TEMPORARY),
        diary("always", pages),
    ]
    system, runtime = simulated(root(*children, strategy=Strategy.ONE_FOR_ALL))
    system.handle("/once").tell(lambda actor: actor.context.exit())
    runtime.run_for(1.0)
    system.handle("/always").tell(Poison())
    runtime.run_for(1.0)
    assert ("/once", 2) in starts(pages)
    assert ("/never_again", 2) not in starts(pages)


def test_too_many_restarts_escalate_to_the_next_supervisor_and_then_to_the_exit_code():
    inner = supervisor("inner", [diary("a")], intensity=Intensity(2, 60.0), backoff=AT_ONCE)
    system, runtime = simulated(root(inner, intensity=Intensity(1, 60.0), backoff=AT_ONCE))
    handle = system.handle("/inner/a")
    for _ in range(3):
        handle.tell(Poison())
        runtime.run_for(0.5)
    assert system.info("/inner").incarnation == 2
    assert system.failure is None
    assert handle.alive, "the handle lasts over its supervisor's restart"
    for _ in range(3):
        handle.tell(Poison())
        runtime.run_for(0.5)
    assert system.terminated.is_set()
    assert isinstance(system.failure, RestartIntensityExceeded)
    assert system.exit_code == 70
    gave_up = [e.path for e in system.events.recent() if e.step is LifeStep.GAVE_UP]
    assert gave_up == ["/inner", "/inner", "/"]


def test_restarts_that_are_far_apart_do_not_escalate():
    system, runtime = simulated(root(diary("a"), intensity=Intensity(2, 10.0), backoff=AT_ONCE))
    for _ in range(20):
        system.handle("/a").tell(Poison())
        runtime.run_for(6.0)
    assert system.info("/a").incarnation == 21


def test_backoff_grows_and_resets_after_a_healthy_time():
    backoff = Backoff(base_s=1.0, factor=2.0, jitter=0.0, healthy_after_s=100.0)
    system, runtime = simulated(root(diary("a"), intensity=Intensity(99, 1.0), backoff=backoff))
    for _ in range(4):
        system.handle("/a").tell(Poison())
        runtime.run_for(20.0)
    runtime.run_for(200.0)
    system.handle("/a").tell(Poison())
    runtime.run_for(20.0)
    delays = [e.delay_s for e in system.events.recent() if e.step is LifeStep.RESTARTING]
    assert delays == [0.0, 1.0, 2.0, 4.0, 0.0]


def test_dynamic_children_come_go_and_come_again():
    pages: list = []
    system, runtime = simulated(root())
    boss = system.handle("/")
    handle = boss.ask(StartChild(diary("x", pages)), timeout_s=1.0)
    handle.tell("before it was up")
    with pytest.raises(ChildExists):
        boss.ask(StartChild(diary("x")), timeout_s=1.0)
    assert boss.ask(StopChild("x"), timeout_s=1.0) is True
    again = boss.ask(StartChild(diary("x", pages)), timeout_s=1.0)
    runtime.run_for(1.0)
    assert "before it was up" in pages
    assert system.handle("/x") == again
    assert boss.ask(StopChild("x"), timeout_s=1.0) is True
    runtime.run_for(1.0)
    assert boss.ask(StopChild("x"), timeout_s=1.0) is False
    assert not again.alive
    again.tell("too late")
    assert system.dead_letters.counts() == {"stopped": 1}


def test_restart_by_request_keeps_the_mailbox_and_takes_a_new_spec():
    pages: list = []
    system, runtime = simulated(root(diary("a", pages)))
    system.handle("/a").tell("one")
    spec = diary("a", pages, mailbox=MailboxSpec(capacity=3))
    assert system.handle("/").ask(RestartChild("a", spec), timeout_s=1.0) is True
    system.handle("/a").tell("two")
    runtime.run_for(1.0)
    assert [p for p in pages if isinstance(p, str)] == ["one", "two"]
    assert system.info("/a").mailbox_capacity == 3
    assert system.info("/a").incarnation == 2


def test_a_supervisor_that_stops_starts_nothing_more():
    for seed in range(20):
        system, runtime = simulated(root(supervisor("inner", [diary("slow")])), seed=seed)
        inner = system.handle("/inner")
        system.request_stop()
        assert runtime.run_until(lambda: system.info("/inner").state == "stopping", 10.0)  # noqa: B023
        with pytest.raises(ActorStopped):
            inner.ask(StartChild(diary("late")), timeout_s=10.0)


def test_a_crashed_supervisor_takes_its_children_down_and_its_successor_starts_them_again():
    for seed in range(30):
        pages: list = []
        inner = supervisor("inner", [diary("a", pages), diary("b", pages)])
        system, runtime = simulated(root(inner), seed=seed)
        system.handle("/inner").ask(StartChild(diary("dynamic", pages)), timeout_s=1.0)
        handle = system.handle("/inner/dynamic")
        runtime.run_for(0.1)
        system.crash("/inner")
        handle.tell("waits for the successor")
        settle(runtime, system)
        assert system.info("/inner").incarnation == 2
        assert {i.path for i in system.tree()} == {
            "/",
            "/inner",
            "/inner/a",
            "/inner/b",
            "/inner/dynamic",
        }
        for path in ("/inner/a", "/inner/b", "/inner/dynamic"):
            assert system.info(path).incarnation == 2
        assert pages.count("waits for the successor") == 1


def test_a_crash_of_the_root_stops_all_and_is_told_by_the_exit_code():
    pages: list = []
    system, runtime = simulated(root(supervisor("inner", [diary("a", pages)])))
    system.crash("/", "the root itself")
    assert runtime.run_until(system.terminated.is_set, 60.0)
    assert ("stop", "/inner/a") in kinds(pages)
    assert system.exit_code == 70
    assert not system.cells()


def test_ten_children_that_never_stop_do_not_hold_the_others_up():
    def hold(actor):
        actor.context.pause(1e6)

    system, runtime = simulated(root(supervisor("inner", shutdown_timeout_s=30.0)))
    for n in range(10):
        system.handle("/inner").ask(
            StartChild(diary(f"stuck{n}", shutdown_timeout_s=1.0)), timeout_s=1.0
        )
    runtime.run_for(0.1)
    for n in range(10):
        system.handle(f"/inner/stuck{n}").tell(hold)
    began = runtime.now()
    system.request_stop()
    assert runtime.run_until(system.terminated.is_set, 60.0)
    (ended,) = (
        e.at for e in system.events.recent() if e.path == "/" and e.step is LifeStep.STOPPED
    )
    assert ended - began < 5.0
    stuck = [e for e in system.events.recent() if e.step is LifeStep.STUCK]
    assert {e.path for e in stuck} == {f"/inner/stuck{n}" for n in range(10)}
