"""The latch: the stops as bytes for a small file that outlives crashes and power cuts.

One line: a version, a CRC-32 and the JSON of the state. Whatever cannot be read is a stop.
"""

from __future__ import annotations

import zlib

import msgspec

from godkaiser.domain.safety_state import GLOBAL, SafetyState, StopRecord, StopState

VERSION = b"1"
_decoder = msgspec.json.Decoder(SafetyState)


class LatchUnreadable(Exception):
    """The record is truncated, changed, or of another version."""


def encode(state: SafetyState) -> bytes:
    body = msgspec.json.encode(state)
    return b"%s %08x %s\n" % (VERSION, zlib.crc32(body), body)


def decode(record: bytes) -> SafetyState:
    """Raises LatchUnreadable."""
    parts = record.removesuffix(b"\n").split(b" ", 2)
    if len(parts) != 3 or parts[0] != VERSION or not record.endswith(b"\n"):  # noqa: PLR2004
        msg = "it is not a latch record of this version"
        raise LatchUnreadable(msg)
    if parts[1] != b"%08x" % zlib.crc32(parts[2]):
        msg = "its checksum does not match"
        raise LatchUnreadable(msg)
    try:
        return _decoder.decode(parts[2])
    except msgspec.DecodeError as error:
        raise LatchUnreadable(str(error)) from error


def stopped_in_doubt(reason: str, now: float) -> SafetyState:
    """What holds when the record cannot be read: everything is stopped."""
    record = StopRecord(
        scope=GLOBAL,
        state=StopState.ACTIVE,
        since=now,
        last_stop=now,
        by="system:latch",
        reason=f"the safety record cannot be read: {reason}",
    )
    return SafetyState((record,))
