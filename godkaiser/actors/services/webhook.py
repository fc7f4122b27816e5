"""One webhook: delivers its events in order, in batches, and retries until it gets a 2xx answer."""

from __future__ import annotations

import http
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain import webhooks
from godkaiser.domain.webhooks import Delivery, WebhookRecord
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

RETRY = Backoff(base_s=2.0, factor=2.0, max_s=600.0, jitter=0.2)

Post = Callable[[str, bytes, Mapping[str, str]], None]
"""URL, body, headers. Raises OSError without a 2xx answer; `code` is the status, if there was one."""


class Deliver(Message, frozen=True, kw_only=True):
    """Deliver an event."""

    delivery: Delivery


class UseRecord(Message, frozen=True, kw_only=True):
    """The webhook was changed: continue with the new record and the waiting events; a suspended
    webhook starts again.

    A disabled webhook drops its waiting events.
    """

    record: WebhookRecord


class SendWaiting(Message, frozen=True, kw_only=True):
    """To oneself."""


class WebhookView(Message, frozen=True, kw_only=True):
    """Published. `state`: idle, sending, failing (with the error, tried again) or suspended (no
    longer tried); off: not enabled.
    """

    state: str = "idle"
    delivered: int = 0
    dropped: int = 0
    waiting: int = 0
    attempts: int = 0
    last_error: str = ""
    last_delivered: float | None = None
    failing_since: float | None = None


class WebhookActor(Actor):
    def __init__(self, record: WebhookRecord, post: Post) -> None:
        super().__init__()
        self._record = record
        self._post = post
        self._waiting: deque[Delivery] = deque()
        self._batch: tuple[str, tuple[Delivery, ...]] | None = None
        self._is_due = False
        self._view = WebhookView()

    def on_start(self) -> None:
        # The record of the factory may have been changed since.
        self._record = self.context.recall("record") or self._record
        remembered = self.context.recall("view")
        if isinstance(remembered, WebhookView):
            # The waiting events were lost with the crashed incarnation; count them.
            lost = remembered.dropped + remembered.waiting
            self._view = msgspec.structs.replace(remembered, dropped=lost, waiting=0)
        if not self._record.enabled:
            self._show(state="off")
        elif self._view.state in {"sending", "off"}:
            self._show(state="idle")
        else:
            self._show()

    def on_receive(self, message: object) -> None:
        match message:
            case Deliver(delivery=delivery):
                self._take(delivery)
            case UseRecord(record=record):
                self._record = record
                self.context.publish("record", record)
                self._begin_again()
            case SendWaiting():
                self._is_due = False
                self._send()
            case _:
                self.context.unhandled(message)

    def _begin_again(self) -> None:
        self._show(state="idle", attempts=0, last_error="", failing_since=None)
        if self._record.enabled:
            self._send_soon()
        else:
            self.context.cancel("send")
            self._is_due = False
            self._drop_all(state="off")

    def _take(self, delivery: Delivery) -> None:
        if self._view.state in {"suspended", "off"}:
            self._show(dropped=self._view.dropped + 1)
            return
        dropped = webhooks.keep(self._waiting, delivery)
        self._show(dropped=self._view.dropped + dropped)
        if not self._is_due:
            self._send_soon()

    def _send_soon(self) -> None:
        """Send after the messages in the mailbox, so that they are part of the batch."""
        self._is_due = True
        self.context.schedule(0.0, SendWaiting(), key="send")

    def _send(self) -> None:
        if self._batch is None:
            if not self._waiting:
                return
            count = min(len(self._waiting), webhooks.MOST_AT_ONCE)
            # A retry has the same id, so that the receiver can recognise a repetition.
            self._batch = (uuid.uuid4().hex, tuple(self._waiting.popleft() for _ in range(count)))
        message_id, batch = self._batch
        self._show(state="sending", attempts=self._view.attempts + 1)
        now = self.context.now()
        body = b'{"events":[' + b",".join(one.text for one in batch) + b"]}"
        headers = webhooks.signed(self._record.secret, message_id, int(now), body)
        try:
            self._post(self._record.url, body, headers)
        except OSError as error:
            self._failed(error, now)
            return
        self._batch = None
        self._show(
            state="idle", delivered=self._view.delivered + len(batch), attempts=0, last_error="",
            last_delivered=now, failing_since=None,
        )  # fmt: skip
        if self._waiting:
            self._send_soon()

    def _failed(self, error: OSError, now: float) -> None:
        since = self._view.failing_since or now
        gone = getattr(error, "code", None) == http.HTTPStatus.GONE
        reason = (str(error) or type(error).__name__)[:200]
        if gone or now - since > webhooks.GIVE_UP_S:
            self._drop_all(state="suspended", last_error=reason, failing_since=since)
            entry = AuditEntry(
                at=now, who="system:webhooks", result="failed", details=reason,
                what=f"webhook {self._record.webhook_id} suspended",
            )  # fmt: skip
            self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
            return
        self._show(state="failing", last_error=reason, failing_since=since)
        delay_s = backoff_delay(RETRY, self._view.attempts + 1, self.context.random())
        self._is_due = True
        self.context.schedule(delay_s, SendWaiting(), key="send")

    def _drop_all(self, **changes: Any) -> None:
        dropped = self._view.dropped + self._count_waiting()
        self._waiting.clear()
        self._batch = None
        self._show(dropped=dropped, **changes)

    def _count_waiting(self) -> int:
        return len(self._waiting) + (len(self._batch[1]) if self._batch else 0)

    def _show(self, **changes: Any) -> None:
        waiting = self._count_waiting()
        self._view = msgspec.structs.replace(self._view, waiting=waiting, **changes)
        self.context.publish("view", self._view)
