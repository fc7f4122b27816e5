"""Accounts, logins and API keys, against which requests are checked; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

ADMIN = "admin"
GRACE_S = 10.0
"""How long the refresh token before the newest is still accepted: for a second tab of the same
browser, and after a lost answer.
"""


class Account(msgspec.Struct, frozen=True):
    """A person. `created_at` in unix seconds."""

    username: str
    password_hash: str
    role: str
    disabled: bool
    created_at: float = 0.0

    def __repr__(self) -> str:
        """Without the hash, because it may be shown as a dead letter."""
        return f"Account({self.username!r}, {self.role!r})"

    @property
    def is_administrator(self) -> bool:
        return self.role == ADMIN and not self.disabled


class Login(msgspec.Struct, frozen=True):
    """One login. All its tokens are valid as long as it is listed.

    Only its newest refresh token (`current_jti`) may be used and, for `GRACE_S` after `renewed_at`,
    the one before it. `expires_at` in unix seconds, `renewed_at` in monotonic seconds.
    """

    family: str
    username: str
    current_jti: str
    expires_at: float
    previous_jti: str = ""
    renewed_at: float = 0.0

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key; only a digest of its secret is stored. `areas` are the first words of the paths
    that it may use; empty: all. Times in unix seconds.
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
    """All access data: users by name, logins by family, keys by digest.

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


def renewed(known: Login, used_jti: str, fresh: Login, now: float) -> Login | None:
    """The login after a use of its refresh token `used_jti`; `now` is monotonic.

    The newest token: returns `fresh`. The one before it, within the grace: `known`, whose newest
    token is given again. Any other: None, and the login must be ended, because somebody uses a
    stolen or an old token.
    """
    if known.current_jti == used_jti:
        return msgspec.structs.replace(fresh, previous_jti=used_jti, renewed_at=now)
    in_grace = known.previous_jti != "" and 0.0 <= now - known.renewed_at < GRACE_S
    return known if in_grace and known.previous_jti == used_jti else None


def read_again(before: Access, found: Access, now: float) -> Access:
    """`found`, loaded from the database, with the grace of each login, which is not stored; `now`
    is monotonic.

    If the token of a login has changed, it was renewed, and the answer may be lost: its grace
    begins.
    """
    logins = {
        family: _with_grace(before.logins.get(family), login, now)
        for family, login in found.logins.items()
    }
    return msgspec.structs.replace(found, logins=logins)


def _with_grace(before: Login | None, found: Login, now: float) -> Login:
    if before is None:
        return found
    if before.current_jti == found.current_jti:
        previous_jti, renewed_at = before.previous_jti, before.renewed_at
    else:
        previous_jti, renewed_at = before.current_jti, now
    return msgspec.structs.replace(found, previous_jti=previous_jti, renewed_at=renewed_at)
