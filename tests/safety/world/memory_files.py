"""Files without a disk: they outlive the gateway, and can be full, or fail to flush, for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from godkaiser.domain.records import checked_record
from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.host.durable_file import InDoubt
from godkaiser.storage.files.rule_notes import RuleNote

SETTLE_S = 15.0
"""So long after the disk takes writes again, what could not be written has been."""


class Disk:
    """What one file holds. `is_full`: nothing is written. `is_shaky`: the folder cannot be flushed, so
    that after a power cut it may hold either.
    """

    def __init__(
        self, kind: type[Any], written: Callable[[Any, Any], None] = lambda _before, _after: None
    ) -> None:
        self.kind = kind
        self.record: bytes | None = None
        self.is_full = False
        self.is_shaky = False
        self.failed_writes = 0
        self.written = written
        self._mended_at = -1e9

    @property
    def has_failed(self) -> bool:
        return self.is_full or self.is_shaky

    @property
    def value(self) -> Any:
        return None if self.record is None else checked_record.decode(self.record, self.kind)

    def mend(self, now: float) -> None:
        if self.has_failed:
            self._mended_at = now
        self.is_full = self.is_shaky = False

    def is_settled(self, now: float) -> bool:
        return not self.has_failed and now - self._mended_at > SETTLE_S

    def replace(self, record: bytes, *, roll_back: bool) -> None:
        if self.is_full:
            self.failed_writes += 1
            raise OSError(28, "No space left on device")
        if self.is_shaky:
            self.failed_writes += 1
            if not roll_back:
                self.record = record
            raise InDoubt(5, "Input/output error")
        self.written(self.value, checked_record.decode(record, self.kind))
        self.record = record


class MemoryFile:
    """In the place of a `RecordFile`, for one life of the process."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._unwritten: bytes | None = None

    @property
    def unwritten(self) -> bool:
        return self._unwritten is not None

    def read(self) -> Any:
        record = self.disk.record if self._unwritten is None else self._unwritten
        return None if record is None else checked_record.decode(record, self.disk.kind)

    def write(self, value: Any) -> None:
        before = self.disk.record if self._unwritten is None else self._unwritten
        try:
            self.disk.replace(checked_record.encode(value), roll_back=True)
        except InDoubt:
            self._unwritten = before
            raise
        self._unwritten = None

    def insist(self, value: Any) -> None:
        self._unwritten = checked_record.encode(value)
        self.retry()

    def retry(self) -> None:
        if self._unwritten is not None:
            self.disk.replace(self._unwritten, roll_back=False)
            self._unwritten = None

    def check(self) -> None:
        """Its folder is never another one."""


class MemoryNotes:
    """In the place of `RuleNotes`. A kill leaves all; after a power cut only what was flushed is there."""

    def __init__(self) -> None:
        self.disk = Disk(RuleMemory)
        self._noted: dict[int, RuleMemory] = {}
        self._kept: dict[int, RuleMemory] = {}

    def newest(self, rule_id: int) -> RuleMemory | None:
        known = [notes[rule_id] for notes in (self._noted, self._kept) if rule_id in notes]
        return max(known, key=lambda memory: memory.changes, default=None)

    def note(self, rule_id: int, memory: RuleMemory | None) -> None:
        self._take(self._noted, RuleNote(rule_id, memory))

    def keep(self, notes: Sequence[RuleNote]) -> None:
        if self.disk.has_failed:
            raise OSError(28, "No space left on device")
        for note in notes:
            self._take(self._kept, note)

    def lose_power(self) -> None:
        self._noted.clear()

    @staticmethod
    def _take(known: dict[int, RuleMemory], note: RuleNote) -> None:
        if note.memory is None:
            known.pop(note.rule_id, None)
        else:
            known[note.rule_id] = note.memory
