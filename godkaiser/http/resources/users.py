"""/users, /auth/password and /auth/keys: who may come in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import falcon
import msgspec

from godkaiser.domain.access import Account, StoredKey
from godkaiser.domain.person_names import prepared_password
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.signing_keys import FOR_EVER, SigningKey
from godkaiser.errors.access import InvalidCredentials, UnknownApiKey, UnknownUser, WeakPassword
from godkaiser.errors.base import ValidationFailed
from godkaiser.http.access.permissions import AREAS, ROLES
from godkaiser.http.access.tokens import REFRESH_S
from godkaiser.http.editing import refuse_changed, seen_by
from godkaiser.http.exchange import (
    RequestBody,
    address_of,
    identity_of,
    note_audit,
    number_in_path,
    read_body,
    reply,
    worded,
)
from godkaiser.http.paging import reply_page
from godkaiser.http.resources.auth import Secret, Username
from godkaiser.http.services import Services

DAY_S = 86_400.0
LONGEST_DAYS = 3650.0
LONGEST_OVERLAP_S = 30 * DAY_S

RoleWord = Literal["viewer", "operator", "admin"]


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


class NewKey(RequestBody, frozen=True, kw_only=True):
    """`areas` are the first words of the paths that it may use; none: all."""

    name: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=64,
            pattern=worded(r"^[\w.-]+\Z", "of letters, digits and . _ -"),
        ),
    ]
    role: RoleWord
    areas: Annotated[tuple[str, ...], msgspec.Meta(max_length=20)] = ()
    expires_in_days: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_DAYS)] = 365.0


class Rotation(RequestBody, frozen=True, kw_only=True):
    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_S)] = 3600.0


class SigningRotation(RequestBody, frozen=True, kw_only=True):
    """The key before is believed for so long; 0: everybody logs in again."""

    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_S)] = REFRESH_S


class UserResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_users(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [_user(account) for account in self._services.tokens.users()]
        sortable = ("username", "role", "created_at")
        reply_page(req, resp, found, identity=("username",), sortable=sortable)

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

    def _shown(self, username: str) -> dict[str, Any]:
        account = self._services.tokens.find_user(username)
        if account is None:
            raise UnknownUser(username=username[:64])
        return _user(account)


class KeyResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_keys(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [_key(key) for key in self._services.tokens.keys.all()]
        reply(resp, {"data": found, "count": len(found)})

    def on_post_keys(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The secret is in this answer and nowhere else."""
        body = read_body(req, NewKey)
        unknown = [area for area in body.areas if area not in AREAS]
        if unknown:
            reason = f"areas: '{unknown[0][:40]}' is none; there are {', '.join(AREAS)}."
            raise ValidationFailed(reason=reason)
        now = self._services.clock()
        by = identity_of(req).principal
        ends = now + body.expires_in_days * DAY_S
        key, secret = self._services.tokens.keys.make(
            body.name, ROLES[body.role], body.areas, by, now, ends
        )
        note_audit(req, f"API key {key.key_id} created", f"{key.name}, {key.role}")
        reply(resp, {**_key(key), "secret": secret}, 201)

    def on_post_rotate(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        body = read_body(req, Rotation)
        number, by = _number(key_id), identity_of(req).principal
        key, secret = self._services.tokens.keys.rotate(
            number, body.overlap_seconds, by, self._services.clock()
        )
        note_audit(req, f"API key {number} rotated", f"the new one is {key.key_id}")
        reply(resp, {**_key(key), "secret": secret}, 201)

    def on_delete_key(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        key = self._services.tokens.keys.delete(_number(key_id))
        note_audit(req, f"API key {key.key_id} deleted", key.name)
        resp.status = 204


class SigningKeyResources:
    """The keys that sign tokens, by their ids; never the keys."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_keys(self, req: falcon.Request, resp: falcon.Response) -> None:
        _reply_keys(resp, self._services.desk.signing_keys)

    def on_post_rotate(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, SigningRotation)
        keys = self._services.desk.rotate_signing_key(body.overlap_seconds)
        note_audit(req, "signing key rotated",
            f"{keys[0].kid} signs; the one before is believed for {body.overlap_seconds:g} s",
        )  # fmt: skip
        _reply_keys(resp, keys)


def _reply_keys(resp: falcon.Response, keys: tuple[SigningKey, ...]) -> None:
    found = [
        {
            "kid": key.kid,
            "signs": number == 0,
            "good_until": None if key.good_until == FOR_EVER else key.good_until,
        }
        for number, key in enumerate(keys)
    ]
    reply(resp, {"data": found, "count": len(found)})


def _number(key_id: str) -> int:
    return number_in_path("key_id", key_id, UnknownApiKey)


def _user(account: Account) -> dict[str, Any]:
    return {
        "username": account.username,
        "role": account.role,
        "disabled": bool(account.disabled),
        "created_at": account.created_at,
    }


def _key(key: StoredKey) -> dict[str, Any]:
    shown = msgspec.structs.asdict(key)
    del shown["digest"]
    return {"id": shown.pop("key_id"), **shown}
