"""The latch on disk: one small file, replaced atomically and flushed before anybody is answered."""

from __future__ import annotations

from pathlib import Path

from godkaiser.domain import latch
from godkaiser.domain.safety_state import SafetyState
from godkaiser.durable_file import replace_file


class LatchFile:
    """Owned by the safety actor."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> SafetyState | None:
        """The latched state; None when there has never been one.

        Raises:
            LatchUnreadable: there is a record and it cannot be trusted.
        """
        try:
            return latch.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self._path}: {error.strerror}"
            raise latch.LatchUnreadable(msg) from error

    def write(self, state: SafetyState) -> None:
        """Replace the record; on return it survives a power cut.

        Raises:
            OSError: the disk is full or not writable; the record before it still stands.
        """
        replace_file(self._path, latch.encode(state), mode=0o600)
