"""Passwords and tokens: bcrypt, JWT access and refresh with rotation, a blacklist that lasts."""

from __future__ import annotations

import secrets
import threading
import uuid

import bcrypt
import jwt
import msgspec

from godkaiser.errors import ForgedToken, InvalidToken, ServiceUnavailable, WeakPassword
from godkaiser.http.api_keys import PREFIX, KeyRing
from godkaiser.http.permissions import ROLES, Role
from godkaiser.http.setup import FirstSetup
from godkaiser.http.signing_keys import SigningKey, SigningKeys
from godkaiser.storage import accounts
from godkaiser.storage.database import Database

ACCESS_S = 15 * 60
REFRESH_S = 7 * 24 * 3600
ALGORITHM = "HS256"
ISSUER = "godkaiser"
KEY_FAMILY = "api key"
MIN_PASSWORD = 8
BCRYPT_BYTES = 72
HASHES_AT_ONCE = 2
HASHING_PATIENCE_S = 2.0


class Identity(msgspec.Struct, frozen=True):
    """Who a valid access token speaks for."""

    username: str
    role: Role
    jti: str
    family: str
    expires_at: float
    areas: tuple[str, ...] = ()
    """Of an API key: the first words of the paths that it may use; none: all."""

    @property
    def is_key(self) -> bool:
        return self.family == KEY_FAMILY


