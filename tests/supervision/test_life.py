"""What lasts over a crash and what ends with it: handles, mailboxes, timers, watches, groups."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.supervision import (
    ActorCrashed,
    AskCycle,
    Backoff,
    ChildSpec,
    Down,
    Intensity,
    LifeStep,
    MailboxSpec,
    Overflow,
    Reason,
    StartChild,
    StopChild,
    UnknownPath,
    supervisor,
)
from godkaiser.supervision.errors import MailboxFull, TooManyTimers
from godkaiser.supervision.incarnation import TIMERS_PER_ACTOR
from tests.supervision.parts import (
    PATIENCE_S,
    Diary,
    Poison,
    diary,
    root,
    settle,
    simulated,
    threaded,
)

LENIENT = {"intensity": Intensity(100_000, 1.0), "backoff": Backoff(base_s=0.0)}


def words(pages):
    return [p for p in pages if isinstance(p, int | str)]


@given(
    st.lists(st.one_of(st.integers(0, 9), st.just("poison")), max_size=40),
    st.integers(0, 3),
    st.integers(0, 2**32),
)
def test_what_waited_at_a_crash_is_handled_by_the_successor_in_order(sent, budget, seed):
    """Whatever is sent, where ever the poison lies: all but the poison, once, in order."""
    pages: list = []
    system, runtime = simulated(root(diary("a", pages, retry_budget=budget), **LENIENT), seed)
    for message in sent:
        system.handle("/a").tell(Poison() if message == "poison" else message)
    settle(runtime, system)
    poison = sent.count("poison")
    assert words(pages) == [m for m in sent if m != "poison"]
    assert system.dead_letters.counts() == ({"crashed": poison} if poison else {})
    assert system.info("/a").restarts == poison * (budget + 1)


def test_a_message_is_tried_again_within_its_budget_and_in_its_place():
    tries = [3]

    def shaky(actor: Diary) -> None:
        tries[0] -= 1
        if tries[0]:
            raise Poison
        actor.pages.append("shaky")

    pages: list = []
    system, runtime = simulated(root(diary("a", pages, retry_budget=2), **LENIENT))
    for message in ("before", shaky, "after"):
        system.handle("/a").tell(message)
    settle(runtime, system)
    assert words(pages) == ["before", "shaky", "after"]
    assert not system.dead_letters.counts()


def test_an_asked_message_is_not_tried_again_but_answered_at_once():
    system, runtime = simulated(root(diary("a", retry_budget=5), **LENIENT))
    began = runtime.monotonic()
    with pytest.raises(ActorCrashed):
        system.handle("/a").ask(Poison(), timeout_s=1000.0)
    assert runtime.monotonic() - began < 1.0


def test_a_reply_taken_over_is_failed_when_the_actor_ends():
    owed: list[Any] = []
    system, runtime = simulated(root(diary("a"), diary("asker"), **LENIENT))
    answers: list[Any] = []

    def ask(_actor: Diary) -> None:
        try:
            system.handle("/a").ask(lambda a: owed.append(a.context.take_reply()), timeout_s=1000.0)
        except ActorCrashed as error:
            answers.append(error)

    system.handle("/asker").tell(ask)
    system.handle("/a").tell(lambda actor: actor.context.schedule(1.0, Poison()))
    runtime.run_for(10.0)
    assert len(owed) == 1 and len(answers) == 1


def test_a_dead_letter_is_sent_again_to_who_lives_there_now():
    system, runtime = simulated(root(diary("a"), **LENIENT))
    faults = [True]

    def fails_once(_actor: Diary) -> None:
        if faults.pop() if faults else False:
            raise Poison

    system.handle("/a").tell(fails_once)
    settle(runtime, system)
    (letter,) = system.dead_letters.list()
    assert letter.reason is Reason.CRASHED and letter.path == "/a"
    handled = system.info("/a").handled
    system.resend(letter.letter_id)
    settle(runtime, system)
    assert system.info("/a").handled == handled + 1
    assert not system.dead_letters.list()
    with pytest.raises(KeyError):
        system.resend(letter.letter_id)


def test_the_steps_of_a_life_are_told_in_order():
    system, runtime = simulated(root(diary("a"), **LENIENT))
    system.handle("/a").tell(Poison("why"))
    settle(runtime, system)
    system.stop()
    events = [e for e in system.events.recent() if e.path == "/a"]
    assert [(e.step, e.incarnation) for e in events] == [
        (LifeStep.STARTED, 1),
        (LifeStep.READY, 1),
        (LifeStep.CRASHED, 1),
        (LifeStep.RESTARTING, 1),
        (LifeStep.RESTARTED, 2),
        (LifeStep.READY, 2),
        (LifeStep.STOPPING, 2),
        (LifeStep.STOPPED, 2),
    ]
    assert "why" in events[2].detail and "Poison" in events[2].traceback


def test_a_listener_that_raises_disturbs_nobody():
    system, runtime = simulated(root(diary("a"), **LENIENT))

    def bad(_event: Any) -> None:
        raise Poison

    system.events.subscribe(bad)
    system.handle("/a").tell(Poison())
    settle(runtime, system)
    assert system.info("/a").incarnation == 2
    assert system.events.listener_failures > 0


def test_timers_end_with_the_incarnation_and_a_key_replaces():
    pages: list = []
    system, runtime = simulated(root(diary("a", pages), **LENIENT))

    def plan(actor: Diary) -> None:
        actor.context.schedule(1.0, "replaced", key="k")
        actor.context.schedule(2.0, "kept", key="k")
        actor.context.schedule(3.0, "cancelled", key="c")
        actor.context.cancel("c")
        actor.context.schedule(5.0, "of the dead")

    system.handle("/a").tell(plan)
    runtime.run_for(4.0)
    system.handle("/a").tell(Poison())
    runtime.run_for(10.0)
    assert words(pages) == ["kept"]


def test_a_cancelled_timer_counts_for_nothing_also_when_its_message_waits_already():
    pages: list = []
    system, runtime = simulated(root(diary("a", pages), **LENIENT))

    def plan(actor: Diary) -> None:
        actor.context.schedule(0.5, "too late", key="k")
        actor.context.pause(1.0)
        actor.context.cancel("k")

    system.handle("/a").tell(plan)
    runtime.run_for(3.0)
    assert words(pages) == []


def test_the_number_of_timers_is_bounded():
    system, _ = simulated(root(diary("a"), **LENIENT))

    def plan(actor: Diary) -> None:
        for n in range(TIMERS_PER_ACTOR):
            actor.context.schedule(1000.0, n)
        with pytest.raises(TooManyTimers):
            actor.context.schedule(1000.0, "one more")

    system.handle("/a").ask(plan, timeout_s=10.0)


def test_a_watcher_is_told_of_each_end_after_what_was_said_before():
    pages: list = []
    system, runtime = simulated(root(diary("watched"), diary("watcher", pages), **LENIENT))
    watcher = system.handle("/watcher")
    watcher.ask(lambda actor: actor.context.watch("/watched"), timeout_s=1.0)

    def last_words(_actor: Diary) -> None:
        watcher.tell("last words")
        raise Poison

    system.handle("/watched").tell(last_words)
    settle(runtime, system)
    watcher.tell(Poison())
    settle(runtime, system)
    system.handle("/watched").tell(lambda actor: actor.context.exit())
    settle(runtime, system)
    said = [p for p in pages if isinstance(p, Down | str)]
    assert said[0] == "last words"
    assert [(d.incarnation, type(d.error)) for d in said[1:]] == [(1, Poison), (2, type(None))]
    with pytest.raises(ActorCrashed) as caught:
        watcher.ask(lambda actor: actor.context.watch("/nobody"), timeout_s=1.0)
    assert isinstance(caught.value.__cause__, UnknownPath)


def test_groups_are_left_at_the_end_for_good_and_not_at_a_crash():
    system, runtime = simulated(root(**LENIENT))
    boss = system.handle("/")
    handle = boss.ask(StartChild(diary("a")), timeout_s=1.0)
    handle.ask(lambda actor: actor.context.join("readers"), timeout_s=1.0)
    handle.tell(Poison())
    settle(runtime, system)
    assert system.groups.members("readers") == (handle,)
    boss.ask(StopChild("a"), timeout_s=1.0)
    settle(runtime, system)
    assert system.groups.members("readers") == ()


def test_what_was_published_is_read_without_asking_and_over_a_crash():
    system, runtime = simulated(root(diary("a"), **LENIENT))
    system.handle("/a").ask(lambda actor: actor.context.publish("n", 7), timeout_s=1.0)
    system.handle("/a").tell(Poison())
    settle(runtime, system)
    assert system.published("/a") == {"n": 7}
    recall = lambda actor: actor.context.recall("n")  # noqa: E731
    assert system.handle("/a").ask(recall, timeout_s=1.0) == 7


def test_a_private_subtree_is_open_to_siblings_and_to_nobody_else():
    inner = supervisor("vault", [diary("gold")], private=True)
    system, _ = simulated(root(inner, diary("guard"), supervisor("far", [diary("away")])))
    with pytest.raises(UnknownPath):
        system.handle("/vault/gold")
    reach = lambda actor: actor.context.handle("/vault/gold").ask("hi", timeout_s=1.0)  # noqa: E731
    assert system.handle("/guard").ask(reach, timeout_s=1.0) == "hi"
    with pytest.raises(ActorCrashed) as caught:
        system.handle("/far/away").ask(reach, timeout_s=1.0)
    assert isinstance(caught.value.__cause__, UnknownPath)


def test_a_full_mailbox_does_what_its_class_says():
    pages: list = []
    newest = MailboxSpec(capacity=2, overflow=Overflow.KEEP_NEWEST)
    refuse = MailboxSpec(capacity=2, overflow=Overflow.REFUSE)
    children = [
        diary("newest", pages, mailbox=newest),
        diary("refuse", pages, mailbox=refuse),
    ]
    system, runtime = simulated(root(*children))
    for path in ("/newest", "/refuse"):
        handle = system.handle(path)
        for n in range(5):
            handle.tell(n)
        assert handle.offer(9) is (path == "/newest")
        settle(runtime, system)
    assert words(pages) == [4, 9, 0, 1]
    assert system.info("/refuse").mailbox_high_water == 2
    assert system.info("/refuse").mailbox_refused == 4
    assert system.dead_letters.counts() == {"overflow": 3}


def test_who_asks_a_full_mailbox_is_told_so():
    system, _ = simulated(root(diary("a", mailbox=MailboxSpec(capacity=1))))
    system.handle("/a").tell("one")
    with pytest.raises(MailboxFull):
        system.handle("/a").ask("two", timeout_s=1.0)


def test_an_urgent_message_overtakes_all_that_waits():
    pages: list = []
    system, runtime = simulated(root(diary("a", pages)))
    for n in range(5):
        system.handle("/a").tell(n)
    system.handle("/a").tell_urgent("stop")
    settle(runtime, system)
    assert words(pages) == ["stop", 0, 1, 2, 3, 4]


def _asks(path: str) -> Any:
    """A message that makes its receiver ask `path` in turn."""
    return lambda actor: actor.context.handle(path).ask("hello", timeout_s=5.0)


def test_a_circle_of_asks_is_refused_at_once_on_threads():
    chain = lambda actor: actor.context.handle("/b").ask(_asks("/a"), timeout_s=5.0)  # noqa: E731
    with threaded(root(diary("a"), diary("b"), **LENIENT)) as system:
        with pytest.raises(ActorCrashed) as caught:
            system.handle("/a").ask(chain, timeout_s=PATIENCE_S)
        inner = caught.value.__cause__
        assert isinstance(inner, ActorCrashed) and isinstance(inner.__cause__, AskCycle)
        assert "/b -> /a -> /b" in str(inner.__cause__)


def test_an_ask_of_oneself_is_a_circle():
    with threaded(root(diary("a"), **LENIENT)) as system:
        with pytest.raises(ActorCrashed) as caught:
            system.handle("/a").ask(_asks("/a"), timeout_s=PATIENCE_S)
        assert isinstance(caught.value.__cause__, AskCycle)


def test_child_names_are_path_segments():
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match="path segment"):
            ChildSpec(name=name, factory=Diary)
