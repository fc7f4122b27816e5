"""`Idempotency-Key`: a command that is sent again, because its answer was lost, is not given again.

After draft-ietf-httpapi-idempotency-key-header: the same key with the same request is answered as before,
with another request it is refused. A command that was refused left nothing behind, and is judged anew. Where
the gateway ended in the midst of it, nobody knows; then the key is refused, and it is for the caller to look.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import falcon
import msgspec

from godkaiser.errors.base import GatewayError, ValidationFailed
from godkaiser.errors.requests import KeyInDoubt, KeyInUse, KeyReused
from godkaiser.errors.safety import OutcomeUnknown
from godkaiser.errors.storage import DatabaseInDoubt
from godkaiser.http.exchange import identity_of
from godkaiser.storage.files.notes_file import NotesFile

KEPT_S = 24 * 3600.0
MOST_KEPT = 10_000
LONGEST_KEY = 255

Place = tuple[str, str]
"""The person and the key."""


class Kept(msgspec.Struct, frozen=True):
    """`answer` None: it has been begun."""

    digest: bytes
    at: float
    answer: tuple[str | int, bytes] | None = None


class Note(msgspec.Struct, frozen=True):
    """`kept` None: it left nothing behind."""

    place: Place
    kept: Kept | None


class Idempotency:
    """Safe from any thread. What is begun is noted before it is given, so that a restart forgets nothing."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Place, Kept] = OrderedDict()
        self._under_way: set[Place] = set()
        self._file = NotesFile(path, self._still_true)
        for note in self._file.read(Note):
            self._keep(note)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def once(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        request: bytes,
        now: float,
        give: Callable[[], None],
    ) -> None:
        """Give it, or answer as the first time. `request` is all that makes it what it is.

        Raises:
            ValidationFailed: the key is too long.
            KeyReused: the key belongs to another request.
            KeyInUse: the first one is still under way.
            KeyInDoubt: the gateway ended, or gave no answer, while the first one was.
        """
        key = req.get_header("Idempotency-Key")
        if key is None:
            give()
            return
        if not 0 < len(key) <= LONGEST_KEY:
            raise ValidationFailed(reason=f"Idempotency-Key: use 1 to {LONGEST_KEY} characters.")
        place = (identity_of(req).principal, key)
        begun = Kept(hashlib.sha256(request).digest(), now)
        known = self._begin(place, begun)
        if known is not None:
            resp.status, resp.data = known
            resp.content_type = falcon.MEDIA_JSON
            resp.set_header("Idempotency-Replayed", "true")
            return
        # Whatever is raised beside a refusal: it may have been given.
        left: Kept | None = begun
        try:
            give()
            left = msgspec.structs.replace(begun, answer=(resp.status, resp.data or b""))
        except (OutcomeUnknown, DatabaseInDoubt):
            raise
        except GatewayError:
            left = None
            raise
        finally:
            self._end(place, left)

    def _begin(self, place: Place, begun: Kept) -> tuple[str | int, bytes] | None:
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None and abs(begun.at - kept.at) >= KEPT_S:
                kept = None
            if kept is None:
                self._under_way.add(place)
                self._note(Note(place, begun), flush=True)
                return None
            if kept.digest != begun.digest:
                raise KeyReused
            if kept.answer is not None:
                return kept.answer
            raise KeyInUse if place in self._under_way else KeyInDoubt

    def _end(self, place: Place, left: Kept | None) -> None:
        with self._lock:
            self._under_way.discard(place)
            if left is None or left.answer is not None:
                self._note(Note(place, left))

    def _note(self, note: Note, *, flush: bool = False) -> None:
        self._keep(note)
        self._file.add(msgspec.json.encode(note), flush=flush)

    def _keep(self, note: Note) -> None:
        self._kept.pop(note.place, None)
        if note.kept is not None:
            self._kept[note.place] = note.kept
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _still_true(self) -> list[bytes]:
        return [msgspec.json.encode(Note(*item)) for item in self._kept.items()]
