"""Process groups (Erlang's pg): named sets of handles, read without a lock."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from godkaiser.supervision.handle import Handle


class Groups:
    """Membership changes copy the tuple of one group; a reader sees the old or the new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[Hashable, tuple[Handle, ...]] = {}
        self._joined: dict[Handle, set[Hashable]] = {}

    def members(self, group: Hashable) -> tuple[Handle, ...]:
        return self._members.get(group, ())

    def join(self, group: Hashable, handle: Handle) -> None:
        with self._lock:
            present = self._members.get(group, ())
            if handle not in present:
                self._members[group] = (*present, handle)
                self._joined.setdefault(handle, set()).add(group)

    def leave(self, group: Hashable, handle: Handle) -> None:
        with self._lock:
            self._leave(group, handle)

    def leave_all(self, handle: Handle) -> None:
        with self._lock:
            for group in tuple(self._joined.get(handle, ())):
                self._leave(group, handle)

    def _leave(self, group: Hashable, handle: Handle) -> None:
        left = tuple(member for member in self._members.get(group, ()) if member != handle)
        if left:
            self._members[group] = left
        else:
            self._members.pop(group, None)
        joined = self._joined.get(handle)
        if joined is not None:
            joined.discard(group)
            if not joined:
                del self._joined[handle]
