"""Keeps Mosquitto's accounts in step with the devices: one account for each, with rights by its
approval.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.entities import Approval, BrokerAccount, Issuer
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.link import AccountFilesUnusable, UnknownBrokerAccount
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.account_files import BrokerFiles, new_hash, new_password
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import broker_accounts, registry
from godkaiser.supervision import Actor, Backoff
from godkaiser.supervision.strategy import backoff_delay

log = structlog.get_logger("godkaiser.broker_accounts")
SOON_S = 0.2
"""Decisions within this time cause only one reload of the broker."""
RETRY = Backoff(base_s=1.0, factor=2.0, max_s=60.0, jitter=0.2)


class SyncAccounts(Message, frozen=True, kw_only=True):
    """Devices were added, removed, approved or rejected."""


class WriteAccounts(Message, frozen=True, kw_only=True):
    """To oneself."""


class MakeAccount(Message, frozen=True, kw_only=True):
    """Set a new password for a device. Reply: MadeAccount. Refusals: UnknownDevice,
    DatabaseUnavailable.
    """

    device_id: str
    issuer: Issuer


class MadeAccount(Message, frozen=True, kw_only=True):
    """The new password, which is stored nowhere."""

    username: str
    password: str


class DropAccount(Message, frozen=True, kw_only=True):
    """Remove the account of a device. Refusals: UnknownBrokerAccount, DatabaseUnavailable."""

    device_id: str
    issuer: Issuer


class AccountView(Message, frozen=True, kw_only=True):
    """`rights`: all (approved) or registration (not approved yet)."""

    device_id: str
    made_by: str
    made_at: float
    rights: str


class AccountsView(Message, frozen=True, kw_only=True):
    """Published. `state`: pending, in_sync or failed, with the reason and what to do."""

    state: str = "pending"
    error: str = ""
    written_at: float | None = None
    accounts: tuple[AccountView, ...] = ()


class BrokerAccountsActor(Actor):
    refusals = (UnknownDevice, UnknownBrokerAccount, DatabaseUnavailable)

    def __init__(self, database: Database, files: BrokerFiles) -> None:
        super().__init__()
        self._database = database
        self._files = files
        self._view = AccountsView()
        self._attempt = 1

    def on_start(self) -> None:
        self._show()
        self.context.own.tell(WriteAccounts())

    def on_receive(self, message: object) -> Any:
        match message:
            case SyncAccounts():
                self._soon()
            case WriteAccounts():
                self._write()
            case MakeAccount():
                return self._make(message)
            case DropAccount():
                return self._drop(message)
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        self._database.close_thread()

    def _make(self, message: MakeAccount) -> MadeAccount:
        known = {record.device_id for record in registry.load_devices(self._database)}
        if message.device_id not in known:
            raise UnknownDevice(device_id=message.device_id[:64])
        password = new_password()
        account = BrokerAccount(
            device_id=message.device_id,
            password_hash=new_hash(password),
            made_by=str(message.issuer),
            made_at=self.context.now(),
        )
        broker_accounts.save_account(self._database, account)
        self._audit(message.issuer, f"broker account of {message.device_id} made")
        self._soon()
        return MadeAccount(username=message.device_id, password=password)

    def _drop(self, message: DropAccount) -> None:
        if not broker_accounts.delete_account(self._database, message.device_id):
            raise UnknownBrokerAccount(device_id=message.device_id[:64])
        self._audit(message.issuer, f"broker account of {message.device_id} removed")
        self._soon()

    def _soon(self) -> None:
        self._show(state="pending")
        self.context.schedule(SOON_S, WriteAccounts(), key="write")

    def _write(self) -> None:
        try:
            accounts = broker_accounts.load_accounts(self._database)
            devices = registry.load_devices(self._database)
            changed = self._files.write(accounts, devices)
        except (AccountFilesUnusable, DatabaseUnavailable) as error:
            log.warning("broker_accounts_not_written", reason=error.message)
            self._show(state="failed", error=error.message)
            self._attempt += 1
            delay_s = backoff_delay(RETRY, self._attempt, self.context.random())
            self.context.schedule(delay_s, WriteAccounts(), key="write")
            return
        self._attempt = 1
        approvals = {device.device_id: device.approval for device in devices}
        self._show(
            state="in_sync",
            error="",
            written_at=self.context.now() if changed else self._view.written_at,
            accounts=tuple(
                AccountView(
                    device_id=account.device_id,
                    made_by=account.made_by,
                    made_at=account.made_at,
                    rights="all"
                    if approvals[account.device_id] is Approval.APPROVED
                    else "registration",
                )
                for account in accounts
                if account.device_id in approvals
            ),
        )

    def _show(self, **changes: Any) -> None:
        self._view = msgspec.structs.replace(self._view, **changes)
        self.context.publish("view", self._view)

    def _audit(self, issuer: Issuer, what: str) -> None:
        entry = entry_by(issuer, at=self.context.now(), what=what)
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
