"""Every trap of Pykka that the design lists, on real threads and in the pool: what Pykka leaves silent or dead, ours
reports and heals.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pykka
import pytest

from godkaiser.supervision import (
    Actor,
    ActorCrashed,
    ActorStopped,
    AskTimeout,
    Backoff,
    ChildSpec,
    Intensity,
    LifeStep,
    Reason,
    StartChild,
    StopChild,
)
from godkaiser.supervision.errors import ProxyRefused
from tests.supervision.parts import (
    DEFAULTS,
    PATIENCE_S,
    Diary,
    Poison,
    Refusal,
    child,
    diary,
    root,
    threaded,
)
from tests.waiting import eventually


@pytest.fixture(autouse=True, params=["own thread", "pooled"])
def kind_of_thread(request, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "pooled", request.param == "pooled")


OFTEN = Intensity(1000, 60.0)
AT_ONCE = Backoff(base_s=0.0)


def lenient(*children: ChildSpec) -> ChildSpec:
    return root(*children, intensity=OFTEN, backoff=AT_ONCE)


def failing_times(times: int, where: str, error: BaseException) -> Any:
    """An actor factory whose first `times` incarnations fail at `where`."""
    left = [times]

    def fail() -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error

    class Failing(Diary):
        def __init__(self) -> None:
            if where == "constructor":
                fail()
            super().__init__()

        def on_start(self) -> None:
            if where == "on_start":
                fail()

    return Failing


@pytest.mark.parametrize("where", ["constructor", "on_start"])
def test_a_start_that_raises_is_seen_and_tried_again(where):
    spec = child("a", failing_times(3, where, Poison("not yet")))
    with threaded(lenient(spec)) as system:
        assert system.handle("/a").ask("hello", timeout_s=PATIENCE_S) == "hello"
        assert system.steps.of("/a").count(LifeStep.CRASHED) == 3
        crashed = system.steps.await_("/a", LifeStep.CRASHED)
        assert "not yet" in crashed.detail and "Traceback" in crashed.traceback


def test_a_constructor_that_forgets_super_is_told_by_name():
    class Forgetful(Actor):
        def __init__(self) -> None:
            pass

    kinds = iter([Forgetful, Diary])
    spec = child("a", lambda: next(kinds)())
    with threaded(lenient(spec)) as system:
        detail = system.steps.await_("/a", LifeStep.CRASHED).detail
        assert "Forgetful.__init__ did not call super().__init__()" in detail


def test_what_was_sent_before_the_start_waits_for_it():
    pages: list = []

    class Slow(Diary):
        def on_start(self) -> None:
            gate.wait(PATIENCE_S)

    gate = threading.Event()
    with threaded(lenient()) as system:
        spec = child("a", lambda: Slow(pages))
        handle = system.handle("/").ask(StartChild(spec), timeout_s=PATIENCE_S)
        for n in range(10):
            handle.tell(n)
        gate.set()
        handle.ask("last", timeout_s=PATIENCE_S)
        assert pages == [*range(10), "last"]


def test_an_asked_message_that_raises_crashes_the_actor_and_tells_the_asker_at_once():
    """Pykka gives the error to the asker and lets the broken actor go on."""
    with threaded(lenient(diary("a"))) as system:
        with pytest.raises(ActorCrashed) as caught:
            system.handle("/a").ask(Poison("bad"), timeout_s=PATIENCE_S)
        assert isinstance(caught.value.__cause__, Poison)
        system.steps.await_("/a", LifeStep.READY, times=2)
        (letter,) = system.dead_letters.list()
        assert letter.reason is Reason.CRASHED and "Traceback" in letter.traceback


def test_a_declared_refusal_is_an_answer_and_no_crash():
    with threaded(lenient(diary("a"))) as system:
        with pytest.raises(Refusal):
            system.handle("/a").ask(Refusal("nothing there"), timeout_s=PATIENCE_S)
        system.handle("/a").tell(Refusal("told"))
        system.handle("/a").ask("still here", timeout_s=PATIENCE_S)
        assert system.info("/a").incarnation == 1
        assert system.dead_letters.counts() == {"refused": 1}


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("bare")])
def test_a_base_exception_is_a_crash_like_any_other(error):
    """In Pykka it ends all actors of the process."""
    with threaded(lenient(diary("a"), diary("bystander"))) as system:
        system.handle("/a").tell(error)
        system.steps.await_("/a", LifeStep.READY, times=2)
        assert system.handle("/a").ask("again", timeout_s=PATIENCE_S) == "again"
        assert system.info("/bystander").incarnation == 1


def test_a_message_sent_in_the_moment_of_stopping_is_handled_or_told():
    """Each message to a child that is stopped under fire is handled, or a dead letter, or told."""
    for _ in range(20):
        pages: list = []
        with threaded(lenient()) as system:
            boss = system.handle("/")
            handle = boss.ask(StartChild(diary("a", pages)), timeout_s=PATIENCE_S)
            go = threading.Barrier(3)

            def send(who, handle=handle, go=go):
                go.wait()
                for n in range(200):
                    handle.tell((who, n))

            senders = [threading.Thread(target=send, args=(who,)) for who in (0, 1)]
            for sender in senders:
                sender.start()
            go.wait()
            boss.ask(StopChild("a"), timeout_s=PATIENCE_S)
            for sender in senders:
                sender.join()
            # It is over before what waited is set aside, and has left after.
            eventually(lambda system=system: system.find("/a") is None)
            handled = [p for p in pages if isinstance(p, tuple) and p[0] in (0, 1)]
            dead = [letter.message for letter in system.dead_letters.list(1000)]
            assert sorted(handled + dead) == [(w, n) for w in (0, 1) for n in range(200)]


def test_an_ask_in_the_moment_of_stopping_is_answered_at_once():
    with threaded(lenient()) as system:
        boss = system.handle("/")
        handle = boss.ask(StartChild(diary("a")), timeout_s=PATIENCE_S)
        boss.ask(StopChild("a"), timeout_s=PATIENCE_S)
        with contextlib.suppress(ActorStopped):
            assert handle.ask("hello", timeout_s=PATIENCE_S) == "hello"
        eventually(lambda: system.find("/a") is None)
        with pytest.raises(ActorStopped):
            handle.ask("hello", timeout_s=3600.0)


def test_an_actor_that_never_answers_a_stop_is_given_up_with_its_stack():
    release = threading.Event()

    def sit_in_the_way(_actor: Actor) -> None:
        release.wait(60.0)

    with threaded(lenient()) as system:
        boss = system.handle("/")
        spec = diary("a", shutdown_timeout_s=0.05)
        handle = boss.ask(StartChild(spec), timeout_s=PATIENCE_S)
        handle.tell(sit_in_the_way)
        eventually(lambda: system.info("/a").busy_s > 0)
        boss.ask(StopChild("a"), timeout_s=PATIENCE_S)
        stuck = system.steps.await_("/a", LifeStep.STUCK)
        assert "did not stop within 0.05 s" in stuck.detail
        assert "sit_in_the_way" in stuck.traceback
        eventually(lambda: system.find("/a") is None)
        # A successor at the same path is not disturbed when the old thread comes back.
        pages: list = []
        again = boss.ask(StartChild(diary("a", pages)), timeout_s=PATIENCE_S)
        release.set()
        assert again.ask("hello", timeout_s=PATIENCE_S) == "hello"
        assert system.info("/a").incarnation == 1


def test_a_stuck_actor_does_not_keep_the_system_from_ending():
    release = threading.Event()
    with threaded(lenient(diary("a", shutdown_timeout_s=0.05), diary("b"))) as system:
        system.handle("/a").tell(lambda _: release.wait(60.0))
        eventually(lambda: system.info("/a").busy_s > 0)
        assert system.stop(PATIENCE_S)
        assert system.steps.of("/b")[-1] is LifeStep.STOPPED
    release.set()


def test_a_start_that_never_returns_is_given_up_and_tried_again():
    release = threading.Event()
    left = [1]

    class Hangs(Diary):
        def on_start(self) -> None:
            if left[0]:
                left[0] -= 1
                release.wait(60.0)

    spec = child("a", Hangs, start_timeout_s=0.05)
    with threaded(lenient(spec)) as system:
        assert "was not ready" in system.steps.await_("/a", LifeStep.STUCK).detail
        assert system.handle("/a").ask("hello", timeout_s=PATIENCE_S) == "hello"
        release.set()
        assert system.info("/a").incarnation == 2


def test_a_crash_in_on_stop_is_seen_and_the_stop_goes_on():
    class Bad(Diary):
        def on_stop(self) -> None:
            raise Poison("while tidying up")

    with threaded(lenient(diary("first"), child("a", Bad))) as system:
        assert system.stop(PATIENCE_S)
        assert "in on_stop" in system.steps.await_("/a", LifeStep.CRASHED).detail
        assert system.steps.of("/first")[-1] is LifeStep.STOPPED
        assert system.exit_code == 0


def test_a_crash_in_on_failure_does_not_hide_the_first_one():
    class Worse(Diary):
        def on_failure(self, *_error: Any) -> None:
            raise RuntimeError("on top of it")

    with threaded(lenient(child("a", Worse))) as system:
        system.handle("/a").tell(Poison("first"))
        system.steps.await_("/a", LifeStep.READY, times=2)
        details = [e.detail for e in system.steps.events if e.step is LifeStep.CRASHED]
        assert any("on top of it" in d for d in details) and any("first" in d for d in details)


def test_a_supervisor_that_crashes_itself_is_restarted_with_its_children():
    inner = root(diary("a"))
    spec = ChildSpec(name="inner", factory=inner.factory, start_timeout_s=30.0)
    with threaded(lenient(spec)) as system:
        handle = system.handle("/inner/a")
        system.crash("/inner")
        system.steps.await_("/inner", LifeStep.READY, times=2)
        assert handle.ask("hello", timeout_s=PATIENCE_S) == "hello"
        assert system.info("/inner/a").incarnation == 2


def test_no_answer_within_the_timeout_names_the_actor():
    release = threading.Event()
    with threaded(lenient(diary("a"))) as system:
        system.handle("/a").tell(lambda _: release.wait(60.0))
        with pytest.raises(AskTimeout, match=r"/a did not answer str within 0\.02 s"):
            system.handle("/a").ask("hello", timeout_s=0.02)
        release.set()


def test_pykkas_own_ways_in_are_open_or_refused_by_name():
    refs: list[pykka.ActorRef[Any]] = []
    with threaded(lenient(diary("a"))) as system:
        system.handle("/a").ask(lambda actor: refs.append(actor.actor_ref), timeout_s=PATIENCE_S)
        (ref,) = refs
        assert ref.ask("by Pykka's ask", timeout=PATIENCE_S) == "by Pykka's ask"
        with pytest.raises(ProxyRefused):
            ref.proxy().on_receive("x")
        with pytest.raises(ProxyRefused):
            ref.stop(block=False)
    with pytest.raises(TypeError, match="through a supervisor"):
        Diary.start()


def test_the_stall_detector_shows_the_stack_once_for_each_message():
    release = threading.Event()

    def slow_query(_actor: Actor) -> None:
        release.wait(60.0)

    with threaded(lenient(diary("a", stall_after_s=0.03))) as system:
        system.handle("/a").tell(slow_query)
        stalled = system.steps.await_("/a", LifeStep.STALLED)
        assert "slow_query" in stalled.traceback and "has been handling function" in stalled.detail
        release.set()
        system.handle("/a").ask("goes on", timeout_s=PATIENCE_S)
        assert system.steps.of("/a").count(LifeStep.STALLED) == 1
