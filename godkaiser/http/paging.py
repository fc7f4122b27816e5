"""Lists a page at a time, by a cursor: what is added or removed meanwhile neither repeats nor skips the rest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import falcon
import msgspec

from godkaiser.errors.base import ValidationFailed
from godkaiser.http.endpoint import Endpoint, Page
from godkaiser.http.exchange import query_int, reply

MOST = 1000
_LONGEST_CURSOR = 2000


def encode_cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def cursor_of(req: falcon.Request, kind: Any) -> Any:
    """The place behind which to go on, as `kind`; None at the beginning. Raises ValidationFailed."""
    text = req.get_param("cursor")
    if text is None:
        return None
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded.encode("ascii")), type=kind)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        reason = (
            f"cursor '{text[:40]}' is none: send the next of the answer before, and the same sort."
        )
        raise ValidationFailed(reason=reason) from error


def reply_page(
    req: falcon.Request,
    resp: falcon.Response,
    rows: Iterable[Any],
    *,
    identity: Sequence[str],
) -> None:
    """What the client asks for of `rows`: `limit` of them (without it, all), behind `cursor`, in the order of
    `sort` (a field that the endpoint's record lists, or -field for the reverse; equal ones by `identity`).

    Raises:
        ValidationFailed: a limit, cursor or field that is none.
    """
    found = list(rows)
    limit = query_int(req, "limit", None, 1, MOST)
    field = req.get_param("sort")
    if field is not None or limit is not None:
        place = _place_of(field, identity, _sortable(req))
        backwards = field is not None and field.startswith("-")
        after = cursor_of(req, list[Any])
        try:
            found.sort(key=place, reverse=backwards)
            if after is not None:
                last = _Place(after)
                if found and len(after) != len(place(found[0]).parts):
                    raise ValueError
                found = [
                    row for row in found if (place(row) < last if backwards else last < place(row))
                ]
        except (TypeError, ValueError) as error:
            reason = "cursor is of another list or another sort: begin again without it."
            raise ValidationFailed(reason=reason) from error
        if limit is not None and len(found) > limit:
            found = found[:limit]
            following = encode_cursor(place(found[-1]).parts)
            reply(resp, Page(data=found, count=len(found), next=following))
            return
    elif req.get_param("cursor") is not None:
        raise ValidationFailed(reason="cursor goes with limit: send both.")
    reply(resp, Page(data=found, count=len(found), next=None))


def _sortable(req: falcon.Request) -> list[str]:
    endpoint = req.context["endpoint"]
    assert isinstance(endpoint, Endpoint)
    (order,) = (one for one in endpoint.query if one.name == "sort")
    return [field for field in order.schema["enum"] if not field.startswith("-")]


class _Place:
    """Where a row stands: what is not there comes first."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def __lt__(self, other: _Place) -> bool:
        for mine, theirs in zip(self.parts, other.parts, strict=True):
            if mine != theirs:
                if mine is None or theirs is None:
                    return mine is None
                return bool(mine < theirs)
        return False


def _place_of(
    field: str | None, identity: Sequence[str], sortable: Sequence[str]
) -> Callable[[Any], _Place]:
    name = (field or "").removeprefix("-")
    if field is not None and name not in sortable:
        reason = f"sort '{field[:40]}': use one of {', '.join(sortable)}, with - before it for the reverse."
        raise ValidationFailed(reason=reason)
    names = (name, *identity) if field is not None else tuple(identity)
    return lambda row: _Place([getattr(row, part) for part in names])
