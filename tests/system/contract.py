"""Holds every answer of the API that a test gets against the document of the API.

`Client` does it for each call, so each system test is a test of the document, too. Schemas are taken strictly:
a field that is not declared is a mistake.
"""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from godkaiser.http.access.permissions import API
from godkaiser.http.endpoint import JSON, Endpoint
from godkaiser.http.endpoints import BY_KEY
from godkaiser.http.openapi import describe, refusals_of


@functools.cache
def document() -> dict[str, Any]:
    return describe("test")


@functools.lru_cache(maxsize=1000)
def endpoint_of(method: str, path: str) -> Endpoint | None:
    """As the router finds it: a literal part of a path goes before a parameter."""
    parts = urlsplit(path).path.strip("/").split("/")
    for template in _templates():
        wanted = template.strip("/").split("/")
        if len(wanted) == len(parts) and all(
            want == part or (want.startswith("{") and part)
            for want, part in zip(wanted, parts, strict=True)
        ):
            return BY_KEY.get((method, template))
    return None


def mistakes_of(endpoint: Endpoint, status: int, media: str, body: Any) -> list[str]:
    """What the answer has that the document does not tell."""
    if status >= 400:
        code = body["error"]["code"] if isinstance(body, dict) else None
        if status == 405 or (isinstance(body, dict) and body.get("instance") == ""):
            # Another path than the test wrote, or refused by the server before it came to an endpoint.
            return _problems("#/components/schemas/Error", body)
        if code not in _refusals(endpoint.key).get(status, ()):
            return [f"{status} {code} is not among its errors"]
        return _problems("#/components/schemas/Error", body)
    if status != endpoint.status:
        return [f"{status}, not {endpoint.status}"]
    if endpoint.answer is None and JSON in endpoint.media:
        return [] if body is None else ["it has a body"]
    if media not in endpoint.media:
        return [f"{media} is not among {', '.join(endpoint.media)}"]
    if media != JSON:
        return []
    place = f"{API}{endpoint.path}".replace("~", "~0").replace("/", "~1")
    where = f"#/paths/{place}/{endpoint.method.lower()}/responses/{status}/content"
    return _problems(f"{where}/application~1json/schema", body)


@functools.cache
def _refusals(key: tuple[str, str]) -> dict[int, list[str]]:
    return refusals_of(BY_KEY[key])


def _problems(reference: str, body: Any) -> list[str]:
    return [
        f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
        for error in _validator(reference).iter_errors(body)
    ]


@functools.cache
def _templates() -> list[str]:
    paths = {path for _, path in BY_KEY}
    return sorted(paths, key=lambda path: [part.startswith("{") for part in path.split("/")])


@functools.cache
def _validator(reference: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**_strict(), "$ref": _escaped(reference)})


def _escaped(reference: str) -> str:
    return re.sub(r"[{}]", lambda sign: f"%{ord(sign[0]):02X}", reference)


@functools.cache
def _strict() -> dict[str, Any]:
    found = {"paths": document()["paths"], "components": document()["components"]}
    strict = _closed(found)
    assert isinstance(strict, dict)
    return strict


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "required" in node:
        closed.setdefault("additionalProperties", False)
    return closed
