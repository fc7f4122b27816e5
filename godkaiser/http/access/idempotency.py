"""`Idempotency-Key`: a command that is sent again, because its answer was lost, is not given again.

The notes are kept by `/services/access/idempotency`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.access.messages import BeginOnce, EndOnce
from godkaiser.domain.idempotency import Answer, Kept, Place
from godkaiser.errors.base import (
    GatewayError,
    GatewayOverloaded,
    ServiceUnavailable,
    ValidationFailed,
)
from godkaiser.errors.safety import OutcomeUnknown
from godkaiser.errors.storage import DatabaseInDoubt
from godkaiser.http.access.desk import PATIENCE_S, AccessDesk
from godkaiser.http.exchange import identity_of

LONGEST_KEY = 255


class Idempotency:
    """Safe from any thread."""

    def __init__(self, desk: AccessDesk) -> None:
        self._desk = desk

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
            ServiceUnavailable: it cannot be noted, and is not given.
        """
        key = req.get_header("Idempotency-Key")
        if key is None:
            give()
            return
        if not 0 < len(key) <= LONGEST_KEY:
            raise ValidationFailed(reason=f"Idempotency-Key: use 1 to {LONGEST_KEY} characters.")
        place = (identity_of(req).principal, key)
        begun = Kept(hashlib.sha256(request).digest(), now, attempt=uuid.uuid4().hex)
        known = self._begin(place, begun)
        if known is not None:
            resp.status, resp.data = known
            resp.content_type = falcon.MEDIA_JSON
            resp.set_header("Idempotency-Replayed", "true")
            return
        # After any error but a refusal the command may have been given, so its note stays.
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
            self._end(EndOnce(place=place, begun=begun, left=left))

    def _begin(self, place: Place, begun: Kept) -> Answer | None:
        try:
            answer: Answer | None = self._desk.once(BeginOnce(place=place, begun=begun))
        except ServiceUnavailable as error:
            # It may be noted, and is not given.
            self._desk.tell_once(EndOnce(place=place, begun=begun, left=None))
            if isinstance(error, OutcomeUnknown):
                raise GatewayOverloaded(path=paths.IDEMPOTENCY, timeout_s=PATIENCE_S) from error
            raise
        return answer

    def _end(self, message: EndOnce) -> None:
        """Noted before it is answered, if that is possible: the command has been given in any case."""
        try:
            self._desk.once(message)
        except ServiceUnavailable:
            self._desk.tell_once(message)
