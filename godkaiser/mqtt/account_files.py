"""Writes Mosquitto's files `passwd` and `acl` when they change, and signals Mosquitto.

Beside them the administrator may keep `passwd.extra` and `acl.extra` with lines for other clients.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Sequence
from pathlib import Path

from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import STOP_ACCOUNT
from godkaiser.domain.entities import BrokerAccount, DeviceRecord
from godkaiser.errors.link import AccountFilesUnusable
from godkaiser.host.durable_file import make_folder, replace_file
from godkaiser.mqtt import accounts as broker_accounts

PASSWORDS, RIGHTS, EXTRA = "passwd", "acl", ".extra"
READABLE_BY_GROUP = 0o640
FOLDER_OF_GROUP = 0o750


class BrokerFiles:
    """`pid_file` is Mosquitto's; empty: systemd/godkaiser-accounts.path reloads Mosquitto instead."""

    def __init__(
        self, folder: str, pid_file: str, gateway: str, password: str, stop_password_file: str = ""
    ) -> None:
        self._folder = Path(folder)
        self._pid_file = pid_file
        self._gateway = gateway
        self._password = password
        self._stop_password_file = stop_password_file
        self._to_be_told = False

    def write(self, accounts: Sequence[BrokerAccount], devices: Sequence[DeviceRecord]) -> bool:
        """Bring the files up to date and signal Mosquitto; False if they already were up to date.

        Accounts of unregistered devices are left out.

        Raises:
            AccountFilesUnusable: a file cannot be read or written, or Mosquitto cannot be
            signalled; the text says what to do.
        """
        approvals = {device.device_id: device.approval for device in devices}
        hashes = {
            account.device_id: account.password_hash
            for account in accounts
            if account.device_id in approvals
        }
        names = dict.fromkeys(hashes)
        present = self._read(PASSWORDS)
        hashes[self._gateway] = _kept_hash(present, self._gateway, self._password)
        if self._stop_password_file:
            hashes[STOP_ACCOUNT] = _kept_hash(present, STOP_ACCOUNT, self._stop_password())
        extra = self._read(PASSWORDS + EXTRA)
        for line in broker_accounts.clashes(hashes, extra):
            where = f"{self._folder / PASSWORDS}{EXTRA}:{line.number}"
            raise AccountFilesUnusable(
                reason=f"{where}: {line.reason}. Correct or remove that line."
            )
        changed = self._replace(
            PASSWORDS, present, broker_accounts.password_file(hashes, extra)
        ) | self._replace(
            RIGHTS,
            self._read(RIGHTS),
            broker_accounts.acl_file(
                self._gateway,
                {name: approvals[name] for name in names},
                self._read(RIGHTS + EXTRA),
                STOP_ACCOUNT if self._stop_password_file else "",
            ),
        )
        self._to_be_told |= changed
        if self._to_be_told:
            self._tell()
            self._to_be_told = False
        return changed

    def accounts_of_others(self) -> list[str]:
        """The account names in `passwd` that are neither the gateway's nor from `passwd.extra`.

        Raises:
            AccountFilesUnusable: a file cannot be read.
        """
        kept = {line.partition(":")[0] for line in self._read(PASSWORDS + EXTRA).splitlines()}
        names = [line.partition(":")[0] for line in self._read(PASSWORDS).splitlines()]
        return [name for name in names if name and name not in {self._gateway, STOP_ACCOUNT, *kept}]

    def _stop_password(self) -> str:
        try:
            return first_line(Path(self._stop_password_file))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            reason = (
                f"[mqtt] stop_password_file {self._stop_password_file}: {why}. Let the gateway's user"
                " read it: make it a member of the file's group."
            )
            raise AccountFilesUnusable(reason=reason) from error

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "the file is not UTF-8"
            reason = (
                f"{self._folder / name} cannot be read: {why}. Make it readable for the gateway."
            )
            raise AccountFilesUnusable(reason=reason) from error

    def _replace(self, name: str, present: str, wanted: str) -> bool:
        if present == wanted:
            return False
        try:
            make_folder(self._folder, FOLDER_OF_GROUP)
            replace_file(self._folder / name, wanted.encode(), mode=READABLE_BY_GROUP)
        except OSError as error:
            reason = (
                f"{self._folder / name} cannot be written: {error.strerror}. Mosquitto keeps"
                " the old accounts. Make the folder writable for the gateway."
            )
            raise AccountFilesUnusable(reason=reason) from error
        return True

    def _tell(self) -> None:
        if not self._pid_file:
            return
        try:
            os.kill(int(Path(self._pid_file).read_text()), signal.SIGHUP)
        except (OSError, ValueError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "it does not contain a process id"
            reason = (
                f"Mosquitto could not be signalled with {self._pid_file}: {why}. The files are written;"
                " reload it by hand, or correct [broker_accounts] pid_file."
            )
            raise AccountFilesUnusable(reason=reason) from error


def _kept_hash(present: str, account: str, password: str) -> str:
    """The existing hash if it matches the password: a new salt alone is not a reason to write the
    file.
    """
    for line in present.splitlines():
        name, _, hashed = line.partition(":")
        if name == account and broker_accounts.password_matches(password, hashed):
            return hashed
    return new_hash(password)


def new_password() -> str:
    """144 random bits, short enough to be typed into a device's portal."""
    return secrets.token_urlsafe(18)


def new_hash(password: str) -> str:
    return broker_accounts.hash_password(password, os.urandom(broker_accounts.SALT_BYTES))
