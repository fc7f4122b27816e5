"""People and their tokens: passwords, access and refresh tokens with rotation, logins that end at once and for good.

A token is good as long as its login is listed in what `/services/access/accounts` publishes.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import bcrypt
import msgspec

from godkaiser.actors.access.messages import (
    AddFirstUser,
    AddUser,
    BeginLogin,
    ChangeUser,
    DeleteUser,
    EndLogin,
    RenewLogin,
)
from godkaiser.domain.access import Account, Login
from godkaiser.domain.person_names import prepared_name, prepared_password
from godkaiser.domain.signing_keys import believed
from godkaiser.errors.access import InvalidCredentials, InvalidToken, UserExists, WeakPassword
from godkaiser.errors.base import ServiceUnavailable, ValidationFailed
from godkaiser.http.access.api_keys import PREFIX, KeyRing
from godkaiser.http.access.desk import AccessDesk
from godkaiser.http.access.first_setup import FirstSetup
from godkaiser.http.access.identity import Identity
from godkaiser.http.access.permissions import ROLES, Role
from godkaiser.http.access.signed_tokens import LOCAL, claimed_kind, claims_of, signed, verified

ACCESS_S = 15 * 60
REFRESH_S = 7 * 24 * 3600
STOP_S = 30 * 24 * 3600
MIN_PASSWORD = 8
BCRYPT_BYTES = 72
HASHES_AT_ONCE = 2
HASHING_PATIENCE_S = 2.0


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


class TokenService:
    """Safe from any thread. Checking a token or a key takes no database and waits for nothing.

    Passwords are hashed in the thread of their request, two at a time; what comes of it is written by
    `/services/access/accounts`. So everything that changes something raises ServiceUnavailable, too.
    """

    def __init__(self, desk: AccessDesk, audience: str, *, bcrypt_rounds: int = 12) -> None:
        self.setup = FirstSetup()
        self.keys = KeyRing(desk)
        self._desk = desk
        self._audience = audience
        self._rounds = bcrypt_rounds
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        # For users that do not exist: the answer must take as long as for those that do.
        self._decoy = hash_password(secrets.token_urlsafe(16), bcrypt_rounds)

    def create_first_user(
        self, username: str, password: str, now: float
    ) -> tuple[Account, TokenPair] | None:
        """An administrator, logged in; None when there is somebody already.

        Raises:
            WeakPassword, ValidationFailed.
        """
        hashed = self._hash(password)
        name = prepared_name(username)
        account = Account(name, hashed, Role.ADMIN.word, disabled=False, created_at=now)
        pair, login = self._begun(account, now)
        made = self._desk.change(AddFirstUser(account=account, login=login))
        return (account, pair) if made else None

    def has_users(self) -> bool:
        return bool(self._desk.access.users)

    def users(self) -> list[Account]:
        return sorted(self._desk.access.users.values(), key=lambda account: account.username)

    def find_user(self, username: str) -> Account | None:
        """However the name is written: in capitals, or with its accents apart."""
        return self._desk.access.users.get(self.name_of(username))

    def name_of(self, username: str) -> str:
        """As the account has it; of nobody's, in the form in which it would be kept."""
        users = self._desk.access.users
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
        hashed = self._hash(password)
        name = prepared_name(username)
        known = self.find_user(name)
        if known is not None:
            raise UserExists(username=known.username)
        account = Account(name, hashed, role.word, disabled=False, created_at=now)
        if not self._desk.change(AddUser(account=account)):
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
            hashed = self._hash(password)
        word = None if role is None else role.word
        change = ChangeUser(
            username=self.name_of(username), role=word, disabled=disabled, password_hash=hashed
        )
        self._desk.change(change)

    def change_own_password(self, account: Account, password: str, now: float) -> TokenPair:
        """Every token of this user is void from now on, except for those that are answered.

        Raises:
            WeakPassword, UnknownUser.
        """
        hashed = self._hash(password)
        pair, login = self._begun(account, now)
        change = ChangeUser(username=account.username, password_hash=hashed, login=login)
        self._desk.change(change)
        return pair

    def delete_user(self, username: str) -> None:
        """Raises UnknownUser, LastAdministrator."""
        self._desk.change(DeleteUser(username=self.name_of(username)))

    def authenticate(self, username: str, password: str) -> Account | None:
        """The account whose password this is; None: it is not. Raises ServiceUnavailable."""
        account = self.find_user(username)
        expected = self._decoy if account is None else account.password_hash
        with self._turn():
            matches = any(password_matches(form, expected) for form in _forms(password))
        if account is None or account.disabled or account.role not in ROLES or not matches:
            return None
        return account

    def issue(self, account: Account, now: float) -> TokenPair:
        """Begin a login of an account as `authenticate` has found it.

        Raises:
            InvalidCredentials: the account was changed while its password was being checked.
        """
        pair, login = self._begun(account, now)
        if not self._desk.change(BeginLogin(account=account, login=login)):
            raise InvalidCredentials
        return pair

    def refresh(self, token: str, now: float) -> tuple[str, TokenPair]:
        """Exchange a refresh token for the name of its user and a new pair; each one is good once.

        One that has just been used is answered with the same newest refresh token: by a second tab of a
        browser, or after an answer that was lost. See `domain.access.renewed`.

        Raises:
            InvalidToken: forged, expired, or used before (which ends the whole login).
        """
        claims = self._decode(token, "refresh", now)
        username, family = str(claims["sub"]), str(claims["family"])
        account = self.find_user(username)
        role = None if account is None or account.disabled else ROLES.get(account.role)
        if role is None:
            raise InvalidToken(reason="its user does not exist any more")
        fresh = Login(family, username, uuid.uuid4().hex, now + REFRESH_S)
        login = self._desk.change(RenewLogin(used_jti=str(claims["jti"]), fresh=fresh))
        if login is None:
            raise InvalidToken(reason="it was used before or is revoked; the login is ended")
        return username, self._pair(role, login, now)

    def identify(self, token: str, now: float) -> Identity:
        """Of an access token or an API key. Raises InvalidToken, InvalidApiKey."""
        if token.startswith(PREFIX):
            key = self.keys.check(token, now)
            return Identity("key", key.name, ROLES[key.role], areas=key.areas)
        claims = self._decode(token, "access", now)
        if str(claims["family"]) == LOCAL:
            role = ROLES.get(str(claims.get("role")))
            if role is not None:
                return Identity("local", str(claims["sub"]), role, LOCAL)
        return self._person_of(claims)

    def _person_of(self, claims: Mapping[str, object]) -> Identity:
        """Raises InvalidToken: the login has ended, or the person is not any more what the token says."""
        username, family = str(claims["sub"]), str(claims["family"])
        access = self._desk.access
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

    def stop_token(self, identity: Identity, now: float) -> str | None:
        """For the stop button of a page: it outlives the access token and ends with the login; None for who
        may not stop anything.
        """
        if identity.role < Role.OPERATOR:
            return None
        jti, ends = uuid.uuid4().hex, now + STOP_S
        name, family = identity.username, identity.family
        return self._encode(name, identity.role, family, "stop", jti, ends, now)

    def identify_stop(self, token: str, now: float) -> Identity:
        """Of whatever may stop: a stop token, an access token, an API key. Raises InvalidToken, InvalidApiKey."""
        if token.startswith(PREFIX) or claimed_kind(token) != "stop":
            return self.identify(token, now)
        return self._person_of(self._decode(token, "stop", now))

    def end_login_of(self, refresh_token: str, now: float) -> str:
        """End the login that a refresh token stems from; the name of its user. Raises InvalidToken."""
        claims = self._decode(refresh_token, "refresh", now)
        self._desk.change(EndLogin(family=str(claims["family"])))
        return str(claims["sub"])

    def revoke(self, identity: Identity) -> None:
        """End a login: all access and refresh tokens that stem from it."""
        self._desk.change(EndLogin(family=identity.family))

    def _hash(self, password: str) -> str:
        """Raises WeakPassword, ServiceUnavailable."""
        checked = check_password(password)
        with self._turn():
            return hash_password(checked, self._rounds)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A hash takes a core for a fifth of a second: many at once would take all from the rest.

        Raises ServiceUnavailable.
        """
        if not self._hashing.acquire(timeout=HASHING_PATIENCE_S):
            raise ServiceUnavailable(reason="Too many log in at once. Try again in a second.")
        try:
            yield
        finally:
            self._hashing.release()

    def _begun(self, account: Account, now: float) -> tuple[TokenPair, Login]:
        login = Login(uuid.uuid4().hex, account.username, uuid.uuid4().hex, now + REFRESH_S)
        return self._pair(ROLES[account.role], login, now), login

    def _pair(self, role: Role, login: Login, now: float) -> TokenPair:
        username, family = login.username, login.family
        access = self._encode(
            username, role, family, "access", uuid.uuid4().hex, now + ACCESS_S, now
        )
        refresh = self._encode(
            username, role, family, "refresh", login.current_jti, login.expires_at, now
        )
        return TokenPair(access, refresh, "bearer", ACCESS_S)

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
        claims = claims_of(self._audience, username, role, family, kind, jti, expires_at, now)
        return signed(claims, self._desk.signing_keys[0])

    def _decode(self, token: str, kind: str, now: float) -> Mapping[str, object]:
        return verified(token, believed(self._desk.signing_keys, now), self._audience, kind, now)


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
