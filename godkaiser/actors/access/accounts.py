"""The one writer of accounts, logins and API keys.

Requests are checked against its published value, which survives its crash. A change is confirmed
only when the database has stored it and it is published.
"""

from __future__ import annotations

from typing import Any

from godkaiser.actors.access.messages import (
    AddFirstUser,
    AddKey,
    AddUser,
    BeginLogin,
    ChangeUser,
    DeleteKey,
    DeleteUser,
    EndLogin,
    KeyUsed,
    RenewLogin,
    RotateKey,
)
from godkaiser.actors.message import Message
from godkaiser.domain.access import Access
from godkaiser.errors.base import GatewayError
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import accounts
from godkaiser.storage.repositories.access_book import AccessBook
from godkaiser.supervision import Actor

EVERY_S = 5.0


class RefreshAccess(Message, frozen=True, kw_only=True):
    """To oneself: store when keys were used, and load changes by another gateway."""


class AccountsActor(Actor):
    """Publishes "access"."""

    refusals = (GatewayError,)
    waits_for = (DatabaseUnavailable,)

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._book: AccessBook
        self._uses: dict[int, float] = {}

    def on_start(self) -> None:
        known = self.context.recall("access") or Access()
        self._uses = dict(self.context.recall("uses") or {})
        self._book = AccessBook(self._database, known, self.context.monotonic)
        self._book.load()
        self._show()
        self._schedule()

    def on_receive(self, message: object) -> Any:
        try:
            match message:
                case RefreshAccess():
                    self._refresh()
                case KeyUsed(key_id=key_id, at=at):
                    self._uses[key_id] = at
                    self._keep_uses()
                case _:
                    return self._requested(message)
        finally:
            # An SQLite connection stays with its thread; a PostgreSQL connection goes back to the
            # pool.
            if not self._database.is_sqlite:
                self._database.close_thread()
        return None

    def on_stop(self) -> None:
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _requested(self, message: object) -> Any:
        """Carry out a request; the result is published before the reply. Raises the refusals of the
        message.
        """
        reply = self._changed(message)
        self._show()
        return reply

    def _changed(self, message: object) -> Any:
        book = self._book
        match message:
            case AddFirstUser(account=account, login=login):
                return book.add_first_user(account, login)
            case AddUser(account=account):
                return book.add_user(account)
            case ChangeUser():
                return book.change_user(
                    message.username,
                    role=message.role,
                    disabled=message.disabled,
                    password_hash=message.password_hash,
                    login=message.login,
                )
            case DeleteUser(username=username):
                return book.delete_user(username)
            case BeginLogin(account=account, login=login):
                return book.begin_login(account, login)
            case RenewLogin(used_jti=used_jti, fresh=fresh):
                return book.renew_login(used_jti, fresh)
            case EndLogin(family=family):
                return book.end_login(family)
            case AddKey(key=key):
                return book.add_key(key)
            case RotateKey(old=old, fresh=fresh, ends=ends):
                return book.rotate_key(old, fresh, ends)
            case DeleteKey(key=key):
                return book.delete_key(key)
        return self.context.unhandled(message)

    def _show(self) -> None:
        if self.context.recall("access") is not self._book.present:
            self.context.publish("access", self._book.present)

    def _refresh(self) -> None:
        self._schedule()
        try:
            for key_id, at in list(self._uses.items()):
                accounts.note_use(self._database, key_id, at)
                del self._uses[key_id]
            self._book.refresh()
        except DatabaseUnavailable:
            # It is tried again; a login meanwhile gets the error.
            return
        finally:
            self._keep_uses()
        self._show()

    def _keep_uses(self) -> None:
        if self.context.recall("uses") != self._uses:
            self.context.publish("uses", dict(self._uses))

    def _schedule(self) -> None:
        self.context.schedule(EVERY_S, RefreshAccess(), key="refresh")
