"""Keys of programs: made, checked without a database, rotated with an overlap."""

from __future__ import annotations

import hashlib
import secrets
import threading

import msgspec

from godkaiser.errors import DatabaseUnavailable, InvalidApiKey, UnknownApiKey, UnknownSecret
from godkaiser.http.permissions import ROLES, Role
from godkaiser.storage import api_keys
from godkaiser.storage.api_keys import StoredKey
from godkaiser.storage.database import Database

PREFIX = "gk_"
NOTE_USE_S = 600.0
"""How exactly the last use of a key is kept, in seconds."""


class KeyRing:
    """Safe from any thread. Checking a key touches no database, but now and then to note its use.

    A key is 256 random bits: a plain SHA-256 of it tells nothing that could be tried out.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._keys: dict[str, StoredKey] = {}

    def load(self) -> None:
        found = {key.digest: key for key in api_keys.load_keys(self._database)}
        with self._lock:
            self._keys = found

    def all(self) -> list[StoredKey]:
        with self._lock:
            return sorted(self._keys.values(), key=lambda key: key.key_id)

    def check(self, secret: str, now: float) -> StoredKey:
        """Raises InvalidApiKey."""
        with self._lock:
            key = self._keys.get(_digest(secret))
        if key is None:
            raise UnknownSecret(reason="it is not known")
        if now >= key.expires_at:
            raise InvalidApiKey(reason="it has expired")
        if key.last_used_at is None or abs(now - key.last_used_at) >= NOTE_USE_S:
            self._note_use(key, now)
        return key

    def make(
        self, name: str, role: Role, areas: tuple[str, ...], by: str, now: float, expires_at: float
    ) -> tuple[StoredKey, str]:
        """The key and its secret, which nobody can be told again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = api_keys.add_key(
            self._database,
            StoredKey(
                key_id=0,
                name=name,
                digest=_digest(secret),
                role=role.word,
                areas=areas,
                created_by=by,
                created_at=now,
                expires_at=expires_at,
            ),
        )
        self._put(key)
        return key, secret

    def rotate(self, key_id: int, overlap_s: float, by: str, now: float) -> tuple[StoredKey, str]:
        """Another secret of the same rights and span; the old one is good for `overlap_s` more.

        Raises:
            UnknownApiKey: there is no such key, or it has expired.
        """
        old = self._find(key_id)
        if now >= old.expires_at:
            raise UnknownApiKey(key_id=key_id)
        span_s = old.expires_at - old.created_at
        made = self.make(old.name, ROLES[old.role], old.areas, by, now, now + span_s)
        ends = min(old.expires_at, now + overlap_s)
        api_keys.expire_key(self._database, key_id, ends)
        self._put(msgspec.structs.replace(old, expires_at=ends))
        return made

    def delete(self, key_id: int) -> StoredKey:
        """Raises UnknownApiKey."""
        key = self._find(key_id)
        api_keys.delete_key(self._database, key_id)
        with self._lock:
            self._keys.pop(key.digest, None)
        return key

    def _find(self, key_id: int) -> StoredKey:
        for key in self.all():
            if key.key_id == key_id:
                return key
        raise UnknownApiKey(key_id=key_id)

    def _put(self, key: StoredKey) -> None:
        with self._lock:
            self._keys[key.digest] = key

    def _note_use(self, key: StoredKey, now: float) -> None:
        self._put(msgspec.structs.replace(key, last_used_at=now))
        try:
            api_keys.note_use(self._database, key.key_id, now)
        except DatabaseUnavailable:
            # A program must be able to stop a pump while the database is away.
            return


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
