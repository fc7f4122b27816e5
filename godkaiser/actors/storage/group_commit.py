"""Group commit: writes many small items in few transactions, without losing any.

A group is written when it is full, or when no more items wait after a pause of `linger_s`: so
actors that decide and act get the processor first, and a flood is written in large groups. While
neither database nor spool accepts them, the items wait and are tried again with backoff. A group
that is refused for its content is halved until the bad item is found and set aside alone. Waiting
items survive a crash of the actor; the successor then writes one at a time, so that an item which
crashes it is known, set aside, and does not crash it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from godkaiser.actors.message import Message
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.storage.engine.database import REFUSED
from godkaiser.supervision import ActorContext, Backoff
from godkaiser.supervision.strategy import backoff_delay

RETRY = Backoff(base_s=0.2, factor=2.0, max_s=10.0, jitter=0.2)

Item = TypeVar("Item")


class Flush(Message, frozen=True, kw_only=True):
    """From the group commit to its own actor: try again."""


class GroupCommit(Generic[Item]):
    """`write` stores a group in one transaction or raises; `set_aside` is called with an item that
    cannot be stored, and the reason.
    """

    def __init__(
        self,
        context: ActorContext,
        *,
        group_size: int,
        linger_s: float,
        write: Callable[[Sequence[Item]], None],
        set_aside: Callable[[Item, str], None],
    ) -> None:
        self._context = context
        self._group_size = group_size
        self._linger_s = linger_s
        self._has_lingered = False
        self._write = write
        self._set_aside = set_aside
        self._attempt = 0
        self.last_error = ""
        self._waiting: list[Item] = context.recall("waiting") or []
        self._singly = bool(self._waiting)
        context.publish("waiting", self._waiting)
        culprit = context.recall("in_hand")
        if culprit is not None:
            self._waiting.pop(0)
            context.withdraw("in_hand")
            context.reject(culprit, "writing it crashed its actor", kind="CRASHED_WRITE")
        if self._waiting:
            context.own.tell(Flush())

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        self._waiting.append(item)
        if self._attempt:
            return
        if len(self._waiting) >= self._group_size:
            self.flush()
            return
        if not self._has_lingered and not self._context.backlog():
            self._has_lingered = True
            self._context.pause(self._linger_s)
        if not self._context.backlog():
            self.flush()

    def flush(self) -> None:
        """Write all waiting items; if that fails now, try again later."""
        self._has_lingered = False
        size = self._group_size
        while self._waiting:
            group = self._waiting[: 1 if self._singly else size]
            if self._singly:
                self._context.publish("in_hand", group[0])
            try:
                self._write(group)
            except ServiceUnavailable as error:
                self._context.withdraw("in_hand")
                self._try_later(error)
                return
            except REFUSED as error:
                if len(group) > 1:
                    size = len(group) // 2
                    continue
                self._set_aside(group[0], f"it cannot be stored: {error}")
            size = min(2 * size, self._group_size)
            self._attempt = 0
            self.last_error = ""
            del self._waiting[: len(group)]
        self._singly = False
        self._context.withdraw("in_hand")

    def _try_later(self, error: ServiceUnavailable) -> None:
        self._attempt += 1
        delay_s = backoff_delay(RETRY, self._attempt + 1, self._context.random())
        self.last_error = f"{error.message} Next attempt in {delay_s:.1f} s."
        self._context.schedule(delay_s, Flush(), key="flush")
