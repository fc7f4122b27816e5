"""Who may make the first administrator: who is at the gateway itself, or has the token that it printed."""

from __future__ import annotations

import hmac
import ipaddress
import secrets

import falcon

from godkaiser.errors import SetupNeedsToken

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
_LOCAL_NAMES = frozenset({"localhost"})


class FirstSetup:
    """The token is of this start of the gateway; once there is a user, it opens nothing."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)

    def check(self, req: falcon.Request, token: str) -> None:
        """Raises SetupNeedsToken."""
        if token:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                raise SetupNeedsToken(reason="this is not the token")
        elif not is_local(req):
            raise SetupNeedsToken(reason="it does not come from the gateway itself")


def is_local(req: falcon.Request) -> bool:
    """From a program on this machine: not through a proxy, and not by a page of somebody else's in a browser,
    whose name was made to point here.
    """
    if any(req.get_header(name) for name in _FORWARDED):
        return False
    return _is_loopback(req.remote_addr) and _is_loopback(req.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
