"""The file of the keys that sign tokens.

It holds a line for each, the one that signs first: the secret, and behind those that sign no more until when
(unix seconds) they are believed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from godkaiser.config.values import MIN_SECRET_CHARACTERS
from godkaiser.domain.signing_keys import FOR_EVER, SigningKey
from godkaiser.errors.process import StartupFailed
from godkaiser.host.durable_file import replace_file

KEY_FILE = "jwt.key"


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


def fresh_secret() -> str:
    return secrets.token_urlsafe(48)


def read(path: Path) -> tuple[SigningKey, ...]:
    """Raises OSError, ValueError."""
    return parse(path.read_text())


def write(path: Path, keys: Iterable[SigningKey]) -> None:
    """Raises OSError; then the file is as it was."""
    replace_file(path, written(keys).encode(), mode=0o600)


def open_signing_keys(given: str, previous: str, path: Path) -> tuple[SigningKey, ...]:
    """As given (and believed besides it: `previous`), or those of the key file, made on the first start.

    Raises:
        StartupFailed: a key file that cannot be used.
    """
    if given:
        return tuple(map(SigningKey, filter(None, (given, previous))))
    try:
        if not path.exists():
            write(path, (SigningKey(fresh_secret()),))
        return read(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        reason = f"the key file {path} cannot be used: {why}."
        raise StartupFailed(reason=reason) from error
