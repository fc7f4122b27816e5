"""The stored mock ESPs, which survive a restart."""

from __future__ import annotations

import msgspec

from godkaiser.domain.devices.mocks import MockRecord
from godkaiser.storage.engine.database import Database


def load_mocks(database: Database) -> list[MockRecord]:
    rows = database.fetch("SELECT body FROM mock_devices ORDER BY mock_id")
    return [msgspec.json.decode(body, type=MockRecord) for (body,) in rows]


def save_mock(database: Database, record: MockRecord) -> None:
    """Create or replace."""
    body = msgspec.json.encode(record).decode()
    with database.transaction():
        database.execute(
            "INSERT INTO mock_devices (mock_id, body) VALUES (?, ?)"
            " ON CONFLICT (mock_id) DO UPDATE SET body = excluded.body",
            (record.mock_id, body),
        )


def delete_mock(database: Database, mock_id: str) -> None:
    with database.transaction():
        database.execute("DELETE FROM mock_devices WHERE mock_id = ?", (mock_id,))
