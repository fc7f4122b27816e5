"""The broker accounts of devices; only a hash of each password is stored."""

from __future__ import annotations

from godkaiser.domain.entities import BrokerAccount
from godkaiser.storage.engine.database import Database


def load_accounts(database: Database) -> list[BrokerAccount]:
    rows = database.fetch(
        "SELECT device_id, password_hash, made_by, made_at FROM broker_accounts ORDER BY device_id"
    )
    return [
        BrokerAccount(device_id=device_id, password_hash=hashed, made_by=made_by, made_at=made_at)
        for device_id, hashed, made_by, made_at in rows
    ]


def save_account(database: Database, account: BrokerAccount) -> None:
    """Create or replace."""
    with database.transaction():
        database.execute(
            "INSERT INTO broker_accounts (device_id, password_hash, made_by, made_at)"
            " VALUES (?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET"
            " password_hash = excluded.password_hash, made_by = excluded.made_by,"
            " made_at = excluded.made_at",
            (account.device_id, account.password_hash, account.made_by, account.made_at),
        )


def delete_account(database: Database, device_id: str) -> bool:
    with database.transaction() as cursor:
        cursor.execute(
            database.sql("DELETE FROM broker_accounts WHERE device_id = ?"), (device_id,)
        )
        return bool(cursor.rowcount)
