"""The latch on disk for the stops: the state in force, whether it is written, and the alarm if it
is not.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.errors.storage import RecordNotWritten
from godkaiser.storage.files.record_file import RecordFile

log = structlog.get_logger("godkaiser.safety")


class StoredLatch:
    """Used by the safety actor only. `alarm` is empty while writing succeeds; `on_change` is called
    at each change.
    """

    def __init__(self, file: RecordFile[SafetyState], on_change: Callable[[], None]) -> None:
        self._file = file
        self._on_change = on_change
        self.alarm = ""

    @property
    def is_recorded(self) -> bool:
        """Whether the latch on disk has the state in force."""
        return not self._file.unwritten

    def read(self) -> SafetyState | None:
        """Raises RecordUnreadable. None: there is no file."""
        state = self._file.read()
        if self._file.unwritten:
            self.alarm = "not latched: the safety record is not on disk yet"
        return state

    def write(self, state: SafetyState) -> None:
        """Raises RecordNotWritten; then what was in force stays in force, on disk too."""
        try:
            self._file.write(state)
        except OSError as error:
            self._note(error)
            raise RecordNotWritten(record="safety record", reason=str(error)) from error
        self._note(None)

    def insist(self, state: SafetyState) -> None:
        """Write a stop, which is in force even if the write fails; it is then written as soon as
        possible.
        """
        try:
            self._file.insist(state)
        except OSError as error:
            self._note(error)
            log.critical("stop_not_latched", reason=str(error))
        else:
            self._note(None)

    def write_again(self) -> None:
        """Write what is in force where that has failed before."""
        try:
            self._file.retry()
        except OSError as error:
            self._note(error)
        else:
            self._note(None)

    def check(self) -> bool:
        """Look whether what is in force would be found after a restart; whether it would."""
        try:
            self._file.check()
        except OSError as error:
            self._note(error)
            return False
        return True

    def _note(self, error: OSError | None) -> None:
        before, self.alarm = self.alarm, ""
        if error is not None and self._file.unwritten:
            self.alarm = f"not latched: the safety record cannot be written: {error}"
        if self.alarm != before:
            self._on_change()
