"""Process groups: their order, their ends, and that their cost does not grow with their size.

The kind of fault: a scan or a copy for each of many members, so that the start and the stop of ten thousand
devices take minutes.
"""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from godkaiser.supervision.groups import Groups

ACTORS = tuple(f"/a{n}" for n in range(6))


class Counted:
    """A handle that counts how often it is compared or hashed."""

    looks = 0

    def __hash__(self):
        Counted.looks += 1
        return id(self)

    def __eq__(self, other):
        Counted.looks += 1
        return self is other


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "leave_all", "read"]),
            st.sampled_from(["x", "y"]),
            st.sampled_from(ACTORS),
        )
    )
)
def test_they_behave_as_lists_without_doubles(acts):
    groups, model = Groups(), {"x": [], "y": []}
    for act, group, actor in acts:
        if act == "join":
            groups.join(group, actor)
            if actor not in model[group]:
                model[group].append(actor)
        elif act == "leave":
            groups.leave(group, actor)
            model[group] = [a for a in model[group] if a != actor]
        elif act == "leave_all":
            groups.leave_all(actor)
            model = {name: [a for a in kept if a != actor] for name, kept in model.items()}
        else:
            assert groups.members(group) == tuple(model[group])
    for group, expected in model.items():
        assert groups.members(group) == tuple(expected)
    if not any(model.values()):
        assert not groups._groups
        assert not groups._joined


def test_joining_and_leaving_cost_the_same_in_a_large_group():
    groups = Groups()
    members = [Counted() for _ in range(5000)]
    for member in members:
        groups.join("all", member)
        groups.join("some", member)
    joined = Counted.looks
    for member in members:
        groups.leave_all(member)
    left = Counted.looks - joined
    # A few hashes each; a scan would make 12 million.
    assert joined < 20 * 2 * len(members)
    assert left < 20 * 2 * len(members)
    assert groups.members("all") == ()


def test_readers_share_one_view_and_see_whole_states_while_others_join():
    groups = Groups()
    groups.join("all", "first")
    assert groups.members("all") is groups.members("all")
    wrong = []
    done = threading.Event()

    def read():
        seen = 0
        while not done.is_set():
            view = groups.members("all")
            if len(view) < seen or view[: len(view)] != ("first", *range(len(view) - 1)):
                wrong.append(view)
            seen = len(view)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2000):
        groups.join("all", number)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert len(groups.members("all")) == 2001
