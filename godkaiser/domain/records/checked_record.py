"""Encodes a record for a small file that survives crashes and power cuts.

One line: a version, a CRC-32 and the JSON of the value.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec

T = TypeVar("T")

VERSION = b"1"


class RecordUnreadable(Exception):
    """The record is truncated, changed, or of another version."""


def encode(value: object) -> bytes:
    body = msgspec.json.encode(value)
    return b"%s %08x %s\n" % (VERSION, zlib.crc32(body), body)


def decode(record: bytes, kind: type[T]) -> T:
    """Raises RecordUnreadable."""
    parts = record.removesuffix(b"\n").split(b" ", 2)
    if len(parts) != 3 or parts[0] != VERSION or not record.endswith(b"\n"):  # noqa: PLR2004
        msg = "it is not a record of this version of God-Kaiser"
        raise RecordUnreadable(msg)
    if parts[1] != b"%08x" % zlib.crc32(parts[2]):
        msg = "its checksum does not match"
        raise RecordUnreadable(msg)
    try:
        return msgspec.json.decode(parts[2], type=kind)
    except msgspec.DecodeError as error:
        raise RecordUnreadable(str(error)) from error
