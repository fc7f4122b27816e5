"""Checks e-mail addresses: accepts those that every mail server accepts (RFC 5321, without quoted
names); pure.
"""

from __future__ import annotations

import re

LONGEST, LONGEST_NAME = 254, 64
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_WORD}(?:\.{_WORD})*@(?:{_LABEL}\.)+{_LABEL}")


def is_email_address(text: str) -> bool:
    """Internationalised domains must be in their `xn--` form."""
    return (
        len(text) <= LONGEST
        and len(text.rpartition("@")[0]) <= LONGEST_NAME
        and _ADDRESS.fullmatch(text) is not None
    )
