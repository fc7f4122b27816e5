"""Users, logins and API keys in the database. Only `AccessBook` writes them."""

from __future__ import annotations

from godkaiser.domain.access import Access, Account, Login, StoredKey
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.models import ApiKey, RefreshFamily, User

_VERSION = "SELECT version FROM access_version WHERE name = 'access'"


def version_of(database: Database) -> int:
    """A counter of changes, including those of other gateways on the same database."""
    return int(database.fetch(_VERSION)[0][0])


def lock_version(database: Database) -> int:
    """Lock the version: nobody else changes access data until the end of this transaction."""
    return int(database.fetch(_VERSION + ("" if database.is_sqlite else " FOR UPDATE"))[0][0])


def set_version(database: Database, version: int) -> None:
    database.execute("UPDATE access_version SET version = ? WHERE name = 'access'", (version,))


def load(database: Database) -> Access:
    """Load all access data; call it within a transaction, so that the data is consistent."""
    version = version_of(database)
    users = [_account(row) for row in database.rows(User.select().order_by(User.username))]
    logins = [
        Login(row.family, row.username, row.current_jti, row.expires_at)
        for row in database.rows(RefreshFamily.select())
        if not row.revoked
    ]
    keys = [_key(row) for row in database.rows(ApiKey.select().order_by(ApiKey.id))]
    return Access(
        version=version,
        users={user.username: user for user in users},
        logins={login.family: login for login in logins},
        keys={key.digest: key for key in keys},
    )


def save_user(database: Database, account: Account) -> None:
    """Insert or replace, by name."""
    values = {
        "password_hash": account.password_hash,
        "role": account.role,
        "disabled": account.disabled,
    }
    known = User.select().where(User.username == account.username)
    if database.rows(known):
        database.run(User.update(**values).where(User.username == account.username))
    else:
        database.run(
            User.insert(username=account.username, created_at=account.created_at, **values)
        )


def delete_user(database: Database, username: str) -> None:
    database.run(User.delete().where(User.username == username))


def save_login(database: Database, login: Login) -> None:
    """Insert or replace."""
    end_login(database, login.family)
    database.run(
        RefreshFamily.insert(
            family=login.family,
            username=login.username,
            current_jti=login.current_jti,
            revoked=False,
            expires_at=login.expires_at,
        )
    )


def end_login(database: Database, family: str) -> None:
    database.run(RefreshFamily.delete().where(RefreshFamily.family == family))


def end_logins_of(database: Database, username: str) -> None:
    database.run(RefreshFamily.delete().where(RefreshFamily.username == username))


def purge_expired(database: Database, now: float) -> int:
    """Delete expired logins; returns how many."""
    return int(database.run(RefreshFamily.delete().where(RefreshFamily.expires_at <= now)))


def count_expired(database: Database, now: float) -> int:
    """How many logins `purge_expired` would delete."""
    return len(database.rows(RefreshFamily.select().where(RefreshFamily.expires_at <= now)))


def add_key(database: Database, key: StoredKey) -> StoredKey:
    """The database assigns `key_id`."""
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
    return _key(database.rows(ApiKey.select().where(ApiKey.digest == key.digest))[0])


def expire_key(database: Database, key_id: int, at: float) -> None:
    database.run(ApiKey.update(expires_at=at).where(ApiKey.id == key_id))


def note_use(database: Database, key_id: int, at: float) -> None:
    database.run(ApiKey.update(last_used_at=at).where(ApiKey.id == key_id))


def delete_key(database: Database, key_id: int) -> None:
    database.run(ApiKey.delete().where(ApiKey.id == key_id))


def _account(row: User) -> Account:
    return Account(row.username, row.password_hash, row.role, bool(row.disabled), row.created_at)


def _key(row: ApiKey) -> StoredKey:
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
