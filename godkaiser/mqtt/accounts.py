"""Accounts and rights for Mosquitto, made from what is known of the devices; pure.

A device may do under its own id what the contract lets a device do, whatever kaiser_id it has at the
time, and hears the stop and the state of the server; before it is approved it may only ask to be let in.
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
"""What mosquitto_passwd takes. The passwords are random: nobody guesses them, however cheap a guess."""
SALT_BYTES = 12
_HASH_BYTES = 64
_PREFIX = "$7$"

_ASKING = (Tail.HEARTBEAT, Tail.SESSION_ANNOUNCE, Tail.WILL)
_BROADCASTS = ("kaiser/broadcast/#", "kaiser/+/server/status")


class ExtraLine(msgspec.Struct, frozen=True):
    """A line of the admin's own that cannot stand beside ours."""

    number: int
    reason: str


def hash_password(password: str, salt: bytes) -> str:
    """As Mosquitto 2 keeps it: PBKDF2 with SHA-512 (`$7$iterations$salt$hash`)."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, _HASH_BYTES)
    return f"{_PREFIX}{ITERATIONS}${_base64(salt)}${_base64(digest)}"


def password_matches(password: str, password_hash: str) -> bool:
    """False, too, for a hash that is not one of ours."""
    try:
        _, kind, iterations, salt, expected = password_hash.split("$")
        digest = hashlib.pbkdf2_hmac(
            "sha512", password.encode(), base64.b64decode(salt), int(iterations), _HASH_BYTES
        )
    except ValueError:
        return False
    return kind == "7" and hmac.compare_digest(_base64(digest), expected)


def password_file(hashes: Mapping[str, str], extra: str) -> str:
    """`hashes` by name; what the admin adds stands after it."""
    ours = "".join(f"{name}:{hashes[name]}\n" for name in sorted(hashes))
    return ours + _ended(extra)


def clashes(hashes: Mapping[str, str], extra: str) -> list[ExtraLine]:
    """Lines of the admin's password file that name an account of ours, or are none."""
    found = []
    for number, line in enumerate(extra.splitlines(), start=1):
        name, separator, rest = line.partition(":")
        if not line.strip():
            continue
        if not separator or not name or not rest:
            found.append(ExtraLine(number, "write NAME:HASH, as mosquitto_passwd does"))
        elif name in hashes:
            found.append(ExtraLine(number, f"{name} is an account that the gateway makes"))
    return found


def acl_file(
    gateway: str, approvals: Mapping[str, Approval], extra: str, may_stop: str = ""
) -> str:
    """Who may say and hear what. The admin's lines stand first: what they say of no user is of none of ours.

    Args:
        gateway: the name of the gateway's own account.
        approvals: of each device with an account.
        extra: the admin's lines.
        may_stop: the name of an account that may publish the stop and nothing else; "": there is none.
    """
    parts = [
        _ended(extra),
        # Notifications leave below godkaiser/.
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
