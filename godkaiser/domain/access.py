"""Accounts, logins and API keys, as requests are checked against them; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

ADMIN = "admin"


class Account(msgspec.Struct, frozen=True):
    """A person. `created_at` in unix seconds."""

    username: str
    password_hash: str
    role: str
    disabled: bool
    created_at: float = 0.0

    @property
    def is_administrator(self) -> bool:
        return self.role == ADMIN and not self.disabled


class Login(msgspec.Struct, frozen=True):
    """All tokens that stem from one login are good as long as it is listed.

    Of its refresh tokens only the newest (`current_jti`) may be used. `expires_at` in unix seconds.
    """

    family: str
    username: str
    current_jti: str
    expires_at: float


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key; of its secret only a digest is kept. `areas` are the first words of the paths that it
    may use; none: all. Times in unix seconds.
    """

    key_id: int
    name: str
    digest: str
    role: str
    areas: tuple[str, ...]
    created_by: str
    created_at: float
    expires_at: float
    last_used_at: float | None = None


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a request is checked against: users by name, logins by family, keys by digest.

    `version` counts the changes in the database; -1: not loaded yet.
    """

    version: int = -1
    users: Mapping[str, Account] = {}
    logins: Mapping[str, Login] = {}
    keys: Mapping[str, StoredKey] = {}

    def is_last_administrator(self, username: str) -> bool:
        account = self.users.get(username)
        return (
            account is not None
            and account.is_administrator
            and not any(
                other.is_administrator
                for other in self.users.values()
                if other.username != username
            )
        )
