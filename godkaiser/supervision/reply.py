"""The answer to a message that was asked."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import Any

import pykka


class Reply(pykka.ThreadingFuture[Any]):
    """A Pykka future whose first answer counts; later ones (an actor that was given up comes back)
    are dropped instead of crashing who gives them.

    The asker may withdraw what was asked until an actor has begun with it, and not afterwards: so an asker
    that has given up knows that nothing will be done.
    """

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Lock()
        self._is_begun = False

    def begin(self) -> bool:
        """An actor takes the message in hand; False: it was withdrawn."""
        # The successor of an actor that was given up may begin with it a second time.
        if self._turn.acquire(blocking=False):
            self._is_begun = True
        return self._is_begun

    def withdraw(self) -> bool:
        """The asker has given up; False: an actor has begun with it."""
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
    """Answer with an error. The reply may be any Pykka future, answered already or not."""
    with contextlib.suppress(queue.Full):
        reply.set_exception((type(error), error, error.__traceback__))
