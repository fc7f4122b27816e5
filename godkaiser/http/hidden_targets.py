"""The URLs of webhooks in rules: their paths often hold a secret, which only administrators are shown.

Everybody else sees the host and a mark. A mark that comes back with an edit stands for what it was made of,
so an operator can change a rule without knowing the secret in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.domain.webhooks import shown_url
from godkaiser.errors.base import ValidationFailed
from godkaiser.http.access.permissions import Role

_MARK = "/hidden-"


def shown_to(role: Role, body: Any) -> Any:
    """`body` as plain data (of rules, and what holds rules), for somebody of this role."""
    if role < Role.ADMIN:
        for action in _webhooks(body):
            action["target"] = _hidden(action["target"])
    return body


def without_secrets(role: Role, definition: RuleDefinition) -> RuleDefinition:
    """The rule for somebody of this role."""
    if role >= Role.ADMIN:
        return definition
    body = msgspec.to_builtins(definition)
    if not any(True for _ in _webhooks(body)):
        return definition
    return msgspec.convert(shown_to(role, body), RuleDefinition)


def restored(definition: RuleDefinition, present: RuleDefinition | None) -> RuleDefinition:
    """`definition` with the URLs of `present` in the places of their marks.

    Raises:
        ValidationFailed: a mark stands for no URL of the present rule.
    """
    body = msgspec.to_builtins(definition)
    marked = [action for action in _webhooks(body) if _MARK in action["target"]]
    if not marked:
        return definition
    known = {} if present is None else _marks_of(present)
    for action in marked:
        url = known.get(action["target"])
        if url is None:
            reason = f"target '{action['target'][:80]}' hides a URL that this rule does not have. Write the whole URL."
            raise ValidationFailed(reason=reason)
        action["target"] = url
    return msgspec.convert(body, RuleDefinition)


def _marks_of(definition: RuleDefinition) -> dict[str, str]:
    urls = [action["target"] for action in _webhooks(msgspec.to_builtins(definition))]
    return {_hidden(url): url for url in urls}


def _hidden(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return shown_url(url)
    if not (parts.path.strip("/") or parts.query or parts.fragment or parts.username):
        return url
    # Tells two URLs of one host apart; of a secret that can be guessed, too little to be sure.
    digest = hashlib.sha256(url.encode("utf-8", "backslashreplace")).hexdigest()[:6]
    return f"{shown_url(url)}{_MARK}{digest}"


def _webhooks(body: Any) -> Iterator[dict[str, Any]]:
    waiting = [body]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if item.get("type") == "notification" and item.get("channel") == "webhook":
                yield item
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