class TokenPair(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


def check_password(password: str) -> None:
    """Raises WeakPassword."""
    if len(password) < MIN_PASSWORD:
        reason = f"it has {len(password)} characters, at least {MIN_PASSWORD} are needed."
        raise WeakPassword(reason=reason)
    if "\0" in password:
        raise WeakPassword(reason="it holds a NUL character, at which bcrypt would stop.")
    if len(password.encode()) > BCRYPT_BYTES:
        reason = f"it is longer than {BCRYPT_BYTES} bytes, which is all that bcrypt reads."
        raise WeakPassword(reason=reason)


def hash_password(password: str, rounds: int) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def password_matches(password: str, password_hash: str) -> bool:
    encoded = password.encode()
    if len(encoded) > BCRYPT_BYTES or "\0" in password:
        return False
    return bcrypt.checkpw(encoded, password_hash.encode())


def local_token(key: SigningKey, audience: str, username: str, now: float) -> str:
    """An administrator's token for a minute, for who may read the key file on the gateway itself."""
    claims = _claims(
        audience, username, Role.ADMIN, "local", "access", uuid.uuid4().hex, now + 60, now
    )
    return _signed(claims, key)


def _signed(claims: dict[str, object], key: SigningKey) -> str:
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


def _claims(
    audience: str,
    username: str,
    role: Role,
    family: str,
    kind: str,
    jti: str,
    expires_at: float,
    now: float,
) -> dict[str, object]:
    return {
        "iss": ISSUER,
        "aud": audience,
        "sub": username,
        "role": role.word,
        "type": kind,
        "jti": jti,
        "family": family,
        "exp": int(expires_at),
        # To the millisecond: what is revoked with the next line must not be valid by rounding.
        "iat": now,
    }


class TokenService:
    """Safe from any thread. Checking an access token touches no database."""

    def __init__(
        self, database: Database, signing: SigningKeys, audience: str, *, bcrypt_rounds: int = 12
    ) -> None:
        self._database = database
        self.signing = signing
        self.setup = FirstSetup()
        self._audience = audience
        self._rounds = bcrypt_rounds
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._blacklist: set[str] = set()
        self._valid_from: dict[str, float] = {}
        self.keys = KeyRing(database)
        # For users that do not exist: the answer must take as long as for those that do.
        self._decoy = hash_password(secrets.token_urlsafe(16), bcrypt_rounds)

    def load_blacklist(self, now: float) -> None:
        with self._lock:
            self._blacklist = accounts.blacklisted_tokens(self._database, now)
            self._valid_from = {
                user.username: user.valid_from for user in accounts.list_users(self._database)
            }
        self.keys.load()

    def create_first_user(self, username: str, password: str, now: float) -> bool:
        """An administrator, if there is nobody yet. Raises WeakPassword."""
        check_password(password)
        return accounts.add_first_user(
            self._database, username, hash_password(password, self._rounds), "admin", now
        )

    def has_users(self) -> bool:
        return bool(accounts.list_users(self._database))

    def create_user(self, username: str, password: str, role: Role, now: float) -> bool:
        """False when the name is taken. Raises WeakPassword."""
        check_password(password)
        hashed = hash_password(password, self._rounds)
        return accounts.add_user(self._database, username, hashed, role.word, now)

    def change_user(
        self,
        username: str,
        now: float,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> bool:
        """Every token of this user is void from now on. False: unknown, or the last administrator.

        Raises:
            WeakPassword: it is refused, and nothing was changed.
        """
        hashed = None
        if password is not None:
            check_password(password)
            hashed = hash_password(password, self._rounds)
        change = accounts.Change(
            role=None if role is None else role.word, disabled=disabled, password_hash=hashed
        )
        # Void before it is written: if that fails, people log in again.
        self._void_tokens(username, now)
        return accounts.change_user(self._database, username, change, now)

    def delete_user(self, username: str, now: float) -> bool:
        """False: unknown, or the last administrator."""
        deleted = accounts.delete_user(self._database, username)
        if deleted:
            self._void_tokens(username, now)
        return deleted

    def _void_tokens(self, username: str, now: float) -> None:
        with self._lock:
            self._valid_from[username] = now

    def authenticate(self, username: str, password: str) -> Role | None:
        """The role of a user whose password is right; None otherwise. Raises ServiceUnavailable."""
        account = accounts.find_user(self._database, username)
        expected = self._decoy if account is None else account.password_hash
        # A hash takes a core for a fifth of a second: many at once would take all from the rest.
        if not self._hashing.acquire(timeout=HASHING_PATIENCE_S):
            raise ServiceUnavailable(reason="Too many log in at once. Try again in a second.")
        try:
            matches = password_matches(password, expected)
        finally:
            self._hashing.release()
        if account is None or account.disabled or not matches:
            return None
        return ROLES.get(account.role)

    def issue(self, username: str, role: Role, now: float) -> TokenPair:
        """Begin a login."""
        family = uuid.uuid4().hex
        pair, refresh_jti = self._pair(username, role, family, now)
        accounts.start_family(self._database, family, username, refresh_jti, now + REFRESH_S)
        return pair

    def refresh(self, token: str, now: float) -> TokenPair:
        """Exchange a refresh token for a new pair; each one is good once.

        Raises:
            InvalidToken: forged, expired, or used before (which ends the whole login).
        """
        claims = self._decode(token, "refresh", now)
        username, family = str(claims["sub"]), str(claims["family"])
        account = accounts.find_user(self._database, username)
        role = None if account is None or account.disabled else ROLES.get(account.role)
        if role is None:
            raise InvalidToken(reason="its user does not exist any more")
        pair, refresh_jti = self._pair(username, role, family, now)
        if not accounts.rotate_family(
            self._database, family, str(claims["jti"]), refresh_jti, now + REFRESH_S
        ):
            raise InvalidToken(reason="it was used before or is revoked; the login is ended")
        return pair

    def identify(self, token: str, now: float) -> Identity:
        """Of an access token or an API key. Raises InvalidToken, InvalidApiKey."""
        if token.startswith(PREFIX):
            key = self.keys.check(token, now)
            return Identity(
                f"key.{key.name}", ROLES[key.role], "", KEY_FAMILY, key.expires_at, key.areas
            )
        claims = self._decode(token, "access", now)
        role = ROLES.get(str(claims.get("role")))
        issued_at = float(str(claims["iat"]))
        if (
            role is None
            or str(claims["jti"]) in self._blacklist
            or issued_at < self._valid_from.get(str(claims["sub"]), 0.0)
        ):
            raise InvalidToken(reason="it is revoked")
        return Identity(
            str(claims["sub"]),
            role,
            str(claims["jti"]),
            str(claims["family"]),
            float(str(claims["exp"])),
        )

    def revoke(self, identity: Identity) -> None:
        """End a login: this access token and all refresh tokens of it."""
        with self._lock:
            self._blacklist.add(identity.jti)
        accounts.blacklist(self._database, identity.jti, identity.expires_at)
        accounts.revoke_family(self._database, identity.family)

    def _pair(self, username: str, role: Role, family: str, now: float) -> tuple[TokenPair, str]:
        access_jti, refresh_jti = uuid.uuid4().hex, uuid.uuid4().hex
        access = self._encode(username, role, family, "access", access_jti, now + ACCESS_S, now)
        refresh = self._encode(username, role, family, "refresh", refresh_jti, now + REFRESH_S, now)
        return TokenPair(access, refresh, "bearer", ACCESS_S), refresh_jti

    def _encode(
        self,
        username: str,
        role: Role,
        family: str,
        kind: str,
        jti: str,
        expires_at: float,
        now: float,
    ) -> str:
        claims = _claims(self._audience, username, role, family, kind, jti, expires_at, now)
        return _signed(claims, self.signing.current)

    def _decode(self, token: str, kind: str, now: float) -> dict[str, object]:
        try:
            claims = self._verified(token, now)
            expired = now >= float(str(claims["exp"]))
            claims["iat"] = float(str(claims.get("iat", 0.0)))
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
            raise ForgedToken(reason=str(error)) from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise InvalidToken(reason=str(error)) from error
        if expired:
            raise InvalidToken(reason="it has expired")
        if claims["type"] != kind:
            raise InvalidToken(reason=f"it is no {kind} token")
        return claims

    def _verified(self, token: str, now: float) -> dict[str, object]:
        """Raises jwt.InvalidTokenError."""
        kid = jwt.get_unverified_header(token).get("kid")
        failure = jwt.InvalidTokenError("its signing key is not believed any more")
        for key in self.signing.believed(kid, now):
            try:
                claims: dict[str, object] = jwt.decode(
                    token,
                    key.secret,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    issuer=ISSUER,
                    options={
                        "require": ["exp", "sub", "jti", "type", "family"],
                        # Time is passed in, so that it comes from one place.
                        "verify_exp": False,
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidSignatureError as error:
                failure = error
            else:
                return claims
        raise failure
