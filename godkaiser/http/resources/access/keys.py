"""/auth/keys and /auth/signing-keys: the keys of programs, and those that sign tokens."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec

from godkaiser.domain.access import StoredKey
from godkaiser.domain.signing_keys import FOR_EVER, SigningKey
from godkaiser.errors.access import SigningKeyGiven, UnknownApiKey
from godkaiser.errors.base import ValidationFailed
from godkaiser.http.access.permissions import AREAS, ROLES
from godkaiser.http.access.tokens import REFRESH_S
from godkaiser.http.endpoint import ADMIN, Endpoint, Entries, Example
from godkaiser.http.exchange import (
    RequestBody,
    identity_of,
    note_audit,
    number_in_path,
    read_body,
    reply,
    worded,
)
from godkaiser.http.resources.access.auth import RoleWord
from godkaiser.http.services import Services

DAY_S = 86_400.0
LONGEST_DAYS = 3650.0
LONGEST_OVERLAP_S = 30 * DAY_S


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


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret; times in unix seconds. `areas` empty: all."""

    id: int
    name: str
    role: RoleWord
    areas: tuple[str, ...]
    created_by: str
    created_at: float
    expires_at: float
    last_used_at: float | None


class NewKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """`secret` is in this answer and nowhere else."""

    secret: str


class SigningKeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`good_until` null: for ever, or until the next rotation."""

    kid: str
    signs: bool
    good_until: float | None


ENDPOINTS = (
    Endpoint(
        "GET", "/auth/keys", "keys", ADMIN, "List the API keys, without their secrets.",
        Entries[KeyAnswer], details="Expired ones, too.", for_people=True,
    ),
    Endpoint(
        "POST", "/auth/keys", "keys", ADMIN, "Create an API key.", NewKeyAnswer, 201,
        details="The `secret` is shown once. `areas` are first words of paths (`sensors`, `logic`, ...);"
        " none: all.",
        body=NewKey, for_people=True,
        examples=(Example({"name": "grafana", "role": "viewer", "areas": ["sensors", "metrics"]}),),
    ),
    Endpoint(
        "POST", "/auth/keys/{key_id}/rotate", "rotate", ADMIN, "Give an API key a new secret.",
        NewKeyAnswer, 201, details="The old one is good for `overlap_seconds` more.",
        body=Rotation, refuses=(UnknownApiKey,), for_people=True,
        examples=(Example({"overlap_seconds": 3600}, {"key_id": "1"}),),
    ),
    Endpoint(
        "DELETE", "/auth/keys/{key_id}", "key", ADMIN, "Delete an API key; it is void at once.",
        status=204, refuses=(UnknownApiKey,), for_people=True,
    ),
    Endpoint(
        "GET", "/auth/signing-keys", "signing_keys", ADMIN,
        "List the ids of the keys that sign tokens, and until when those before are believed.",
        Entries[SigningKeyAnswer], for_people=True,
    ),
    Endpoint(
        "POST", "/auth/signing-keys/rotate", "rotate_signing", ADMIN, "Sign with a new key from now on.",
        Entries[SigningKeyAnswer], details="Tokens of the key before are good for `overlap_seconds` more (7 days);"
        " 0: everybody logs in again, for a key that got out.",
        body=SigningRotation, refuses=(SigningKeyGiven,), for_people=True,
        examples=(Example({"overlap_seconds": 604800}),),
    ),
)  # fmt: skip


class KeyResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_keys(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [_key(key) for key in self._services.tokens.keys.all()]
        reply(resp, Entries(data=found, count=len(found)))

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
        reply(resp, _with_secret(key, secret), 201)

    def on_post_rotate(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        body = read_body(req, Rotation)
        number, by = _number(key_id), identity_of(req).principal
        key, secret = self._services.tokens.keys.rotate(
            number, body.overlap_seconds, by, self._services.clock()
        )
        note_audit(req, f"API key {number} rotated", f"the new one is {key.key_id}")
        reply(resp, _with_secret(key, secret), 201)

    def on_delete_key(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        key = self._services.tokens.keys.delete(_number(key_id))
        note_audit(req, f"API key {key.key_id} deleted", key.name)
        resp.status = 204

    # ---- the keys that sign tokens, by their ids; never the keys

    def on_get_signing_keys(self, req: falcon.Request, resp: falcon.Response) -> None:
        _reply_keys(resp, self._services.desk.signing_keys)

    def on_post_rotate_signing(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, SigningRotation)
        keys = self._services.desk.rotate_signing_key(body.overlap_seconds)
        note_audit(req, "signing key rotated",
            f"{keys[0].kid} signs; the one before is believed for {body.overlap_seconds:g} s",
        )  # fmt: skip
        _reply_keys(resp, keys)


def _reply_keys(resp: falcon.Response, keys: tuple[SigningKey, ...]) -> None:
    found = [
        SigningKeyAnswer(
            kid=key.kid,
            signs=number == 0,
            good_until=None if key.good_until == FOR_EVER else key.good_until,
        )
        for number, key in enumerate(keys)
    ]
    reply(resp, Entries(data=found, count=len(found)))


def _number(key_id: str) -> int:
    return number_in_path("key_id", key_id, UnknownApiKey)


def _key(key: StoredKey) -> KeyAnswer:
    return KeyAnswer(**_fields(key))


def _with_secret(key: StoredKey, secret: str) -> NewKeyAnswer:
    return NewKeyAnswer(**_fields(key), secret=secret)


def _fields(key: StoredKey) -> dict[str, Any]:
    shown = msgspec.structs.asdict(key)
    del shown["digest"]
    return {"id": shown.pop("key_id"), **shown}
