"""`Idempotency-Key`: whether a command may be given, or how it was answered; pure."""

from __future__ import annotations

import msgspec

from godkaiser.errors.requests import KeyInDoubt, KeyInUse, KeyReused

KEPT_S = 24 * 3600.0

Place = tuple[str, str]
"""The person and the key."""
Answer = tuple[str | int, bytes]
"""Status and body."""


class Kept(msgspec.Struct, frozen=True):
    """A request with a key: the `digest` of what it asks for, when it came (unix seconds), and which
    `attempt` at it this is. `answer` None: it has been begun.
    """

    digest: bytes
    at: float
    answer: Answer | None = None
    attempt: str = ""


def earlier_answer(kept: Kept | None, begun: Kept, *, is_under_way: bool) -> Answer | None:
    """How the request `begun` was answered before; None: it may be given. `is_under_way` tells of `kept`.

    Raises:
        KeyReused: the key belongs to another request.
        KeyInUse: the first one is still under way.
        KeyInDoubt: the gateway ended, or gave no answer, while the first one was.
    """
    if kept is None or abs(begun.at - kept.at) >= KEPT_S:
        return None
    if kept.digest != begun.digest:
        raise KeyReused
    if kept.answer is not None:
        return kept.answer
    raise KeyInUse if is_under_way else KeyInDoubt
