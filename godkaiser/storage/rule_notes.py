"""What rules remember, noted before they act: `kill -9` in that moment makes no pump run twice.

The journal writes the same into the database a little later, or into the spool while that is away.
"""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from godkaiser.domain.rules import RuleMemory
from godkaiser.storage.notes_file import NotesFile


class Note(msgspec.Struct, frozen=True):
    """Without a `memory`: the rule is to be deleted."""

    rule_id: int
    memory: RuleMemory | None


class RuleNotes:
    """For all rules; from any thread."""

    def __init__(self, path: Path) -> None:
        self._writing = threading.Lock()
        self._newest: dict[int, RuleMemory] = {}
        self._file = NotesFile(path, self._still_true)
        for note in self._file.read(Note):
            self._keep(note)

    def newer(self, rule_id: int, stored: RuleMemory | None) -> RuleMemory | None:
        """What the rule remembers; `stored` is what the database has."""
        noted = self._newest.get(rule_id)
        if noted is None or (stored is not None and stored.changes >= noted.changes):
            return stored
        return noted

    def note(self, rule_id: int, memory: RuleMemory | None) -> None:
        """On return it survives the end of this process."""
        note = Note(rule_id, memory)
        with self._writing:
            self._keep(note)
            self._file.add(msgspec.json.encode(note))

    def close(self) -> None:
        with self._writing:
            self._file.close()

    def _keep(self, note: Note) -> None:
        if note.memory is None:
            self._newest.pop(note.rule_id, None)
        else:
            self._newest[note.rule_id] = note.memory

    def _still_true(self) -> list[bytes]:
        return [msgspec.json.encode(Note(*item)) for item in self._newest.items()]
