"""The API as OpenAPI 3.1, from the tables and types that validate; and pages to browse it, without a network."""

from __future__ import annotations

import importlib.resources
import re
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from godkaiser.domain.devices.mocks import MockFaults
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.errors.base import NotFound
from godkaiser.host.extras import require
from godkaiser.http.access.permissions import API, PERMISSIONS, Role
from godkaiser.http.examples import EXAMPLES
from godkaiser.http.exchange import encode
from godkaiser.http.queries import QUERIES
from godkaiser.http.resources.actuators import (
    ActuatorBody,
    AddressedOrder,
    ClearBody,
    HoldBody,
    InterlocksBody,
    Order,
    ResumeBody,
    StopBody,
)
from godkaiser.http.resources.auth import Credentials, RefreshBody, SetupBody
from godkaiser.http.resources.batch import BatchBody
from godkaiser.http.resources.calibration import ApplyBody, PointBody, RecalculationBody, StartBody
from godkaiser.http.resources.device_requests import ScanBody, SystemCommandBody
from godkaiser.http.resources.devices import (
    DecisionBody,
    DeviceBody,
    ReadingBody,
    RegisterBody,
    SensorBody,
)
from godkaiser.http.resources.jobs import RunBody
from godkaiser.http.resources.mocks import MockBody, ValueBody
from godkaiser.http.resources.placement import SafeModeBody, SubzoneBody, ZoneBody
from godkaiser.http.resources.rule_trials import TestBody
from godkaiser.http.resources.system import PathBody
from godkaiser.http.resources.users import (
    NewKey,
    NewUser,
    PasswordChange,
    Rotation,
    SigningRotation,
    UserChange,
)
from godkaiser.http.resources.webhooks import WebhookBody, WebhookChange

_CALIBRATION = "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration"
BODIES: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("POST", "/auth/setup"): SetupBody,
    ("POST", "/auth/login"): Credentials,
    ("POST", "/auth/refresh"): RefreshBody,
    ("POST", "/auth/password"): PasswordChange,
    ("POST", "/auth/keys"): NewKey,
    ("POST", "/auth/keys/{key_id}/rotate"): Rotation,
    ("POST", "/auth/signing-keys/rotate"): SigningRotation,
    ("POST", "/webhooks"): WebhookBody,
    ("PATCH", "/webhooks/{webhook_id}"): WebhookChange,
    ("POST", "/users"): NewUser,
    ("PATCH", "/users/{username}"): UserChange,
    ("POST", "/esp/register"): RegisterBody,
    ("POST", "/esp/devices/{device_id}/approve"): DecisionBody,
    ("POST", "/esp/devices/{device_id}/reject"): DecisionBody,
    ("PATCH", "/esp/devices/{device_id}"): DeviceBody,
    ("POST", "/esp/devices/{device_id}/commands"): SystemCommandBody,
    ("POST", "/esp/devices/{device_id}/onewire/scan"): ScanBody,
    ("PUT", "/esp/devices/{device_id}/zone"): ZoneBody,
    ("PUT", "/esp/devices/{device_id}/subzones/{subzone_id}"): SubzoneBody,
    ("POST", "/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode"): SafeModeBody,
    ("POST", "/sensors/{esp_id}/{gpio}"): SensorBody,
    ("POST", "/sensors/data"): ReadingBody,
    ("POST", "/sensors/data/batch"): BatchBody,
    ("POST", _CALIBRATION): StartBody,
    ("POST", f"{_CALIBRATION}/{{session_id}}/points"): PointBody,
    ("POST", f"{_CALIBRATION}/{{session_id}}/apply"): ApplyBody,
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation"): RecalculationBody,
    ("POST", "/actuators/{esp_id}/{gpio}"): ActuatorBody,
    ("POST", "/actuators/command"): AddressedOrder,
    ("POST", "/actuators/{esp_id}/{gpio}/command"): Order,
    ("POST", "/actuators/{esp_id}/{gpio}/hold"): HoldBody,
    ("POST", "/actuators/emergency_stop"): StopBody,
    ("POST", "/actuators/clear_emergency"): ClearBody,
    ("POST", "/actuators/resume"): ResumeBody,
    ("PUT", "/safety/interlocks"): InterlocksBody,
    ("POST", "/logic/rules"): RuleDefinition,
    ("PUT", "/logic/rules/{rule_id}"): RuleDefinition,
    ("POST", "/logic/rules/test"): TestBody,
    ("POST", "/system/jobs/{job}/run"): RunBody,
    ("POST", "/system/actors/restart"): PathBody,
    ("POST", "/system/actors/crash"): PathBody,
    ("POST", "/debug/mock-esp"): MockBody,
    ("POST", "/debug/mock-esp/{mock_id}/sensors/{gpio}"): ValueBody,
    ("POST", "/debug/mock-esp/{mock_id}/faults"): MockFaults,
}
"""What each endpoint reads; the tests hold it against what it does read."""

FAILURES = (400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 503)
_ERROR = {
    "type": "object",
    "required": ["success", "error"],
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
    },
}


def describe(version: str) -> dict[str, Any]:
    """The whole document."""
    kinds = tuple(dict.fromkeys(BODIES.values()))
    references, schemas = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    body_of = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for (method, template), role in PERMISSIONS.items():
        kind = BODIES.get((method, template))
        operation = _operation(method, template, role)
        if kind is not None:
            operation["requestBody"] = {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": body_of[kind],
                        "examples": _examples(method, template),
                    }
                },
            }
        paths.setdefault(f"{API}{template}", {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "God-Kaiser",
            "version": version,
            "description": "A gateway for fleets of ESP32s.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _examples(method: str, template: str) -> dict[str, Any]:
    found = [one for one in EXAMPLES if (one.method, one.template) == (method, template)]
    return {f"example {n}": {"value": one.body} for n, one in enumerate(found, start=1)}


def _operation(method: str, template: str, role: Role | None) -> dict[str, Any]:
    words = re.findall(r"\w+", template)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name)}
        for name in re.findall(r"{(\w+)}", template)
    ]
    parameters += [
        {
            "name": parameter.name,
            "in": "query",
            "required": False,
            "schema": parameter.schema,
            "description": parameter.description,
        }
        for parameter in QUERIES.get((method, template), ())
    ]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation: dict[str, Any] = {
        "operationId": "_".join((method.lower(), *words)),
        "tags": [words[0]],
        "summary": "open" if role is None else f"needs the role {role.word}",
        "parameters": parameters,
        "responses": {
            "2XX": {"description": "done"},
            **{
                str(code): {"description": HTTPStatus(code).phrase, "content": error}
                for code in FAILURES
            },
        },
    }
    if role is not None:
        operation["security"] = [{"token": []}, {"key": []}]
    return operation


def _path_schema(name: str) -> dict[str, Any]:
    if name == "gpio":
        return {"type": "integer", "minimum": 0, "maximum": 39}
    return {"type": "string", "minLength": 1, "maxLength": 64}


# ---- to browse it

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


class OpenApiResources:
    def __init__(self, version: str) -> None:
        self._document = encode(describe(version))

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
        # Only who looks at the pages pays for their package.
        import swagger_ui

        resp.data = (importlib.resources.files(swagger_ui) / "static" / name).read_bytes()
