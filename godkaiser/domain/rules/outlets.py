"""Whether what a rule wants told can leave the gateway, as it is configured; pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from godkaiser.domain.addresses import Destinations
from godkaiser.domain.rules.schema import NotificationAction, RuleDefinition, SequenceAction


class Outlets(msgspec.Struct, frozen=True, kw_only=True):
    """`destinations`: where webhooks may go; `sends_mail`: whether there is a mail server."""

    destinations: Destinations
    sends_mail: bool


def untellable(definition: RuleDefinition, outlets: Outlets) -> Iterator[tuple[str, str]]:
    """Each notification that would fail each time, by its path, and why."""
    for path, action in _notifications(definition):
        text = _refusal(action, outlets)
        if text:
            yield path, text


def _refusal(action: NotificationAction, outlets: Outlets) -> str:
    if action.channel == "email":
        return "" if outlets.sends_mail else "no mail server is configured: set [notify] smtp_host"
    if action.channel != "webhook":
        return ""
    try:
        host = urlsplit(action.target).hostname or ""
    except ValueError:
        # Told as a mistake of the rule.
        return ""
    return outlets.destinations.refusal_of_host(host)


def _notifications(definition: RuleDefinition) -> Iterator[tuple[str, NotificationAction]]:
    for index, action in enumerate(definition.actions):
        if isinstance(action, NotificationAction):
            yield f"actions[{index}]", action
        if isinstance(action, SequenceAction):
            for number, step in enumerate(action.steps):
                if isinstance(step, NotificationAction):
                    yield f"actions[{index}].steps[{number}]", step
