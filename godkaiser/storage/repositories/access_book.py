"""The one owner of accounts, logins and API keys: requests are checked in memory, changes are written first.

Reading takes no lock and no database, so a stop is authenticated while the database is locked or gone.
A change is in the database before it is in memory: after a refusal nothing has changed. Another gateway
at the same database, or a commit whose answer was lost, shows in the version and is read anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from godkaiser.domain.access import Access, Account, Login, StoredKey
from godkaiser.errors.access import LastAdministrator, UnknownApiKey, UnknownUser
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import accounts

PATIENCE_S = 2.0
"""For a change that waits for another one: those who log in must not take all threads of the API."""


class _Draft:
    """The next `Access`, while it is being made; `is_changed` False: the present one stays."""

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
    """Safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = threading.Lock()
        self._present = Access()
        self._noting = threading.Lock()
        self._uses: dict[int, float] = {}

    @property
    def present(self) -> Access:
        return self._present

    def load(self) -> None:
        """Raises DatabaseUnavailable, ServiceUnavailable."""
        with self._changing():
            pass

    def refresh(self) -> None:
        """Write down which keys were used, and read what others have changed. Raises DatabaseUnavailable."""
        with self._noting:
            uses, self._uses = self._uses, {}
        try:
            for key_id, at in list(uses.items()):
                accounts.note_use(self._database, key_id, at)
                del uses[key_id]
        finally:
            with self._noting:
                self._uses = {**uses, **self._uses}
        if accounts.version_of(self._database) != self._present.version:
            self.load()

    def note_use(self, key_id: int, now: float) -> None:
        """Written later: the request does not wait for it."""
        with self._noting:
            self._uses[key_id] = now

    def last_used(self, key: StoredKey) -> float | None:
        return self._uses.get(key.key_id, key.last_used_at)

    # ---- people

    def add_first_user(self, account: Account, login: Login | None = None) -> bool:
        """Only while there is none, and begin a login; False when there is one, also for a racing second."""
        return self._add_user(account, login, is_first=True)

    def add_user(self, account: Account) -> bool:
        """False when the name is taken."""
        return self._add_user(account, None, is_first=False)

    def _add_user(self, account: Account, login: Login | None, *, is_first: bool) -> bool:
        with self._changing() as draft:
            if draft.users if is_first else account.username in draft.users:
                return False
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
        """All logins of this person end, and `login` begins. None: as it is.

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
        """False when the account is not any more what the password was checked against."""
        with self._changing() as draft:
            if draft.users.get(account.username) != account:
                return False
            self._begin(draft, login)
        return True

    def renew_login(self, family: str, used_jti: str, renewed: Login) -> bool:
        """Replace the newest refresh token of a login. False, and the login is ended, when `used_jti` is
        not the newest: somebody uses a stolen or an old one.
        """
        with self._changing() as draft:
            known = draft.logins.get(family)
            if known is None or known.username != renewed.username:
                return False
            is_newest = known.current_jti == used_jti
            if is_newest:
                accounts.save_login(self._database, renewed)
                draft.logins[family] = renewed
            else:
                accounts.end_login(self._database, family)
                del draft.logins[family]
            draft.is_changed = True
        return is_newest

    def end_login(self, family: str) -> None:
        with self._changing() as draft:
            accounts.end_login(self._database, family)
            draft.is_changed = draft.logins.pop(family, None) is not None

    # ---- keys

    def add_key(self, key: StoredKey) -> StoredKey:
        """With the id that the database gives it."""
        with self._changing() as draft:
            stored = accounts.add_key(self._database, key)
            draft.keys[stored.digest] = stored
            draft.is_changed = True
        return stored

    def rotate_key(self, old: StoredKey, fresh: StoredKey, ends: float) -> StoredKey:
        """Add `fresh` and let `old` end. Raises UnknownApiKey."""
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
        """One change at a time: a transaction, and what it has made is published after its commit."""
        if not self._writing.acquire(timeout=PATIENCE_S):
            raise ServiceUnavailable(reason="Too many log in at once. Try again in a second.")
        try:
            with self._database.transaction():
                version = accounts.lock_version(self._database)
                base = self._present
                if version != base.version:
                    base = accounts.load(self._database)
                draft = _Draft(base)
                yield draft
                if draft.is_changed:
                    accounts.set_version(self._database, version + 1)
            self._present = draft.published()
        finally:
            self._writing.release()
