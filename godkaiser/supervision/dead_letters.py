"""Messages that no actor handled, with the reason, kept so that they can be inspected and resent."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter, OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("godkaiser.supervision")


class Reason(StrEnum):
    CRASHED = "crashed"
    STOPPED = "stopped"
    OVERFLOW = "overflow"
    SUPERSEDED = "superseded"
    UNHANDLED = "unhandled"
    REFUSED = "refused"
    REJECTED = "rejected"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is wall-clock unix seconds; `path` is the actor for which the message was meant."""

    letter_id: int
    at: float
    path: str
    reason: Reason
    message: Any
    detail: str = ""
    traceback: str = ""


class DeadLetters:
    """The newest dead letters up to a bound, and counts of all by reason."""

    def __init__(self, keep: int = 1000) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._letters: OrderedDict[int, DeadLetter] = OrderedDict()
        self._ids = itertools.count(1)
        self._counts: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._listeners: tuple[Callable[[DeadLetter], None], ...] = ()
        self.listener_failures = 0

    def subscribe(self, listener: Callable[[DeadLetter], None]) -> None:
        """Call `listener` for each new letter, in the thread where it arose; it must not block."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def add(
        self,
        *,
        at: float,
        path: str,
        reason: Reason,
        message: Any,
        detail: str = "",
        traceback: str = "",
        kind: str = "",
    ) -> None:
        letter = DeadLetter(
            letter_id=next(self._ids),
            at=at,
            path=path,
            reason=reason,
            message=message,
            detail=detail,
            traceback=traceback,
        )
        with self._lock:
            self._counts[reason.value] += 1
            if kind:
                self._kinds[kind] += 1
            self._letters[letter.letter_id] = letter
            if len(self._letters) > self._keep:
                self._letters.popitem(last=False)
        for listener in self._listeners:
            try:
                listener(letter)
            except Exception:
                # The sender of a letter must not fail for a listener, whatever that raises.
                self.listener_failures += 1
                logger.exception("a listener of dead letters failed")

    def list(self, limit: int = 100) -> list[DeadLetter]:
        """Newest first."""
        with self._lock:
            letters = list(self._letters.values())
        return letters[: -limit - 1 : -1]

    def find(self, letter_id: int) -> DeadLetter:
        """Raises KeyError when there is no such letter (any more)."""
        with self._lock:
            return self._letters[letter_id]

    def take(self, letter_id: int) -> DeadLetter:
        """Remove a letter to resend it.

        Raises:
            KeyError: there is no such letter (any more).
        """
        with self._lock:
            return self._letters.pop(letter_id)

    def kinds(self) -> dict[str, int]:
        """The number of messages that were rejected for their content, by kind of mistake."""
        with self._lock:
            return dict(self._kinds)

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
