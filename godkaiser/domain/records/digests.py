"""What tells two texts apart, so that nobody overwrites what he has not read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from godkaiser.domain.entities import DeviceRecord


def digest_of(value: Any) -> str:
    """Of all of it: two that differ in anything differ here."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=12).hexdigest()


ANY = "*"


def is_seen(seen: str, present: str | None) -> bool:
    """Whether one who has seen this (digests separated by commas, "*" for any, "" for does not matter) may
    change what has the digest `present`; None: there is nothing.
    """
    if not seen:
        return True
    return present is not None and (seen == ANY or present in seen.split(","))


def device_digest(record: DeviceRecord) -> str:
    """Of what people change: what the gateway notes down for itself is no change to them."""
    return digest_of(
        (record.device_id, record.name, record.board, record.zone_id, record.zone_name)
    )
