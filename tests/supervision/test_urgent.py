"""The urgent lane holds what it is for, and nothing else.

The kind of fault: a flood of something that is merely told urgently fills the lane, and the one message
that must overtake everything (a stop) is refused.
"""

from __future__ import annotations

import pytest

from godkaiser.supervision import MailboxFull, MailboxSpec
from godkaiser.supervision.mailbox import URGENT_CAPACITY
from tests.supervision.parts import Diary, child, root, simulated


class Halt(str):
    __slots__ = ()


@pytest.fixture
def busy():
    """An actor that has not read anything yet, for whom only Halt is urgent."""
    spec = MailboxSpec(capacity=URGENT_CAPACITY * 3, urgent=(Halt,))
    pages = []
    system, runtime = simulated(root(child("guard", lambda: Diary(pages), mailbox=spec)))
    pages.clear()
    return runtime, system.handle("/guard"), pages


def test_a_flood_that_is_told_urgently_never_refuses_a_stop(busy):
    runtime, guard, pages = busy
    for number in range(URGENT_CAPACITY * 2):
        guard.tell_urgent(number)
    guard.tell_urgent(Halt("halt"))
    runtime.run_for(60.0)
    assert pages[0] == "halt"
    assert pages[1:] == list(range(URGENT_CAPACITY * 2))


def test_an_ask_that_may_not_overtake_waits_its_turn(busy):
    runtime, guard, pages = busy
    guard.tell("first")
    guard.ask("second", timeout_s=60.0, urgent=True)
    guard.tell("third")
    guard.ask(Halt("halt"), timeout_s=60.0, urgent=True)
    runtime.run_for(60.0)
    assert pages == ["first", "second", "halt", "third"]


def test_what_goes_the_ordinary_way_is_bound_by_the_ordinary_bound(busy):
    _, guard, _ = busy
    for number in range(URGENT_CAPACITY * 3):
        guard.tell(number)
    with pytest.raises(MailboxFull):
        guard.ask("one more", timeout_s=1.0, urgent=True)


def test_without_a_list_every_type_may_overtake():
    pages = []
    system, runtime = simulated(root(child("guard", lambda: Diary(pages))))
    pages.clear()
    system.handle("/guard").tell("ordinary")
    system.handle("/guard").tell_urgent("urgent")
    runtime.run_for(60.0)
    assert pages == ["urgent", "ordinary"]
