"""One structured event for each step of an actor's life (the SASL reports of OTP)."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum

import msgspec

logger = logging.getLogger("godkaiser.supervision")


class LifeStep(StrEnum):
    STARTED = "started"
    READY = "ready"
    WAITING = "waiting"
    CRASHED = "crashed"
    RESTARTING = "restarting"
    RESTARTED = "restarted"
    GAVE_UP = "gave_up"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STUCK = "stuck"
    STALLED = "stalled"


_LEVEL = {
    LifeStep.WAITING: logging.WARNING,
    LifeStep.CRASHED: logging.ERROR,
    LifeStep.GAVE_UP: logging.CRITICAL,
    LifeStep.STUCK: logging.ERROR,
    LifeStep.STALLED: logging.WARNING,
    LifeStep.RESTARTING: logging.WARNING,
    # An expected step: the end of every restart.
    LifeStep.RESTARTED: logging.INFO,
}


class LifeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is wall-clock unix seconds; `delay_s` is set for `restarting`."""

    at: float
    path: str
    step: LifeStep
    incarnation: int
    detail: str = ""
    traceback: str = ""
    delay_s: float = 0.0


class EventLog:
    """Keeps the newest events and hands each to its listeners, in the thread where it happened.

    A listener must not block. One that raises is logged and counted, and does not affect the actor
    of the event.
    """

    def __init__(self, keep: int = 1000) -> None:
        self._recent: deque[LifeEvent] = deque(maxlen=keep)
        self._listeners: tuple[Callable[[LifeEvent], None], ...] = ()
        self._subscribing = threading.Lock()
        self.listener_failures = 0

    def subscribe(self, listener: Callable[[LifeEvent], None]) -> None:
        with self._subscribing:
            self._listeners = (*self._listeners, listener)

    def unsubscribe(self, listener: Callable[[LifeEvent], None]) -> None:
        with self._subscribing:
            self._listeners = tuple(kept for kept in self._listeners if kept is not listener)

    def recent(self) -> list[LifeEvent]:
        return list(self._recent)

    def emit(self, event: LifeEvent) -> None:
        self._recent.append(event)
        level = _LEVEL.get(event.step, logging.DEBUG)
        if logger.isEnabledFor(level):
            logger.log(
                level,
                "actor %s %s%s",
                event.path,
                event.step.value,
                f": {event.detail}" if event.detail else "",
                extra={"actor": event.path, "step": event.step.value},
            )
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                # A supervisor must not fail for a listener, whatever that raises.
                self.listener_failures += 1
                logger.exception("a listener of life events failed")
