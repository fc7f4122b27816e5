"""The runtime's own words between supervisors and their children; they overtake ordinary ones."""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.supervision.spec import ChildSpec


class SystemMessage(msgspec.Struct, frozen=True):
    """Base of the runtime's own messages."""


class Stop(SystemMessage, frozen=True):
    """To one incarnation, and not to its successor: finish, after the message in hand."""

    incarnation: int


class Crash(SystemMessage, frozen=True):
    """To one incarnation: fail, as if the message in hand had raised (tests, administrators)."""

    incarnation: int
    detail: str = "crash on request"


class ChildReady(SystemMessage, frozen=True):
    name: str
    incarnation: int


class ChildExited(SystemMessage, frozen=True):
    """`error` is None for a normal end. `waiting`: it did not start, because something is away."""

    name: str
    incarnation: int
    error: Any = None
    waiting: bool = False


class BackoffOver(SystemMessage, frozen=True):
    """A supervisor's word to itself: the child may be started."""

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

    A child of that name that was to stop and has not stopped yet gets a successor by this spec.
    """

    spec: ChildSpec


class AdoptChild(SystemMessage, frozen=True):
    """From `ActorContext.adopt` to the supervisor: supervise the child whose cell is there already."""

    spec: ChildSpec


class StopChild(SystemMessage, frozen=True):
    """Ask a supervisor: end a child for good and forget it. Reply, before it has ended: whether there
    was one.
    """

    name: str


class RestartChild(SystemMessage, frozen=True):
    """Ask a supervisor: stop a child in order and start it again, with a new spec if given.

    Reply: whether there is one. The mailbox is kept.
    """

    name: str
    spec: ChildSpec | None = None


class Down(SystemMessage, frozen=True):
    """To a watcher: an incarnation of `path` ended; `error` is None for a normal end."""

    path: str
    incarnation: int
    error: Any = None
