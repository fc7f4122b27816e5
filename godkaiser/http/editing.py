"""If-Match (RFC 9110, 13.1.1): of two who edit one thing, the second has to look again."""

from __future__ import annotations

import re

import falcon

from godkaiser.domain.records.digests import ANY, is_seen
from godkaiser.errors.base import ChangedMeanwhile, ValidationFailed
from godkaiser.errors.requests import WeakETag

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)"\s*')
_NONE_OF_OURS = "-"


def seen_by(req: falcon.Request) -> str:
    """The digests that the author has seen, by `If-Match`, separated by commas.

    "" without the header; "*": whatever it is, as long as there is one. Tags are compared strongly, so a
    weak one counts for nothing.

    Raises:
        ValidationFailed: it is not a list of ETags.
        WeakETag: all of them are weak.
    """
    header = req.get_header("If-Match")
    if header is None:
        return ""
    if header.strip() == ANY:
        return ANY
    found = _tags(header)
    if all(is_weak for is_weak, _ in found):
        raise WeakETag
    # Our ETags are alphanumeric; a tag with other characters is not ours.
    kept = [tag for is_weak, tag in found if not is_weak and tag.isalnum()]
    return ",".join(kept) or _NONE_OF_OURS


def refuse_changed(seen: str, present: str, what: str) -> None:
    """Raises ChangedMeanwhile."""
    if not is_seen(seen, present):
        raise ChangedMeanwhile(what=what)


def _tags(header: str) -> list[tuple[bool, str]]:
    """Raises ValidationFailed."""
    found, place = [], 0
    while True:
        tag = _TAG.match(header, place)
        if tag is None:
            raise ValidationFailed(
                reason="If-Match: send the ETag as you have read it, with its quotes, or *."
            )
        found.append((tag[1] is not None, tag[2]))
        place = tag.end()
        if place == len(header):
            return found
        if header[place] != ",":
            raise ValidationFailed(reason="If-Match: separate several ETags by commas.")
        place += 1
