"""The first administrator: made from the gateway itself, or with the token that it printed."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import falcon

from godkaiser.domain.addresses import unmapped
from godkaiser.errors.access import SetupNeedsToken
from godkaiser.http.access.trusted_proxy import PROXIED

_BY_PROXIES = re.compile(
    r"FORWARDED|X_FORWARDED_\w+|X_REAL_IP|X_(ORIGINAL|CLIENT|CLUSTER_CLIENT|ORIGIN)_\w+|TRUE_CLIENT_IP"
    r"|CLIENT_IP|CF_\w+|FLY_\w+|FASTLY_\w+|VIA|X_REQUEST_START|X_SCHEME|X_SSL_\w+|X_PROXY\w*|PROXY_\w+"
    r"|X_ENVOY_\w+|X_VARNISH|X_AMZN_\w+"
)
_LOCAL_NAMES = frozenset({"localhost"})
_FIRST_PERSON = 1000
"""Debian and its kin: accounts of services have numbers below this one."""
_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


class FirstSetup:
    """The token is of this start of the gateway; once there is a user, it opens nothing."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)

    def check(self, req: falcon.Request, token: str) -> None:
        """Raises SetupNeedsToken."""
        if token:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                raise SetupNeedsToken(reason="this is not the token")
            return
        doubt = doubt_about_place(req)
        if doubt:
            raise SetupNeedsToken(reason=doubt)


def doubt_about_place(req: falcon.Request) -> str:
    """Why it is not certain that a request comes from a program of a person on this machine; "" when it is.

    Not through a reverse proxy: one that adds headers, one that is trusted, one that speaks HTTP/1.0 to
    what is behind it (nginx, as it comes), or one that runs under an account of a service. Not from a web
    page of another site in a browser, whose name was made to point here.
    """
    environ = req.env
    names = (name.removeprefix("HTTP_") for name in environ if name.startswith("HTTP_"))
    if any(_BY_PROXIES.fullmatch(name) for name in names):
        return "this came through a proxy"
    if environ.get(PROXIED):
        return (
            "with [http] trusted_proxy a request of that address cannot be told apart from what the proxy"
            " passes on, also on the gateway itself"
        )
    elsewhere = "this does not seem to come from a person on the gateway itself"
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return elsewhere
    origin = req.get_header("Origin")
    if origin is not None and not _is_loopback(urlsplit(origin).hostname or ""):
        return elsewhere
    if req.get_header("Sec-Fetch-Site") not in {None, "none", "same-origin"}:
        return elsewhere
    peer = unmapped(req.remote_addr)
    if not (_is_loopback(peer) and _is_loopback(req.host)):
        return elsewhere
    account = account_of(peer, str(environ.get("REMOTE_PORT", "")))
    is_person = account is None or account in {0, os.getuid()} or account >= _FIRST_PERSON
    return "" if is_person else elsewhere


def account_of(host: str, port: str) -> int | None:
    """The number of the account whose program on this machine has this end of a connection.

    None where the kernel does not tell. Of the two ends, the one with this local address is the program's.
    """
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for line in lines:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if port.isdecimal() and int(number, 16) == int(port) and _unpacked(address) == host:
                return int(fields[7])
    return None


def _unpacked(address: str) -> str:
    """As the kernel writes it: 32 bits at a time, each in the order of the machine."""
    packed = bytes.fromhex(address)
    turn = -1 if sys.byteorder == "little" else 1
    words = (packed[at : at + 4][::turn] for at in range(0, len(packed), 4))
    return unmapped(str(ipaddress.ip_address(b"".join(words))))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(unmapped(host.strip("[]"))).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
