"""The page: its files, read once, each with its headers. Assets are named by their content and never change."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass

import falcon

from godkaiser.errors.base import NotFound
from godkaiser.http.compression import takes_gzip

ASSETS = "/assets"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
_BASE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none';"
)
_PAGE_POLICY = f"{_BASE} img-src 'self' data:; frame-src 'self'; frame-ancestors 'none'"
_STOP_POLICY = f"{_BASE} frame-ancestors 'self'; sandbox allow-scripts"
_PAGES = {
    "/": ("index.html", {"Content-Security-Policy": _PAGE_POLICY}),
    # In a frame of the page, and nowhere else.
    "/stop": (
        "stop.html",
        {"Content-Security-Policy": _STOP_POLICY, "X-Frame-Options": "SAMEORIGIN"},
    ),
}
_REFERENCE = re.compile(r"assets/([\w-]+)\.(\w+)")


@dataclass(frozen=True, slots=True)
class Asset:
    kind: str
    body: bytes
    packed: bytes
    """The same, gzipped."""
    digest: str
    cache: str
    headers: Mapping[str, str]


class Dashboard:
    """What is served below `/`, by path. Safe from any thread: nothing changes."""

    def __init__(self) -> None:
        folder = importlib.resources.files("godkaiser") / "dashboard" / "static"
        files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
        self._assets = {
            f"{ASSETS}/{_named(name, body)}": _asset(name, body, _FOR_EVER, {})
            for name, body in files.items()
            if not name.endswith(".html")
        }
        for path, (name, headers) in _PAGES.items():
            body = _with_digests(files[name], files)
            self._assets[path] = _asset(name, body, _ASK_FIRST, headers)

    @property
    def digest(self) -> str:
        """Of the page and all that it loads, whose names are in it."""
        return self._assets["/"].digest

    def find(self, path: str) -> Asset | None:
        return self._assets.get(path)


class DashboardMiddleware:
    """Answers for the page before anything else is looked at: no token, no database, no actor."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.method != "GET":
            return
        found = self._dashboard.find(req.path)
        if found is None:
            if req.path.startswith(f"{ASSETS}/"):
                # Of an older or a newer page.
                raise NotFound(path=req.path[:200])
            return
        resp.complete = True
        resp.set_headers({"Cache-Control": found.cache, "Vary": "Accept-Encoding", **found.headers})
        is_packed = takes_gzip(req)
        resp.etag = f"{found.digest}-gz" if is_packed else found.digest
        if any(resp.etag in {str(tag), f'"{tag}"'} for tag in req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = found.kind
        resp.data = found.packed if is_packed else found.body
        if is_packed:
            resp.set_header("Content-Encoding", "gzip")


def _asset(name: str, body: bytes, cache: str, headers: Mapping[str, str]) -> Asset:
    kind = _TYPES[name.rpartition(".")[2]]
    return Asset(kind, body, gzip.compress(body, 9, mtime=0), _digest(body), cache, headers)


def _with_digests(page: bytes, files: Mapping[str, bytes]) -> bytes:
    """The committed page names its assets plainly, so that a change of one file is a diff of one file."""

    def named(match: re.Match[str]) -> str:
        name = f"{match[1]}.{match[2]}"
        return f"assets/{_named(name, files[name])}"

    return _REFERENCE.sub(named, page.decode()).encode()


def _named(name: str, body: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{_digest(body)}.{suffix}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
