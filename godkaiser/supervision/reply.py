"""The reply to an asked message."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import Any

import pykka


class Reply(pykka.ThreadingFuture[Any]):
    """A Pykka future whose first answer counts; later answers (from an actor that was given up and
    returned) are dropped and do not crash the thread that gives them.

    The asker may withdraw its message until an actor has begun with it, and not afterwards: so an
    asker whose withdrawal succeeds knows that nothing will be done.
    """

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Lock()
        self._is_begun = False

    def begin(self) -> bool:
        """Called when an actor begins with the message; False if the message was withdrawn."""
        # The successor of a given-up actor may begin with it a second time.
        if self._turn.acquire(blocking=False):
            self._is_begun = True
        return self._is_begun

    def withdraw(self) -> bool:
        """Called when the asker gives up; False if an actor has begun with the message."""
        return self._turn.acquire(blocking=False)

    @property
    def answered(self) -> bool:
        return self._result is not None

    def set(self, value: Any = None) -> None:
        with contextlib.suppress(queue.Full):
            super().set(value)

    def set_exception(self, exc_info: Any = None) -> None:
        with contextlib.suppress(queue.Full):
            super().set_exception(exc_info)


def fail_reply(reply: pykka.Future[Any], error: BaseException) -> None:
    """Answer with an error. The reply may be any Pykka future, even one that is already answered."""
    with contextlib.suppress(queue.Full):
        reply.set_exception((type(error), error, error.__traceback__))
