"""/users and /auth/password: who may come in."""

from __future__ import annotations

from typing import cast

import falcon
import msgspec

from godkaiser.domain.access import Account
from godkaiser.domain.person_names import prepared_password
from godkaiser.domain.records.digests import digest_of
from godkaiser.errors.access import (
    InvalidCredentials,
    LastAdministrator,
    NameLooksAlike,
    UnknownUser,
    UserExists,
    WeakPassword,
)
from godkaiser.http.access.permissions import ROLES
from godkaiser.http.access.tokens import TokenPair
from godkaiser.http.editing import refuse_changed, seen_by
from godkaiser.http.endpoint import ADMIN, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    RequestBody,
    address_of,
    identity_of,
    note_audit,
    read_body,
    reply,
)
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import sorted_by
from godkaiser.http.resources.access.auth import RoleWord, Secret, Username
from godkaiser.http.services import Services


class NewUser(RequestBody, frozen=True, kw_only=True):
    username: Username
    password: Secret
    role: RoleWord


class UserChange(RequestBody, frozen=True, kw_only=True):
    role: RoleWord | None = None
    disabled: bool | None = None
    password: Secret | None = None


class PasswordChange(RequestBody, frozen=True, kw_only=True):
    old_password: Secret
    new_password: Secret


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may log in; `created_at` in unix seconds."""

    username: str
    role: RoleWord
    disabled: bool
    created_at: float


_TAKEN = (UserExists, NameLooksAlike)
ENDPOINTS = (
    Endpoint(
        "GET", "/users", "users", ADMIN, "List the users.", Page[UserAnswer],
        query=sorted_by("username", "role", "created_at"), for_people=True,
    ),
    Endpoint(
        "POST", "/users", "users", ADMIN, "Create a user.", UserAnswer, 201,
        details="The name is kept in lower case and compared however it is typed; one that looks like another is"
        " 409 `USER_NAME_LOOKS_ALIKE`.",
        body=NewUser, refuses=(*_TAKEN, WeakPassword), for_people=True,
        examples=(Example({"username": "anna", "password": "seven long plums", "role": "operator"}),),
    ),
    Endpoint(
        "GET", "/users/{username}", "user", ADMIN, "Show one user.", UserAnswer,
        refuses=(UnknownUser,), tagged=True, for_people=True,
    ),
    Endpoint(
        "PATCH", "/users/{username}", "user", ADMIN, "Change a user; what is not given stays.",
        UserAnswer, details="Every token of that user is void at once. The last administrator stays one.",
        body=UserChange, refuses=(UnknownUser, LastAdministrator, WeakPassword), edits=True, tagged=True,
        for_people=True, examples=(Example({"role": "viewer"}, {"username": "anna"}),),
    ),
    Endpoint(
        "DELETE", "/users/{username}", "user", ADMIN, "Delete a user.", status=204,
        refuses=(UnknownUser, LastAdministrator), edits=True, for_people=True,
    ),
    Endpoint(
        "POST", "/auth/password", "password", VIEWER, "Change one's own password.", TokenPair,
        details="All other logins of that person end, and a new pair is answered.",
        body=PasswordChange, refuses=(InvalidCredentials, WeakPassword), for_people=True,
        examples=(Example({"old_password": "seven long plums", "new_password": "eight long pears"}),),
    ),
)  # fmt: skip


class UserResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_users(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [_user(account) for account in self._services.tokens.users()]
        reply_page(req, resp, found, identity=("username",))

    def on_get_user(self, req: falcon.Request, resp: falcon.Response, username: str) -> None:
        body = self._shown(username)
        resp.etag = digest_of(body)
        reply(resp, body)

    def on_post_users(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, NewUser)
        services = self._services
        account = services.tokens.create_user(
            body.username, body.password, ROLES[body.role], services.clock()
        )
        note_audit(req, f"user {account.username} created", body.role)
        reply(resp, _user(account), 201)

    def on_patch_user(self, req: falcon.Request, resp: falcon.Response, username: str) -> None:
        """Every token of that user is void afterwards."""
        body = read_body(req, UserChange)
        refuse_changed(seen_by(req), digest_of(self._shown(username)), f"user {username}")
        self._services.tokens.change_user(
            username,
            role=None if body.role is None else ROLES[body.role],
            disabled=body.disabled,
            password=body.password,
        )
        what = [key for key, value in msgspec.structs.asdict(body).items() if value is not None]
        note_audit(req, f"user {username} changed", ", ".join(what))
        shown = self._shown(username)
        resp.etag = digest_of(shown)
        reply(resp, shown)

    def on_delete_user(self, req: falcon.Request, resp: falcon.Response, username: str) -> None:
        refuse_changed(seen_by(req), digest_of(self._shown(username)), f"user {username}")
        self._services.tokens.delete_user(username)
        note_audit(req, f"user {username} deleted")
        resp.status = 204

    def on_post_password(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A person's own; every other login of that person ends, and a new pair is answered."""
        body = read_body(req, PasswordChange)
        services = self._services
        identity = identity_of(req)
        person = f"user {identity.username}"
        services.lockout.check(person, address_of(req), services.monotonic())
        account = services.tokens.authenticate(identity.username, body.old_password)
        if account is None:
            locked = services.lockout.failed(person, address_of(req), services.monotonic())
            note_audit(req, "own password", locked)
            raise InvalidCredentials
        if prepared_password(body.new_password) == prepared_password(body.old_password):
            raise WeakPassword(reason="it is the one that you have. Choose another.")
        note_audit(req, "own password changed")
        tokens = services.tokens.change_own_password(account, body.new_password, services.clock())
        reply(resp, tokens)

    def _shown(self, username: str) -> UserAnswer:
        account = self._services.tokens.find_user(username)
        if account is None:
            raise UnknownUser(username=username[:64])
        return _user(account)


def _user(account: Account) -> UserAnswer:
    return UserAnswer(
        username=account.username,
        role=cast("RoleWord", account.role),
        disabled=bool(account.disabled),
        created_at=account.created_at,
    )
