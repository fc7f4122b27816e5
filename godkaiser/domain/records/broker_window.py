"""Whether the broker's window, and not the disk, is what holds readings back; pure.

A broker that lets N messages be under way waits, with more at hand, until they are acknowledged. What
one sees then, group after group: all that is under way is in the group, it is always the same N, and
the next message comes at once after the acknowledgement. Without such a window a message would now and
then come while the disk is busy.
"""

from __future__ import annotations

import msgspec

AT_ONCE_S = 0.003
"""From an acknowledgement to the next message: there and back, and no waiting in between."""
GROUPS_IN_A_ROW = 200


class WindowWatch(msgspec.Struct, frozen=True):
    """`size` messages were under way in each of the last `groups` groups."""

    size: int = 0
    groups: int = 0

    @property
    def throttling(self) -> int:
        """The window that holds readings back; 0 when none was noticed."""
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
