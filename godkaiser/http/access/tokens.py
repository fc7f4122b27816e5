"""Passwords and tokens: bcrypt, JWT access and refresh with rotation, logins that end at once and for good.

A token is good as long as its login is listed in the `AccessBook`. Its age counts by the clock of the
boot in which it was issued; after another boot, and for a token of another machine, by the wall clock.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import bcrypt
import jwt
import msgspec

from godkaiser.domain.access import Account, Login
from godkaiser.errors.access import (
    ForgedToken,
    InvalidCredentials,
    InvalidToken,
    NameLooksAlike,
    UserExists,
    WeakPassword,
)
from godkaiser.errors.base import ServiceUnavailable, ValidationFailed
from godkaiser.host.boot_clock import boot_id, boot_time
from godkaiser.http.access.api_keys import PREFIX, KeyRing
from godkaiser.http.access.first_setup import FirstSetup
from godkaiser.http.access.names import prepared_name, prepared_password, skeleton
from godkaiser.http.access.permissions import ROLES, Role
from godkaiser.http.access.signing_keys import SigningKey, SigningKeys
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories.access_book import AccessBook

ACCESS_S = 15 * 60
REFRESH_S = 7 * 24 * 3600
ALGORITHM = "HS256"
ISSUER = "godkaiser"
LOCAL = "local"
"""The family of the tokens that a local administrator signs with the key file."""
LOCAL_S = 60
MIN_PASSWORD = 8
BCRYPT_BYTES = 72
HASHES_AT_ONCE = 2
HASHING_PATIENCE_S = 2.0


class Identity(msgspec.Struct, frozen=True):
    """The person or the API key that a request comes from.

    `kind` user (a person with an account), key (an API key) or local (somebody on the gateway who may
    read its key file): a key `bot` and a user of the same name are two.
    """

    kind: Literal["user", "key", "local"]
    username: str
    role: Role
    family: str = ""
    areas: tuple[str, ...] = ()
    """Of an API key: the first words of the paths that it may use; none: all."""

    @property
    def is_key(self) -> bool:
        return self.kind == "key"

    @property
    def principal(self) -> str:
        return f"{self.kind}:{self.username}"


class TokenPair(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


def check_password(password: str) -> str:
    """The form that is hashed. Raises WeakPassword."""
    password = prepared_password(password)
    if len(password) < MIN_PASSWORD:
        reason = f"it has {len(password)} characters, at least {MIN_PASSWORD} are needed."
        raise WeakPassword(reason=reason)
    if len(password.encode()) > BCRYPT_BYTES:
        reason = f"it is longer than {BCRYPT_BYTES} bytes, which is all that bcrypt reads."
        raise WeakPassword(reason=reason)
    return password


def hash_password(password: str, rounds: int) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def password_matches(password: str, password_hash: str) -> bool:
    encoded = password.encode()
    if len(encoded) > BCRYPT_BYTES or "\0" in password:
        return False
    return bcrypt.checkpw(encoded, password_hash.encode())


def local_token(key: SigningKey, audience: str, username: str, now: float) -> str:
    """An administrator's token for a minute; whoever can read the key file on the gateway can make one."""
    claims = _claims(
        audience, username, Role.ADMIN, LOCAL, "access", uuid.uuid4().hex, now + LOCAL_S, now
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
        "iat": now,
        "boot": boot_id(),
        "up": boot_time(),
    }


