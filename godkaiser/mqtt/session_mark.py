"""The mark of a session with the broker: packet ids count within one, and begin anew with the next.

On disk, because a session outlives the process: what the broker delivers again after a `kill -9` belongs to the same one.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from godkaiser.host.durable_file import replace_file

MARK_BYTES = 8

log = structlog.get_logger("godkaiser.broker")


class SessionMark:
    """Of one client id. Without a file it is only remembered."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.value = b""
        if file is not None:
            try:
                self.value = file.read_bytes()
            except FileNotFoundError:
                return
            except OSError as error:
                # Then what was stored before is stored once more, and nothing is dropped.
                log.warning("session_mark_unreadable", file=str(file), reason=str(error))

    def connected(self, *, session_present: bool) -> None:
        """The broker has taken the connection; before its first message."""
        if session_present and len(self.value) == MARK_BYTES:
            return
        self.value = secrets.token_bytes(MARK_BYTES)
        if self._file is None:
            return
        try:
            replace_file(self._file, self.value, mode=0o600)
        except OSError as error:
            log.warning("session_mark_not_kept", file=str(self._file), reason=str(error))
