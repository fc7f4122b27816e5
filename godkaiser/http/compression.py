"""Long answers are compressed for who can read that."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import falcon

from godkaiser.http.access.permissions import API

SHORTEST = 1024
LEVEL = 4
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class CompressionMiddleware:
    """Not what has an ETag, which names the plain answer, and nothing of /auth: how well a secret
    compresses beside what somebody else chose would tell it.
    """

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        if resp.get_header("ETag") is not None or req.path.startswith(f"{API}/auth"):
            return
        if resp.stream is not None:
            resp.append_header("Vary", "Accept-Encoding")
            if takes_gzip(req):
                resp.set_header("Content-Encoding", "gzip")
                if req.context.get("method") != "HEAD":
                    resp.stream = _compressed(resp.stream)
            return
        body = resp.render_body()
        if body is None or len(body) < SHORTEST:
            return
        resp.append_header("Vary", "Accept-Encoding")
        if takes_gzip(req):
            resp.data = gzip.compress(body, LEVEL, mtime=0)
            resp.text = None
            resp.set_header("Content-Encoding", "gzip")


def takes_gzip(req: falcon.Request) -> bool:
    for offer in (req.get_header("Accept-Encoding") or "").split(","):
        name, _, quality = offer.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _compressed(stream: Any) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    try:
        for part in stream:
            packed = packer.compress(part)
            if packed:
                yield packed
        yield packer.flush()
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
