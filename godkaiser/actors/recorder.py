"""The recorder: readings to disk in groups, and only then the acknowledgement to the broker.

It commits when nothing more waits or when the batch is full, so one reading is on disk at once and
a flood is written in large groups. While the database is away the batch is kept and tried again;
nothing is acknowledged, so the broker sends no more than its window and the bound holds.
"""

from __future__ import annotations

import time
from typing import Any

from godkaiser.domain.entities import Reading
from godkaiser.errors import DatabaseUnavailable
from godkaiser.messages import Message, RecorderView
from godkaiser.mqtt.ports import AckPort
from godkaiser.storage.database import Database
from godkaiser.storage.readings import ReadingWriter
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

BATCH = 1000
RETRY = Backoff(base_s=0.2, factor=2.0, max_s=10.0, jitter=0.2)


class StoreReading(Message):
    """`ack` is the (session, mid) to acknowledge after the commit, `reply` a future to answer."""

    reading: Reading
    ack: tuple[int, int] | None = None
    reply: Any = None


class Flush(Message):
    """To oneself: try again."""


class RecorderActor(Actor):
    def __init__(self, database: Database, acks: AckPort) -> None:
        super().__init__()
        self._database = database
        self._acks = acks
        self._writer = ReadingWriter(database)
        self._batch: list[StoreReading] = []
        self._attempt = 0
        self._view = RecorderView()

    def on_start(self) -> None:
        # What the incarnation before had not committed is not lost with it: nobody else has it
        # until the broker connects again.
        self._batch = self.context.recall("uncommitted") or []
        self.context.publish("uncommitted", self._batch)
        self._view = self.context.recall("view") or RecorderView()
        self.context.publish("view", self._view)
        if self._batch:
            self.context.own.tell(Flush())

    def on_receive(self, message: object) -> None:
        if isinstance(message, StoreReading):
            self._batch.append(message)
            if self._attempt:
                return
            if len(self._batch) >= BATCH or not self.context.backlog():
                self._flush()
        elif isinstance(message, Flush):
            self._flush()
        else:
            self.context.unhandled(message)

    def on_stop(self) -> None:
        self._flush()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _flush(self) -> None:
        while self._batch:
            group = self._batch[:BATCH]
            began = time.perf_counter()
            try:
                result = self._writer.write([item.reading for item in group])
            except DatabaseUnavailable as error:
                self._try_later(error)
                return
            commit_ms = (time.perf_counter() - began) * 1000.0
            self._attempt = 0
            del self._batch[: len(group)]
            self._acks.acknowledge([item.ack for item in group if item.ack is not None])
            for item in group:
                if item.reply is not None:
                    item.reply.set(item.reading)
            self._show(
                stored=self._view.stored + result.stored,
                duplicates=self._view.duplicates + result.duplicates,
                batches=self._view.batches + 1,
                last_commit_ms=commit_ms,
                last_error="",
            )

    def _try_later(self, error: DatabaseUnavailable) -> None:
        self._attempt += 1
        delay_s = backoff_delay(RETRY, self._attempt + 1, self.context.random())
        self._show(last_error=f"{error.message} Next attempt in {delay_s:.1f} s.")
        self.context.schedule(delay_s, Flush(), key="retry")

    def _show(self, **changes: Any) -> None:
        fields = {name: getattr(self._view, name) for name in self._view.__struct_fields__}
        self._view = RecorderView(**{**fields, "waiting": len(self._batch), **changes})
        self.context.publish("view", self._view)
