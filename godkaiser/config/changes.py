"""Decides which changes of the configuration a running gateway applies, and which need a restart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from godkaiser.config.settings import LIVE, Config

ACCOUNT = frozenset({("mqtt", "username"), ("mqtt", "password_file")})
"""Those that need a restart where the gateway itself keeps the accounts of the broker."""
CERTIFICATES = ("ca_cert", "client_cert", "client_key")


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """A line for each thing: taken now, waiting for a restart, and taken though it is doubtful."""

    taken: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def changed_keys(before: Config, after: Config) -> list[tuple[str, str]]:
    """Section and key of all that differs, in the order of the sections."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    # The signing keys of the environment stand outside of all sections, and cannot change.
    return [
        (section, key)
        for section, keys in new.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
        if old[section][key] != value
    ]


def with_live_keys(running: Config, wanted: Config) -> Config:
    """The running configuration with what can be taken of the wanted one."""
    values, new = msgspec.to_builtins(running), msgspec.to_builtins(wanted)
    for section, key in LIVE:
        values[section][key] = new[section][key]
    return msgspec.convert(values, Config)


def fingerprint(config: Config) -> str:
    """Of the certificates for the broker: another one when a file was replaced.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for key in CERTIFICATES:
        name = getattr(config.mqtt, key)
        digest.update(hashlib.sha256(Path(name).read_bytes() if name else b"").digest())
    return digest.hexdigest()
