"""Asks that are given up. The kind: an asker that was told 'no', of an actor that does it afterwards."""

from __future__ import annotations

import threading

import pytest

from godkaiser.supervision import ActorCrashed, AskInDoubt, AskTimeout, asking
from tests.supervision.parts import PATIENCE_S, Poison, diary, root, threaded


def test_what_an_actor_has_not_begun_with_in_time_is_never_done():
    pages: list = []
    gate = threading.Event()
    with threaded(root(diary("a", pages))) as system:
        handle = system.handle("/a")
        handle.tell(lambda _actor: gate.wait(PATIENCE_S))
        with pytest.raises(AskTimeout) as given_up:
            handle.ask("withdrawn", timeout_s=0.05, or_not_at_all=True)
        assert not isinstance(given_up.value, AskInDoubt)
        with pytest.raises(AskTimeout):
            handle.ask("late, but done", timeout_s=0.05)
        gate.set()
        assert handle.ask("next", timeout_s=PATIENCE_S, or_not_at_all=True) == "next"
    assert [page for page in pages if isinstance(page, str)] == ["late, but done", "next"]


def test_what_an_actor_has_begun_with_is_waited_for():
    begun, gate = threading.Event(), threading.Event()

    def slow(_actor):
        begun.set()
        gate.wait(PATIENCE_S)
        return "done after all"

    with threaded(root(diary("a"))) as system:
        timer = threading.Timer(0.3, gate.set)
        timer.start()
        answer = system.handle("/a").ask(slow, timeout_s=0.05, or_not_at_all=True)
        assert answer == "done after all"
        assert begun.is_set()


def test_what_does_not_end_is_told_as_doubt(monkeypatch):
    monkeypatch.setattr(asking, "FINISH_S", 0.05)
    gate = threading.Event()
    with threaded(root(diary("a"))) as system:
        with pytest.raises(AskInDoubt, match="had begun"):
            system.handle("/a").ask(
                lambda _actor: gate.wait(PATIENCE_S), timeout_s=0.05, or_not_at_all=True
            )
        gate.set()


def test_a_crash_on_it_is_told_as_before():
    with threaded(root(diary("a"))) as system, pytest.raises(ActorCrashed):
        system.handle("/a").ask(Poison("bad"), timeout_s=PATIENCE_S, or_not_at_all=True)


def test_many_askers_that_give_up_at_random_are_each_told_the_truth():
    pages: list = []
    told: dict[int, bool] = {}
    with threaded(root(diary("a", pages))) as system:
        handle = system.handle("/a")

        def ask(number):
            try:
                handle.ask(number, timeout_s=0.0005, or_not_at_all=True)
                told[number] = True
            except AskTimeout:
                told[number] = False

        for first in range(0, 400, 20):
            askers = [threading.Thread(target=ask, args=(n,)) for n in range(first, first + 20)]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join(PATIENCE_S)
        handle.ask("last", timeout_s=PATIENCE_S)
    done = {page for page in pages if isinstance(page, int)}
    assert done == {number for number, is_done in told.items() if is_done}
