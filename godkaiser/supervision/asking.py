"""Asking: send and wait for the reply, never for ever and never in a circle."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka

from godkaiser.supervision.errors import AskCycle, AskTimeout

if TYPE_CHECKING:
    from godkaiser.supervision.cell import Cell


class Asking:
    """Which actor runs in this thread, and which actors wait for which."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._waits_for: dict[str, str] = {}

    def enter(self, cell: Cell | None) -> None:
        self._local.cell = cell

    def current(self) -> Cell | None:
        cell: Cell | None = getattr(self._local, "cell", None)
        return cell

    def begin(self, asker: str, asked: str) -> None:
        """Note the wait.

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
        msg = "these would wait for each other: " + " -> ".join(chain)
        raise AskCycle(msg)

    def end(self, asker: str) -> None:
        with self._lock:
            self._waits_for.pop(asker, None)


def ask_cell(cell: Cell, message: Any, *, timeout_s: float, urgent: bool) -> Any:
    """Deliver, wait, and translate Pykka's time-out into one that names the actor."""
    runtime = cell.system.runtime
    asking = cell.system.asking
    asker = asking.current()
    future = runtime.new_reply()
    if asker is not None:
        asking.begin(asker.path, cell.path)
    try:
        if urgent:
            cell.deliver_urgent(message, future, patience_s=timeout_s)
        else:
            cell.deliver(message, future, patience_s=timeout_s)
        return future.get(timeout=timeout_s)
    except pykka.Timeout as error:
        msg = f"{cell.path} did not answer {type(message).__name__} within {timeout_s} s"
        raise AskTimeout(msg) from error
    finally:
        if asker is not None:
            asking.end(asker.path)
