"""The one writer of the notes of commands with an `Idempotency-Key`: each command is given once.

As in draft-ietf-httpapi-idempotency-key-header: the same key with the same request gets the same
answer, with another request it is refused. A refused command had no effect, so it is judged again.
If the gateway ended during the command, the outcome is unknown; then the key is refused, and the
caller must check.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.actors.access.messages import BeginOnce, EndOnce
from godkaiser.domain.idempotency import Answer, Kept, Place, earlier_answer
from godkaiser.errors.base import GatewayError
from godkaiser.storage.files.notes_file import NotesFile
from godkaiser.supervision import Actor

MOST_KEPT = 10_000


class Note(msgspec.Struct, frozen=True):
    """`kept` None: the command had no effect."""

    place: Place
    kept: Kept | None


class IdempotencyActor(Actor):
    """A command is noted before it is given, so that a restart does not forget it."""

    refusals = (GatewayError,)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._kept: OrderedDict[Place, Kept] = OrderedDict()
        self._under_way: frozenset[str] = frozenset()
        self._file = NotesFile(path, self._still_true)

    def on_start(self) -> None:
        # These requests survive a crash of this actor, and report their end.
        self._under_way = self.context.recall("under_way") or frozenset()
        for note in self._file.read(Note):
            self._keep(note)

    def on_receive(self, message: object) -> Any:
        match message:
            case BeginOnce(place=place, begun=begun):
                return self._begin(place, begun)
            case EndOnce(place=place, begun=begun, left=left):
                return self._end(place, begun, left)
        return self.context.unhandled(message)

    def on_stop(self) -> None:
        self._file.close()

    def on_failure(self, *_exc_info: object) -> None:
        self._file.close()

    def _begin(self, place: Place, begun: Kept) -> Answer | None:
        """Raises KeyReused, KeyInUse, KeyInDoubt."""
        kept = self._kept.get(place)
        is_under_way = kept is not None and kept.attempt in self._under_way
        answer = earlier_answer(kept, begun, is_under_way=is_under_way)
        if answer is None:
            self._show(self._under_way | {begun.attempt})
            self._note(Note(place, begun), flush=True)
        return answer

    def _end(self, place: Place, begun: Kept, left: Kept | None) -> None:
        self._show(self._under_way - {begun.attempt})
        # Another attempt may have begun since; the end of the old one must not change its note.
        if self._kept.get(place) == begun and left != begun:
            self._note(Note(place, left))

    def _show(self, under_way: frozenset[str]) -> None:
        self._under_way = under_way
        self.context.publish("under_way", under_way)

    def _note(self, note: Note, *, flush: bool = False) -> None:
        self._keep(note)
        self._file.add(msgspec.json.encode(note), flush=flush)

    def _keep(self, note: Note) -> None:
        self._kept.pop(note.place, None)
        if note.kept is not None:
            self._kept[note.place] = note.kept
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _still_true(self) -> Iterable[bytes]:
        return [msgspec.json.encode(Note(*item)) for item in self._kept.items()]
