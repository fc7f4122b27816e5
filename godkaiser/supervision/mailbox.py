"""The mailbox: bounded, measured, with an urgent lane, and it outlives the actor that reads it.

Many threads put, one reads. The reader takes the whole queue at once and then works through it
without the lock, so a busy actor pays for the lock once a batch; a message that waits in that batch
when the actor crashes is still in the mailbox and is handled by the successor, in order.
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


class Envelope(msgspec.Struct):
    """A message on its way. `timer` is set for a message that a timer sent."""

    message: Any
    reply_to: Any = None
    enqueued_at: float = 0.0
    attempts: int = 0
    timer: Any = None


class Mailbox:
    """`wake` is called, outside the lock, when a reader that found nothing has something to do."""

    __slots__ = (
        "_batch",
        "_blocked",
        "_lock",
        "_open",
        "_queue",
        "_space",
        "_spec",
        "_urgent",
        "_waiting",
        "high_water",
        "refused",
        "superseded",
        "wake",
    )

    def __init__(self, spec: MailboxSpec, wake: Callable[[], None]) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._space: threading.Condition | None = None
        self._queue: deque[Envelope] = deque()
        self._batch: deque[Envelope] = deque()
        self._urgent: deque[Envelope] = deque()
        self._waiting = False
        self._blocked = 0
        self._open = True
        self.wake = wake
        self.high_water = 0
        self.refused = 0
        self.superseded = 0

    @property
    def capacity(self) -> int:
        return self._spec.capacity

    def __len__(self) -> int:
        return len(self._queue) + len(self._batch) + len(self._urgent)

    def oldest(self) -> Envelope | None:
        """The message that waits longest; a glance from another thread, so only nearly exact."""
        for lane in (self._batch, self._queue):
            try:
                return lane[0]
            except IndexError:
                continue
        return None

    def attach(self, wake: Callable[[], None]) -> None:
        """A new reader takes over; it has not looked yet, so nobody need wake it."""
        with self._lock:
            self.wake = wake
            self._waiting = False

    def post(self, envelope: Envelope) -> Envelope | None:
        """Append. Returns a message that had to make room for it, if any.

        Raises:
            MailboxFull: at the bound, under `REFUSE`, or under `BLOCK` after its timeout.
            ActorStopped: the actor ended for good.
        """
        displaced = None
        with self._lock:
            if not self._open:
                raise ActorStopped
            depth = len(self._queue) + len(self._batch)
            if depth >= self._spec.capacity:
                displaced = self._make_room()
            self._queue.append(envelope)
            if depth >= self.high_water:
                self.high_water = depth + 1
            wake = self._waiting
            self._waiting = False
        if wake:
            self.wake()
        return displaced

    def post_urgent(self, envelope: Envelope, *, bounded: bool = True) -> None:
        """Append to the lane that overtakes all ordinary messages.

        Not `bounded` is for the runtime's own words between a supervisor and its children: at most
        a few for each child.
        """
        with self._lock:
            if not self._open:
                raise ActorStopped
            if bounded and len(self._urgent) >= URGENT_CAPACITY:
                self.refused += 1
                msg = f"the urgent lane holds {URGENT_CAPACITY} messages already"
                raise MailboxFull(msg)
            self._urgent.append(envelope)
            wake = self._waiting
            self._waiting = False
        if wake:
            self.wake()

    def post_beyond_bound(self, envelope: Envelope) -> None:
        """Append whatever the depth: for an actor's own timers, whose number is bounded itself."""
        with self._lock:
            if not self._open:
                raise ActorStopped
            self._queue.append(envelope)
            wake = self._waiting
            self._waiting = False
        if wake:
            self.wake()

    def put_back(self, envelope: Envelope) -> None:
        """Return the message in hand to the head, to be tried again by the successor."""
        with self._lock:
            self._batch.appendleft(envelope)

    def take(self) -> Envelope | None:
        """The next message; None when there is none (the next post will then call `wake`).

        Only the reader may call it.
        """
        if not self._urgent and self._batch:
            envelope = self._batch.popleft()
            if self._blocked:
                self._admit_blocked()
            return envelope
        with self._lock:
            if self._urgent:
                return self._urgent.popleft()
            if not self._batch:
                if not self._queue:
                    self._waiting = True
                    return None
                self._batch, self._queue = self._queue, self._batch
            envelope = self._batch.popleft()
        if self._blocked:
            self._admit_blocked()
        return envelope

    def close(self) -> list[Envelope]:
        """Accept nothing more; returns what was still waiting."""
        with self._lock:
            self._open = False
            left = [*self._urgent, *self._batch, *self._queue]
            self._urgent.clear()
            self._batch.clear()
            self._queue.clear()
            if self._space is not None:
                self._space.notify_all()
        return left

    def _admit_blocked(self) -> None:
        with self._lock:
            if self._space is not None:
                self._space.notify()

    def _make_room(self) -> Envelope | None:
        """Apply the overflow policy; the lock is held."""
        if self._spec.overflow is Overflow.KEEP_NEWEST:
            # The batch belongs to the reader, so only the queue gives way: one message beyond the
            # bound at the most.
            if not self._queue:
                return None
            self.superseded += 1
            return self._queue.popleft()
        if self._spec.overflow is Overflow.BLOCK and self._wait_for_space():
            return None
        self.refused += 1
        msg = f"the mailbox holds {self._spec.capacity} messages already"
        raise MailboxFull(msg)

    def _wait_for_space(self) -> bool:
        if self._space is None:
            self._space = threading.Condition(self._lock)
        self._blocked += 1
        try:
            has_space = self._await_space(self._space, self._spec.block_timeout_s)
        finally:
            self._blocked -= 1
        if not self._open:
            raise ActorStopped
        return has_space

    def _has_space(self) -> bool:
        return not self._open or len(self._queue) + len(self._batch) < self._spec.capacity

    def _await_space(self, space: threading.Condition, timeout_s: float) -> bool:
        """Wait with the lock given up; the simulation replaces this by turning its scheduler."""
        return space.wait_for(self._has_space, timeout_s)
