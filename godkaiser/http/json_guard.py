"""What JSON leaves open and an API must not: a name that stands twice, and characters that nobody sees."""

from __future__ import annotations

import json
import re
from typing import Any

from godkaiser.errors.base import ValidationFailed
from godkaiser.protocol.text import UNFIT

HIDDEN = re.compile(
    "[\u115f\u1160\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Characters without a shape: two names may differ in them and look the same. Those that join letters or emoji
(U+200C, U+200D) are no part of this: several scripts need them.
"""
_MAYBE_INVISIBLE = re.compile(
    rb"\\u00[0189]|\\u007f|\\[bf]|\x7f|\xc2[\x80-\x9f]|\\u20[026]|\xe2[\x80\x81]"
    rb"|\\u11[56]|\\u180|\\u316|\\uf[ef]|\\ud[89a-f]|\xe1[\x85\xa0]|\xe3\x85|\xef[\xbb\xbe\xbf]|\xf3\xa0",
    re.IGNORECASE,
)
"""Bytes without which there is no such character: most bodies need no second look."""


class _TwiceError(Exception):
    pass


def has_invisible(text: str) -> bool:
    return UNFIT.search(text) is not None or HIDDEN.search(text) is not None


def check_json(data: bytes, *, is_fit: bool = False) -> None:
    """What is no JSON at all is left to who decodes it. The texts of what `is_fit` are taken as they are.

    Raises:
        ValidationFailed: a name twice in one object, or an invisible character in a text.
    """
    try:
        document = json.loads(data, object_pairs_hook=_each_once)
    except _TwiceError as error:
        reason = f"The request body has '{error}' twice in one object; say it once."
        raise ValidationFailed(reason=reason) from error
    except (ValueError, RecursionError):
        return
    if not is_fit and _MAYBE_INVISIBLE.search(data):
        _check_texts(document)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(ascii(name[:40])[1:-1])
            seen.add(name)
    return found


def _check_texts(document: Any) -> None:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and (found := UNFIT.search(item) or HIDDEN.search(item)):
            reason = f"A text in the request body holds {_kind_of(found[0])}; take it out."
            raise ValidationFailed(reason=reason)


def _kind_of(sign: str) -> str:
    number = f"U+{ord(sign):04X}"
    if sign == "\0":
        return "a NUL character"
    if HIDDEN.match(sign):
        return f"the invisible character {number}"
    if "\ud800" <= sign <= "\udfff":
        return f"half of a character (the lone surrogate {number})"
    return f"the control character {number}"
