"""/auth: first administrator, log in, refresh, log out, who am I."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.journal import RecordAudit
from godkaiser.errors import InvalidCredentials, SetupClosed, SetupNeedsToken
from godkaiser.http.exchange import RequestBody, identity_of, read_body, reply, request_id_of
from godkaiser.http.services import Services
from godkaiser.storage.audit import AuditEntry

Username = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w.@-]+\Z")]
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
        services.lockout.check("set-up", req.remote_addr, services.monotonic())
        if services.tokens.has_users():
            raise SetupClosed
        try:
            services.tokens.setup.check(req, body.setup_token)
        except SetupNeedsToken:
            locked = services.lockout.failed("set-up", req.remote_addr, services.monotonic())
            self._audit(req, body.username, "first administrator", "refused", locked)
            raise
        now = services.clock()
        if not services.tokens.create_first_user(body.username, body.password, now):
            raise SetupClosed
        self._audit(req, body.username, "first administrator created", "ok")
        account = services.tokens.find_user(body.username)
        assert account is not None
        reply(resp, services.tokens.issue(account, now), 201)

    def on_post_login(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, Credentials)
        services = self._services
        person = f"user {body.username}"
        services.lockout.check(person, req.remote_addr, services.monotonic())
        account = services.tokens.authenticate(body.username, body.password)
        if account is None:
            locked = services.lockout.failed(person, req.remote_addr, services.monotonic())
            self._audit(req, body.username, "login", "refused", locked)
            raise InvalidCredentials
        tokens = services.tokens.issue(account, services.clock())
        services.lockout.succeeded(person, req.remote_addr)
        self._audit(req, body.username, "login", "ok")
        reply(resp, tokens)

    def on_post_refresh(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, RefreshBody)
        reply(resp, self._services.tokens.refresh(body.refresh_token, self._services.clock()))

    def on_post_logout(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        self._services.tokens.revoke(identity)
        self._audit(req, identity.username, "logout", "ok")
        reply(resp, {"success": True})

    def on_get_me(self, req: falcon.Request, resp: falcon.Response) -> None:
        identity = identity_of(req)
        reply(resp, {"username": identity.username, "role": identity.role.word})

    def _audit(
        self, req: falcon.Request, who: str, what: str, result: str, details: str = ""
    ) -> None:
        entry = AuditEntry(
            at=self._services.clock(),
            who=f"user:{who}",
            what=what,
            source=req.remote_addr,
            result=result,
            details=details,
            correlation_id=request_id_of(req),
        )
        self._services.system.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
