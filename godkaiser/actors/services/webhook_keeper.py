"""Keeps the webhooks, also across a restart, and their filters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.services.webhook import Deliver, UseRecord, WebhookActor
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain import webhooks
from godkaiser.domain.entities import Issuer
from godkaiser.domain.records.digests import digest_of, is_seen
from godkaiser.domain.webhooks import Delivery, WebhookRecord
from godkaiser.errors.base import ChangedMeanwhile, GatewayError
from godkaiser.errors.services import TooManyWebhooks, UnknownWebhook
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import webhooks as storage
from godkaiser.supervision import (
    Actor,
    ChildSpec,
    Handle,
    MailboxSpec,
    Overflow,
    StopChild,
)

MOST_WEBHOOKS = 20
ASK_TIMEOUT_S = 4.0


class Sender(Protocol):
    def check(self, url: str) -> None:
        """Raises ValidationFailed if deliveries may not go to this URL."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """See `webhook.Post`."""


Audience = Callable[[Mapping[int, tuple[str, Handle]]], None]
"""Called with the filters (JSON) and the handle of each webhook."""


class SaveWebhook(Message, frozen=True, kw_only=True):
    """Create (`webhook_id` None) or change; None: unchanged. Reply: WebhookRecord. Refusals:
    UnknownWebhook, TooManyWebhooks, ValidationFailed, ChangedMeanwhile, DatabaseUnavailable.

    With `seen`, the digest of what its author has read, another record is not changed.
    """

    issuer: Issuer
    webhook_id: int | None = None
    name: str | None = None
    url: str | None = None
    secret: str | None = None
    filters: str | None = None
    enabled: bool | None = None
    seen: str = ""

    def __repr__(self) -> str:
        """Without the secret, because it may be shown as a dead letter."""
        return (
            f"SaveWebhook({self.webhook_id}, {self.name!r}, {webhooks.shown_url(self.url or '')!r})"
        )


class DeleteWebhook(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownWebhook, ChangedMeanwhile, DatabaseUnavailable."""

    webhook_id: int
    issuer: Issuer
    seen: str = ""


class TryWebhook(Message, frozen=True, kw_only=True):
    """Deliver a test event. Reply: None. Refusals: UnknownWebhook."""

    webhook_id: int
    event: bytes


class WebhookKeeperActor(Actor):
    waits_for = (DatabaseUnavailable,)

    """Publishes "webhooks", the records by id."""

    refusals = (GatewayError,)

    def __init__(self, database: Database, sender: Sender, audience: Audience) -> None:
        super().__init__()
        self._database = database
        self._sender = sender
        self._audience = audience
        self._records: dict[int, WebhookRecord] = {}
        self._newest = 0

    def on_start(self) -> None:
        self._newest = self.context.recall("newest") or 0
        self._load()

    def on_receive(self, message: object) -> Any:
        match message:
            case SaveWebhook():
                return self._save(message)
            case DeleteWebhook():
                return self._delete(message)
            case TryWebhook(webhook_id=webhook_id, event=event):
                self._known(webhook_id)
                handle = self.context.find(paths.webhook(webhook_id))
                if handle is not None:
                    handle.tell(Deliver(delivery=Delivery(event, is_value=False)))
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        self._audience({})
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _load(self) -> None:
        found = storage.load_webhooks(self._database)
        self._records = {record.webhook_id: record for record in found}
        for record in found:
            self._plug(record)
        self._show()

    def _save(self, message: SaveWebhook) -> WebhookRecord:
        record = self._wanted(message)
        webhooks.check_url(record.url)
        self._sender.check(record.url)
        webhooks.check_secret(record.secret)
        storage.save_webhook(self._database, record)
        self._records[record.webhook_id] = record
        self._newest = max(self._newest, record.webhook_id)
        self.context.publish("newest", self._newest)
        self._plug(record)
        self._show()
        verb = "made" if message.webhook_id is None else "changed"
        self._audit(message.issuer, f"webhook {record.webhook_id} {verb}", record.name)
        return record

    def _wanted(self, message: SaveWebhook) -> WebhookRecord:
        if message.webhook_id is not None:
            present = self._seen(message.webhook_id, message.seen)
        else:
            if len(self._records) >= MOST_WEBHOOKS:
                raise TooManyWebhooks(most=MOST_WEBHOOKS)
            present = WebhookRecord(
                # Never an old id: its actor may still be stopping.
                webhook_id=max((self._newest, *self._records)) + 1, name="", url="",
                secret=webhooks.secret_of(os.urandom(32)), filters="[{}]", enabled=True,
                made_by=str(message.issuer), made_at=self.context.now(),
            )  # fmt: skip
        changes = {
            name: value
            for name in ("name", "url", "secret", "filters", "enabled")
            if (value := getattr(message, name)) is not None
        }
        return msgspec.structs.replace(present, **changes)

    def _delete(self, message: DeleteWebhook) -> None:
        self._seen(message.webhook_id, message.seen)
        storage.delete_webhook(self._database, message.webhook_id)
        del self._records[message.webhook_id]
        self._unplug(message.webhook_id)
        self._show()
        self._audit(message.issuer, f"webhook {message.webhook_id} deleted")

    def _seen(self, webhook_id: int, seen: str) -> WebhookRecord:
        """Raises UnknownWebhook, ChangedMeanwhile."""
        record = self._known(webhook_id)
        if not is_seen(seen, digest_of(record)):
            raise ChangedMeanwhile(what=f"webhook {webhook_id}")
        return record

    def _known(self, webhook_id: int) -> WebhookRecord:
        record = self._records.get(webhook_id)
        if record is None:
            raise UnknownWebhook(webhook_id=webhook_id)
        return record

    def _plug(self, record: WebhookRecord) -> None:
        present = self.context.find(paths.webhook(record.webhook_id))
        if present is not None:
            present.tell(UseRecord(record=record))
            return
        spec = ChildSpec(
            name=str(record.webhook_id),
            factory=lambda: WebhookActor(record, self._sender.post),
            mailbox=MailboxSpec(capacity=webhooks.MOST_WAITING, overflow=Overflow.KEEP_NEWEST),
        )
        self.context.adopt(paths.WEBHOOKS, spec)

    def _unplug(self, webhook_id: int) -> None:
        if self.context.find(paths.webhook(webhook_id)) is not None:
            self.context.handle(paths.WEBHOOKS).ask(
                StopChild(str(webhook_id)), timeout_s=ASK_TIMEOUT_S
            )

    def _show(self) -> None:
        self.context.publish("webhooks", dict(self._records))
        listeners = {}
        for record in self._records.values():
            handle = self.context.find(paths.webhook(record.webhook_id))
            if handle is not None and record.enabled:
                listeners[record.webhook_id] = (record.filters, handle)
        self._audience(listeners)

    def _audit(self, issuer: Issuer, what: str, details: str = "") -> None:
        entry = entry_by(issuer, at=self.context.now(), what=what, details=details)
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
