"""Reads a spool's folder, even while a gateway uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from godkaiser.storage.spool import frames as spool_frames
from godkaiser.storage.spool import records as spool_records
from godkaiser.storage.spool.frames import Frame
from godkaiser.storage.spool.segment_log import DAMAGED, SUFFIX
from godkaiser.storage.spool.spool import Stream


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of one stream. `oldest` is the receipt of its first record (unix seconds), None
    if empty.
    """

    stream: Stream
    files: int
    bytes: int
    records: int
    oldest: float | None
    unreadable_bytes: int
    damaged_files: int


def summary(folder: Path, stream: Stream) -> Kept:
    """Raises OSError if the folder cannot be read."""
    files = size = records = unreadable = 0
    oldest = None
    for path, data in _contents(folder, stream):
        end = 0 if _epoch(data) is None else spool_frames.HEADER_BYTES
        for frame in _frames(data):
            end = frame.end
            records += frame.count
            if oldest is None:
                oldest = _first_time(path, stream, frame)
        files += 1
        size += len(data)
        unreadable += len(data) - end
    return Kept(
        stream=stream,
        files=files,
        bytes=size,
        records=records,
        oldest=oldest,
        unreadable_bytes=unreadable,
        damaged_files=len(list(folder.glob(f"{stream.value}-*{DAMAGED}"))),
    )


def frames(folder: Path, stream: Stream) -> Iterator[Frame]:
    """All readable frames, oldest first. Raises OSError."""
    for _, data in _contents(folder, stream):
        yield from _frames(data)


def _contents(folder: Path, stream: Stream) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.glob(f"{stream.value}-*{SUFFIX}")):
        try:
            yield path, path.read_bytes()
        except FileNotFoundError:
            continue  # replayed and deleted just now


def _epoch(data: bytes) -> bytes | None:
    return spool_frames.decode_header(data)


def _frames(data: bytes) -> Iterator[Frame]:
    epoch = _epoch(data)
    return iter(()) if epoch is None else spool_frames.decode_frames(data, epoch)


def _first_time(path: Path, stream: Stream, frame: Frame) -> float:
    if stream is Stream.READINGS:
        return spool_records.decode_readings(frame.body)[0].received_at
    # The journal's records have no common time; the time of the last write is close to it.
    return path.stat().st_mtime
