"""The file format of the spool, pure: a header, then frames, all with checksums.

    header  magic 8 | epoch 16 | CRC-32 of both, 4
    frame   length 4 | CRC-32 4 | sequence 8 | count 4 | body (`length` bytes)

All little-endian. `sequence` is the number of the frame's first record, `count` the number of its
records. The CRC covers the epoch, the frame's place in the file, its head and its body, so that a
frame that was moved, repeated or left over from another file is not accepted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import msgspec

MAGIC = b"GKSPOOL1"
EPOCH_BYTES = 16
_HEADER = struct.Struct("<8s16sI")
_HEAD = struct.Struct("<IIQI")
_PLACE = struct.Struct("<QIQI")
HEADER_BYTES = _HEADER.size
HEAD_BYTES = _HEAD.size
MAX_BODY_BYTES = 16 * 1024 * 1024


class Frame(msgspec.Struct, frozen=True):
    """`end` is the offset after it; `last` the sequence of its last record."""

    sequence: int
    count: int
    body: bytes
    end: int

    @property
    def last(self) -> int:
        return self.sequence + self.count - 1


def encode_header(epoch: bytes) -> bytes:
    """`epoch` is 16 bytes; it identifies one life of the spool, in which sequence numbers are
    unique.
    """
    return _HEADER.pack(MAGIC, epoch, zlib.crc32(MAGIC + epoch))


def decode_header(data: bytes) -> bytes | None:
    """The epoch; None if this is not a segment of a spool."""
    if len(data) < HEADER_BYTES:
        return None
    magic, epoch, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or crc != zlib.crc32(magic + epoch):
        return None
    return bytes(epoch)


def encode_frame(epoch: bytes, offset: int, sequence: int, count: int, body: bytes) -> bytes:
    """Encode the frame for `offset` of its file.

    Raises:
        ValueError: the body is empty or longer than MAX_BODY_BYTES.
    """
    if not 0 < len(body) <= MAX_BODY_BYTES:
        msg = f"a frame holds 1 to {MAX_BODY_BYTES} bytes, not {len(body)}"
        raise ValueError(msg)
    crc = _crc(epoch, offset, len(body), sequence, count, body)
    return _HEAD.pack(len(body), crc, sequence, count) + body


def decode_frames(data: bytes, epoch: bytes, offset: int = HEADER_BYTES) -> Iterator[Frame]:
    """The frames of a file's content from `offset` up to the first incomplete one."""
    while offset + HEAD_BYTES <= len(data):
        length, crc, sequence, count = _HEAD.unpack_from(data, offset)
        end = offset + HEAD_BYTES + length
        if not 0 < length <= MAX_BODY_BYTES or end > len(data):
            return
        body = data[offset + HEAD_BYTES : end]
        if crc != _crc(epoch, offset, length, sequence, count, body):
            return
        yield Frame(sequence, count, body, end)
        offset = end


def _crc(epoch: bytes, offset: int, length: int, sequence: int, count: int, body: bytes) -> int:
    return zlib.crc32(
        body, zlib.crc32(_PLACE.pack(offset, length, sequence, count), zlib.crc32(epoch))
    )
