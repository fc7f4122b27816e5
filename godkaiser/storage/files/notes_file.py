"""Notes: lines in a file that survive the sudden end of the process, at the price of one write each.

A note that is not flushed may be lost in a power cut, but only notes of the last seconds. Whenever
the file has doubled, it is written again with the notes that are still true, and flushed. With
`flush_anew` False it is not flushed then, and a power cut may lose all of it: for notes that reach
the database a moment later.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from godkaiser.host.durable_file import SameFolder, replace_file, replace_unflushed

T = TypeVar("T")

GROWTH_BYTES = 1 << 20

log = structlog.get_logger("godkaiser.notes")


class NotesFile:
    """`still_true` returns the notes for a new file. Not thread-safe: its owner holds a lock."""

    def __init__(
        self, path: Path, still_true: Callable[[], Iterable[bytes]], *, flush_anew: bool = True
    ) -> None:
        self._path = path
        self._folder: SameFolder | None = None
        self._replace = replace_file if flush_anew else replace_unflushed
        self._still_true = still_true
        self._descriptor: int | None = None
        self._room = 0
        self._is_told = False

    def read(self, kind: type[T]) -> Iterator[T]:
        """The notes in order; an incomplete one is skipped."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=kind)
            except msgspec.DecodeError:
                continue

    def add(self, note: bytes, *, flush: bool = False) -> None:
        """Write a note; on return it survives the end of this process and, with `flush`, a power
        cut.

        A full disk is logged and raises nothing.
        """
        try:
            self._append(note + b"\n")
            if flush and self._descriptor is not None:
                os.fdatasync(self._descriptor)
        except OSError as error:
            if not self._is_told:
                log.error("not_noted", file=str(self._path), reason=str(error))
            self._is_told = True
        else:
            self._is_told = False

    def add_flushed(self, notes: Iterable[bytes]) -> None:
        """Write and flush notes; on return all of them survive a power cut.

        Raises:
            OSError: it is unknown which of them survive.
        """
        try:
            self._append(b"".join(note + b"\n" for note in notes))
            if self._descriptor is not None:
                os.fdatasync(self._descriptor)
        except OSError:
            # After a failed flush the kernel may drop the data, and the next flush does not report
            # it.
            self.close()
            raise

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, line: bytes) -> None:
        """Raises OSError."""
        if self._descriptor is None or self._room <= 0:
            # The new file includes this note.
            self._begin_anew()
            return
        written = os.write(self._descriptor, line)
        self._room -= written
        if written < len(line):
            # A cut-off line must not be joined with the next one.
            self.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def _begin_anew(self) -> None:
        """Raises OSError; then the old file still exists."""
        self.close()
        if self._folder is None:
            self._folder = SameFolder(self._path.parent)
        self._folder.check()
        content = b"".join(note + b"\n" for note in self._still_true())
        self._replace(self._path, content, mode=0o600)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._room = max(GROWTH_BYTES, len(content))
