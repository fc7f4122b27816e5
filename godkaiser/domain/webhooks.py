"""Webhooks: other programs that receive events by POST; pure.

Signed as in Standard Webhooks (github.com/standard-webhooks): HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import deque
from urllib.parse import urlsplit

import msgspec

from godkaiser.errors.base import ValidationFailed

SECRET_PREFIX = "whsec_"  # noqa: S105 -- the prefix, not a secret
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
MOST_WAITING = 1000
MOST_AT_ONCE = 50
GIVE_UP_S = 86_400.0
"""Suspended after 24 h without a 2xx answer."""


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`filters` as JSON, in the format of the live socket. `made_at` in unix seconds."""

    webhook_id: int
    name: str
    url: str
    secret: str
    filters: str
    enabled: bool
    made_by: str
    made_at: float

    def __repr__(self) -> str:
        """Without the secret, and without the secret parts of the URL: it may be shown as a dead
        letter.
        """
        return f"WebhookRecord({self.webhook_id}, {self.name!r}, {shown_url(self.url)!r})"


class Delivery(msgspec.Struct, frozen=True):
    """A waiting event, as JSON; a value may be dropped when too many wait."""

    text: bytes
    is_value: bool


def shown_url(url: str) -> str:
    """The URL without the parts that may contain a secret: path, query, user."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}"[:100]
    except ValueError:
        return "a URL that cannot be read"


def check_url(url: str) -> None:
    """Raises ValidationFailed."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and not parts.username
            and (parts.port is None or parts.port > 0)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        good = False
    if not good:
        reason = (
            f"url '{url[:80]}': use http:// or https:// with a host, and no user or password in it."
        )
        raise ValidationFailed(reason=reason)


def check_secret(secret: str) -> None:
    """Raises ValidationFailed; its text does not contain the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (secret.startswith(SECRET_PREFIX) and SHORTEST_SECRET <= len(key) <= LONGEST_SECRET):
        reason = (
            f"secret: use {SECRET_PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} random bytes in"
            " base64, or leave it out to have one generated."
        )
        raise ValidationFailed(reason=reason)


def secret_of(random: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(random).decode()


def signed(secret: str, message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery; `at` in unix seconds."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def keep(waiting: deque[Delivery], fresh: Delivery) -> int:
    """Add an event to the waiting ones; returns how many were dropped: the oldest value, else the
    oldest event.
    """
    waiting.append(fresh)
    if len(waiting) <= MOST_WAITING:
        return 0
    for place, one in enumerate(waiting):
        if one.is_value:
            del waiting[place]
            return 1
    waiting.popleft()
    return 1
