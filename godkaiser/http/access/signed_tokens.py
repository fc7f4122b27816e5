"""JWTs: what they say, how they are signed and checked.

The age of a token counts by the clock of the boot in which it was issued; after another boot, and for a token of
another machine, by the wall clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import jwt

from godkaiser.domain.signing_keys import SigningKey
from godkaiser.errors.access import ForgedToken, InvalidToken
from godkaiser.host.boot_clock import boot_id, boot_time
from godkaiser.http.access.permissions import Role

ALGORITHM = "HS256"
ISSUER = "godkaiser"
LOCAL = "local"
"""The family of the tokens that a local administrator signs with the key file."""
LOCAL_S = 60


def local_token(key: SigningKey, audience: str, username: str, now: float) -> str:
    """An administrator's token for a minute; whoever can read the key file on the gateway can make one."""
    claims = claims_of(
        audience, username, Role.ADMIN, LOCAL, "access", uuid.uuid4().hex, now + LOCAL_S, now
    )
    return signed(claims, key)


def signed(claims: dict[str, object], key: SigningKey) -> str:
    return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


def claims_of(
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


def verified(
    token: str, keys: tuple[SigningKey, ...], audience: str, kind: str, now: float
) -> Mapping[str, object]:
    """What a token of this kind (access, refresh, stop) says. Raises InvalidToken, ForgedToken."""
    try:
        claims = _signed_claims(token, keys, audience)
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


def claimed_kind(token: str) -> object:
    """The kind that a token claims to be, unchecked; None where it is no token."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("type")
    except (jwt.InvalidTokenError, ValueError):
        return None


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


def _has_expired(claims: Mapping[str, object], now: float) -> bool:
    """Raises ValueError. A clock that was set makes no token of this boot older or younger."""
    expires_at, issued_at = float(str(claims["exp"])), float(str(claims["iat"]))
    if claims.get("boot") != boot_id():
        return now >= expires_at
    return not 0.0 <= boot_time() - float(str(claims.get("up"))) < expires_at - issued_at
