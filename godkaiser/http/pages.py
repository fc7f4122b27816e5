"""The OpenAPI document, and pages to browse it, without a network."""

from __future__ import annotations

import importlib.resources
from typing import Any

import falcon

from godkaiser.errors.base import NotFound
from godkaiser.errors.process import ExtraMissing
from godkaiser.host.extras import require
from godkaiser.http.access.permissions import API
from godkaiser.http.endpoint import JSON, Endpoint
from godkaiser.http.exchange import encode

HTML = "text/html"
_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>God-Kaiser API</title>
<link rel="stylesheet" href="{API}/docs/swagger-ui.css"></head>
<body><div id="ui"></div>
<script src="{API}/docs/swagger-ui-bundle.js"></script>
<script src="{API}/docs/start.js"></script>
</body>
</html>
"""
_START = f'SwaggerUIBundle({{url: "{API}/openapi.json", dom_id: "#ui", validatorUrl: null}});\n'
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

ENDPOINTS = (
    Endpoint(
        "GET", "/openapi.json", "document", None,
        "Describe this API as OpenAPI 3.1.", dict[str, Any],
        details="Made of the types that validate requests and answers.", media=(JSON,),
    ),
    Endpoint(
        "GET", "/docs", "page", None,
        "Show this API as a page to browse and to try.",
        details="Swagger UI, from the gateway itself; needs the extra `docs`.", media=(HTML,),
        refuses=(ExtraMissing,),
    ),
    Endpoint(
        "GET", "/docs/{name}", "file", None,
        "Fetch a file of that page.", media=("text/css", "text/javascript"),
    ),
)  # fmt: skip


class PageResources:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = encode(document)

    def on_get_document(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document

    def on_get_page(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises ExtraMissing."""
        require("docs", f"The page {API}/docs")
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", _POLICY)
        resp.text = _PAGE

    def on_get_file(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        if name == "start.js":
            resp.content_type = "text/javascript; charset=utf-8"
            resp.text = _START
            return
        kind = _FILES.get(name)
        if kind is None:
            raise NotFound(path=req.path[:200])
        resp.content_type = kind
        # Only those who look at the pages pay for their package.
        import swagger_ui

        resp.data = (importlib.resources.files(swagger_ui) / "static" / name).read_bytes()
