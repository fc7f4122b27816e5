"""The mark of a broker session: packet ids are unique only within one session.

It is on disk, because a session outlives the process: redeliveries after a `kill -9` belong to the
same session.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog

from godkaiser.host.durable_file import replace_file

MARK_BYTES = 8

log = structlog.get_logger("godkaiser.broker")


class SessionMark:
    """The mark of one client id. Without a file it is kept only in memory."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.value = b""
        if file is not None:
            try:
                self.value = file.read_bytes()
            except FileNotFoundError:
                return
            except OSError as error:
                # Then redelivered messages are stored a second time, but nothing is lost.
                log.warning("session_mark_unreadable", file=str(file), reason=str(error))

    def connected(self, *, session_present: bool) -> None:
        """The broker has accepted the connection; call this before its first message."""
        if session_present and len(self.value) == MARK_BYTES:
            return
        self.value = secrets.token_bytes(MARK_BYTES)
        if self._file is None:
            return
        try:
            replace_file(self._file, self.value, mode=0o600)
        except OSError as error:
            log.warning("session_mark_not_kept", file=str(self._file), reason=str(error))
