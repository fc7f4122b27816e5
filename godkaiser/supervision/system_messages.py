"""The runtime's own messages between supervisors and their children; they overtake ordinary ones."""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.supervision.spec import ChildSpec


class SystemMessage(msgspec.Struct, frozen=True):
    """Base of the runtime's own messages."""


class Stop(SystemMessage, frozen=True):
    """To one incarnation, not to its successor: stop after the message in hand."""

    incarnation: int


class Crash(SystemMessage, frozen=True):
    """To one incarnation: fail, as if the message in hand had raised (tests, administrators)."""

    incarnation: int
    detail: str = "crash on request"


class ChildReady(SystemMessage, frozen=True):
    name: str
    incarnation: int


class ChildExited(SystemMessage, frozen=True):
    """`error` is None for a normal end. `waiting`: it did not start, because something outside is
    unavailable.
    """

    name: str
    incarnation: int
    error: Any = None
    waiting: bool = False


class BackoffOver(SystemMessage, frozen=True):
    """From a supervisor's timer to itself: the child may be started."""

    name: str


class StartOverdue(SystemMessage, frozen=True):
    name: str
    incarnation: int


class StopOverdue(SystemMessage, frozen=True):
    name: str
    incarnation: int


class StartChild(SystemMessage, frozen=True):
    """Ask a supervisor. Reply: the Handle, valid at once. Refusals: ChildExists; ActorStopped when
    the supervisor itself is stopping.

    If a child of that name is still stopping, it is started again with this spec.
    """

    spec: ChildSpec


class AdoptChild(SystemMessage, frozen=True):
    """From `ActorContext.adopt` to the supervisor: supervise the child whose cell already exists."""

    spec: ChildSpec


class StopChild(SystemMessage, frozen=True):
    """Ask a supervisor: end a child for good and forget it. Reply, before the child has ended:
    whether there was such a child.
    """

    name: str


class RestartChild(SystemMessage, frozen=True):
    """Ask a supervisor: stop a child in order and start it again, with a new spec if one is given.

    Reply: whether there is such a child. Its mailbox is kept.
    """

    name: str
    spec: ChildSpec | None = None


class Down(SystemMessage, frozen=True):
    """To a watcher: an incarnation of `path` ended; `error` is None for a normal end."""

    path: str
    incarnation: int
    error: Any = None
