"""What JSON leaves open and an API must not: a name that stands twice, and characters that nobody sees."""

from __future__ import annotations

import json
import re
from typing import Any

from godkaiser.errors.base import ValidationFailed
from godkaiser.protocol.text import UNFIT

_MAYBE_INVISIBLE = re.compile(
    rb"\\u00[0189]|\\u007f|\\[bf]|\x7f|\xc2[\x80-\x9f]|\\u20[26]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]",
    re.IGNORECASE,
)
"""Bytes without which there is no such character: most bodies need no second look."""


class _TwiceError(Exception):
    pass


def has_invisible(text: str) -> bool:
    return UNFIT.search(text) is not None


def check_json(data: bytes) -> None:
    """What is no JSON at all is left to who decodes it.

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
    if _MAYBE_INVISIBLE.search(data):
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
        elif isinstance(item, str) and (found := UNFIT.search(item)) is not None:
            kind = (
                "a NUL character"
                if found[0] == "\0"
                else f"the control character U+{ord(found[0]):04X}"
            )
            raise ValidationFailed(reason=f"A text in the request body holds {kind}; take it out.")
