"""What rules remember, noted before they act: `kill -9` in that moment makes no pump run twice.

The journal writes the same into the database a little later, or into the spool while that is away. A note is
not flushed: what a power cut takes with it are the notes of the last seconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from godkaiser.domain.rules import RuleMemory

GROWTH_BYTES = 1 << 20

log = structlog.get_logger("godkaiser.rules")


class Note(msgspec.Struct, frozen=True):
    """Without a `memory`: the rule is to be deleted."""

    rule_id: int
    memory: RuleMemory | None


class RuleNotes:
    """For all rules; from any thread. A disk that is full is told, and stops no rule."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._newest: dict[int, RuleMemory] = {}
        for note in _read(path):
            self._keep(note)
        self._descriptor: int | None = None
        self._room = 0
        self._is_told = False

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
            try:
                self._append(self._encode(note) + b"\n")
            except OSError as error:
                if not self._is_told:
                    log.error("rule_not_noted", file=str(self._path), reason=str(error))
                self._is_told = True
            else:
                self._is_told = False

    def close(self) -> None:
        with self._writing:
            self._close()

    def _keep(self, note: Note) -> None:
        if note.memory is None:
            self._newest.pop(note.rule_id, None)
        else:
            self._newest[note.rule_id] = note.memory

    def _append(self, line: bytes) -> None:
        """Raises OSError."""
        if self._descriptor is None or self._room <= 0:
            self._begin_anew()
        assert self._descriptor is not None
        written = os.write(self._descriptor, line)
        self._room -= written
        if written < len(line):
            # The disk is full: a line that is cut off must not run into the next one.
            self._close()

    def _begin_anew(self) -> None:
        """With the newest of each rule. Raises OSError; then the file before it still stands."""
        self._close()
        draft = self._path.with_name(f"{self._path.name}.new")
        notes = (Note(rule_id, memory) for rule_id, memory in self._newest.items())
        draft.write_bytes(b"".join(self._encode(note) + b"\n" for note in notes))
        draft.replace(self._path)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._room = GROWTH_BYTES

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read(path: Path) -> Iterator[Note]:
    """In their order; a line that was cut off is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=Note)
        except msgspec.DecodeError:
            continue
