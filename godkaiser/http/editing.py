"""If-Match: of two who edit one thing, the second has to look again."""

from __future__ import annotations

import falcon

from godkaiser.errors import ChangedMeanwhile, ValidationFailed


def seen_by(req: falcon.Request) -> str:
    """The text that its author has seen, by `If-Match`; "" when it does not matter."""
    tags = req.if_match
    if not tags or tags == ["*"]:
        return ""
    if len(tags) != 1 or getattr(tags[0], "is_weak", False):
        raise ValidationFailed(reason="If-Match: send the one ETag of it as you have read it.")
    return str(tags[0])


def refuse_unseen(seen: str, present: str, what: str) -> None:
    """Raises ChangedMeanwhile."""
    if seen and seen != present:
        raise ChangedMeanwhile(what=what)
