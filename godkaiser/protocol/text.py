"""Cleans text from outside so that it can be stored and displayed.

PostgreSQL stores no NUL, UTF-8 has no lone surrogates, and control characters change a terminal.
Each such character becomes U+FFFD. Line feeds, tabs and carriage returns stay.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, characters that change the writing direction, and lone surrogates."""
_UNFIT_BYTES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a complete pair is valid
    rb"|(?P<unfit>\\u(?:00(?:0[0-8bcefBCEF]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])"
    rb"|202[a-eA-E]|206[6-9]|[dD][89a-fA-F][0-9a-fA-F]{2})|\\[bf]"
    rb"|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9])"
    rb"|\\.",
    re.DOTALL,
)


def fit(text: str) -> str:
    """Replace the characters that cannot be stored or displayed."""
    if text.isprintable():
        return text
    return UNFIT.sub(REPLACEMENT, text)


def fit_json(document: bytes) -> bytes:
    r"""Clean a JSON document before it is decoded: its strings can be stored, its bytes are UTF-8.

    A document that is not JSON stays invalid.

    >>> fit_json(b'{"reason": "a\\u0000b"}')
    b'{"reason": "a\xef\xbf\xbdb"}'
    """
    # Nearly always nothing needs cleaning, and this runs for every message.
    if document.isascii() and b"\\" not in document and b"\x7f" not in document:
        return document
    try:
        document.decode()
    except UnicodeDecodeError:
        document = document.decode(errors="replace").encode()
    return _UNFIT_BYTES.sub(_replace_unfit, document)


def _replace_unfit(match: re.Match[bytes]) -> bytes:
    return match[0] if match["unfit"] is None else REPLACEMENT.encode()