class TokenService:
    """Safe from any thread. Checking a token or a key takes no database and waits for nothing."""

    def __init__(
        self, database: Database, signing: SigningKeys, audience: str, *, bcrypt_rounds: int = 12
    ) -> None:
        self.book = AccessBook(database)
        self.signing = signing
        self.setup = FirstSetup()
        self._audience = audience
        self._rounds = bcrypt_rounds
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self.keys = KeyRing(self.book)
        # For users that do not exist: the answer must take as long as for those that do.
        self._decoy = hash_password(secrets.token_urlsafe(16), bcrypt_rounds)

    def create_first_user(
        self, username: str, password: str, now: float
    ) -> tuple[Account, TokenPair] | None:
        """An administrator, logged in; None when there is somebody already.

        Raises:
            WeakPassword, ValidationFailed.
        """
        hashed = hash_password(check_password(password), self._rounds)
        name = prepared_name(username)
        account = Account(name, hashed, Role.ADMIN.word, disabled=False, created_at=now)
        pair, login = self._begun(account, now)
        return (account, pair) if self.book.add_first_user(account, login) else None

    def has_users(self) -> bool:
        return bool(self.book.present.users)

    def users(self) -> list[Account]:
        return sorted(self.book.present.users.values(), key=lambda account: account.username)

    def find_user(self, username: str) -> Account | None:
        """However the name is written: in capitals, or with its accents apart."""
        return self.book.present.users.get(self.name_of(username))

    def name_of(self, username: str) -> str:
        """As the account has it; of nobody's, in the form in which it would be kept."""
        users = self.book.present.users
        if username in users:
            return username
        try:
            wanted = prepared_name(username)
        except ValidationFailed:
            return username
        # Names from before they were prepared are kept as they are.
        return next((name for name in users if _is_prepared_as(name, wanted)), wanted)

    def create_user(self, username: str, password: str, role: Role, now: float) -> Account:
        """Raises WeakPassword, ValidationFailed, UserExists, NameLooksAlike."""
        hashed = hash_password(check_password(password), self._rounds)
        name = prepared_name(username)
        known = self.find_user(name)
        if known is not None:
            raise UserExists(username=known.username)
        for other in self.book.present.users:
            if skeleton(name) == skeleton(other.casefold()):
                raise NameLooksAlike(username=name, other=other)
        account = Account(name, hashed, role.word, disabled=False, created_at=now)
        if not self.book.add_user(account):
            raise UserExists(username=name)
        return account

    def change_user(
        self,
        username: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> None:
        """Every token of this user is void from now on; after a refusal, nothing has changed.

        Raises:
            WeakPassword, UnknownUser, LastAdministrator.
        """
        hashed = None
        if password is not None:
            hashed = hash_password(check_password(password), self._rounds)
        word = None if role is None else role.word
        self.book.change_user(
            self.name_of(username), role=word, disabled=disabled, password_hash=hashed
        )

    def change_own_password(self, account: Account, password: str, now: float) -> TokenPair:
        """Every token of this user is void from now on, except for those that are answered.

        Raises:
            WeakPassword, UnknownUser.
        """
        hashed = hash_password(check_password(password), self._rounds)
        pair, login = self._begun(account, now)
        self.book.change_user(account.username, password_hash=hashed, login=login)
        return pair

    def delete_user(self, username: str) -> None:
        """Raises UnknownUser, LastAdministrator."""
        self.book.delete_user(self.name_of(username))

    def authenticate(self, username: str, password: str) -> Account | None:
        """The account whose password this is; None: it is not. Raises ServiceUnavailable."""
        account = self.find_user(username)
        expected = self._decoy if account is None else account.password_hash
        # A hash takes a core for a fifth of a second: many at once would take all from the rest.
        if not self._hashing.acquire(timeout=HASHING_PATIENCE_S):
            raise ServiceUnavailable(reason="Too many log in at once. Try again in a second.")
        try:
            matches = any(password_matches(form, expected) for form in _forms(password))
        finally:
            self._hashing.release()
        if account is None or account.disabled or account.role not in ROLES or not matches:
            return None
        return account

    def issue(self, account: Account, now: float) -> TokenPair:
        """Begin a login of an account as `authenticate` has found it.

        Raises:
            InvalidCredentials: the account was changed while its password was being checked.
        """
        pair, login = self._begun(account, now)
        if not self.book.begin_login(account, login):
            raise InvalidCredentials
        return pair

    def refresh(self, token: str, now: float) -> tuple[str, TokenPair]:
        """Exchange a refresh token for the name of its user and a new pair; each one is good once.

        Raises:
            InvalidToken: forged, expired, or used before (which ends the whole login).
        """
        claims = self._decode(token, "refresh", now)
        username, family = str(claims["sub"]), str(claims["family"])
        account = self.find_user(username)
        role = None if account is None or account.disabled else ROLES.get(account.role)
        if role is None:
            raise InvalidToken(reason="its user does not exist any more")
        pair, refresh_jti = self._pair(username, role, family, now)
        renewed = Login(family, username, refresh_jti, now + REFRESH_S)
        if not self.book.renew_login(family, str(claims["jti"]), renewed):
            raise InvalidToken(reason="it was used before or is revoked; the login is ended")
        return username, pair

    def identify(self, token: str, now: float) -> Identity:
        """Of an access token or an API key. Raises InvalidToken, InvalidApiKey."""
        if token.startswith(PREFIX):
            key = self.keys.check(token, now)
            return Identity("key", key.name, ROLES[key.role], areas=key.areas)
        claims = self._decode(token, "access", now)
        username, family = str(claims["sub"]), str(claims["family"])
        if family == LOCAL:
            role = ROLES.get(str(claims.get("role")))
            if role is not None:
                return Identity("local", username, role, family)
        access = self.book.present
        login, account = access.logins.get(family), access.users.get(username)
        if (
            login is None
            or login.username != username
            or account is None
            or account.disabled
            or account.role != claims.get("role")
            or account.role not in ROLES
        ):
            raise InvalidToken(reason="it is revoked")
        return Identity("user", username, ROLES[account.role], family)

    def revoke(self, identity: Identity) -> None:
        """End a login: all access and refresh tokens that stem from it."""
        self.book.end_login(identity.family)

    def _begun(self, account: Account, now: float) -> tuple[TokenPair, Login]:
        family = uuid.uuid4().hex
        pair, refresh_jti = self._pair(account.username, ROLES[account.role], family, now)
        return pair, Login(family, account.username, refresh_jti, now + REFRESH_S)

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

    def _decode(self, token: str, kind: str, now: float) -> Mapping[str, object]:
        try:
            claims = self._verified(token, now)
            expired = _has_expired(claims, now)
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
            raise ForgedToken(reason=str(error)) from error
        except (jwt.InvalidTokenError, ValueError) as error:
            raise InvalidToken(reason=str(error)) from error
        if expired:
            raise InvalidToken(reason="it has expired")
        if claims["type"] != kind:
            raise InvalidToken(reason=f"wrong token type: expected {kind}")
        return claims

    def _verified(self, token: str, now: float) -> Mapping[str, object]:
        """Raises jwt.InvalidTokenError."""
        return _signed_claims(token, tuple(self.signing.believed(now)), self._audience)


@lru_cache(maxsize=1024)
def _signed_claims(token: str, keys: tuple[SigningKey, ...], audience: str) -> Mapping[str, object]:
    """What a token says, if one of the keys signed it. Whether it is still good is another question.

    Remembered, as to check a signature takes longer than to carry out a stop. Raises jwt.InvalidTokenError,
    which is not remembered.
    """
    kid = jwt.get_unverified_header(token).get("kid")
    failure = jwt.InvalidTokenError("its signing key is not believed any more")
    for key in keys:
        # A token without a `kid` is of before keys were rotated.
        if kid not in (None, key.kid):
            continue
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key.secret,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "jti", "type", "family"],
                    # Time is passed in, so that it comes from one place.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidSignatureError as error:
            failure = error
        else:
            return MappingProxyType(claims)
    raise failure


def _forms(password: str) -> list[str]:
    """As it is hashed now, and as it was typed: hashes from before passwords were prepared are of that."""
    try:
        prepared = prepared_password(password)
    except WeakPassword:
        return [password]
    return [prepared] if prepared == password else [prepared, password]


def _is_prepared_as(name: str, wanted: str) -> bool:
    try:
        return prepared_name(name) == wanted
    except ValidationFailed:
        return False


def _has_expired(claims: Mapping[str, object], now: float) -> bool:
    """Raises ValueError. A clock that was set makes no token of this boot older or younger."""
    expires_at, issued_at = float(str(claims["exp"])), float(str(claims["iat"]))
    if claims.get("boot") != boot_id():
        return now >= expires_at
    return not 0.0 <= boot_time() - float(str(claims.get("up"))) < expires_at - issued_at
