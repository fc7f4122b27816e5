"""/auth/session: what the page in a browser logs in with. /version: what it asks before anything else."""

from __future__ import annotations

from typing import Literal, cast

import falcon
import msgspec

from godkaiser.errors.access import CrossSiteRequest, InvalidCredentials, InvalidToken
from godkaiser.http.access import browser_session
from godkaiser.http.access.first_setup import doubt_about_place
from godkaiser.http.access.tokens import TokenPair
from godkaiser.http.endpoint import Done, Endpoint, Example
from godkaiser.http.exchange import note_audit, read_body, reply
from godkaiser.http.resources.access.auth import Credentials, RoleWord, log_in
from godkaiser.http.services import Services


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a page needs of a login; the refresh token is in a cookie. `stop_token` null: may not stop anything."""

    access_token: str
    expires_in: int
    username: str
    role: RoleWord
    stop_token: str | None


class VersionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`page` is the digest of the page that is served. `setup`, whether the first administrator is still to be made:
    closed (there is a user), open (this browser may), token (with the token that the gateway printed).
    """

    version: str
    kaiser_id: str
    page: str
    setup: Literal["closed", "open", "token"]


ENDPOINTS = (
    Endpoint(
        "POST", "/auth/session", "session", None, "Log in from the page of the gateway.", SessionAnswer,
        details="As `/auth/login`, with the refresh token in a cookie; refused unless it comes from that page.",
        body=Credentials, refuses=(CrossSiteRequest, InvalidCredentials),
        examples=(Example({"username": "anna", "password": "seven long plums"}),),
    ),
    Endpoint(
        "POST", "/auth/session/renewal", "renewal", None, "Renew the login of the cookie.",
        SessionAnswer | None, details="Null when this browser has none.", refuses=(CrossSiteRequest, InvalidToken),
    ),
    Endpoint(
        "DELETE", "/auth/session", "session", None, "End the login of the cookie.", Done, refuses=(CrossSiteRequest,),
    ),
)  # fmt: skip
VERSION = (
    Endpoint(
        "GET", "/version", "version", None, "Tell which gateway and which page this is.", VersionAnswer,
        details="`setup` is `closed`, `open` (from this browser) or `token` while there is no user.",
    ),
)  # fmt: skip


class SessionResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post_session(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, Credentials)
        browser_session.check_origin(req)
        self._begin(req, resp, log_in(self._services, req, body))

    def on_post_renewal(self, req: falcon.Request, resp: falcon.Response) -> None:
        browser_session.check_origin(req)
        token = browser_session.refresh_token_of(req)
        if not token:
            # Nobody is logged in here, which is no error: a page asks when it opens.
            reply(resp, None)
            return
        try:
            username, pair = self._services.tokens.refresh(token, self._services.clock())
        except InvalidToken:
            browser_session.clear_cookie(req, resp)
            raise
        note_audit(req, "login renewed", who=f"user:{username}")
        self._begin(req, resp, pair)

    def on_delete_session(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Log out. Also where the login has ended already: the page wants to be logged out, and is."""
        browser_session.check_origin(req)
        browser_session.clear_cookie(req, resp)
        reply(resp, Done())
        token = browser_session.refresh_token_of(req)
        if not token:
            return
        try:
            username = self._services.tokens.end_login_of(token, self._services.clock())
        except InvalidToken:
            return
        note_audit(req, "logout", who=f"user:{username}")

    def _begin(self, req: falcon.Request, resp: falcon.Response, pair: TokenPair) -> None:
        tokens, now = self._services.tokens, self._services.clock()
        identity = tokens.identify(pair.access_token, now)
        browser_session.set_cookie(req, resp, pair.refresh_token)
        answer = SessionAnswer(
            access_token=pair.access_token,
            expires_in=pair.expires_in,
            username=identity.username,
            role=cast("RoleWord", identity.role.word),
            stop_token=tokens.stop_token(identity, now),
        )
        reply(resp, answer)


class VersionResource:
    """Which gateway this is, which page belongs to it, and whether its first administrator is still to be made."""

    def __init__(self, services: Services, page: str) -> None:
        self._services = services
        self._page = page

    def on_get_version(self, req: falcon.Request, resp: falcon.Response) -> None:
        services = self._services
        answer = VersionAnswer(
            version=services.version,
            kaiser_id=services.kaiser_id,
            page=self._page,
            setup=self._setup(req),
        )
        reply(resp, answer)

    def _setup(self, req: falcon.Request) -> Literal["closed", "open", "token"]:
        if self._services.tokens.has_users():
            return "closed"
        return "token" if doubt_about_place(req) else "open"
