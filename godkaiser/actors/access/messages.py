"""What the actors under `/services/access` are asked. Their refusals: what is named here, and DatabaseUnavailable
of the accounts.

`/services/access/accounts` publishes "access" (`domain.access.Access`), `/services/access/signing_keys` publishes
"keys" (a tuple of `SigningKey`, the one that signs first).
"""

from __future__ import annotations

from godkaiser.actors.message import Message
from godkaiser.domain.access import Account, Login, StoredKey
from godkaiser.domain.idempotency import Kept, Place

# ---- to the accounts


class AddFirstUser(Message, frozen=True, kw_only=True):
    """Only while there is nobody, and begin a login. Reply: False when there is somebody."""

    account: Account
    login: Login


class AddUser(Message, frozen=True, kw_only=True):
    """Reply: False when the name is taken. Refusals: NameLooksAlike."""

    account: Account


class ChangeUser(Message, frozen=True, kw_only=True):
    """All logins of this person end, and `login` begins. None: as it is. Reply: None. Refusals: UnknownUser,
    LastAdministrator.
    """

    username: str
    role: str | None = None
    disabled: bool | None = None
    password_hash: str | None = None
    login: Login | None = None

    def __repr__(self) -> str:
        """It may be shown as a dead letter: without the hash."""
        return f"ChangeUser({self.username!r}, role={self.role!r}, disabled={self.disabled})"


class DeleteUser(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownUser, LastAdministrator."""

    username: str


class BeginLogin(Message, frozen=True, kw_only=True):
    """Reply: False when the account is not any more what the password was checked against."""

    account: Account
    login: Login


class RenewLogin(Message, frozen=True, kw_only=True):
    """Reply: the login whose newest refresh token is to be given; None: it is ended, or there is none."""

    used_jti: str
    fresh: Login


class EndLogin(Message, frozen=True, kw_only=True):
    """Reply: None."""

    family: str


class AddKey(Message, frozen=True, kw_only=True):
    """Reply: the key with the id that the database gives it."""

    key: StoredKey


class RotateKey(Message, frozen=True, kw_only=True):
    """Add `fresh` and let `old` end. Reply: the fresh one. Refusals: UnknownApiKey."""

    old: StoredKey
    fresh: StoredKey
    ends: float


class DeleteKey(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownApiKey."""

    key: StoredKey


class KeyUsed(Message, frozen=True, kw_only=True):
    """Told, and written down later. `at` in unix seconds."""

    key_id: int
    at: float


# ---- to the signing keys


class RotateSigningKey(Message, frozen=True, kw_only=True):
    """Sign with a new key; those before it are believed for `overlap_s` more, at most. Reply: all keys.
    Refusals: SigningKeyGiven, ServiceUnavailable (the file cannot be written).
    """

    overlap_s: float


# ---- to the notes of commands


class BeginOnce(Message, frozen=True, kw_only=True):
    """Before a command with an `Idempotency-Key` is given. Reply: how it was answered before; None: it may be
    given, and survives a power cut as begun. Refusals: KeyReused, KeyInUse, KeyInDoubt.
    """

    place: Place
    begun: Kept


class EndOnce(Message, frozen=True, kw_only=True):
    """The attempt `begun` is over. `left` None: it left nothing behind. `left.answer` None: nobody knows.
    Reply: None. Once it is answered, it survives the end of the process.
    """

    place: Place
    begun: Kept
    left: Kept | None
