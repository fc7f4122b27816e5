"""Process groups (Erlang's pg): named sets of handles, read without a lock."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from godkaiser.supervision.handle import Handle


class _Group:
    """`view` is the tuple for readers; None when the members have changed since."""

    __slots__ = ("members", "view")

    def __init__(self) -> None:
        self.members: dict[Handle, None] = {}
        self.view: tuple[Handle, ...] | None = None


class Groups:
    """All process groups. Joining and leaving cost the same at any size. The first reader after a
    change makes a new tuple of the members; all others share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[Hashable, _Group] = {}
        self._joined: dict[Handle, set[Hashable]] = {}

    def members(self, group: Hashable) -> tuple[Handle, ...]:
        """In the order of joining."""
        found = self._groups.get(group)
        if found is None:
            return ()
        view = found.view
        return self._renewed(found) if view is None else view

    def _renewed(self, group: _Group) -> tuple[Handle, ...]:
        with self._lock:
            view = group.view = tuple(group.members)
        return view

    def join(self, group: Hashable, handle: Handle) -> None:
        with self._lock:
            found = self._groups.setdefault(group, _Group())
            if handle not in found.members:
                found.members[handle] = None
                found.view = None
                self._joined.setdefault(handle, set()).add(group)

    def leave(self, group: Hashable, handle: Handle) -> None:
        with self._lock:
            self._leave(group, handle)

    def leave_all(self, handle: Handle) -> None:
        with self._lock:
            for group in tuple(self._joined.get(handle, ())):
                self._leave(group, handle)

    def _leave(self, group: Hashable, handle: Handle) -> None:
        found = self._groups.get(group)
        if found is None or handle not in found.members:
            return
        del found.members[handle]
        found.view = None
        if not found.members:
            del self._groups[group]
        joined = self._joined[handle]
        joined.discard(group)
        if not joined:
            del self._joined[handle]
