"""Stored webhooks, including their secrets, which sign each delivery."""

from __future__ import annotations

import msgspec

from godkaiser.domain.webhooks import WebhookRecord
from godkaiser.storage.engine.database import Database


def load_webhooks(database: Database) -> list[WebhookRecord]:
    rows = database.fetch("SELECT body FROM webhooks ORDER BY webhook_id")
    return [msgspec.json.decode(body, type=WebhookRecord) for (body,) in rows]


def save_webhook(database: Database, record: WebhookRecord) -> None:
    """Create or replace."""
    body = msgspec.json.encode(record).decode()
    with database.transaction():
        database.execute(
            "INSERT INTO webhooks (webhook_id, body) VALUES (?, ?)"
            " ON CONFLICT (webhook_id) DO UPDATE SET body = excluded.body",
            (record.webhook_id, body),
        )


def delete_webhook(database: Database, webhook_id: int) -> None:
    with database.transaction():
        database.execute("DELETE FROM webhooks WHERE webhook_id = ?", (webhook_id,))
