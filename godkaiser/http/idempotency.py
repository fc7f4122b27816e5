"""`Idempotency-Key`: a command that is sent again, because its answer was lost, is not given again.

After draft-ietf-httpapi-idempotency-key-header: the same key with the same request is answered as before,
with another request it is refused. A command that was refused left nothing behind, and is judged anew.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import falcon
import msgspec

from godkaiser.errors import KeyInUse, KeyReused, ValidationFailed
from godkaiser.http.exchange import identity_of

KEPT_S = 24 * 3600.0
MOST_KEPT = 10_000
LONGEST_KEY = 255


class Kept(msgspec.Struct):
    """`answer` None: under way."""

    digest: bytes
    at: float
    answer: tuple[str | int, bytes] | None = None


class Idempotency:
    """Safe from any thread. Kept in memory: a restart of the gateway forgets, and switches nothing on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()

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
        """
        key = req.get_header("Idempotency-Key")
        if key is None:
            give()
            return
        if not 0 < len(key) <= LONGEST_KEY:
            raise ValidationFailed(reason=f"Idempotency-Key: use 1 to {LONGEST_KEY} characters.")
        place = (identity_of(req).username, key)
        known = self._begin(place, hashlib.sha256(request).digest(), now)
        if known is not None:
            resp.status, resp.data = known
            resp.content_type = falcon.MEDIA_JSON
            resp.set_header("Idempotency-Replayed", "true")
            return
        try:
            give()
        except BaseException:
            with self._lock:
                self._kept.pop(place, None)
            raise
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None:
                kept.answer = (resp.status, resp.data or b"")

    def _begin(
        self, place: tuple[str, str], digest: bytes, now: float
    ) -> tuple[str | int, bytes] | None:
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None and abs(now - kept.at) >= KEPT_S:
                kept = None
            if kept is None:
                self._kept.pop(place, None)
                self._kept[place] = Kept(digest, now)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
                return None
            if kept.digest != digest:
                raise KeyReused
            if kept.answer is None:
                raise KeyInUse
            return kept.answer
