"""Groups in which one item cannot be stored. The kind: one bad record that takes good ones with it."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.actors.storage.group_commit import GroupCommit
from godkaiser.errors.base import ServiceUnavailable


class Context(SimpleNamespace):
    """As much of an actor's context as a group commit needs; nothing waits, and no time passes."""

    def __init__(self):
        super().__init__(
            remembered={}, scheduled=[], own=SimpleNamespace(tell=lambda _message: None)
        )

    def recall(self, name):
        return self.remembered.get(name)

    def publish(self, name, value):
        self.remembered[name] = value

    def withdraw(self, name):
        self.remembered.pop(name, None)

    def backlog(self):
        return 1

    def random(self):
        return 0.5

    def schedule(self, _delay_s, message, key=None):
        self.scheduled.append((key, message))


def committing(write, aside, size=8):
    return GroupCommit(
        Context(), group_size=size, linger_s=0.0, write=write,
        set_aside=lambda item, why: aside.append((item, why)),
    )  # fmt: skip


@given(st.lists(st.booleans(), max_size=40), st.sets(st.integers(0, 30)))
def test_each_bad_item_is_set_aside_alone_and_every_good_one_is_stored_once_in_order(bad, away):
    stored, aside, calls = [], [], []

    def write(group):
        calls.append(len(group))
        if len(calls) in away:
            raise ServiceUnavailable(reason="away")
        if any(bad[n] for n in group):
            raise ValueError("A string literal cannot contain NUL (0x00) characters.")
        stored.extend(group)

    groups = committing(write, aside)
    for number in range(len(bad)):
        groups.add(number)
    for _ in range(len(away) + 1):
        groups.flush()
    assert stored == [n for n, is_bad in enumerate(bad) if not is_bad]
    assert [item for item, _ in aside] == [n for n, is_bad in enumerate(bad) if is_bad]
    assert all("NUL" in why for _, why in aside)


def test_a_bad_item_costs_a_few_more_writes_and_not_one_for_each_of_its_group():
    calls, aside = [], []

    def write(group):
        calls.append(len(group))
        if 700 in group:
            raise ValueError("bad")

    groups = committing(write, aside, size=1000)
    for number in range(1000):
        groups.add(number)
    groups.flush()
    assert len(aside) == 1
    assert len(calls) < 30
