"""Keys of programs: only a digest of each is kept."""

from __future__ import annotations

import msgspec

from godkaiser.storage.database import Database
from godkaiser.storage.models import ApiKey


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """`areas` are the first words of the paths that it may use; none: all. Times in unix seconds."""

    key_id: int
    name: str
    digest: str
    role: str
    areas: tuple[str, ...]
    created_by: str
    created_at: float
    expires_at: float
    last_used_at: float | None = None


def load_keys(database: Database) -> list[StoredKey]:
    return [_stored(row) for row in database.rows(ApiKey.select().order_by(ApiKey.id))]


def add_key(database: Database, key: StoredKey) -> StoredKey:
    """`key_id` is given by the database."""
    with database.transaction():
        database.run(
            ApiKey.insert(
                name=key.name,
                digest=key.digest,
                role=key.role,
                areas=",".join(key.areas),
                created_by=key.created_by,
                created_at=key.created_at,
                expires_at=key.expires_at,
            )
        )
        return _stored(database.rows(ApiKey.select().where(ApiKey.digest == key.digest))[0])


def expire_key(database: Database, key_id: int, at: float) -> None:
    database.run(ApiKey.update(expires_at=at).where(ApiKey.id == key_id))


def note_use(database: Database, key_id: int, at: float) -> None:
    database.run(ApiKey.update(last_used_at=at).where(ApiKey.id == key_id))


def delete_key(database: Database, key_id: int) -> bool:
    return bool(database.run(ApiKey.delete().where(ApiKey.id == key_id)))


def _stored(row: ApiKey) -> StoredKey:
    return StoredKey(
        key_id=row.id,
        name=row.name,
        digest=row.digest,
        role=row.role,
        areas=tuple(filter(None, row.areas.split(","))),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
