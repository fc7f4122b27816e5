"""Detects that the broker's window, not the disk, limits the readings; pure.

A broker with a window of N messages stops, although more are waiting, until they are acknowledged.
The signs, in group after group: all unacknowledged messages are in the group, their number is
always the same N, and the next message comes directly after the acknowledgement. Without such a
window some messages would arrive while the disk is busy.
"""

from __future__ import annotations

import msgspec

AT_ONCE_S = 0.003
"""Maximum time from an acknowledgement to the next message: one round trip without waiting."""
GROUPS_IN_A_ROW = 200


class WindowWatch(msgspec.Struct, frozen=True):
    """`size` messages were under way in each of the last `groups` groups."""

    size: int = 0
    groups: int = 0

    @property
    def throttling(self) -> int:
        """The window that limits the readings; 0 if none was detected."""
        return self.size if self.groups >= GROUPS_IN_A_ROW else 0


def observe(watch: WindowWatch, *, group: int, under_way: int, came_after_s: float) -> WindowWatch:
    """A group of `group` messages is about to be written while `under_way` are not acknowledged; its
    first message came `came_after_s` after the acknowledgement of the group before.
    """
    if group != under_way or not 0.0 <= came_after_s <= AT_ONCE_S:
        return WindowWatch()
    if group != watch.size:
        return WindowWatch(group, 1)
    return WindowWatch(group, watch.groups + 1)
