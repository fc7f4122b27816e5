"""The session of a page in a browser: the refresh token in a cookie that no script reads.

A browser sends the cookie by itself, so every request that uses it has to come from our own page. The access
token stays with the page, in memory.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import falcon

from godkaiser.errors.access import CrossSiteRequest
from godkaiser.http.access.permissions import API
from godkaiser.http.access.tokens import REFRESH_S

PATH = f"{API}/auth/session"


def check_origin(req: falcon.Request) -> None:
    """The request comes from a page of this gateway. Raises CrossSiteRequest.

    Browsers tell `Sec-Fetch-Site` over HTTPS and to this machine, and `Origin` everywhere; no page can change
    either.
    """
    site = req.get_header("Sec-Fetch-Site")
    if site == "same-origin":
        return
    if site is not None:
        raise CrossSiteRequest(reason=f"it comes from another site ({site[:20]})")
    origin = req.get_header("Origin")
    if origin is None:
        raise CrossSiteRequest(reason="it names no Origin; programs use POST /api/v1/auth/login")
    if urlsplit(origin).netloc.lower() != (req.get_header("Host") or "").lower():
        reason = f"its Origin {origin[:80]!a} is not its Host; a proxy has to pass Host on"
        raise CrossSiteRequest(reason=reason)


def refresh_token_of(req: falcon.Request) -> str:
    """The cookie of this browser; empty when it has none."""
    found = req.get_cookie_values(_name(req))
    return found[0] if found else ""


def clear_cookie(req: falcon.Request, resp: falcon.Response) -> None:
    resp.unset_cookie(_name(req), same_site="Strict", path=PATH)


def set_cookie(req: falcon.Request, resp: falcon.Response, refresh_token: str) -> None:
    resp.set_cookie(
        _name(req),
        refresh_token,
        max_age=REFRESH_S,
        path=PATH,
        http_only=True,
        same_site="Strict",
        # Plain HTTP is the usual case in a LAN; there a secure cookie would not be kept.
        secure=(req.get_header("Origin") or "").startswith("https:"),
    )


def _name(req: falcon.Request) -> str:
    """Browsers share cookies between the ports of a machine, and several gateways may run on one."""
    return f"godkaiser_session_{req.port}"
