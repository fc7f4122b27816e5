"""A record on disk: one small file, replaced atomically and flushed before the caller continues."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from godkaiser.domain.records import checked_record
from godkaiser.domain.records.checked_record import RecordUnreadable
from godkaiser.host.durable_file import InDoubt, SameFolder, replace_file, write_file

T = TypeVar("T")

MODE = 0o600
RESERVE = ".reserve"
RESERVED_BYTES = 64 * 1024
"""Kept beside the record and given up for it when the disk is full: random, so that no disk compresses it."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class RecordFile(Generic[T]):
    """A record of one kind; used by one thread at a time.

    There are two ways to write. `write` is all or nothing: after an error the old record is in
    force, in this object and on disk. `insist` is for a record that is in force whatever the disk
    does (a stop): from the call on. A record that is in force but not on disk is `unwritten`, until
    `retry` has written it.
    """

    def __init__(self, path: Path, kind: type[T]) -> None:
        self._path = path
        self._kind = kind
        self._folder = SameFolder(path.parent)
        self._reserve = path.with_name(path.name + RESERVE)
        self._known: bytes | None = None
        self._unwritten: bytes | None = None
        self._keep_reserve()

    @property
    def unwritten(self) -> bool:
        """Whether the record in force may not be on disk: call `retry` until it is."""
        return self._unwritten is not None

    def read(self) -> T | None:
        """The record in force; None if there has never been one.

        Raises:
            RecordUnreadable: there is a record but it cannot be trusted.
        """
        try:
            record = self._path.read_bytes() if self._unwritten is None else self._unwritten
            value = checked_record.decode(record, self._kind)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self._path}: {error.strerror}"
            raise RecordUnreadable(msg) from error
        self._known = record
        return value

    def write(self, value: T) -> None:
        """Replace the record; on return it survives a power cut.

        Raises:
            InDoubt: the old record is in force, but after a power cut the disk may hold either one:
                it is `unwritten`.
            OSError: the old record is in force, on disk too.
        """
        self._folder.check()
        before, record = self._in_force(), checked_record.encode(value)
        try:
            replace_file(self._path, record, mode=MODE)
        except InDoubt:
            self._unwritten = before
            raise
        self._known, self._unwritten = record, None

    def insist(self, value: T) -> None:
        """Replace the record; it is in force even when this fails.

        Raises:
            OSError: it may not be on disk: it is `unwritten`.
        """
        self._known = self._unwritten = checked_record.encode(value)
        self.retry()

    def retry(self) -> None:
        """Write the unwritten record, if any. Raises OSError if it is still unwritten."""
        if self._unwritten is None:
            return
        self._folder.check()
        try:
            replace_file(self._path, self._unwritten, mode=MODE, roll_back=False)
        except OSError as error:
            if error.errno not in FULL or not self._reserve.exists():
                raise
            self._reserve.unlink(missing_ok=True)
            replace_file(self._path, self._unwritten, mode=MODE, roll_back=False)
        self._unwritten = None
        self._keep_reserve()

    def check(self) -> None:
        """Look whether what is in force would be found after a restart.

        Raises:
            OSError: the folder is another one now, or has gone; what is in force is `unwritten`.
        """
        try:
            self._folder.check()
        except OSError:
            self._unwritten = self._known if self._unwritten is None else self._unwritten
            raise

    def _keep_reserve(self) -> None:
        """Room for one record on a disk that fills up later; without it, as before."""
        with suppress(OSError):
            if not self._reserve.exists():
                write_file(self._reserve, os.urandom(RESERVED_BYTES), MODE)

    def _in_force(self) -> bytes | None:
        """The bytes in force. Raises OSError if they cannot be read, because then they could not be
        put back.
        """
        if self._unwritten is not None:
            return self._unwritten
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
