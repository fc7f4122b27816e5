"""The spool actor: replays the spool when the database is back, and reports how full it is.

Recorder and journal write into the spool themselves before they acknowledge, so no acknowledged
data waits in a mailbox. A crash here only delays the replay. The journal is replayed first, at full
speed; readings at most at `replay_per_s`, so that live readings are not starved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import (
    CODEC,
    Record,
    RecordAudit,
    Tried,
    mark_name,
    without_stored,
    write_records,
)
from godkaiser.actors.storage.messages import SpoolView
from godkaiser.actors.storage.recorder import SLOW_COMMIT_S, DatabaseBack, Diverted
from godkaiser.actors.storage.replay import StreamReplay
from godkaiser.domain.entities import Reading
from godkaiser.domain.records.spool_policy import alarm_level
from godkaiser.errors.storage import DatabaseUnavailable, SpoolUnavailable
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.storage.engine.database import Database
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.spool.position import claim_position, keep_position
from godkaiser.storage.spool.records import decode_readings
from godkaiser.storage.spool.spool import Spool, Stream
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

log = structlog.get_logger("godkaiser.spool")

RETRY = Backoff(base_s=0.2, factor=2.0, max_s=5.0, jitter=0.2)
BATCH = 1000
LOOK_EVERY_S = 1.0
SHORTEST_PAUSE_S = 0.005
TELL_DROPPED_EVERY_S = 60.0


class CheckSpool(Message, frozen=True, kw_only=True):
    """To oneself: check how full the spool is, and whether there is something to replay."""


class Replay(Message, frozen=True, kw_only=True):
    """To oneself: try the next batch."""


class SpoolActor(Actor):
    def __init__(
        self,
        database: Database,
        spool: Spool,
        kaiser_id: str,
        replay_per_s: int,
    ) -> None:
        super().__init__()
        self._database = database
        self._spool = spool
        self._kaiser_id = kaiser_id
        self._replay_per_s = replay_per_s
        self._writer = ReadingWriter(database)
        self._readings = StreamReplay[Reading](
            database, spool, Stream.READINGS, kaiser_id,
            decode=decode_readings, store=self._writer.write, reject=self._reject,
        )  # fmt: skip
        self._prompt = database.probing()
        self._journal = StreamReplay[Record | Tried](
            database, spool, Stream.JOURNAL, kaiser_id,
            decode=self._decode_records, store=self._write_records, reject=self._reject,
        )  # fmt: skip
        self._attempt = 0
        self._diverted = False
        self._is_replaying = False
        self._is_proven = False
        self._told_dropped = 0
        self._told_dropped_at = 0.0
        self._view = SpoolView()

    def on_start(self) -> None:
        self._view = self.context.recall("view") or SpoolView()
        self._diverted = bool(self.context.recall("diverted"))
        self._told_dropped = self._view.dropped
        if self.context.incarnation == 1:
            self._tell_found()
        self._check()

    def on_receive(self, message: object) -> None:
        match message:
            case CheckSpool():
                self._check()
            case Replay():
                self._replay()
            case Diverted(reason=reason):
                self._set_diverted(reason)
                self._begin()
            case _:
                self.context.unhandled(message)

    def on_stop(self) -> None:
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _check(self) -> None:
        status = self._spool.status()
        level = alarm_level(status.percent, self._view.alarm)
        if level != self._view.alarm:
            self._tell_level(level, status.percent)
        now = self.context.monotonic()
        if status.dropped > self._told_dropped and now > self._told_dropped_at:
            self._tell_dropped(status.dropped - self._told_dropped)
            self._told_dropped = status.dropped
            self._told_dropped_at = now + TELL_DROPPED_EVERY_S
        self._show(alarm=level)
        if self._diverted or self._waits():
            self._begin()
        self.context.schedule(LOOK_EVERY_S, CheckSpool(), key="look")

    def _begin(self) -> None:
        if not self._is_replaying:
            self._is_replaying = True
            self._is_proven = False
            self.context.own.tell(Replay())

    def _waits(self) -> bool:
        return any(self._spool.holds(stream) for stream in Stream)

    def _replay(self) -> None:
        began = time.perf_counter()
        try:
            stored = self._replay_batch()
        except (DatabaseUnavailable, SpoolUnavailable) as error:
            self._try_later(error)
            return
        self._attempt = 0
        self._show(replayed=self._view.replayed + stored, last_error="")
        if self._diverted and time.perf_counter() - began < SLOW_COMMIT_S / 2:
            self._set_diverted("")
            self.context.handle(paths.RECORDER).tell(DatabaseBack())
        if self._diverted or self._waits():
            self._show(state="replaying")
            is_urgent = self._spool.holds(Stream.JOURNAL)
            pause_s = 0.0 if is_urgent else stored / self._replay_per_s
            self.context.schedule(max(pause_s, SHORTEST_PAUSE_S), Replay(), key="replay")
        else:
            self._is_replaying = False
            self._show(state="idle")

    def _try_later(self, error: DatabaseUnavailable | SpoolUnavailable) -> None:
        self._journal.forget_position()
        self._readings.forget_position()
        self._attempt += 1
        self._is_proven = False
        delay_s = backoff_delay(RETRY, self._attempt + 1, self.context.random())
        state = "away" if isinstance(error, DatabaseUnavailable) else "blocked"
        if self._view.state != state:
            log.warning("spool_waits", state=state, reason=error.message)
            log.debug("spool_waits_for", state=state, exc_info=error.__cause__)
        self._show(state=state, last_error=error.message)
        self.context.schedule(delay_s, Replay(), key="replay")

    def _replay_batch(self) -> int:
        """Replay a batch; returns the number of records. Without any, test that the database
        accepts a write.
        """
        if not self._is_proven or not self._waits():
            # With a short timeout, unlike a whole batch.
            with self._prompt.transaction():
                keep_position(self._prompt, f"{self._kaiser_id}/probe", "", 0)
            self._is_proven = True
        for stream, replay in (
            (Stream.JOURNAL, self._journal),
            (Stream.READINGS, self._readings),
        ):
            if self._spool.holds(stream):
                return replay.batch(BATCH)
        return 0

    def _decode_records(self, body: bytes) -> list[Record | Tried]:
        records = CODEC.decode(body)
        if records and isinstance(records[0], Tried):
            with self._database.transaction():
                mark = claim_position(self._database, mark_name(self._kaiser_id))
            records = without_stored(records, mark)
        return records

    def _write_records(self, records: Sequence[Record | Tried], also: Callable[[], None]) -> None:
        with self._database.transaction():
            write_records(self._database, records)
            also()

    def _reject(self, record: Any, detail: str) -> None:
        self.context.reject(record, detail, kind="SPOOL")

    def _set_diverted(self, reason: str) -> None:
        if bool(reason) != self._diverted:
            if reason:
                log.warning("readings_diverted", reason=reason)
            else:
                log.info("database_back")
        self._diverted = bool(reason)
        self.context.publish("diverted", self._diverted)
        if reason:
            self._show(state="away", last_error=reason)

    def _show(self, **changes: Any) -> None:
        status = self._spool.status()
        view = msgspec.structs.replace(
            self._view,
            bytes=status.bytes,
            max_bytes=status.max_bytes,
            percent=round(status.percent, 1),
            readings=status.readings,
            journal=status.journal,
            dropped=status.dropped,
        )
        self._view = msgspec.structs.replace(view, **changes)
        self.context.publish("view", self._view)

    # ---- reports for people

    def _tell_found(self) -> None:
        for stream, opened in self._spool.found.items():
            if opened.torn_bytes:
                self._tell(
                    f"{stream}: the last write before the end was cut off",
                    f"{opened.torn_bytes} bytes, which had not been acknowledged",
                )
            if opened.damaged:
                self._tell(f"{stream}: damaged files", ", ".join(opened.damaged), failed=True)

    def _tell_level(self, level: int, percent: float) -> None:
        details = f"{percent:.0f} % of [spool] max_bytes. Bring the database back."
        what = f"spool above {level} %" if level > self._view.alarm else f"spool back to {level} %"
        self._tell(what, details, failed=level > self._view.alarm)

    def _tell_dropped(self, count: int) -> None:
        worst = sorted(self._spool.dropped().items(), key=lambda item: -item[1])[:5]
        named = ", ".join(f"{n} of {key.esp_id}/{key.gpio} {key.sensor_type}" for key, n in worst)
        self._tell("spool full: old readings dropped", f"{count} more; total {named}", failed=True)

    def _tell(self, what: str, details: str, *, failed: bool = False) -> None:
        (log.error if failed else log.warning)("spool", what=what, details=details)
        entry = AuditEntry(
            at=self.context.now(),
            who="system:spool",
            what=what,
            result="failed" if failed else "ok",
            details=details,
        )
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
