"""The recorder: stores readings in groups, and only then acknowledges them to the broker.

While the database is away or too slow, they go to the spool, which is also on disk. If the spool
also fails, nothing is acknowledged: the broker sends no more than its window, which bounds the
waiting readings.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.group_commit import Flush, GroupCommit
from godkaiser.actors.storage.messages import RecorderView
from godkaiser.domain.entities import Reading
from godkaiser.domain.records.arrivals import ArrivalWatch
from godkaiser.domain.records.arrivals import observe as observe_arrivals
from godkaiser.domain.records.broker_window import WindowWatch, observe
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.ports import AckPort
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.spool.spool import Spool, Stream
from godkaiser.supervision import Actor
from godkaiser.supervision.reply import fail_reply

log = structlog.get_logger("godkaiser.recorder")

GROUP = 1000
LINGER_S = 0.005
QUIET_S = 10.0
SLOW_COMMIT_S = 2.0
"""After a slower commit the next readings go to the spool, because the broker must not wait."""


class StoreReading(Message, frozen=True, kw_only=True):
    """`ack` is the (session, mid) to acknowledge after the commit, `reply` a future to answer."""

    reading: Reading
    ack: tuple[int, int] | None = None
    reply: Any = None


class Diverted(Message, frozen=True, kw_only=True):
    """To /control/storage/spool: readings go to the spool now. Tell me when the database is back."""

    reason: str


class DatabaseBack(Message, frozen=True, kw_only=True):
    """From /control/storage/spool: the database takes writes again."""


class Quiet(Message, frozen=True, kw_only=True):
    """To oneself, when readings were late and none has arrived for a while."""


class RecorderActor(Actor):
    def __init__(self, database: Database, acks: AckPort, spool: Spool) -> None:
        super().__init__()
        self._database = database
        self._acks = acks
        self._spool = spool
        self._diverted = ""
        self._window = WindowWatch()
        self._arrivals = ArrivalWatch()
        self._acknowledged_at = 0.0
        self._writer = ReadingWriter(database)
        self._readings: GroupCommit[StoreReading]
        self._view = RecorderView()

    def on_start(self) -> None:
        remembered = self.context.recall("view") or RecorderView()
        self._view = msgspec.structs.replace(remembered, behind_s=0.0, overload="")
        self._diverted = self.context.recall("diverted") or ""
        self._readings = GroupCommit(
            self.context,
            group_size=GROUP,
            linger_s=LINGER_S,
            write=self._write,
            set_aside=self._set_aside,
        )
        self.context.publish("view", self._view)

    def on_receive(self, message: object) -> None:
        if isinstance(message, StoreReading):
            self._readings.add(message)
        elif isinstance(message, Flush):
            self._readings.flush()
        elif isinstance(message, DatabaseBack):
            self._set_diverted("")
            self._readings.flush()
        elif isinstance(message, Quiet):
            self._arrivals = ArrivalWatch()
            self._show(overload="")
        else:
            self.context.unhandled(message)
        error = self._readings.last_error or self._diverted
        if error != self._view.last_error:
            self._show(last_error=error)

    def on_stop(self) -> None:
        self._readings.flush()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _write(self, group: Sequence[StoreReading]) -> None:
        readings = [item.reading for item in group]
        self._watch_window(readings)
        self._watch_arrivals([item.reading for item in group if item.ack is not None])
        if self._diverted or self._must_follow(readings):
            self._keep_aside(readings)
        else:
            try:
                self._store(readings)
            except DatabaseUnavailable as error:
                self._divert(error.message)
                self._keep_aside(readings)
        self._acknowledged_at = self.context.now()
        self._acks.acknowledge([item.ack for item in group if item.ack is not None])
        for item in group:
            if item.reply is not None:
                item.reply.set(item.reading)

    def _set_aside(self, item: StoreReading, why: str) -> None:
        self.context.reject(item, why, kind="NOT_STORABLE")
        if item.ack is not None:
            self._acks.acknowledge([item.ack])
        if item.reply is not None:
            fail_reply(item.reply, ServiceUnavailable(reason=f"The reading is lost: {why}"))

    def _store(self, readings: Sequence[Reading]) -> None:
        began = time.perf_counter()
        result = self._writer.write(readings)
        commit_s = time.perf_counter() - began
        self._show(
            stored=self._view.stored + result.stored,
            duplicates=self._view.duplicates + result.duplicates,
            batches=self._view.batches + 1,
            last_commit_ms=commit_s * 1000.0,
            stored_after=self._view.stored_after.and_one(
                self.context.now() - readings[0].received_at
            ),
        )
        if commit_s > SLOW_COMMIT_S:
            self._divert(f"The database took {commit_s:.1f} s for {len(readings)} readings.")

    def _keep_aside(self, readings: Sequence[Reading]) -> None:
        self._spool.append_readings(readings)
        self._show(spooled=self._view.spooled + len(readings))

    def _must_follow(self, readings: Sequence[Reading]) -> bool:
        """Whether the group must follow spooled readings: a redelivery that is recognised only by
        the earlier row must not overtake it, so while that row may be in the spool, it goes there,
        too.
        """
        return self._spool.holds(Stream.READINGS) and any(
            reading.repeatable and reading.redelivered for reading in readings
        )

    def _divert(self, reason: str) -> None:
        self._set_diverted(f"{reason} Readings go to the spool.")
        # While the branch stops, the spool actor may be gone; the next start begins with the
        # database anyway.
        keeper = self.context.find(paths.SPOOL)
        if keeper is not None:
            keeper.tell(Diverted(reason=reason))

    def _watch_window(self, readings: Sequence[Reading]) -> None:
        self._window = observe(
            self._window,
            group=len(readings),
            under_way=self._acks.under_way,
            came_after_s=readings[0].received_at - self._acknowledged_at,
        )
        if self._window.throttling and not self._view.warning:
            warning = (
                f"The broker allows only {self._window.throttling} unacknowledged messages, so"
                " the next ones wait for our disk. Raise max_inflight_messages of Mosquitto (see"
                " conf/mosquitto.conf: 4000), or the same setting of another broker."
            )
            log.warning("broker_window_throttles", window=self._window.throttling, remedy=warning)
            self._show(warning=warning)

    def _watch_arrivals(self, readings: Sequence[Reading]) -> None:
        was_late = self._arrivals.is_late
        ages = [
            reading.received_at - reading.at
            for reading in readings
            if reading.dated and reading.usable_by_rules and not reading.redelivered
        ]
        self._arrivals = observe_arrivals(self._arrivals, ages, self.context.monotonic())
        if self._arrivals.is_late:
            self.context.schedule(QUIET_S, Quiet(), key="quiet")
        if self._arrivals.is_late == was_late:
            return
        behind_s = round(self._arrivals.behind_s, 1)
        overload = ""
        if self._arrivals.is_late:
            overload = (
                f"Readings arrive {behind_s:g} s late: more are sent than can be stored, and they wait with"
                " the broker, which drops some when its queue is full. Measure less often, or use"
                " a faster machine or disk."
            )
            log.error("readings_late", behind_s=behind_s, remedy=overload)
        else:
            log.warning("readings_in_time_again")
        self._show(overload=overload)

    def _set_diverted(self, reason: str) -> None:
        self._diverted = reason
        self.context.publish("diverted", reason)

    def _show(self, **changes: Any) -> None:
        self._view = msgspec.structs.replace(
            self._view,
            waiting=len(self._readings),
            behind_s=round(self._arrivals.behind_s, 1),
            **changes,
        )
        self.context.publish("view", self._view)
