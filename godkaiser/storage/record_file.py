"""A record on disk: one small file, replaced atomically and flushed before anybody is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from godkaiser.domain import checked_record
from godkaiser.domain.checked_record import RecordUnreadable
from godkaiser.durable_file import replace_file

T = TypeVar("T")


class RecordFile(Generic[T]):
    """Of one kind; owned by one actor."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self._path = path
        self._kind = kind

    def read(self) -> T | None:
        """None when there has never been one.

        Raises:
            RecordUnreadable: there is a record and it cannot be trusted.
        """
        try:
            return checked_record.decode(self._path.read_bytes(), self._kind)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self._path}: {error.strerror}"
            raise RecordUnreadable(msg) from error

    def write(self, value: T) -> None:
        """Replace the record; on return it survives a power cut.

        Raises:
            OSError: the disk is full or not writable; the record before it still stands.
        """
        replace_file(self._path, checked_record.encode(value), mode=0o600)
