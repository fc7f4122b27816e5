"""Keys of programs: made, checked without a database, rotated with an overlap."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from godkaiser.actors.access.messages import AddKey, DeleteKey, RotateKey
from godkaiser.domain.access import StoredKey
from godkaiser.errors.access import InvalidApiKey, UnknownApiKey, UnknownSecret
from godkaiser.http.access.desk import AccessDesk
from godkaiser.http.access.permissions import ROLES, Role

PREFIX = "gk_"
NOTE_USE_S = 600.0
"""How exactly the last use of a key is kept, in seconds."""


class KeyRing:
    """Safe from any thread. Checking a key touches no database.

    A key is 256 random bits: a plain SHA-256 of it tells nothing that could be tried out.
    """

    def __init__(self, desk: AccessDesk) -> None:
        self._desk = desk
        # Noted here as well, as the actor may wait for the database before it hears of a use.
        self._uses: dict[int, float] = {}

    def all(self) -> list[StoredKey]:
        found = [
            msgspec.structs.replace(key, last_used_at=self._last_used(key))
            for key in self._desk.access.keys.values()
        ]
        return sorted(found, key=lambda key: key.key_id)

    def check(self, secret: str, now: float) -> StoredKey:
        """Raises InvalidApiKey."""
        key = self._desk.access.keys.get(_digest(secret))
        if key is None:
            raise UnknownSecret(reason="it is not known")
        if now >= key.expires_at:
            raise InvalidApiKey(reason="it has expired")
        used = self._last_used(key)
        if used is None or abs(now - used) >= NOTE_USE_S:
            self._uses[key.key_id] = now
            self._desk.note_use(key.key_id, now)
        return key

    def make(
        self, name: str, role: Role, areas: tuple[str, ...], by: str, now: float, expires_at: float
    ) -> tuple[StoredKey, str]:
        """The key and its secret, which is not kept anywhere."""
        fresh, secret = _fresh(name, role, areas, by, now, expires_at)
        stored: StoredKey = self._desk.change(AddKey(key=fresh))
        return stored, secret

    def rotate(self, key_id: int, overlap_s: float, by: str, now: float) -> tuple[StoredKey, str]:
        """Another secret of the same rights and span; the old one is good for `overlap_s` more.

        Raises:
            UnknownApiKey: there is no such key, or it has expired.
        """
        old = self._find(key_id)
        if now >= old.expires_at:
            raise UnknownApiKey(key_id=key_id)
        span_s = old.expires_at - old.created_at
        fresh, secret = _fresh(old.name, ROLES[old.role], old.areas, by, now, now + span_s)
        ends = min(old.expires_at, now + overlap_s)
        stored: StoredKey = self._desk.change(RotateKey(old=old, fresh=fresh, ends=ends))
        return stored, secret

    def delete(self, key_id: int) -> StoredKey:
        """Raises UnknownApiKey."""
        key = self._find(key_id)
        self._desk.change(DeleteKey(key=key))
        self._uses.pop(key_id, None)
        return key

    def _last_used(self, key: StoredKey) -> float | None:
        return self._uses.get(key.key_id, key.last_used_at)

    def _find(self, key_id: int) -> StoredKey:
        for key in self._desk.access.keys.values():
            if key.key_id == key_id:
                return key
        raise UnknownApiKey(key_id=key_id)


def _fresh(
    name: str, role: Role, areas: tuple[str, ...], by: str, now: float, expires_at: float
) -> tuple[StoredKey, str]:
    secret = PREFIX + secrets.token_urlsafe(32)
    key = StoredKey(
        key_id=0,
        name=name,
        digest=_digest(secret),
        role=role.word,
        areas=areas,
        created_by=by,
        created_at=now,
        expires_at=expires_at,
    )
    return key, secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
