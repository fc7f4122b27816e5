"""Accounts of devices with the broker."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.link.broker_accounts import AccountsView, DropAccount, MakeAccount
from godkaiser.errors.link import NoBrokerAccounts
from godkaiser.http.exchange import ask, issuer_of, reply
from godkaiser.http.services import Services


class BrokerAccountResources:
    def __init__(self, services: Services) -> None:
        self._system = services.system

    def on_get_accounts(self, req: falcon.Request, resp: falcon.Response) -> None:
        view = self._system.published_value(paths.BROKER_ACCOUNTS, "view")
        if not isinstance(view, AccountsView):
            raise NoBrokerAccounts
        body = msgspec.to_builtins(view)
        accounts = body.pop("accounts")
        reply(resp, {**body, "data": accounts, "count": len(accounts)})

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
