"""The keys that sign tokens: one signs, those before it are still believed until the last of their tokens ends.

A token names its key (`kid`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

FOR_EVER = float("inf")
MOST_KEYS = 8


class SigningKey(msgspec.Struct, frozen=True):
    """`good_until` in unix seconds: until then it is believed."""

    secret: str
    good_until: float = FOR_EVER

    @property
    def kid(self) -> str:
        """Of 48 random bytes a digest tells nothing."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


def believed(keys: Sequence[SigningKey], now: float) -> tuple[SigningKey, ...]:
    """Those that a token may be signed with."""
    return tuple(key for key in keys if now < key.good_until)


def rotated(
    keys: Sequence[SigningKey], secret: str, now: float, overlap_s: float
) -> tuple[SigningKey, ...]:
    """`secret` signs; the keys before it are believed for `overlap_s` more, at most."""
    ending = [SigningKey(key.secret, min(key.good_until, now + overlap_s)) for key in keys]
    return (SigningKey(secret), *believed(ending, now))[:MOST_KEYS]
