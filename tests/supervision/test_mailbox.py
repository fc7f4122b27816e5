"""The mailbox by itself, with real threads where threads are the point."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from godkaiser.supervision.errors import ActorStopped, MailboxFull
from godkaiser.supervision.mailbox import URGENT_CAPACITY, Envelope, Mailbox
from godkaiser.supervision.spec import MailboxSpec, Overflow
from tests.waiting import eventually


def letters(mailbox: Mailbox) -> list:
    taken = []
    while (envelope := mailbox.take()) is not None:
        taken.append(envelope.message)
    return taken


class MailboxMachine(RuleBasedStateMachine):
    """Against a model of two deques."""

    def __init__(self):
        super().__init__()
        self.mailbox = Mailbox(MailboxSpec(capacity=4, overflow=Overflow.REFUSE))
        self.ordinary: deque = deque()
        self.urgent: deque = deque()
        self.in_hand = None
        self.count = 0
        self.woken = 0
        self.mailbox.attach(self._wake)

    def _wake(self):
        self.woken += 1

    def _next(self):
        self.count += 1
        return self.count

    @rule()
    def post(self):
        number = self._next()
        if len(self.ordinary) >= 4:
            with pytest.raises(MailboxFull):
                self.mailbox.post(Envelope(number))
        else:
            self.mailbox.post(Envelope(number))
            self.ordinary.append(number)

    @rule()
    def post_urgent(self):
        number = self._next()
        self.mailbox.post_urgent(Envelope(number))
        self.urgent.append(number)

    @rule()
    def post_beyond_the_bound(self):
        number = self._next()
        self.mailbox.post_beyond_bound(Envelope(number))
        self.ordinary.append(number)

    @rule()
    def take(self):
        envelope = self.mailbox.take()
        expected = None
        if self.urgent:
            expected = self.urgent.popleft()
        elif self.ordinary:
            expected = self.ordinary.popleft()
        assert (envelope and envelope.message) == expected
        if envelope is None:
            woken = self.woken
            self.post()
            assert self.woken == woken + 1
        else:
            self.in_hand = envelope

    @precondition(lambda self: self.in_hand is not None)
    @rule()
    def crash_and_try_again(self):
        self.mailbox.put_back(self.in_hand)
        self.ordinary.appendleft(self.in_hand.message)
        self.in_hand = None

    @invariant()
    def measures_are_true(self):
        assert len(self.mailbox) == len(self.ordinary) + len(self.urgent)
        assert self.mailbox.high_water <= 4 + self.count


TestMailboxMachine = MailboxMachine.TestCase


@given(st.integers(1, 5), st.integers(0, 12))
def test_keep_newest_keeps_the_newest_and_says_what_made_room(capacity, sent):
    mailbox = Mailbox(MailboxSpec(capacity=capacity, overflow=Overflow.KEEP_NEWEST))
    displaced = [mailbox.post(Envelope(n)) for n in range(sent)]
    assert [e.message for e in displaced if e] == list(range(max(sent - capacity, 0)))
    assert letters(mailbox) == list(range(sent))[-capacity:]


def test_block_holds_the_source_until_there_is_space():
    mailbox = Mailbox(MailboxSpec(capacity=1, overflow=Overflow.BLOCK, block_timeout_s=10.0))
    mailbox.post(Envelope("first"))
    through = threading.Event()

    def send():
        mailbox.post(Envelope("second"))
        through.set()

    sender = threading.Thread(target=send)
    sender.start()
    while not mailbox._blocked:
        pass
    assert not through.is_set()
    mailbox.attach(lambda: None)
    assert mailbox.take().message == "first"
    assert through.wait(5.0)
    sender.join()
    assert letters(mailbox) == ["second"]


def test_block_gives_up_after_its_timeout():
    mailbox = Mailbox(MailboxSpec(capacity=1, overflow=Overflow.BLOCK, block_timeout_s=0.01))
    mailbox.post(Envelope("first"))
    with pytest.raises(MailboxFull):
        mailbox.post(Envelope("second"))
    assert mailbox.refused == 1


def test_who_would_wait_for_itself_is_refused_at_once():
    mailbox = Mailbox(MailboxSpec(capacity=1, overflow=Overflow.BLOCK, block_timeout_s=3600.0))
    mailbox.attach(lambda: None)
    mailbox.post(Envelope("first"))
    with pytest.raises(MailboxFull):
        mailbox.post(Envelope("second"))


def test_a_blocked_sender_is_told_when_the_mailbox_closes():
    mailbox = Mailbox(MailboxSpec(capacity=1, overflow=Overflow.BLOCK, block_timeout_s=10.0))
    mailbox.post(Envelope("first"))
    told: list[type] = []

    def send():
        try:
            mailbox.post(Envelope("second"))
        except ActorStopped as error:
            told.append(type(error))

    sender = threading.Thread(target=send)
    sender.start()
    while not mailbox._blocked:
        pass
    assert [e.message for e in mailbox.close()] == ["first"]
    sender.join(5.0)
    assert told == [ActorStopped]


def test_the_urgent_lane_is_bounded_but_not_for_the_runtime():
    mailbox = Mailbox(MailboxSpec())
    for n in range(URGENT_CAPACITY):
        mailbox.post_urgent(Envelope(n))
    with pytest.raises(MailboxFull):
        mailbox.post_urgent(Envelope("one more"))
    mailbox.post_urgent(Envelope("the runtime's"), bounded=False)
    assert len(mailbox) == URGENT_CAPACITY + 1


def test_each_message_of_many_threads_is_taken_or_accounted_for_when_it_closes():
    """The moment of stopping: a message is handled, found by `close`, or told to its sender."""
    for _ in range(30):
        mailbox = Mailbox(MailboxSpec(capacity=100_000))
        mailbox.attach(lambda: None)
        refused: list[tuple[int, int]] = []
        start = threading.Barrier(5)

        def send(who, mailbox=mailbox, refused=refused, start=start):
            start.wait()
            for n in range(300):
                try:
                    mailbox.post(Envelope((who, n)))
                except ActorStopped:
                    refused.append((who, n))

        senders = [threading.Thread(target=send, args=(who,)) for who in range(4)]
        for sender in senders:
            sender.start()
        start.wait()
        taken = [e.message for _ in range(200) if (e := mailbox.take()) is not None]
        left = [e.message for e in mailbox.close()]
        for sender in senders:
            sender.join()
        assert sorted(taken + left + refused) == [(w, n) for w in range(4) for n in range(300)]
        for who in range(4):
            mine = [n for w, n in taken + left if w == who]
            assert mine == sorted(mine)


def test_a_thread_that_no_longer_reads_waits_for_space_like_any_other():
    """Thread identifiers are given again, and a pool's worker sends to those that it has read."""
    mailbox = Mailbox(MailboxSpec(capacity=1, overflow=Overflow.BLOCK, block_timeout_s=30.0))
    mailbox.attach(lambda: None)
    mailbox.post(Envelope("first", None, 0.0))
    with pytest.raises(MailboxFull):
        mailbox.post(Envelope("to itself", None, 0.0))
    mailbox.leave()
    taker = threading.Thread(target=_take_when_blocked, args=(mailbox,))
    taker.start()
    mailbox.post(Envelope("second", None, 0.0))
    taker.join(30)
    assert mailbox.take().message == "second"


def _take_when_blocked(mailbox):
    eventually(lambda: mailbox._blocked)
    assert mailbox.take().message == "first"
