"""The encoding of readings in the spool: arrays in MessagePack, a third of the size of JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.errors.storage import SpoolUnavailable

OTHER_VERSION = (
    "it holds records of another version of God-Kaiser ({error}). Run that version until the spool is"
    " empty, or export them with godkaiser spool --export"
)


class _Spooled(msgspec.Struct, frozen=True, array_like=True):
    """A Reading as a flat array. New fields are added at the end, with defaults."""

    esp_id: str
    gpio: int
    sensor_type: str
    address: str
    at: float
    received_at: float
    raw: float
    value: float | None
    unit: str
    quality: Quality
    zone_id: str
    content_key: int
    repeatable: bool
    redelivered: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Spooled]).decode


def encode_readings(readings: Sequence[Reading]) -> bytes:
    return _encode([_flat(reading) for reading in readings])


def decode_readings(body: bytes) -> list[Reading]:
    """Raises SpoolUnavailable if another version wrote records that this one cannot read."""
    try:
        rows = _decode(body)
    except msgspec.MsgspecError as error:
        raise SpoolUnavailable(reason=OTHER_VERSION.format(error=error)) from error
    return [
        Reading(
            SensorKey(row.esp_id, row.gpio, row.sensor_type, row.address),
            row.at,
            row.received_at,
            row.raw,
            row.value,
            row.unit,
            row.quality,
            row.zone_id,
            row.content_key,
            row.repeatable,
            row.redelivered,
        )
        for row in rows
    ]


def count_series(body: bytes) -> Counter[SensorKey]:
    return Counter(reading.key for reading in decode_readings(body))


def without_series(
    body: bytes, series: Collection[SensorKey]
) -> tuple[int, bytes, Counter[SensorKey]]:
    """Remove the readings of these series; returns the number of remaining records, their body
    (empty if there are none), and the number of removed readings for each series.
    """
    readings = decode_readings(body)
    left = [reading for reading in readings if reading.key not in series]
    gone = Counter(reading.key for reading in readings if reading.key in series)
    return len(left), encode_readings(left) if left else b"", gone


def _flat(reading: Reading) -> _Spooled:
    key = reading.key
    return _Spooled(
        key.esp_id,
        key.gpio,
        key.sensor_type,
        key.address,
        reading.at,
        reading.received_at,
        reading.raw,
        reading.value,
        reading.unit,
        reading.quality,
        reading.zone_id,
        reading.content_key,
        reading.repeatable,
        reading.redelivered,
    )
