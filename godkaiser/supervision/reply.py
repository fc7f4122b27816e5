"""The answer to a message that was asked."""

from __future__ import annotations

import contextlib
import queue
from typing import Any

import pykka


class Reply(pykka.ThreadingFuture[Any]):
    """A Pykka future whose first answer counts; later ones (an actor that was given up comes back)
    are dropped instead of crashing who gives them.
    """

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
