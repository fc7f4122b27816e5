"""Asking: send a message and wait for the reply, with a timeout and without circles."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka

from godkaiser.supervision.errors import ActorWaiting, AskCycle, AskInDoubt, AskTimeout
from godkaiser.supervision.reply import Reply

if TYPE_CHECKING:
    from godkaiser.supervision.cell import ActorCell


FINISH_S = 15.0
"""Further wait for an actor that has begun with a message that was asked `or_not_at_all`."""


class Asking:
    """Which actor runs in this thread, and which actors wait for which."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._waits_for: dict[str, str] = {}

    def enter(self, cell: ActorCell | None) -> None:
        self._local.cell = cell

    def current(self) -> ActorCell | None:
        cell: ActorCell | None = getattr(self._local, "cell", None)
        return cell

    def begin(self, asker: str, asked: str) -> None:
        """Record that `asker` waits for `asked`.

        Raises:
            AskCycle: `asked` waits, through others or directly, for `asker`.
        """
        chain = [asker, asked]
        seen = asked
        with self._lock:
            while seen != asker:
                following = self._waits_for.get(seen)
                if following is None:
                    self._waits_for[asker] = asked
                    return
                chain.append(following)
                seen = following
        msg = "these actors would wait for each other: " + " -> ".join(chain)
        raise AskCycle(msg)

    def end(self, asker: str) -> None:
        with self._lock:
            self._waits_for.pop(asker, None)


def ask_cell(
    cell: ActorCell, message: Any, *, timeout_s: float, urgent: bool, or_not_at_all: bool = False
) -> Any:
    """Deliver, wait, and turn Pykka's timeout into an error that names the actor."""
    runtime = cell.system.runtime
    asking = cell.system.asking
    asker = asking.current()
    if cell.waiting_for and cell.life is None:
        raise ActorWaiting(f"{cell.path} has not started yet, it waits: {cell.waiting_for}")
    future = runtime.new_reply()
    if asker is not None:
        asking.begin(asker.path, cell.path)
    try:
        if urgent:
            cell.deliver_urgent(message, future, patience_s=timeout_s)
        else:
            cell.deliver(message, future, patience_s=timeout_s)
        return _answer(future, timeout_s, or_not_at_all=or_not_at_all)
    except pykka.Timeout as error:
        msg = f"{cell.path} did not answer {type(message).__name__} within {timeout_s} s"
        if or_not_at_all and isinstance(future, Reply) and future.begin():
            msg += ", although it had begun with it; the outcome is not known"
            raise AskInDoubt(msg) from error
        raise AskTimeout(msg) from error
    finally:
        if asker is not None:
            asking.end(asker.path)


def _answer(future: pykka.Future[Any], timeout_s: float, *, or_not_at_all: bool) -> Any:
    try:
        return future.get(timeout=timeout_s)
    except pykka.Timeout:
        if not or_not_at_all or not isinstance(future, Reply) or future.withdraw():
            raise
    # The actor has begun: wait a little longer, for its result.
    return future.get(timeout=FINISH_S)
