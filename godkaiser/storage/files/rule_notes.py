"""The memory of rules, written before they act, in two files.

`note` writes without a flush, in the thread of the rule: after a `kill -9` at that moment no rule
fires twice. `keep` flushes, for doses, so that no rule fires twice after a power cut either; only
one actor calls it, for all rules. The newer of the two notes counts. The journal writes the same
into the database a little later, or into the spool while the database is away.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.storage.files.notes_file import NotesFile


class RuleNote(msgspec.Struct, frozen=True):
    """`memory` None: the rule is being deleted."""

    rule_id: int
    memory: RuleMemory | None


class RuleNotes:
    """The notes of all rules. Call `note` from any thread, `keep` from one."""

    def __init__(self, path: Path, doses: Path) -> None:
        self._writing = threading.Lock()
        self._noted: dict[int, RuleMemory] = {}
        self._kept: dict[int, RuleMemory] = {}
        # Written by the pool's workers, which must not wait for a disk.
        self._notes = NotesFile(path, lambda: _lines(self._noted), flush_anew=False)
        self._doses = NotesFile(doses, lambda: _lines(self._kept))
        for note in self._notes.read(RuleNote):
            _take(self._noted, note)
        for note in self._doses.read(RuleNote):
            _take(self._kept, note)

    def newer(self, rule_id: int, stored: RuleMemory | None) -> RuleMemory | None:
        """The newest memory of the rule; `stored` is the one in the database."""
        known = [
            memory
            for memory in (stored, self._kept.get(rule_id), self._noted.get(rule_id))
            if memory is not None
        ]
        return max(known, key=lambda memory: memory.changes, default=None)

    def note(self, rule_id: int, memory: RuleMemory | None) -> None:
        """Write the memory; on return it survives the end of this process."""
        note = RuleNote(rule_id, memory)
        with self._writing:
            _take(self._noted, note)
            self._notes.add(msgspec.json.encode(note))

    def keep(self, notes: Sequence[RuleNote]) -> None:
        """Write and flush the notes; on return all of them survive a power cut.

        Raises:
            OSError: the disk is full or failing; it is unknown which of them survive a power cut.
        """
        for note in notes:
            _take(self._kept, note)
        self._doses.add_flushed([msgspec.json.encode(note) for note in notes])

    def close(self) -> None:
        with self._writing:
            self._notes.close()
        self._doses.close()


def _take(known: dict[int, RuleMemory], note: RuleNote) -> None:
    if note.memory is None:
        known.pop(note.rule_id, None)
    else:
        known[note.rule_id] = note.memory


def _lines(known: dict[int, RuleMemory]) -> list[bytes]:
    return [msgspec.json.encode(RuleNote(*item)) for item in list(known.items())]
