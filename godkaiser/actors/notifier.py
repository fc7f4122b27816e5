"""The notifier: tells people and programs what rules want told. Nothing waits for it.

A delivery that fails is tried again a few times, longer and longer apart; then it is given up, counted,
and in the audit trail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import msgspec

from godkaiser import paths
from godkaiser.actors.journal import RecordAudit
from godkaiser.messages import Message
from godkaiser.storage.audit import AuditEntry
from godkaiser.supervision import Actor, ActorContext

ATTEMPTS = 4
FIRST_RETRY_S = 2.0
MOST_WAITING = 100


class Notify(Message, frozen=True, kw_only=True):
    """`channel` is webhook, mqtt or email; `source` who wants it told; `at` since when (unix seconds)."""

    at: float
    channel: str
    target: str
    subject: str
    text: str
    source: str


class TryAgain(Message, frozen=True, kw_only=True):
    """To oneself."""

    notification: Notify
    attempt: int


class NotifierView(Message, frozen=True, kw_only=True):
    """Published as "view"."""

    delivered: int = 0
    retried: int = 0
    given_up: int = 0
    last_error: str = ""


Deliver = Callable[[Notify], None]
"""Raises OSError when it could not be delivered."""


class NotifierActor(Actor):
    def __init__(self, channels: Mapping[str, Deliver]) -> None:
        super().__init__()
        self._channels = channels
        self._waiting = 0
        self._view = NotifierView()

    def on_start(self) -> None:
        remembered = self.context.recall("view")
        if isinstance(remembered, NotifierView):
            self._view = remembered
        self._show(self._view)

    def on_receive(self, message: object) -> None:
        match message:
            case Notify():
                self._deliver(message, 1)
            case TryAgain(notification=notification, attempt=attempt):
                self._waiting -= 1
                self._deliver(notification, attempt)
            case _:
                self.context.unhandled(message)

    def _deliver(self, notification: Notify, attempt: int) -> None:
        view = self._view
        try:
            self._channels[notification.channel](notification)
        except OSError as error:
            reason = f"{notification.channel} {_shown(notification.target)}: {error}"[:300]
            if attempt < ATTEMPTS and self._waiting < MOST_WAITING:
                self._waiting += 1
                delay_s = FIRST_RETRY_S * 4 ** (attempt - 1) * random.uniform(0.8, 1.2)
                self.context.schedule(
                    delay_s, TryAgain(notification=notification, attempt=attempt + 1)
                )
                self._show(
                    msgspec.structs.replace(view, retried=view.retried + 1, last_error=reason)
                )
                return
            self._show(msgspec.structs.replace(view, given_up=view.given_up + 1, last_error=reason))
            _tell_audit(self.context, notification, reason)
        else:
            self._show(msgspec.structs.replace(view, delivered=view.delivered + 1))

    def _show(self, view: NotifierView) -> None:
        self._view = view
        self.context.publish("view", view)


def _shown(target: str) -> str:
    """Without the part of a URL that may hold a secret."""
    return target.split("?", 1)[0][:100]


def _tell_audit(context: ActorContext, notification: Notify, reason: str) -> None:
    entry = AuditEntry(
        at=context.now(),
        who=notification.source,
        what="notification given up",
        result="failed",
        details=reason,
    )
    context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
