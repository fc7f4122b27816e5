"""The recorder: readings to disk in groups, and only then the acknowledgement to the broker.

While the database is away nothing is acknowledged, so the broker sends no more than its window, and
that bounds what waits here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from godkaiser.actors.group_commit import Flush, GroupCommit
from godkaiser.domain.entities import Reading
from godkaiser.messages import Message, RecorderView
from godkaiser.mqtt.ports import AckPort
from godkaiser.storage.database import Database
from godkaiser.storage.readings import ReadingWriter
from godkaiser.supervision import Actor

GROUP = 1000
LINGER_S = 0.005


class StoreReading(Message, frozen=True, kw_only=True):
    """`ack` is the (session, mid) to acknowledge after the commit, `reply` a future to answer."""

    reading: Reading
    ack: tuple[int, int] | None = None
    reply: Any = None


class RecorderActor(Actor):
    def __init__(self, database: Database, acks: AckPort) -> None:
        super().__init__()
        self._database = database
        self._acks = acks
        self._writer = ReadingWriter(database)
        self._readings: GroupCommit[StoreReading]
        self._view = RecorderView()

    def on_start(self) -> None:
        self._view = self.context.recall("view") or RecorderView()
        self._readings = GroupCommit(
            self.context, group_size=GROUP, linger_s=LINGER_S, write=self._write
        )
        self.context.publish("view", self._view)

    def on_receive(self, message: object) -> None:
        if isinstance(message, StoreReading):
            self._readings.add(message)
        elif isinstance(message, Flush):
            self._readings.flush()
        else:
            self.context.unhandled(message)
        if self._readings.last_error != self._view.last_error:
            self._show(last_error=self._readings.last_error)

    def on_stop(self) -> None:
        self._readings.flush()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _write(self, group: Sequence[StoreReading]) -> None:
        began = time.perf_counter()
        result = self._writer.write([item.reading for item in group])
        commit_ms = (time.perf_counter() - began) * 1000.0
        self._acks.acknowledge([item.ack for item in group if item.ack is not None])
        for item in group:
            if item.reply is not None:
                item.reply.set(item.reading)
        self._show(
            stored=self._view.stored + result.stored,
            duplicates=self._view.duplicates + result.duplicates,
            batches=self._view.batches + 1,
            last_commit_ms=commit_ms,
        )

    def _show(self, **changes: Any) -> None:
        self._view = msgspec.structs.replace(self._view, waiting=len(self._readings), **changes)
        self.context.publish("view", self._view)
