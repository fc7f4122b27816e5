"""The document of the API: complete, true, browsable; and every endpoint called with what it allows."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections import Counter

import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

import godkaiser.http
from godkaiser.http.access.permissions import API
from godkaiser.http.endpoint import JSON
from godkaiser.http.endpoints import BY_KEY, ENDPOINTS
from godkaiser.http.openapi import describe
from tests.system.access.test_access import filled

DOCUMENT = describe("test")
BODIES = {endpoint.key: endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}


def test_every_endpoint_is_in_it_and_nothing_else():
    told = {
        (method.upper(), path.removeprefix(API))
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert told == set(BY_KEY)
    numbers = [
        operation["operationId"]
        for found in DOCUMENT["paths"].values()
        for operation in found.values()
    ]
    assert len(numbers) == len(set(numbers))


def test_it_is_the_types_that_are_read(site, monkeypatch):
    """Every endpoint is called, and what it reads is written down beside what it says that it reads."""
    read: dict[tuple[str, str], type] = {}

    class Enough(Exception):
        """Nothing is to be done."""

    def note(req, kind, **_how):
        read[req.method, req.uri_template.removeprefix(API)] = kind
        raise Enough

    for module in pkgutil.walk_packages(godkaiser.http.__path__, "godkaiser.http."):
        found = importlib.import_module(module.name)
        if hasattr(found, "read_body") and module.name != "godkaiser.http.exchange":
            monkeypatch.setattr(found, "read_body", note)
    for method, path in BY_KEY:
        if method in {"POST", "PUT", "PATCH"} and path != "/auth/logout":
            site.client.call(method, filled(path).replace("ESP_NOBODY", "ESP_A00001"), {})
    unread = {key for key in BODIES if key not in read}
    # Refused before their body, for what the path names is not there.
    assert unread <= {key for key in BODIES if "{" in key[1]}
    assert {key: BODIES[key] for key in read} == read


def test_every_answer_has_a_schema():
    for endpoint in ENDPOINTS:
        operation = DOCUMENT["paths"][f"{API}{endpoint.path}"][endpoint.method.lower()]
        found = operation["responses"][str(endpoint.status)]
        if endpoint.status == 204:
            assert "content" not in found, endpoint.key
            continue
        assert set(found["content"]) == set(endpoint.media), endpoint.key
        for media, content in found["content"].items():
            schema = content["schema"]
            assert (
                media != JSON
                or schema.keys() & {"$ref", "anyOf"}
                or endpoint.path == "/openapi.json"
            )


def test_every_operation_is_described():
    said = [endpoint.says for endpoint in ENDPOINTS]
    assert len(set(said)) == len(said)
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert len(operation["description"]) > len(operation["summary"]) > 5
            assert operation["tags"]
            assert all(parameter["description"] for parameter in operation["parameters"])


def test_errors_are_written_once():
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for status, found in operation["responses"].items():
                if int(status) >= 400:
                    name = found["$ref"].rpartition("/")[2]
                    assert name in DOCUMENT["components"]["responses"]
                    assert found["description"]


def test_its_schemas_are_schemas():
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(
            {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )


def test_the_document_and_its_pages_are_served_without_a_network(site):
    served = site.client.get("/openapi.json")
    assert served["openapi"] == "3.1.0"
    assert served["paths"].keys() == DOCUMENT["paths"].keys()
    connection = site.client._connection
    connection.request("GET", f"{API}/docs")
    page = connection.getresponse().read().decode()
    files = re.findall(rf'(?:src|href)="{API}(/docs/[\w.-]+)"', page)
    assert len(files) == 3
    assert "http://" not in page
    assert "https://" not in page
    for file in files:
        connection.request("GET", f"{API}{file}")
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 50) == (200, True)
    assert site.client.call("GET", "/docs/..%2fsecret")[0] == 404


def test_without_the_extra_docs_the_page_says_what_to_install_and_the_document_is_served(
    site, monkeypatch
):
    monkeypatch.setitem(sys.modules, "swagger_ui", None)
    status, answer = site.client.call("GET", "/docs")
    assert (status, answer["error"]["code"]) == (501, "EXTRA_MISSING")
    assert "pip install 'godkaiser[docs]'" in answer["error"]["message"]
    assert site.client.get("/openapi.json")["openapi"] == "3.1.0"


def test_a_query_parameter_that_is_not_known_is_refused(site):
    for path in ("/sensors?esp=1", "/health?x=1", "/sensors/data?limt=5"):
        status, answer = site.client.call("GET", path)
        assert status == 400
        assert "is not known" in answer["error"]["message"]
    assert "esp_id" in site.client.call("GET", "/sensors?esp=1")[1]["error"]["message"]


# ---- called with whatever it allows


def _without_security(document):
    """The test has a token of its own; one that is made up is only refused."""
    paths = {
        path: {m: {k: v for k, v in found.items() if k != "security"} for m, found in those.items()}
        for path, those in document["paths"].items()
    }
    components = {k: v for k, v in document["components"].items() if k != "securitySchemes"}
    return {**document, "paths": paths, "components": components}


CALLED = schemathesis.openapi.from_dict(_without_security(DOCUMENT))
# What ends the login of the test, or crashes an actor because that is its purpose.
NEVER = {
    "/auth/logout",
    "/auth/signing-keys/rotate",
    "/auth/password",
    "/system/actors/crash",
    "/auth/setup",
    "/auth/login",
}


def test_every_endpoint_answers_everything_as_it_says(site):
    """Schemathesis makes the requests; a fixed seed, so that what fails here fails again."""
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    for result in CALLED.get_all_operations():
        operation = result.ok()
        if operation.path.removeprefix(API) not in NEVER:
            _call(site, operation, wrong, statuses)
    assert statuses[200] > 50
    assert sum(statuses.values()) > 500
    assert not wrong, "\n".join(wrong[:5])
    crashed = [a for a in site.client.get("/system/tree")["data"] if a["last_error"]]
    assert not crashed


def _call(site, operation, wrong, statuses):
    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def call(case):
        response = case.call(
            base_url=f"http://127.0.0.1:{site.gateway.http_port}",
            headers={"Authorization": f"Bearer {site.client.token}"},
            timeout=20,
        )
        statuses[response.status_code] += 1
        try:
            case.validate_response(
                response,
                checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
            )
        except (Exception, BaseExceptionGroup) as error:
            told = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
            what = f"{operation.method} {operation.path}: {response.status_code}"
            wrong.append(f"{what} {told} {response.text[:300]}")

    call()
