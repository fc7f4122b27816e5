"""Replays the spool into the database: in order, each record exactly once, bad records set aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from godkaiser.domain.entities import Reading
from godkaiser.errors.base import GatewayError
from godkaiser.errors.storage import SpoolUnavailable
from godkaiser.storage.engine.database import REFUSED, Database
from godkaiser.storage.spool.frames import Frame
from godkaiser.storage.spool.position import keep_position, position
from godkaiser.storage.spool.spool import Spool, Stream

Record = TypeVar("Record")
Store = Callable[[Sequence[Record], Callable[[], None]], object]
"""Stores records in one transaction, and calls its second argument within it."""


class StreamReplay(Generic[Record]):
    def __init__(
        self,
        database: Database,
        spool: Spool,
        stream: Stream,
        kaiser_id: str,
        *,
        decode: Callable[[bytes], list[Record]],
        store: Store[Record],
        reject: Callable[[Record, str], None],
    ) -> None:
        """`reject` is called with a record that the database refuses for its content."""
        self._database = database
        self._spool = spool
        self._stream = stream
        self._name = f"{kaiser_id}/{stream}"
        self._decode = decode
        self._store = store
        self._reject = reject
        self._position: int | None = None

    def forget_position(self) -> None:
        """After an error it is unknown whether the last commit succeeded: read the position from
        the database.
        """
        self._position = None

    def batch(self, records: int) -> int:
        """Replay up to `records` records; returns how many.

        Raises:
            DatabaseUnavailable, SpoolUnavailable: try again later, nothing is lost.
        """
        if self._position is None:
            epoch = self._spool.epoch(self._stream)
            self._position = position(self._database, self._name, epoch)
        stored = 0
        frames = self._spool.peek(self._stream, self._position, records)
        for group in self._groups(frames):
            stored += self._replay(group)
        return stored

    def _groups(self, frames: Sequence[Frame]) -> list[list[tuple[Frame, list[Record]]]]:
        """Groups of frames that may be stored by one statement. A redelivery that is recognised
        only by the earlier row must find that row, so it begins a new statement.
        """
        groups: list[list[tuple[Frame, list[Record]]]] = []
        for frame in frames:
            records = self._decode(frame.body)
            alone = any(isinstance(r, Reading) and r.repeatable and r.redelivered for r in records)
            if alone or not groups:
                groups.append([])
            groups[-1].append((frame, records))
        return groups

    def _replay(self, group: Sequence[tuple[Frame, list[Record]]]) -> int:
        assert self._position is not None
        numbered = [
            (frame.sequence + i, record)
            for frame, records in group
            for i, record in enumerate(records)
            if frame.sequence + i > self._position
        ]
        last = group[-1][0].last
        try:
            self._store([record for _, record in numbered], lambda: self._keep(last))
        except REFUSED:
            self._replay_singly(numbered)
        except GatewayError:
            raise
        except Exception as error:
            raise self._blocked(error) from error
        self._position = last
        for frame, _ in group:
            self._spool.done(self._stream, frame)
        return len(numbered)

    def _replay_singly(self, numbered: Sequence[tuple[int, Record]]) -> None:
        for sequence, record in numbered:
            try:
                self._store([record], lambda at=sequence: self._keep(at))  # type: ignore[misc]
            except REFUSED as error:
                self._reject(record, f"the database refuses it: {error}")
            except GatewayError:
                raise
            except Exception as error:
                raise self._blocked(error) from error

    def _keep(self, sequence: int) -> None:
        keep_position(self._database, self._name, self._spool.epoch(self._stream), sequence)

    def _blocked(self, error: Exception) -> SpoolUnavailable:
        reason = (
            f"its {self._stream} cannot be replayed ({type(error).__name__}: {error}). Check the"
            " log and the database; nothing is lost meanwhile"
        )
        return SpoolUnavailable(reason=reason)
