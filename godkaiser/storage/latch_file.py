"""The latch on disk: one small file, replaced atomically and flushed before anybody is answered."""

from __future__ import annotations

import os
from pathlib import Path

from godkaiser.domain import latch
from godkaiser.domain.safety_state import SafetyState


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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # A plain os.write may stop half way on a disk that fills up, and say so by its result only.
        with os.fdopen(descriptor, "wb") as file:
            file.write(latch.encode(state))
            file.flush()
            os.fsync(descriptor)
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
