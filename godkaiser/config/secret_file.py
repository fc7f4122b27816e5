"""A secret in a file: its first line."""

from __future__ import annotations

import codecs
from pathlib import Path


def first_line(path: Path) -> str:
    """The secret in a file: its first line, without the spaces around it.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds nothing, or bytes that no secret has, such as the NULs of a power cut.
    """
    # As in the configuration, editors of Windows put a byte order mark.
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    line = content.strip().partition(b"\n")[0].strip()
    if not line:
        msg = "which is empty"
        raise ValueError(msg)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        msg = "which holds bytes that are no text"
        raise ValueError(msg)
    return text
