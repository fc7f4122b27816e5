"""Makes rollups (minutes and hours) from the stored readings, whenever a minute is over."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import structlog

from godkaiser.actors.message import Message
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series import rollups
from godkaiser.supervision import Actor

ROLLUPS_JOB = "rollups"
FIRST_LOOK_S = 1.0
log = structlog.get_logger("godkaiser.rollups")


class RollNext(Message, frozen=True, kw_only=True):
    """To oneself: the next batch."""


class RollupsView(Message, frozen=True, kw_only=True):
    """Published as "view". `spans` computed since the start; `behind_since` is the oldest waiting
    minute (unix seconds); `refused` describes the newest readings that cannot be added up.
    """

    spans: int = 0
    waiting: int = 0
    behind_since: float | None = None
    last_run: float | None = None
    last_error: str = ""
    refused: str = ""


class RollupsActor(Actor):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._view = RollupsView()
        self._is_rolling = False

    def on_start(self) -> None:
        self._view = self.context.recall("view") or RollupsView()
        self.context.publish("view", self._view)
        self.context.join(ROLLUPS_JOB)
        # Compute what the previous process left.
        self._is_rolling = True
        self.context.schedule(FIRST_LOOK_S, RollNext())

    def on_receive(self, message: object) -> None:
        match message:
            case Tick():
                if not self._is_rolling:
                    self._roll()
            case RollNext():
                self._roll()
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _roll(self) -> None:
        began = time.perf_counter()
        try:
            rolled = rollups.roll_due(self._database, self.context.now())
            self._is_rolling = not rolled.is_done
            if rolled.is_done:
                waiting, behind_since = rollups.pending(self._database)
                self._show(waiting=waiting, behind_since=behind_since)
        except DatabaseUnavailable as error:
            # The marks are still there; the next tick tries again.
            self._is_rolling = False
            self._show(last_error=error.message)
            return
        if rolled.refused:
            log.warning("readings_left_out_of_buckets", where=rolled.refused)
            self._show(refused=rolled.refused)
        self._show(
            spans=self._view.spans + rolled.spans, last_run=self.context.now(), last_error=""
        )
        if self._is_rolling:
            # Leave half of the time to the writers of readings.
            self.context.schedule(time.perf_counter() - began, RollNext(), key="next")

    def _show(self, **changes: Any) -> None:
        self._view = msgspec.structs.replace(self._view, **changes)
        self.context.publish("view", self._view)
