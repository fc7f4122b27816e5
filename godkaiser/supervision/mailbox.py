"""The mailbox: bounded, measured, with an urgent lane; it survives restarts of its actor.

Many threads post, one reads. The usual path takes no lock: a deque's ends are atomic, and
a thread that was preempted while it held a lock would make all other senders wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from godkaiser.supervision.errors import ActorStopped, MailboxFull
from godkaiser.supervision.spec import MailboxSpec, Overflow

URGENT_CAPACITY = 4096


class Envelope(msgspec.Struct, eq=False):
    """A message in a mailbox. `timer` is set if a timer sent it."""

    message: Any
    reply_to: Any = None
    enqueued_at: float = 0.0
    attempts: int = 0
    timer: Any = None


def _no_reader_yet() -> None:
    """Wake nobody: the first reader checks the mailbox before it waits."""


class Mailbox:
    """`wake` is called when a reader that found nothing may have something to do; it must tolerate
    spurious calls.
    """

    __slots__ = (
        "_blocked",
        "_capacity",
        "_lock",
        "_open",
        "_queue",
        "_reader",
        "_space",
        "_spec",
        "_urgent",
        "_waiting",
        "high_water",
        "refused",
        "wake",
    )

    def __init__(self, spec: MailboxSpec) -> None:
        self._lock = threading.Lock()
        self._space = threading.Condition(self._lock)
        self._queue: deque[Envelope] = deque()
        self._urgent: deque[Envelope] = deque()
        self._waiting = False
        self._blocked = 0
        self._open = True
        self._reader = 0
        self.wake: Callable[[], None] = _no_reader_yet
        self.high_water = 0
        self.refused = 0
        self.configure(spec)

    def configure(self, spec: MailboxSpec) -> None:
        """Apply the bound and the policy of a new spec; waiting messages stay."""
        self._spec = spec
        self._capacity = spec.capacity

    @property
    def capacity(self) -> int:
        return self._capacity

    def __len__(self) -> int:
        return len(self._queue) + len(self._urgent)

    def waiting_since(self) -> float | None:
        """The time at which the oldest waiting message was sent; any thread may call this."""
        since = None
        for lane in (self._urgent, self._queue):
            try:
                sent = lane[0].enqueued_at
            except IndexError:
                continue
            since = sent if since is None else min(since, sent)
        return since

    def attach(self, wake: Callable[[], None]) -> None:
        """Make this thread the reader; it has not checked the mailbox yet, so no wake is needed."""
        self._reader = threading.get_ident()
        self.wake = wake
        self._waiting = False

    def read_here(self) -> None:
        """The reader continues in this thread."""
        self._reader = threading.get_ident()

    def leave(self) -> None:
        """The reader no longer runs in this thread.

        Thread identifiers are reused, and workers of a pool read other mailboxes: from now on a
        sender in this thread may wait for space.
        """
        if self._reader == threading.get_ident():
            self._reader = 0

    def post(self, envelope: Envelope, patience_s: float | None = None) -> Envelope | None:
        """Append. Returns the message that was dropped for it, if any.

        `patience_s` shortens the wait under `BLOCK`. Senders at the same instant may exceed
        the bound by one each.

        Raises:
            MailboxFull: at the bound, under `REFUSE`, or under `BLOCK` after its timeout.
            ActorStopped: the actor ended for good.
        """
        if not self._open:
            raise ActorStopped
        queue = self._queue
        depth = len(queue)
        displaced = self._make_room(patience_s) if depth >= self._capacity else None
        queue.append(envelope)
        if depth >= self.high_water:
            self.high_water = depth + 1
        if self._waiting:
            self._waiting = False
            self.wake()
        if not self._open:
            self._take_back(queue, envelope)
        return displaced

    def post_urgent(self, envelope: Envelope, *, bounded: bool = True) -> None:
        """Append to the urgent lane, which overtakes all ordinary messages.

        `bounded` False is for the runtime's own messages between a supervisor and its children: at
        most a few for each child.
        """
        if bounded and len(self._urgent) >= URGENT_CAPACITY:
            self.refused += 1
            msg = f"the urgent lane is full ({URGENT_CAPACITY} messages)"
            raise MailboxFull(msg)
        self._append(self._urgent, envelope)

    def post_beyond_bound(self, envelope: Envelope) -> None:
        """Append whatever the depth: for an actor's own timers, whose number is bounded, and
        for notices of ends (`Down`), which restart intensity bounds.
        """
        self._append(self._queue, envelope)

    def put_back(self, envelope: Envelope) -> None:
        """Put the message in hand back at the head, so that the successor tries it again."""
        self._queue.appendleft(envelope)
        if self._waiting:
            self._waiting = False
            self.wake()

    def take(self) -> Envelope | None:
        """The next message; None when there is none (the next post will then call `wake`).

        Only the reader may call it.
        """
        while True:
            try:
                if self._urgent:
                    return self._urgent.popleft()
                envelope = self._queue.popleft()
            except IndexError:
                self._waiting = True
                # A sender that did not see the flag appended before the flag was set.
                if not self._queue and not self._urgent:
                    return None
                self._waiting = False
                continue
            if self._blocked:
                with self._lock:
                    self._space.notify()
            return envelope

    def close(self) -> list[Envelope]:
        """Accept no more messages; returns the waiting ones.

        One by one, and not as a copy: a message that is appended meanwhile is found either here, or
        by its sender, which checks after it has appended.
        """
        left: list[Envelope] = []
        with self._lock:
            self._open = False
            for lane in (self._urgent, self._queue):
                while lane:
                    left.append(lane.popleft())
            self._space.notify_all()
        return left

    def _append(self, lane: deque[Envelope], envelope: Envelope) -> None:
        if not self._open:
            raise ActorStopped
        lane.append(envelope)
        if self._waiting:
            self._waiting = False
            self.wake()
        if not self._open:
            self._take_back(lane, envelope)

    def _take_back(self, lane: deque[Envelope], envelope: Envelope) -> None:
        """Remove a message that we appended while the mailbox was closed, unless `close` found it.

        Raises:
            ActorStopped: the message will not be handled, and `close` has not returned it.
        """
        with self._lock:
            try:
                lane.remove(envelope)
            except ValueError:
                return
        raise ActorStopped

    def _make_room(self, patience_s: float | None) -> Envelope | None:
        """Apply the overflow policy at the bound."""
        match self._spec.overflow:
            case Overflow.KEEP_NEWEST:
                try:
                    displaced = self._queue.popleft()
                except IndexError:
                    return None
                return displaced
            case Overflow.BLOCK:
                limit_s = self._spec.block_timeout_s
                if patience_s is not None:
                    limit_s = min(limit_s, patience_s)
                if self._wait_for_space(limit_s):
                    return None
            case Overflow.REFUSE:
                pass
        self.refused += 1
        msg = f"the mailbox is full ({self._capacity} messages)"
        raise MailboxFull(msg)

    def _wait_for_space(self, limit_s: float) -> bool:
        """The simulation overrides this and runs its scheduler."""
        if threading.get_ident() == self._reader:
            # Blocking on our own mailbox would deadlock.
            return False
        with self._lock:
            self._blocked += 1
            try:
                has_space = self._space.wait_for(self._has_space, limit_s)
            finally:
                self._blocked -= 1
        if not self._open:
            raise ActorStopped
        return has_space

    def _has_space(self) -> bool:
        return not self._open or len(self._queue) < self._capacity
