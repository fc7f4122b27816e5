"""Messages to the actors under `/services/access`. Their refusals are named here; the accounts
actor also refuses with DatabaseUnavailable.

`/services/access/accounts` publishes "access" (`domain.access.Access`), `/services/access/signing_keys` publishes
"keys" (a tuple of `SigningKey`, the one that signs first).
"""

from __future__ import annotations

from godkaiser.actors.message import Message
from godkaiser.domain.access import Account, Login, StoredKey
from godkaiser.domain.idempotency import Kept, Place

# ---- to the accounts


class AddFirstUser(Message, frozen=True, kw_only=True):
    """Add the first user and begin a login. Reply: False if there already is a user."""

    account: Account
    login: Login


class AddUser(Message, frozen=True, kw_only=True):
    """Add a user. Reply: False if the name is taken. Refusals: NameLooksAlike."""

    account: Account


class ChangeUser(Message, frozen=True, kw_only=True):
    """Change a user; all its logins end, and `login` begins. None: unchanged. Reply: None.
    Refusals: UnknownUser, LastAdministrator.
    """

    username: str
    role: str | None = None
    disabled: bool | None = None
    password_hash: str | None = None
    login: Login | None = None

    def __repr__(self) -> str:
        """Without the hash, because it may be shown as a dead letter."""
        return f"ChangeUser({self.username!r}, role={self.role!r}, disabled={self.disabled})"


class DeleteUser(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownUser, LastAdministrator."""

    username: str


class BeginLogin(Message, frozen=True, kw_only=True):
    """Begin a login. Reply: False if the account has changed since its password was checked."""

    account: Account
    login: Login


class RenewLogin(Message, frozen=True, kw_only=True):
    """Reply: the login whose newest refresh token must be sent; None: it was ended, or there is
    none.
    """

    used_jti: str
    fresh: Login


class EndLogin(Message, frozen=True, kw_only=True):
    """Reply: None."""

    family: str


class AddKey(Message, frozen=True, kw_only=True):
    """Add a key. Reply: the key with its id from the database."""

    key: StoredKey


class RotateKey(Message, frozen=True, kw_only=True):
    """Add `fresh` and let `old` expire. Reply: the new key. Refusals: UnknownApiKey."""

    old: StoredKey
    fresh: StoredKey
    ends: float


class DeleteKey(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownApiKey."""

    key: StoredKey


class KeyUsed(Message, frozen=True, kw_only=True):
    """A key was used; stored later. `at` in unix seconds."""

    key_id: int
    at: float


# ---- to the signing keys


class RotateSigningKey(Message, frozen=True, kw_only=True):
    """Sign with a new key; the older keys are accepted for at most `overlap_s` more. Reply: all
    keys.
    Refusals: SigningKeyGiven, ServiceUnavailable (the file cannot be written).
    """

    overlap_s: float


# ---- to the notes of commands


class BeginOnce(Message, frozen=True, kw_only=True):
    """Before a command with an `Idempotency-Key` is given. Reply: the earlier answer; None: the
    command may be given, and its note survives a power cut. Refusals: KeyReused, KeyInUse,
    KeyInDoubt.
    """

    place: Place
    begun: Kept


class EndOnce(Message, frozen=True, kw_only=True):
    """The attempt `begun` has ended. `left` None: it had no effect. `left.answer` None: the outcome
    is unknown. Reply: None, when the note survives the end of the process.
    """

    place: Place
    begun: Kept
    left: Kept | None
