"""The keys that sign tokens: one signs, those before it are still believed until the last of their tokens ends.

A token names its key (`kid`). The key file holds a line for each: the secret, and behind those that sign
no more until when (unix seconds) they are believed.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from godkaiser.config.values import MIN_SECRET_CHARACTERS
from godkaiser.errors.access import SigningKeyGiven
from godkaiser.errors.process import StartupFailed
from godkaiser.host.durable_file import replace_file

FOR_EVER = float("inf")
KEY_FILE = "jwt.key"
MOST_KEYS = 8


class SigningKey(msgspec.Struct, frozen=True):
    secret: str
    good_until: float = FOR_EVER

    @property
    def kid(self) -> str:
        """Of 48 random bytes a digest tells nothing."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:12]


def parse(text: str) -> tuple[SigningKey, ...]:
    """The keys of a key file, the one that signs first.

    Raises:
        ValueError: a line is no key; its number is in the text.
    """
    keys = []
    for number, line in enumerate(text.split("\n"), start=1):
        secret, _, until = line.strip().partition(" ")
        if not secret:
            continue
        if not (secret.isascii() and secret.isprintable()) or len(secret) < MIN_SECRET_CHARACTERS:
            # NULs of a power cut, say: a key that anybody can guess.
            msg = (
                f"line {number} holds no key of {MIN_SECRET_CHARACTERS} or more printable characters;"
                " remove the file, and one is made (everybody logs in again)"
            )
            raise ValueError(msg)
        try:
            keys.append(SigningKey(secret, float(until) if until else FOR_EVER))
        except ValueError as error:
            msg = f"line {number} holds no time behind its key"
            raise ValueError(msg) from error
    if not keys:
        msg = "it holds no key; remove it, and one is made (everybody logs in again)"
        raise ValueError(msg)
    return tuple(keys)


def written(keys: Iterable[SigningKey]) -> str:
    return "".join(
        f"{key.secret}\n" if key.good_until == FOR_EVER else f"{key.secret} {key.good_until:.0f}\n"
        for key in keys
    )


class SigningKeys:
    """Safe from any thread."""

    def __init__(self, keys: tuple[SigningKey, ...], key_file: Path | None) -> None:
        """The first of `keys` signs. Without a file they are given from outside, and stay as they are."""
        self._lock = threading.Lock()
        self._keys = keys
        self._key_file = key_file

    @property
    def current(self) -> SigningKey:
        return self._keys[0]

    def believed(self, now: float) -> list[SigningKey]:
        """Those that a token may be signed with."""
        return [key for key in self._keys if now < key.good_until]

    def rotate(self, now: float, overlap_s: float) -> list[SigningKey]:
        """Sign with a new key; those before it are believed for `overlap_s` more, at most.

        Raises:
            SigningKeyGiven: it comes from the environment.
            OSError: the file cannot be written; nothing has changed.
        """
        if self._key_file is None:
            raise SigningKeyGiven
        with self._lock:
            kept = [
                SigningKey(key.secret, min(key.good_until, now + overlap_s))
                for key in self._keys
                if now < min(key.good_until, now + overlap_s)
            ]
            keys = (SigningKey(secrets.token_urlsafe(48)), *kept)[:MOST_KEYS]
            replace_file(self._key_file, written(keys).encode(), mode=0o600)
            self._keys = keys
        return list(keys)

    def all(self) -> list[SigningKey]:
        return list(self._keys)


def open_signing_keys(given: str, previous: str, key_file: Path) -> SigningKeys:
    """As given (and believed besides it: `previous`), or those of the key file, made on the first start.

    Raises:
        StartupFailed: a key file that cannot be used.
    """
    if given:
        return SigningKeys(tuple(map(SigningKey, filter(None, (given, previous)))), None)
    try:
        if not key_file.exists():
            fresh = SigningKey(secrets.token_urlsafe(48))
            replace_file(key_file, written((fresh,)).encode(), mode=0o600)
        return SigningKeys(parse(key_file.read_text()), key_file)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        reason = f"the key file {key_file} cannot be used: {why}."
        raise StartupFailed(reason=reason) from error
