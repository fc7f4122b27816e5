"""The API as OpenAPI 3.1, made of the records of its endpoints and of the types that they name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from godkaiser.errors.access import (
    DebugIsOff,
    InvalidApiKey,
    InvalidToken,
    NotAuthenticated,
    OutOfArea,
    PermissionDenied,
)
from godkaiser.errors.base import (
    ChangedMeanwhile,
    GatewayError,
    GatewayOverloaded,
    InternalError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    ValidationFailed,
)
from godkaiser.errors.requests import (
    BodyTooLarge,
    GatewayStalled,
    KeyInDoubt,
    KeyInUse,
    KeyReused,
    MalformedBody,
    UnsupportedMediaType,
    WeakETag,
)
from godkaiser.errors.safety import OutcomeUnknown
from godkaiser.errors.storage import DatabaseInDoubt, DatabaseUnavailable
from godkaiser.http.access.permissions import API
from godkaiser.http.endpoint import JSON, NO_CONTENT, READING, Endpoint
from godkaiser.http.endpoints import ENDPOINTS

REFERENCE = "#/components/schemas/{name}"
_NAMES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
    412: "PreconditionFailed", 413: "ContentTooLarge", 415: "UnsupportedMediaType",
    422: "UnprocessableContent", 429: "TooManyRequests", 500: "InternalServerError", 501: "NotImplemented",
    503: "ServiceUnavailable",
}  # fmt: skip
"""By status: the component that describes it. Python's own phrases change with its version."""
_DONE = {200: "Done.", 201: "Created.", 202: "Accepted; it goes on.", NO_CONTENT: "Done; no body."}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 64}
_NUMBER = {"type": "integer", "minimum": 1}
PATH_PARAMETERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "device_id": (_TEXT, "Id of the device.", "ESP_4F3A9C"),
    "esp_id": (_TEXT, "Id of the device.", "ESP_4F3A9C"),
    "gpio": ({"type": "integer", "minimum": 0, "maximum": 39}, "Number of the pin.", "4"),
    "sensor_type": (_TEXT, "Type of the sensor.", "ds18b20"),
    "subzone_id": (_TEXT, "Id of the part of the zone.", "north"),
    "correlation_id": (_TEXT, "Id that the answer to the request named.", "5f0c..."),
    "session_id": (_NUMBER, "Number of the calibration session.", "1"),
    "rule_id": (_NUMBER, "Number of the rule.", "1"),
    "webhook_id": (_NUMBER, "Number of the webhook.", "1"),
    "key_id": (_NUMBER, "Number of the API key.", "1"),
    "letter_id": (_NUMBER, "Number of the dead letter.", "1"),
    "username": (_TEXT, "Name of the user.", "anna"),
    "job": (_TEXT, "Name of the job.", "retention"),
    "mock_id": (_TEXT, "Id of the mock.", "MOCK_TANK01"),
    "name": (_TEXT, "Name of the file.", "swagger-ui.css"),
}
"""Of each name in a path: schema, description and an example."""

_ERROR = {
    "type": "object",
    "description": "The one shape of all errors: act on `error.code`. The members beside it are those of RFC 9457.",
    "required": ["success", "error", "type", "title", "status", "detail", "instance"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
                "message": {"type": "string"},
                "details": {"type": "object"},
                "request_id": {"type": "string"},
            },
        },
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
}


def describe(version: str) -> dict[str, Any]:
    """The whole document."""
    schema_of_body, schema_of_answer, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    statuses: set[int] = set()
    for endpoint in ENDPOINTS:
        refusals = refusals_of(endpoint)
        statuses |= refusals.keys()
        operation = _operation(endpoint, refusals)
        if endpoint.body is not None:
            content = {"schema": schema_of_body[endpoint.body], "examples": _examples(endpoint)}
            operation["requestBody"] = {"required": True, "content": {JSON: content}}
        operation["responses"] = {
            str(endpoint.status): _answer(endpoint, schema_of_answer.get(endpoint.key)),
            **operation["responses"],
        }
        paths.setdefault(f"{API}{endpoint.path}", {})[endpoint.method.lower()] = operation
    error = {"schema": {"$ref": REFERENCE.format(name="Error")}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "God-Kaiser",
            "version": version,
            "description": "A gateway for fleets of ESP32s. Times are unix seconds unless a name says otherwise.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": area} for area in dict.fromkeys(one.area for one in ENDPOINTS)],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "responses": {
                _NAMES[status]: {
                    "description": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _NAMES[status]),
                    "content": {JSON: error, "application/problem+json": error},
                }
                for status in sorted(statuses)
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def refusals_of(endpoint: Endpoint) -> dict[int, list[str]]:
    """The codes of all errors that the endpoint may answer with, by their status."""
    kinds: list[type[GatewayError]] = [ValidationFailed, InternalError, *endpoint.refuses]
    if not endpoint.is_unlimited:
        kinds.append(TooManyRequests)
    if endpoint.role is not None:
        kinds += [NotAuthenticated, InvalidToken, InvalidApiKey, PermissionDenied, OutOfArea]
    if "{" in endpoint.path:
        kinds.append(NotFound)
    if endpoint.body is not None:
        kinds += [MalformedBody, BodyTooLarge, UnsupportedMediaType]
    if endpoint.edits:
        kinds += [ChangedMeanwhile, WeakETag]
    if endpoint.once:
        kinds += [KeyInUse, KeyInDoubt, KeyReused]
    if endpoint.never_late:
        kinds.append(GatewayStalled)
    if endpoint.for_debugging:
        kinds.append(DebugIsOff)
    kinds += [ServiceUnavailable, GatewayOverloaded, DatabaseUnavailable]
    if endpoint.method not in READING:
        kinds += [OutcomeUnknown, DatabaseInDoubt]
    found: dict[int, set[str]] = defaultdict(set)
    for kind in kinds:
        found[kind.status].add(kind.code)
    return {status: sorted(found[status]) for status in sorted(found)}


