"""/auth: first administrator, log in, refresh, log out, who am I."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser.errors.access import InvalidCredentials, SetupClosed, SetupNeedsToken
from godkaiser.http.exchange import (
    RequestBody,
    address_of,
    identity_of,
    note_audit,
    read_body,
    reply,
    worded,
)
from godkaiser.http.services import Services

Username = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=128,
        pattern=worded(r"^[^\s/:]+\Z", "without blanks, / and :"),
    ),
]
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Credentials(RequestBody, frozen=True, kw_only=True):
    username: Username
    password: Secret


class SetupBody(Credentials, frozen=True, kw_only=True):
    setup_token: Annotated[str, msgspec.Meta(max_length=100)] = ""


class RefreshBody(RequestBody, frozen=True, kw_only=True):
    refresh_token: Secret


class AuthResources:
    """One class for the small resources of one subject; each `suffix` is an endpoint."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post_setup(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, SetupBody)
        services = self._services
        services.lockout.check("set-up", address_of(req), services.monotonic())
        if services.tokens.has_users():
            raise SetupClosed
        try:
            services.tokens.setup.check(req, body.setup_token)
        except SetupNeedsToken:
            locked = ""
            if body.setup_token:
                # Without one nobody has guessed: the answer says how to go on.
                locked = services.lockout.failed("set-up", address_of(req), services.monotonic())
            note_audit(req, "first administrator", locked, who=f"user:{body.username}")
            raise
        now = services.clock()
        made = services.tokens.create_first_user(body.username, body.password, now)
        if made is None:
            raise SetupClosed
        account, tokens = made
        note_audit(req, "first administrator created", who=f"user:{account.username}")
        reply(resp, tokens, 201)

    def on_post_login(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, Credentials)
        services = self._services
        name = services.tokens.name_of(body.username)
        person = f"user {name}"
        services.lockout.check(person, address_of(req), services.monotonic())
        note_audit(req, "login", who=f"user:{name}")
        account = services.tokens.authenticate(name, body.password)
        if account is None:
            locked = services.lockout.failed(person, address_of(req), services.monotonic())
            note_audit(req, "login", locked, who=f"user:{name}")
            raise InvalidCredentials
        tokens = services.tokens.issue(account, services.clock())
        services.lockout.succeeded(person, address_of(req))
        reply(resp, tokens)

    def on_post_refresh(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, RefreshBody)
        username, pair = self._services.tokens.refresh(body.refresh_token, self._services.clock())
        note_audit(req, "login renewed", who=f"user:{username}")
        reply(resp, pair)

    def on_post_logout(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        self._services.tokens.revoke(identity)
        note_audit(req, "logout")
        reply(resp, {"success": True})

    def on_get_me(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        reply(
            resp,
            {
                "username": identity.username,
                "role": identity.role.word,
                "kind": identity.kind,
                "areas": identity.areas,
            },
        )
