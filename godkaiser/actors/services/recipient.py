"""One recipient of notifications: its deliveries are in order, and do not delay other recipients.

A failed delivery is tried again a few times, at growing intervals; then it is given up, counted,
and recorded in the audit trail. A notification that can never be delivered becomes a dead letter.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.webhooks import shown_url
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.supervision import Actor

ATTEMPTS = 4
FIRST_RETRY_S = 2.0
MOST_WAITING = 100


class Notify(Message, frozen=True, kw_only=True):
    """`channel` is webhook, mqtt or email; `source` is its sender; `at` its time (unix seconds)."""

    at: float
    channel: str
    target: str
    subject: str
    text: str
    source: str

    def __repr__(self) -> str:
        """Without the secret parts of a URL, because it may be shown as a dead letter."""
        where = shown_target(self.channel, self.target)
        return f"Notify({self.channel} {where}, {self.source}, {self.subject!r})"


class TryAgain(Message, frozen=True, kw_only=True):
    """To oneself."""

    notification: Notify
    attempt: int


class Attempted(Message, frozen=True, kw_only=True):
    """To the notifier. `outcome`: delivered, retried or given_up."""

    outcome: str
    error: str = ""


class UndeliverableError(Exception):
    """The notification can never be delivered, however often it is tried."""


Deliver = Callable[[Notify], None]
"""Raises OSError if the delivery failed, UndeliverableError if it can never succeed."""


class RecipientActor(Actor):
    def __init__(self, deliver: Deliver) -> None:
        super().__init__()
        self._deliver_to = deliver
        self._waiting = 0

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
        try:
            self._deliver_to(notification)
        except OSError as error:
            if attempt < ATTEMPTS and self._waiting < MOST_WAITING:
                self._try_again(notification, attempt)
                self._tell("retried", notification, error)
            else:
                self._give_up(notification, error)
        except UndeliverableError as error:
            self.context.reject(notification, str(error), kind="UNDELIVERABLE")
            self._give_up(notification, error)
        else:
            self._tell("delivered", notification)

    def _try_again(self, notification: Notify, attempt: int) -> None:
        self._waiting += 1
        delay_s = FIRST_RETRY_S * 4 ** (attempt - 1) * random.uniform(0.8, 1.2)
        self.context.schedule(delay_s, TryAgain(notification=notification, attempt=attempt + 1))

    def _give_up(self, notification: Notify, error: Exception) -> None:
        entry = AuditEntry(
            at=self.context.now(),
            who=notification.source,
            what="notification given up",
            result="failed",
            details=_reason(notification, error),
        )
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
        self._tell("given_up", notification, error)

    def _tell(self, outcome: str, notification: Notify, error: Exception | None = None) -> None:
        reason = "" if error is None else _reason(notification, error)
        self.context.handle(paths.NOTIFIER).tell(Attempted(outcome=outcome, error=reason))


def _reason(notification: Notify, error: Exception) -> str:
    where = shown_target(notification.channel, notification.target)
    return f"{notification.channel} {where}: {error or type(error).__name__}"[:300]


def shown_target(channel: str, target: str) -> str:
    """The target without the secret parts of a URL, including its path."""
    return shown_url(target) if channel == "webhook" else target[:100]