def summary_of_access(endpoint: Endpoint) -> str:
    if endpoint.role is None:
        return "No token is needed."
    people = ", as a person, not with an API key" if endpoint.for_people else ""
    return f"Needs the role {endpoint.role.word}{people}."


def _operation(endpoint: Endpoint, refusals: dict[int, list[str]]) -> dict[str, Any]:
    words = re.findall(r"\w+", endpoint.path)
    parts = [endpoint.says, endpoint.details, summary_of_access(endpoint)]
    operation: dict[str, Any] = {
        "operationId": "_".join((endpoint.method.lower(), *words)),
        "tags": [endpoint.area],
        "summary": endpoint.says.rstrip("."),
        "description": " ".join(filter(None, parts)),
        "parameters": list(_parameters(endpoint)),
        "responses": {
            str(status): {
                "$ref": f"#/components/responses/{_NAMES[status]}",
                "description": ", ".join(codes),
            }
            for status, codes in refusals.items()
        },
    }
    if endpoint.role is not None:
        operation["security"] = [{"token": []}, {"key": []}]
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", endpoint.path):
        schema, description, example = PATH_PARAMETERS[name]
        shown: Any = int(example) if schema["type"] == "integer" else example
        yield {
            "name": name, "in": "path", "required": True, "schema": schema,
            "description": description, "example": shown,
        }  # fmt: skip
    for parameter in endpoint.query:
        yield {
            "name": parameter.name, "in": "query", "required": False, "schema": parameter.schema,
            "description": parameter.description,
        }  # fmt: skip
    for name, is_taken, description in (
        ("If-Match", endpoint.edits, "The ETag that was read: what has changed since is not touched."),
        ("Idempotency-Key", endpoint.once, "A name for this request: sent again, it is not done again."),
    ):  # fmt: skip
        if is_taken:
            yield {
                "name": name, "in": "header", "required": False, "schema": {"type": "string"},
                "description": description,
            }  # fmt: skip


def _examples(endpoint: Endpoint) -> dict[str, Any]:
    return {f"example {n}": {"value": one.body} for n, one in enumerate(endpoint.examples, start=1)}


def _answer(endpoint: Endpoint, schema: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _DONE[endpoint.status]}
    if endpoint.tagged:
        found["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "For If-Match."}}
    if endpoint.status != NO_CONTENT:
        found["content"] = {
            media: {"schema": {"type": "string"} if schema is None else schema}
            for media in endpoint.media
        }
    return found


# ---- schemas


def _schemas() -> tuple[dict[Any, Any], dict[tuple[str, str], Any], dict[str, Any]]:
    """Of each body, of the answer of each endpoint, and the components of both.

    A field of a body that has a default may be left out; in an answer every field is there. So a type that
    is read and told has two schemas, of which that of answers is called `...Output`.
    """
    bodies = tuple(dict.fromkeys(one.body for one in ENDPOINTS if one.body is not None))
    of_bodies, read = msgspec.json.schema_components(bodies, ref_template=REFERENCE)
    answers = {one.key: _types_of(one) for one in ENDPOINTS if one.answer is not None}
    kinds = [kind for found in answers.values() for kind in found]
    of_answers, told = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    read = {name: _described(schema) for name, schema in read.items()}
    told = {name: _described(_told(schema)) for name, schema in told.items()}
    names = {name: _name(name, schema, read) for name, schema in told.items()}
    assert len(set(names.values())) == len(names), "two schemas have one name"
    schemas = {**read, **{names[name]: _renamed(schema, names) for name, schema in told.items()}}
    shown = iter([_renamed(schema, names) for schema in of_answers])
    schema_of_answer = {key: [next(shown) for _ in found] for key, found in answers.items()}
    return (
        dict(zip(bodies, of_bodies, strict=True)),
        {
            key: found[0] if len(found) == 1 else {"anyOf": found}
            for key, found in schema_of_answer.items()
        },
        schemas,
    )


def _types_of(endpoint: Endpoint) -> tuple[Any, ...]:
    return endpoint.answer if isinstance(endpoint.answer, tuple) else (endpoint.answer,)


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A docstring's lines are those of a file, not of a page."""
    if "description" not in schema:
        return schema
    return {**schema, "description": " ".join(schema["description"].split())}


def _told(schema: dict[str, Any]) -> dict[str, Any]:
    """Of an answer: a field with a default is there, too; one that is left out (UNSET) has none."""
    if "properties" not in schema:
        return schema
    always = set(schema.get("required", ()))
    required = [
        name for name, found in schema["properties"].items() if name in always or "default" in found
    ]
    properties = {
        name: {key: value for key, value in found.items() if key != "default"}
        for name, found in schema["properties"].items()
    }
    return {**schema, "properties": properties, "required": required}


def _name(name: str, schema: dict[str, Any], read: dict[str, Any]) -> str:
    generic = re.fullmatch(r"(Page|Entries)_(\w+)_", name)
    if generic is not None:
        return f"{generic[2]}{generic[1]}"
    is_twofold = name in read and "properties" in schema
    return f"{name}Output" if is_twofold else name


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """With references to the components as they are named in the end."""
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = REFERENCE.format(name=names[found["$ref"].rpartition("/")[2]])
    if "discriminator" in found and "mapping" in found["discriminator"]:
        mapping = found["discriminator"]["mapping"]
        found["discriminator"] = {
            **found["discriminator"],
            "mapping": {
                tag: REFERENCE.format(name=names[ref.rpartition("/")[2]])
                for tag, ref in mapping.items()
            },
        }
    return found
