"""Accounts, logins and API keys: each change is written to the database before it is `present`.

So a refused change has changed nothing. Changes by another gateway on the same database, or by a
commit whose answer was lost, show in the version and are loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from godkaiser.domain.access import Access, Account, Login, StoredKey, read_again, renewed
from godkaiser.domain.person_names import skeleton
from godkaiser.errors.access import LastAdministrator, NameLooksAlike, UnknownApiKey, UnknownUser
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import accounts


class _Draft:
    """The next `Access`, while it is built; `is_changed` False: the present one stays."""

    def __init__(self, base: Access) -> None:
        self.base = base
        self.users = dict(base.users)
        self.logins = dict(base.logins)
        self.keys = dict(base.keys)
        self.is_changed = False

    def end_logins_of(self, username: str) -> None:
        self.logins = {k: v for k, v in self.logins.items() if v.username != username}

    def published(self) -> Access:
        if not self.is_changed:
            return self.base
        return Access(
            version=self.base.version + 1, users=self.users, logins=self.logins, keys=self.keys
        )


class AccessBook:
    """Held by the actor `/services/access/accounts`; not thread-safe."""

    def __init__(
        self,
        database: Database,
        present: Access = Access(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`present` is the access data from before, if any."""
        self._database = database
        self._monotonic = monotonic
        self.present = present

    def load(self) -> None:
        """Raises DatabaseUnavailable."""
        with self._database.transaction():
            found = accounts.load(self._database)
        self.present = read_again(self.present, found, self._monotonic())

    def refresh(self) -> None:
        """Load changes by others. Raises DatabaseUnavailable."""
        if accounts.version_of(self._database) != self.present.version:
            self.load()

    # ---- people

    def add_first_user(self, account: Account, login: Login | None = None) -> bool:
        """Add the first user and begin a login; False if there is a user already, also for a racing
        second call.
        """
        return self._add_user(account, login, is_first=True)

    def add_user(self, account: Account) -> bool:
        """Add a user; False if the name is taken. Raises NameLooksAlike."""
        return self._add_user(account, None, is_first=False)

    def _add_user(self, account: Account, login: Login | None, *, is_first: bool) -> bool:
        with self._changing() as draft:
            if draft.users if is_first else account.username in draft.users:
                return False
            for other in draft.users:
                if skeleton(account.username.casefold()) == skeleton(other.casefold()):
                    raise NameLooksAlike(username=account.username, other=other)
            accounts.save_user(self._database, account)
            draft.users[account.username] = account
            self._begin(draft, login)
        return True

    def _begin(self, draft: _Draft, login: Login | None) -> None:
        draft.is_changed = True
        if login is not None:
            accounts.save_login(self._database, login)
            draft.logins[login.family] = login

    def change_user(
        self,
        username: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        password_hash: str | None = None,
        login: Login | None = None,
    ) -> None:
        """Change a user; all its logins end, and `login` begins. None: unchanged.

        Raises:
            UnknownUser, LastAdministrator.
        """
        given = {"role": role, "disabled": disabled, "password_hash": password_hash}
        wanted = {name: value for name, value in given.items() if value is not None}
        with self._changing() as draft:
            account = draft.users.get(username)
            if account is None:
                raise UnknownUser(username=username[:64])
            changed = msgspec.structs.replace(account, **wanted)
            if draft.base.is_last_administrator(username) and not changed.is_administrator:
                raise LastAdministrator(username=username)
            accounts.save_user(self._database, changed)
            accounts.end_logins_of(self._database, username)
            draft.users[username] = changed
            draft.end_logins_of(username)
            self._begin(draft, login)

    def delete_user(self, username: str) -> None:
        """Raises UnknownUser, LastAdministrator."""
        with self._changing() as draft:
            if username not in draft.users:
                raise UnknownUser(username=username[:64])
            if draft.base.is_last_administrator(username):
                raise LastAdministrator(username=username)
            accounts.end_logins_of(self._database, username)
            accounts.delete_user(self._database, username)
            del draft.users[username]
            draft.end_logins_of(username)
            draft.is_changed = True

    # ---- logins

    def begin_login(self, account: Account, login: Login) -> bool:
        """Begin a login; False if the account has changed since its password was checked."""
        with self._changing() as draft:
            if draft.users.get(account.username) != account:
                return False
            self._begin(draft, login)
        return True

    def renew_login(self, used_jti: str, fresh: Login) -> Login | None:
        """The login whose newest refresh token must be given to the client; see
        `domain.access.renewed`.

        None, and the login is ended, if `used_jti` must no longer be used.
        """
        with self._changing() as draft:
            known = draft.logins.get(fresh.family)
            if known is None or known.username != fresh.username:
                return None
            login = renewed(known, used_jti, fresh, self._monotonic())
            if login is None:
                accounts.end_login(self._database, fresh.family)
                del draft.logins[fresh.family]
            elif login is not known:
                accounts.save_login(self._database, login)
                draft.logins[fresh.family] = login
            draft.is_changed = login is not known
        return login

    def end_login(self, family: str) -> None:
        with self._changing() as draft:
            accounts.end_login(self._database, family)
            draft.is_changed = draft.logins.pop(family, None) is not None

    # ---- keys

    def add_key(self, key: StoredKey) -> StoredKey:
        """Add a key; returns it with its id from the database."""
        with self._changing() as draft:
            stored = accounts.add_key(self._database, key)
            draft.keys[stored.digest] = stored
            draft.is_changed = True
        return stored

    def rotate_key(self, old: StoredKey, fresh: StoredKey, ends: float) -> StoredKey:
        """Add `fresh` and let `old` expire. Raises UnknownApiKey."""
        with self._changing() as draft:
            present = draft.keys.get(old.digest)
            if present is None:
                raise UnknownApiKey(key_id=old.key_id)
            stored = accounts.add_key(self._database, fresh)
            accounts.expire_key(self._database, old.key_id, ends)
            draft.keys[stored.digest] = stored
            draft.keys[old.digest] = msgspec.structs.replace(present, expires_at=ends)
            draft.is_changed = True
        return stored

    def delete_key(self, key: StoredKey) -> None:
        """Raises UnknownApiKey."""
        with self._changing() as draft:
            if draft.keys.pop(key.digest, None) is None:
                raise UnknownApiKey(key_id=key.key_id)
            accounts.delete_key(self._database, key.key_id)
            draft.is_changed = True

    @contextmanager
    def _changing(self) -> Iterator[_Draft]:
        """One change in a transaction; its result is `present` after the commit."""
        with self._database.transaction():
            version = accounts.lock_version(self._database)
            base = self.present
            if version != base.version:
                base = read_again(base, accounts.load(self._database), self._monotonic())
            draft = _Draft(base)
            yield draft
            if draft.is_changed:
                accounts.set_version(self._database, version + 1)
        self.present = draft.published()
