"""Digests of entries (ETags), so that nobody overwrites a version that he has not read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from godkaiser.domain.entities import DeviceRecord


def digest_of(value: Any) -> str:
    """A digest of the whole value: any difference changes it."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=12).hexdigest()


ANY = "*"


def is_seen(seen: str, present: str | None) -> bool:
    """Whether a client that has seen `seen` (digests separated by commas, "*" for any, "" for no
    check) may change the entry with the digest `present`; None: there is no entry.
    """
    if not seen:
        return True
    return present is not None and (seen == ANY or present in seen.split(","))


def device_digest(record: DeviceRecord) -> str:
    """The digest of the fields that people edit; fields that the gateway maintains do not count."""
    return digest_of(
        (record.device_id, record.name, record.board, record.zone_id, record.zone_name)
    )
