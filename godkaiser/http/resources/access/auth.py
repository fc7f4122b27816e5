"""/auth: first administrator, log in, refresh, log out, who am I."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import falcon
import msgspec

from godkaiser.errors.access import (
    InvalidCredentials,
    InvalidToken,
    SetupClosed,
    SetupNeedsToken,
    WeakPassword,
)
from godkaiser.http.access.tokens import TokenPair
from godkaiser.http.endpoint import VIEWER, Done, Endpoint, Example
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
RoleWord = Literal["viewer", "operator", "admin"]


class Credentials(RequestBody, frozen=True, kw_only=True):
    username: Username
    password: Secret


class SetupBody(Credentials, frozen=True, kw_only=True):
    setup_token: Annotated[str, msgspec.Meta(max_length=100)] = ""


class RefreshBody(RequestBody, frozen=True, kw_only=True):
    refresh_token: Secret


class MeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`areas` are those that an API key is confined to; empty: all."""

    username: str
    role: RoleWord
    kind: Literal["user", "key", "local"]
    areas: tuple[str, ...]


_PERSON = {"username": "anna", "password": "seven long plums"}
ENDPOINTS = (
    Endpoint(
        "POST", "/auth/setup", "setup", None, "Create the first administrator.", TokenPair, 201,
        details="From another machine or through a proxy with `setup_token`, as the gateway printed it at its"
        " start (403 `SETUP_NEEDS_TOKEN` otherwise); refused once there is a user.",
        body=SetupBody, refuses=(SetupClosed, SetupNeedsToken, WeakPassword),
        examples=(Example(_PERSON),),
    ),
    Endpoint(
        "POST", "/auth/login", "login", None, "Log in.", TokenPair,
        details="Too many wrong passwords lock the person out for a while (429).",
        body=Credentials, refuses=(InvalidCredentials,), examples=(Example(_PERSON),),
    ),
    Endpoint(
        "POST", "/auth/refresh", "refresh", None, "Exchange a refresh token for a new pair.", TokenPair,
        details="Each refresh token works once. A second use within 10 s is answered with the same new refresh token"
        " (two tabs); a later one ends the login.",
        body=RefreshBody, refuses=(InvalidToken,),
        examples=(Example({"refresh_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6..."}),),
    ),
    Endpoint("POST", "/auth/logout", "logout", VIEWER, "End the login.", Done, for_people=True),
    Endpoint(
        "GET", "/auth/me", "me", VIEWER, "Tell whose token this is.", MeAnswer,
        details="Name, role, and whether `kind` is a user, an API key (with its `areas`) or `local`.",
    ),
)  # fmt: skip


def log_in(services: Services, req: falcon.Request, body: Credentials) -> TokenPair:
    """Begin a login. Raises InvalidCredentials, TooManyRequests."""
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
    return tokens


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
        reply(resp, log_in(self._services, req, read_body(req, Credentials)))

    def on_post_refresh(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, RefreshBody)
        username, pair = self._services.tokens.refresh(body.refresh_token, self._services.clock())
        note_audit(req, "login renewed", who=f"user:{username}")
        reply(resp, pair)

    def on_post_logout(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        self._services.tokens.revoke(identity)
        note_audit(req, "logout")
        reply(resp, Done())

    def on_get_me(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        answer = MeAnswer(
            username=identity.username,
            role=cast("RoleWord", identity.role.word),
            kind=identity.kind,
            areas=identity.areas,
        )
        reply(resp, answer)
