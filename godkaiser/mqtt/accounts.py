"""Makes accounts and rights for Mosquitto from the registered devices; pure.

Under its own id a device may publish everything that the contract allows, with any kaiser_id, and
receives the stop and the state of the server; before it is approved it may only send the heartbeat
that asks for approval.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

import msgspec

from godkaiser.domain.entities import Approval
from godkaiser.protocol.topics import BROADCAST_EMERGENCY, LEGACY_TAILS, Tail

ITERATIONS = 101
"""The value of mosquitto_passwd. It may be low, because the passwords are random and cannot be
guessed.
"""
SALT_BYTES = 12
_HASH_BYTES = 64
_PREFIX = "$7$"

_ASKING = (Tail.HEARTBEAT, Tail.SESSION_ANNOUNCE, Tail.WILL)
_BROADCASTS = ("kaiser/broadcast/#", "kaiser/+/server/status")


class ExtraLine(msgspec.Struct, frozen=True):
    """A line in the administrator's file that conflicts with ours."""

    number: int
    reason: str


def hash_password(password: str, salt: bytes) -> str:
    """Hash as Mosquitto 2 does: PBKDF2 with SHA-512 (`$7$iterations$salt$hash`)."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, _HASH_BYTES)
    return f"{_PREFIX}{ITERATIONS}${_base64(salt)}${_base64(digest)}"


def password_matches(password: str, password_hash: str) -> bool:
    """Also False for a hash in another format."""
    try:
        _, kind, iterations, salt, expected = password_hash.split("$")
        digest = hashlib.pbkdf2_hmac(
            "sha512", password.encode(), base64.b64decode(salt), int(iterations), _HASH_BYTES
        )
    except ValueError:
        return False
    return kind == "7" and hmac.compare_digest(_base64(digest), expected)


def password_file(hashes: Mapping[str, str], extra: str) -> str:
    """The text of `passwd`: `hashes` by name, then the administrator's lines."""
    ours = "".join(f"{name}:{hashes[name]}\n" for name in sorted(hashes))
    return ours + _ended(extra)


def clashes(hashes: Mapping[str, str], extra: str) -> list[ExtraLine]:
    """Lines of the administrator's password file that are malformed or name an account of ours."""
    found = []
    for number, line in enumerate(extra.splitlines(), start=1):
        name, separator, rest = line.partition(":")
        if not line.strip():
            continue
        if not separator or not name or not rest:
            found.append(ExtraLine(number, "it is not NAME:HASH, the format of mosquitto_passwd"))
        elif name in hashes:
            found.append(ExtraLine(number, f"{name} is an account that the gateway itself writes"))
    return found


def acl_file(
    gateway: str, approvals: Mapping[str, Approval], extra: str, may_stop: str = ""
) -> str:
    """The text of `acl`. The administrator's lines come first, so that lines without a user do not
    apply to our users.

    Args:
        gateway: name of the gateway's own account.
        approvals: the approval of each device with an account.
        extra: the administrator's lines.
        may_stop: name of an account that may publish the stop and nothing else; "": there is none.
    """
    parts = [
        _ended(extra),
        # Notifications are published below godkaiser/.
        f"user {gateway}\ntopic readwrite kaiser/#\ntopic write godkaiser/#\ntopic read $SYS/#\n",
    ]
    if may_stop:
        parts.append(f"user {may_stop}\ntopic write {BROADCAST_EMERGENCY}\n")
    for device_id in sorted(approvals):
        rights = _rights(device_id, approved=approvals[device_id] is Approval.APPROVED)
        parts.append("\n".join((f"user {device_id}", *rights)) + "\n")
    return "\n".join(part for part in parts if part)


def _rights(device_id: str, *, approved: bool) -> Iterable[str]:
    own = f"kaiser/+/esp/{device_id}"
    if not approved:
        says, hears = [tail.value for tail in _ASKING], [Tail.HEARTBEAT_ACK.value]
    else:
        says = [tail.value for tail in Tail if not tail.to_device] + sorted(LEGACY_TAILS)
        hears = [tail.value for tail in Tail if tail.to_device]
    yield from (f"topic write {own}/{tail.replace('#', '+')}" for tail in says)
    yield from (f"topic read {own}/{tail.replace('#', '+')}" for tail in hears)
    yield from (f"topic read {topic}" for topic in _BROADCASTS)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
