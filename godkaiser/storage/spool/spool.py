"""The spool: stores readings and journal entries on disk while the database is unavailable.

Two streams in one folder, `readings` and `journal`, with one bound on their size. Used by several
threads. The actors that own the data append; /control/storage/spool replays.
"""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from godkaiser.domain.entities import Reading, SensorKey
from godkaiser.domain.records.spool_policy import choose_victims
from godkaiser.errors.storage import SpoolUnavailable
from godkaiser.host.durable_file import make_folder
from godkaiser.storage.spool import frames as spool_frames
from godkaiser.storage.spool import records as spool_records
from godkaiser.storage.spool.frames import Frame
from godkaiser.storage.spool.segment_log import Opened, SegmentLog

MEBIBYTE = 1024 * 1024
MAX_SEGMENT_BYTES = 4 * MEBIBYTE
SEGMENTS_AT_LEAST = 16
"""Minimum number of segments of a full spool, so that replaying frees space in small steps."""
OVERHEAD_BYTES = spool_frames.HEAD_BYTES + spool_frames.HEADER_BYTES


class Stream(StrEnum):
    READINGS = "readings"
    JOURNAL = "journal"


class WhenFull(StrEnum):
    THIN = "thin"
    """Drop the oldest readings of the series with most readings."""
    HOLD = "hold"
    """Take no more: new readings stay with the broker."""


class SpoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`dropped` are readings that were dropped because the spool was full, since the process
    started.
    """

    bytes: int
    max_bytes: int
    readings: int
    journal: int
    dropped: int
    refused: str = ""

    @property
    def percent(self) -> float:
        return 100.0 * self.bytes / self.max_bytes


class Spool:
    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        *,
        when_full: WhenFull = WhenFull.THIN,
        same_disk_as: Path | None = None,
    ) -> None:
        """`same_disk_as` is the SQLite file; an error names it if it is on the same full disk."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._when_full = when_full
        self._database_file = same_disk_as
        segment_bytes = min(MAX_SEGMENT_BYTES, max_bytes // SEGMENTS_AT_LEAST)
        self._logs = {stream: SegmentLog(folder, stream.value, segment_bytes) for stream in Stream}
        self._lock = threading.RLock()
        self._counts: Counter[SensorKey] | None = None
        self._dropped: Counter[SensorKey] = Counter()
        self._refused = ""
        self.found: dict[Stream, Opened] = {}
        """The result of `open` for each stream."""

    def open(self) -> None:
        """Read the records of an earlier process.

        Raises:
            SpoolUnavailable: the folder cannot be used; the text says why.
        """
        with self._lock:
            try:
                make_folder(self._folder)
                for draft in self._folder.glob("*.new"):
                    draft.unlink()
                self.found = {stream: log.open() for stream, log in self._logs.items()}
            except OSError as error:
                raise self._unavailable(error) from error

    def close(self) -> None:
        with self._lock:
            for log in self._logs.values():
                log.close()

    def append_readings(self, readings: Sequence[Reading]) -> None:
        """Store readings; on return they survive a power cut.

        Raises:
            SpoolUnavailable: nothing was stored.
        """
        body = spool_records.encode_readings(readings)
        with self._lock:
            self._append(Stream.READINGS, len(readings), body)
            if self._counts is not None:
                self._counts.update(reading.key for reading in readings)

    def append_journal(self, count: int, body: bytes) -> None:
        """`body` holds `count` records, encoded by the journal. Like `append_readings`."""
        with self._lock:
            self._append(Stream.JOURNAL, count, body)

    def holds(self, stream: Stream) -> bool:
        """Whether records wait to be replayed. Read without the lock, so it may be slightly
        outdated.
        """
        return not self._logs[stream].is_empty

    def epoch(self, stream: Stream) -> str:
        """The id of the stream's present life, to which its sequence numbers belong."""
        return self._logs[stream].epoch.hex()

    def peek(self, stream: Stream, after: int, records: int) -> list[Frame]:
        """The oldest frames after the record `after`: enough to contain `records` records, or all
        frames; at least one.

        Raises:
            SpoolUnavailable: the disk fails.
        """
        frames: list[Frame] = []
        with self._lock:
            try:
                self._logs[stream].advance(after)
                for frame in self._logs[stream].waiting():
                    frames.append(frame)
                    records -= frame.count
                    if records <= 0:
                        break
            except OSError as error:
                raise self._unavailable(error) from error
        return frames

    def done(self, stream: Stream, frame: Frame) -> None:
        """Everything up to this frame is in the database: delete it. Raises SpoolUnavailable."""
        with self._lock:
            try:
                self._logs[stream].advance(frame.last)
            except OSError as error:
                raise self._unavailable(error) from error
            if stream is Stream.READINGS and self._counts is not None:
                self._counts -= spool_records.count_series(frame.body)

    def status(self) -> SpoolStatus:
        with self._lock:
            return SpoolStatus(
                bytes=self._bytes(),
                max_bytes=self._max_bytes,
                readings=self._logs[Stream.READINGS].records,
                journal=self._logs[Stream.JOURNAL].records,
                dropped=self._dropped.total(),
                refused=self._refused,
            )

    def dropped(self) -> dict[SensorKey, int]:
        """The number of dropped readings for each series, because the spool was full."""
        with self._lock:
            return dict(self._dropped)

    def _bytes(self) -> int:
        return sum(log.size_bytes for log in self._logs.values())

    def _append(self, stream: Stream, count: int, body: bytes) -> None:
        try:
            self._make_room(stream, len(body) + OVERHEAD_BYTES)
            self._logs[stream].append(count, body)
        except OSError as error:
            raise self._unavailable(error) from error
        except SpoolUnavailable as error:
            self._refused = error.message
            raise
        self._refused = ""

    def _make_room(self, stream: Stream, wanted: int) -> None:
        over = self._bytes() + wanted - self._max_bytes
        if over <= 0:
            return
        may_thin = self._when_full is WhenFull.THIN or stream is Stream.JOURNAL
        while over > 0 and may_thin:
            # Free at least a whole segment, so that the next write does not have to do this again.
            freed = self._thin(max(over, self._max_bytes // SEGMENTS_AT_LEAST // 4))
            if not freed:
                break
            over -= freed
        if over > 0:
            reason = (
                f"{self._folder} is full ({self._bytes()} of {self._max_bytes} bytes)."
                " Bring the database back, or raise [spool] max_bytes"
            )
            raise SpoolUnavailable(reason=reason)

    def _thin(self, wanted: int) -> int:
        if self._counts is None:
            self._counts = Counter()
            for frame in self._logs[Stream.READINGS].waiting():
                self._counts.update(spool_records.count_series(frame.body))
        victims = choose_victims(self._counts)
        if not victims:
            return 0
        gone: Counter[SensorKey] = Counter()

        def thin(body: bytes) -> tuple[int, bytes]:
            left, kept, without = spool_records.without_series(body, victims)
            gone.update(without)
            return left, kept

        try:
            freed, _ = self._logs[Stream.READINGS].rewrite(wanted, thin)
        except OSError:
            self._counts = None
            raise
        self._counts -= gone
        self._dropped.update(gone)
        return freed if gone else 0

    def _unavailable(self, error: OSError) -> SpoolUnavailable:
        reason = f"{self._folder}: {error.strerror or error}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = f"the disk of {self._folder} is full"
            if self._database_file is not None and _same_disk(self._folder, self._database_file):
                reason += f", and the database {self._database_file} is on the same disk"
            reason += ". Free some space"
        self._refused = reason
        return SpoolUnavailable(reason=reason)


def _same_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False
