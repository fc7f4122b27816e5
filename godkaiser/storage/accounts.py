"""People and their tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.storage.database import Database
from godkaiser.storage.models import BlacklistedToken, RefreshFamily, User

ADMIN = "admin"


class Account(msgspec.Struct, frozen=True):
    """Tokens from before `valid_from` (unix seconds) are void."""

    username: str
    password_hash: str
    role: str
    disabled: bool
    created_at: float = 0.0
    valid_from: float = 0.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of an account; None stays."""

    role: str | None = None
    disabled: bool | None = None
    password_hash: str | None = None


def count_users(database: Database) -> int:
    return int(database.fetch("SELECT count(*) FROM users")[0][0])


def add_user(database: Database, username: str, password_hash: str, role: str, now: float) -> bool:
    """False when the name is taken."""
    insert = User.insert(
        username=username, password_hash=password_hash, role=role, disabled=False, created_at=now
    )
    with database.transaction():
        if database.rows(User.select().where(User.username == username)):
            return False
        database.run(insert)
        return True


def add_first_user(
    database: Database, username: str, password_hash: str, role: str, now: float
) -> bool:
    """Add a user only while there is none; False when there is one, also for a racing second."""
    with database.transaction() as cursor:
        if not database.is_sqlite:
            cursor.execute("LOCK TABLE users IN EXCLUSIVE MODE")
        cursor.execute("SELECT count(*) FROM users")
        if cursor.fetchone()[0]:
            return False
        add_user(database, username, password_hash, role, now)
        return True


def find_user(database: Database, username: str) -> Account | None:
    rows = database.rows(User.select().where(User.username == username))
    if not rows:
        return None
    return _account(rows[0])


def list_users(database: Database) -> list[Account]:
    return [_account(row) for row in database.rows(User.select().order_by(User.username))]


def change_user(database: Database, username: str, change: Change, now: float) -> bool:
    """Its tokens become void. False when there is no such user, or no administrator would be left."""
    wanted = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None}
    with database.transaction() as cursor:
        _lock_users(database, cursor)
        account = find_user(database, username)
        if account is None:
            return False
        stays = wanted.get("role", account.role) == ADMIN and not wanted.get(
            "disabled", account.disabled
        )
        if not stays and _is_last_administrator(database, account):
            return False
        database.run(User.update(**wanted, valid_from=now).where(User.username == username))
        _end_logins(database, username)
        return True


def delete_user(database: Database, username: str) -> bool:
    """False when there is no such user, or no administrator would be left."""
    with database.transaction() as cursor:
        _lock_users(database, cursor)
        account = find_user(database, username)
        if account is None or _is_last_administrator(database, account):
            return False
        _end_logins(database, username)
        return bool(database.run(User.delete().where(User.username == username)))


def _lock_users(database: Database, cursor: Any) -> None:
    """Two that each take the right from another one must not leave none."""
    if not database.is_sqlite:
        cursor.execute("LOCK TABLE users IN EXCLUSIVE MODE")


def _is_last_administrator(database: Database, account: Account) -> bool:
    others = [
        other
        for other in list_users(database)
        if other.username != account.username and other.role == ADMIN and not other.disabled
    ]
    return account.role == ADMIN and not account.disabled and not others


def _end_logins(database: Database, username: str) -> None:
    database.run(RefreshFamily.update(revoked=True).where(RefreshFamily.username == username))


def _account(row: User) -> Account:
    return Account(
        row.username, row.password_hash, row.role, row.disabled, row.created_at, row.valid_from
    )


def blacklist(database: Database, jti: str, expires_at: float) -> None:
    database.run(BlacklistedToken.insert(jti=jti, expires_at=expires_at).on_conflict_ignore())


def blacklisted_tokens(database: Database, now: float) -> set[str]:
    rows = database.rows(BlacklistedToken.select().where(BlacklistedToken.expires_at > now))
    return {row.jti for row in rows}


def purge_expired(database: Database, now: float) -> int:
    """Forget tokens that have expired anyway; returns how many."""
    with database.transaction():
        tokens = database.run(BlacklistedToken.delete().where(BlacklistedToken.expires_at <= now))
        families = database.run(RefreshFamily.delete().where(RefreshFamily.expires_at <= now))
    return int(tokens) + int(families)


def count_expired(database: Database, now: float) -> int:
    """How many tokens `purge_expired` would forget."""
    tokens = BlacklistedToken.select().where(BlacklistedToken.expires_at <= now)
    families = RefreshFamily.select().where(RefreshFamily.expires_at <= now)
    return len(database.rows(tokens)) + len(database.rows(families))


def start_family(
    database: Database, family: str, username: str, jti: str, expires_at: float
) -> None:
    database.run(
        RefreshFamily.insert(
            family=family,
            username=username,
            current_jti=jti,
            revoked=False,
            expires_at=expires_at,
        )
    )


def rotate_family(
    database: Database, family: str, used_jti: str, next_jti: str, expires_at: float
) -> bool:
    """Replace the newest token of a login; False, and all of the login's tokens are void, when
    `used_jti` is not the newest: somebody uses a stolen or an old one.
    """
    changed = database.run(
        RefreshFamily.update(current_jti=next_jti, expires_at=expires_at).where(
            (RefreshFamily.family == family)
            & (RefreshFamily.current_jti == used_jti)
            & (RefreshFamily.revoked == False)  # noqa: E712  (SQL, not Python)
        )
    )
    if not changed:
        revoke_family(database, family)
    return bool(changed)


def revoke_family(database: Database, family: str) -> None:
    database.run(RefreshFamily.update(revoked=True).where(RefreshFamily.family == family))
