"""/system/broker-accounts and .../broker-account: accounts of devices with the broker."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.link.broker_accounts import (
    AccountsView,
    AccountView,
    DropAccount,
    MadeAccount,
    MakeAccount,
)
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.link import AccountFilesUnusable, NoBrokerAccounts, UnknownBrokerAccount
from godkaiser.http.endpoint import ADMIN, Endpoint
from godkaiser.http.exchange import ask, issuer_of, reply
from godkaiser.http.services import Services


class AccountsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: pending, in_sync or failed; then `error` says why and what to do."""

    state: str
    error: str
    written_at: float | None
    data: tuple[AccountView, ...]
    count: int


_ACCOUNT = "/esp/devices/{device_id}/broker-account"
ENDPOINTS = (
    Endpoint(
        "GET", "/system/broker-accounts", "accounts", ADMIN,
        "List the accounts of devices with the broker, with their rights.", AccountsAnswer,
        details="`state` says whether the broker has them.", refuses=(NoBrokerAccounts,),
    ),
    Endpoint(
        "POST", _ACCOUNT, "account", ADMIN,
        "Create an account with the broker for a device, or a new password for it.", MadeAccount, 201,
        details="The password is shown once; see [operations](operations.md).",
        refuses=(UnknownDevice, NoBrokerAccounts, AccountFilesUnusable), for_people=True,
    ),
    Endpoint(
        "DELETE", _ACCOUNT, "account", ADMIN, "Delete the account of a device; the broker drops the device.",
        status=204, refuses=(UnknownBrokerAccount, NoBrokerAccounts, AccountFilesUnusable),
        for_people=True,
    ),
)  # fmt: skip


class BrokerAccountResources:
    def __init__(self, services: Services) -> None:
        self._system = services.system

    def on_get_accounts(self, req: falcon.Request, resp: falcon.Response) -> None:
        view = self._system.published_value(paths.BROKER_ACCOUNTS, "view")
        if not isinstance(view, AccountsView):
            raise NoBrokerAccounts
        answer = AccountsAnswer(
            state=view.state,
            error=view.error,
            written_at=view.written_at,
            data=view.accounts,
            count=len(view.accounts),
        )
        reply(resp, answer)

    def on_post_account(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        made = self._ask(MakeAccount(device_id=device_id, issuer=issuer_of(req)))
        reply(resp, made, 201)

    def on_delete_account(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        self._ask(DropAccount(device_id=device_id, issuer=issuer_of(req)))
        resp.status = falcon.HTTP_NO_CONTENT

    def _ask(self, message: Any) -> Any:
        if self._system.find(paths.BROKER_ACCOUNTS) is None:
            raise NoBrokerAccounts
        return ask(self._system, paths.BROKER_ACCOUNTS, message)
