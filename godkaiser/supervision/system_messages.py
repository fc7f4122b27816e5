"""The runtime's own words between supervisors and their children; they overtake ordinary ones."""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.supervision.spec import ChildSpec


class SystemMessage(msgspec.Struct, frozen=True):
    """Base of the runtime's own messages."""


class Stop(SystemMessage):
    """To any actor: finish, after the message in hand."""


class Crash(SystemMessage):
    """To any actor: fail, as if the message in hand had raised (tests, administrators)."""

    detail: str = "crash on request"


class ChildReady(SystemMessage):
    name: str
    incarnation: int


class ChildExited(SystemMessage):
    """`error` is None for a normal end."""

    name: str
    incarnation: int
    error: Any = None


class Reconcile(SystemMessage):
    """A supervisor's word to itself: a backoff or a deadline is over."""


class StartOverdue(SystemMessage):
    name: str
    incarnation: int


class StopOverdue(SystemMessage):
    name: str
    incarnation: int


class StartChild(SystemMessage):
    """Ask a supervisor. Reply: the Handle, valid at once. Refusal: ChildExists."""

    spec: ChildSpec


class StopChild(SystemMessage):
    """Ask a supervisor: end a child for good and forget it. Reply: whether there was one."""

    name: str


class RestartChild(SystemMessage):
    """Ask a supervisor: stop a child in order and start it again, with a new spec if given.

    Reply: whether there is one. The mailbox is kept.
    """

    name: str
    spec: ChildSpec | None = None


class Down(SystemMessage):
    """To a watcher: an incarnation of `path` ended; `error` is None for a normal end."""

    path: str
    incarnation: int
    error: Any = None
