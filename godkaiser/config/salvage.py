"""Reads the usable part of a broken configuration, for the emergency stop, which must not wait for
a correction.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.config.loading import Reading, secrets_of
from godkaiser.config.mistakes import Mistake
from godkaiser.config.settings import Config

_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]")


def salvage(path: Path | None, environ: Mapping[str, str]) -> tuple[Config, list[Mistake]]:
    """The good keys of the file and the environment, defaults for all others, and what was passed over."""
    reading = Reading()
    if path is not None:
        reading.read_file(path)
        if reading.folder is None:
            reading.take_document(path, _good_lines(path))
    reading.read_environment(environ)
    config = msgspec.convert(reading.values, Config)
    mqtt = config.mqtt
    if "tls" not in reading.values.get("mqtt", {}) and (mqtt.ca_cert or mqtt.client_cert):
        # The switch was lost, the certificates were not: a password must not go in the clear.
        config = msgspec.structs.replace(config, mqtt=msgspec.structs.replace(mqtt, tls=True))
    return secrets_of(config, environ), reading.mistakes


def _good_lines(path: Path) -> dict[str, Any]:
    """The keys that are good by themselves in a file that is no TOML as a whole."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except (OSError, ValueError):
        return {}
    document: dict[str, Any] = {}
    section = ""
    for line in lines:
        header = _SECTION.match(line)
        if header is not None:
            section = header.group(1)
            continue
        try:
            found = tomllib.loads(line)
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
        if section and found:
            document.setdefault(section, {}).update(found)
    return document
