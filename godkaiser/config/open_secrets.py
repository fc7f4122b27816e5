"""Files with passwords, tokens or keys that every user of the machine may read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from godkaiser.config import values
from godkaiser.config.settings import KEYS, Config

_OF_SECRETS = (values.PASSWORD_FILE, values.TOKEN_FILE)
_CLIENT_KEY = ("mqtt", "client_key")


def open_secrets(config: Config) -> Iterator[tuple[str, str]]:
    """Each file, and what is doubtful about it. A file that is gone is no matter of this."""
    for section, keys in KEYS.items():
        for key, setting in keys.items():
            if setting.rule not in _OF_SECRETS and (section, key) != _CLIENT_KEY:
                continue
            file = getattr(getattr(config, section), key)
            if file and _is_open(Path(file)):
                text = (
                    f"[{section}] {key}: every user of this machine may read it. Take that right away:"
                    f" chmod o= {file}"
                )
                yield file, text


def _is_open(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
