"""Encodes messages of different kinds into one spool body, and decodes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from godkaiser.errors.storage import SpoolUnavailable
from godkaiser.storage.spool.records import OTHER_VERSION

Kind = TypeVar("Kind")


class RecordCodec(Generic[Kind]):
    """Each record is encoded as [name of its type, the record]."""

    def __init__(self, kinds: Iterable[type[Kind]]) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._split = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]]).decode
        self._decoders = {kind.__name__: msgspec.msgpack.Decoder(kind) for kind in kinds}

    def encode(self, records: Sequence[Kind]) -> bytes:
        return self._encode([(type(record).__name__, record) for record in records])

    def decode(self, body: bytes) -> list[Kind]:
        """Raises SpoolUnavailable if another version wrote the body and it cannot be read."""
        try:
            return [self._decoders[name].decode(raw) for name, raw in self._split(body)]
        except (msgspec.MsgspecError, KeyError) as error:
            raise SpoolUnavailable(reason=OTHER_VERSION.format(error=error)) from error
