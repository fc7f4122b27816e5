"""User names and passwords as one and the same text, however they were typed (PRECIS, RFC 8265).

A name is compared in its prepared form: case, width and composition of letters make no other person. A name
that looks like one that exists (UTS 39: with a Cyrillic letter in it, or rn for m) is refused when it is made.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from confusable_homoglyphs import confusables
from precis_i18n import get_profile

from godkaiser.errors.access import WeakPassword
from godkaiser.errors.base import ValidationFailed

LONGEST_NAME = 64
RESERVED = frozenset({
    "system", "gateway", "godkaiser", "cli", "key", "user", "local", "rule", "device", "anonymous",
})  # fmt: skip
"""How the audit trail and the log name those who are no users."""
_NAME = get_profile("UsernameCaseMapped")
_PASSWORD = get_profile("OpaqueString")
_GOOD = re.compile(r"[\w.@-]+")
_STEPS = 3
_DIGITS_LIKE_LETTERS = {"0": "o"}
"""In capitals, of which the table knows and our names have none."""


def prepared_name(name: str) -> str:
    """The form in which it is kept and compared. Raises ValidationFailed."""
    try:
        found = str(_NAME.enforce(name))
    except UnicodeError as error:
        reason = f"username: {_why(error)}; use letters, digits and . _ - @."
        raise ValidationFailed(reason=reason) from error
    # With its marks taken apart, a letter would not count as one.
    if len(found) > LONGEST_NAME or _GOOD.fullmatch(_without_marks(found)) is None:
        reason = f"username: use 1 to {LONGEST_NAME} letters, digits and . _ - @."
        raise ValidationFailed(reason=reason)
    if not any(sign.isalnum() for sign in found):
        # "." and ".." would be steps of a path, and no address of a user.
        raise ValidationFailed(reason="username: it needs a letter or a digit.")
    if found in RESERVED:
        reason = (
            f"username: '{found}' means something else in the audit trail. Choose another name."
        )
        raise ValidationFailed(reason=reason)
    return found


def prepared_password(password: str) -> str:
    """The form that is hashed. Raises WeakPassword."""
    try:
        return str(_PASSWORD.enforce(password))
    except UnicodeError as error:
        raise WeakPassword(reason=f"{_why(error)}.") from error


def skeleton(name: str) -> str:
    """The same for two prepared names that look alike."""
    letters = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFD", "".join(_prototype(letter) for letter in letters))


@lru_cache(maxsize=4096)
def _prototype(letter: str) -> str:
    """The plainest of all that look like it: in ASCII, several letters before one (rn before m), a letter
    before a digit.
    """
    found = letter
    for _ in range(_STEPS):
        alike = {found} | {entry["c"] for entry in confusables.confusables_data.get(found, ())}
        small = [text for text in alike if text == text.lower()] or [found]
        plainest = min(small, key=lambda t: (not t.isascii(), -len(t), not t.isalpha(), t))
        if plainest == found or len(plainest) > 1:
            found = plainest
            break
        found = plainest
    return _DIGITS_LIKE_LETTERS.get(found, found)


def _without_marks(text: str) -> str:
    return "".join(sign for sign in text if not unicodedata.category(sign).startswith("M")) or " "


def _why(error: UnicodeError) -> str:
    """In words; the library names a rule, and repeats the text."""
    rule = str(getattr(error, "reason", "")).rpartition("/")[2].replace("_", " ")
    return f"it holds what may not be in it ({rule})" if rule else "it holds what may not be in it"
