"""A reverse proxy that is trusted: the client's address is the one that it names, and it is never local."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from godkaiser.domain.addresses import unmapped

PROXIED = "godkaiser.proxied"
"""In the WSGI environment of a request that came through the trusted proxy."""

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def behind(app: App, proxy: str) -> App:
    """`app`, with `X-Forwarded-For` of this peer believed: its last hop, which the proxy itself has added."""
    trusted = unmapped(proxy)

    def translated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("REMOTE_ADDR") == trusted:
            environ[PROXIED] = True
            hops = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
            environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = client_address(trusted, hops, trusted)
        return app(environ, start_response)

    return translated


def client_address(peer: str, hops: str, proxy: str) -> str:
    """Of a connection from `peer` whose `X-Forwarded-For` is `hops`; `proxy` "" means that none is trusted."""
    plain = unmapped(peer)
    if not proxy or plain != unmapped(proxy):
        return plain
    return _address(hops.rpartition(",")[2]) or plain


def _address(hop: str) -> str:
    """Without quotes, brackets and port; "" when it is not an address."""
    text = hop.strip().strip('"')
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    for candidate in (bare, bare.rpartition(":")[0]):
        try:
            return unmapped(str(ipaddress.ip_address(candidate)))
        except ValueError:
            continue
    return ""
