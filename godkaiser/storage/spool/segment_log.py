"""One stream of the spool: a folder of append-only segments, oldest first.

Not thread-safe: `Spool` holds the lock. Data is on disk when `append` returns. A segment is deleted
when its last record has been replayed; a damaged segment is kept under `.damaged` for inspection.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from godkaiser.host.durable_file import (
    InDoubt,
    SameFolder,
    replace_file,
    sync_file,
    sync_folder,
    write_file,
)
from godkaiser.storage.spool import frames as spool_frames
from godkaiser.storage.spool.frames import Frame

SUFFIX = ".gks"
DAMAGED = ".damaged"
RESTART_GAP = 2**32
"""Gap in the sequence numbers at each start: larger than a spool, so that a number that was
replayed and then thinned out is never used a second time.
"""


@dataclass(slots=True)
class _Segment:
    path: Path
    end: int
    """The offset for the next frame; bytes behind it are not valid."""
    first: int
    last: int
    """Sequence of the last record; `first` - 1 if there is none."""
    records: int
    head: int = spool_frames.HEADER_BYTES
    """Offset of the first frame that is not known to be replayed."""
    replayed: int = 0
    """Number of records before `head`."""
    is_damaged: bool = False


class Opened(msgspec.Struct, frozen=True):
    """The result of `open`. `torn_bytes` were cut off: the end of a write that a power cut
    interrupted.
    """

    torn_bytes: int = 0
    damaged: tuple[str, ...] = ()


class SegmentLog:
    def __init__(self, folder: Path, name: str, segment_bytes: int) -> None:
        self._folder = folder
        self._found: SameFolder | None = None
        self._name = name
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._file: int | None = None
        self._next = 1
        self.done = 0
        """Sequence of the last record that was replayed."""
        self.epoch = secrets.token_bytes(spool_frames.EPOCH_BYTES)

    def open(self) -> Opened:
        """Read the segments of an earlier process. Raises OSError."""
        self._found = SameFolder(self._folder)
        torn = 0
        damaged = []
        paths = sorted(self._folder.glob(f"{self._name}-*{SUFFIX}"))
        for path in paths:
            data = path.read_bytes()
            epoch = spool_frames.decode_header(data)
            if epoch is None or (self._segments and epoch != self.epoch):
                # Shorter than a header: the machine went down while the file was created.
                if len(data) < spool_frames.HEADER_BYTES:
                    torn += len(data)
                    path.unlink()
                else:
                    damaged.append(self._set_aside(path))
                continue
            self.epoch = epoch
            segment = _scan(path, data, epoch)
            left_over = len(data) - segment.end
            if left_over and path is paths[-1]:
                torn += left_over
                _cut(path, segment.end)
            elif left_over:
                segment.is_damaged = True
                damaged.append(path.name)
            if segment.records:
                self._segments.append(segment)
                self._next = segment.last + RESTART_GAP
            elif segment.is_damaged:
                self._set_aside(path)
            else:
                path.unlink()
        if self._segments:
            self.done = self._segments[0].first - 1
        return Opened(torn, tuple(damaged))

    @property
    def size_bytes(self) -> int:
        return sum(segment.end for segment in self._segments)

    @property
    def records(self) -> int:
        """The number of waiting records; just after a start it includes replayed ones of the oldest
        segment.
        """
        return sum(
            segment.records - segment.replayed
            for segment in self._segments
            if segment.last > self.done
        )

    @property
    def is_empty(self) -> bool:
        return not self._segments or self._segments[-1].last <= self.done

    def append(self, count: int, body: bytes) -> Frame:
        """Write and flush; on return it survives a power cut.

        Raises:
            OSError: nothing was stored; the disk is full or failing.
        """
        segment = self._writable()
        data = spool_frames.encode_frame(self.epoch, segment.end, self._next, count, body)
        assert self._file is not None
        try:
            _write_all(self._file, data, segment.end)
            os.fdatasync(self._file)
        except OSError:
            self._give_up_segment(segment)
            raise
        segment.end += len(data)
        segment.last = self._next + count - 1
        segment.records += count
        self._next += count
        return Frame(segment.last - count + 1, count, body, segment.end)

    def waiting(self) -> Iterator[Frame]:
        """The frames that are not replayed yet, oldest first, with one segment in memory at a time."""
        for segment in list(self._segments):
            for frame in self._read(segment, segment.head):
                if frame.last <= self.done:
                    segment.head = frame.end
                    segment.replayed += frame.count
                else:
                    yield frame

    def advance(self, sequence: int) -> None:
        """Delete all records up to this one, because they are in the database. Raises OSError."""
        self.done = max(self.done, sequence)
        while self._segments and self._segments[0].last <= self.done:
            segment = self._segments[0]
            if segment is self._segments[-1]:
                self.close()
            if segment.is_damaged:
                self._set_aside(segment.path)
            else:
                segment.path.unlink(missing_ok=True)
            del self._segments[0]

    def rewrite(self, wanted: int, thin: Callable[[bytes], tuple[int, bytes]]) -> tuple[int, int]:
        """Run each body through `thin`, oldest segment first, until `wanted` bytes are free.

        `thin` returns the number of remaining records and their body. Returns bytes freed and
        records dropped. Raises OSError; segments that were not rewritten yet are unchanged.
        """
        freed = dropped = 0
        for segment in list(self._segments):
            if freed >= wanted:
                break
            gain, fewer = self._rewrite(segment, thin)
            freed += gain
            dropped += fewer
        return freed, dropped

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rewrite(
        self, segment: _Segment, thin: Callable[[bytes], tuple[int, bytes]]
    ) -> tuple[int, int]:
        kept = [spool_frames.encode_header(self.epoch)]
        end = len(kept[0])
        records = dropped = 0
        last = segment.first - 1
        for frame in self._read(segment, segment.head):
            if frame.last <= self.done:
                continue
            left, body = thin(frame.body)
            dropped += frame.count - left
            if not left:
                continue
            # The numbers of the remaining records need not be exact: the replay uses only the last
            # number
            # of a frame.
            data = spool_frames.encode_frame(self.epoch, end, frame.last - left + 1, left, body)
            kept.append(data)
            end += len(data)
            records += left
            last = frame.last
        if not dropped:
            return 0, 0
        if segment is self._segments[-1]:
            self.close()
        if records:
            try:
                self._check_folder()
                replace_file(segment.path, b"".join(kept), mode=0o600)
            except InDoubt:
                # Either the old or the new file is there: read its offsets again.
                found = _scan(segment.path, segment.path.read_bytes(), self.epoch)
                segment.end, segment.records, segment.last = found.end, found.records, found.last
                segment.head, segment.replayed = found.head, 0
                raise
            freed = segment.end - end
            segment.end, segment.records, segment.last = end, records, last
            segment.head, segment.replayed = spool_frames.HEADER_BYTES, 0
        else:
            freed = segment.end
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)
        return freed, dropped

    def _writable(self) -> _Segment:
        newest = self._segments[-1] if self._segments else None
        if newest is not None and newest.end < self._segment_bytes and not newest.is_damaged:
            if self._file is None:
                self._file = os.open(newest.path, os.O_WRONLY)
            return newest
        self.close()
        self._check_folder()
        path = self._folder / f"{self._name}-{self._next:020d}{SUFFIX}"
        header = spool_frames.encode_header(self.epoch)
        try:
            write_file(path, header, 0o600)
            sync_folder(self._folder)
            self._file = os.open(path, os.O_WRONLY)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        segment = _Segment(path, len(header), self._next, self._next - 1, 0)
        self._segments.append(segment)
        return segment

    def _check_folder(self) -> None:
        """Raises OSError: it is another one than at the start."""
        if self._found is not None:
            self._found.check()

    def _give_up_segment(self, segment: _Segment) -> None:
        """After a failed write or flush: cut off the uncertain bytes, and do not write to this file
        again.

        Linux drops pages that it could not write, so a second flush would succeed wrongly.
        """
        self.close()
        if not segment.records:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)
            return
        segment.is_damaged = not _cut_quietly(segment.path, segment.end)

    def _read(self, segment: _Segment, start: int) -> Iterator[Frame]:
        with segment.path.open("rb") as file:
            data = file.read(segment.end)
        return spool_frames.decode_frames(data, self.epoch, start)

    def _set_aside(self, path: Path) -> str:
        path.rename(path.with_name(path.name + DAMAGED))
        return path.name + DAMAGED


def _scan(path: Path, data: bytes, epoch: bytes) -> _Segment:
    first = last = records = 0
    end = spool_frames.HEADER_BYTES
    for frame in spool_frames.decode_frames(data, epoch):
        first = first or frame.sequence
        last = frame.last
        records += frame.count
        end = frame.end
    return _Segment(path, end, first, last, records)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _cut(path: Path, end: int) -> None:
    os.truncate(path, end)
    sync_file(path)


def _cut_quietly(path: Path, end: int) -> bool:
    try:
        _cut(path, end)
    except OSError:
        return False
    return True
