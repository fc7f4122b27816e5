"""HTTP as RFC 9110 says it: HEAD, OPTIONS, Allow, challenges, at every endpoint.

The kind: an answer that a generic client, cache or proxy cannot understand.
"""

from __future__ import annotations

import pytest

from godkaiser.http.endpoints import BY_KEY
from tests.system.access.test_access import code_of, filled
from tests.system.site import Site
from tests.waiting import eventually

TEMPLATES = sorted({path for _, path in BY_KEY})


def test_head_is_get_without_its_body(site):
    for method, path in BY_KEY:
        if method != "GET" or path in {"/metrics", "/system/live", "/health"}:
            continue
        url = filled(path).replace("ESP_NOBODY", "ESP_A00001")
        got, body = site.client.call("GET", url)
        wanted = site.client.last_headers
        status, nothing = site.client.call("HEAD", url)
        assert (status, nothing) == (got, None), path
        found = site.client.last_headers
        for name in ("Content-Type", "Etag", "Allow", "Www-Authenticate", "Vary"):
            assert found.get(name) == wanted.get(name), (path, name)
        if "Content-Length" in found and got == 200:
            assert int(found["Content-Length"]) > 0
        assert body is not None


def test_head_of_a_stream_is_answered_and_the_connection_goes_on(site):
    sensor = site.client.get("/sensors")["data"][0]
    path = f"/sensors/{sensor['esp_id']}/{sensor['gpio']}/{sensor['sensor_type']}/export"
    eventually(lambda: site.client.call("GET", path)[0] == 200)
    for encoding in ("identity", "gzip"):
        for _ in range(3):
            status, body = site.client.call("HEAD", path, headers={"Accept-Encoding": encoding})
            assert (status, body) == (200, None)
    assert site.client.get("/auth/me")["username"] == "admin"


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_not_possible_is_told_with_what_is(site_once, template):
    methods = {method for method, path in BY_KEY if path == template}
    allowed = methods | ({"HEAD"} if "GET" in methods else set()) | {"OPTIONS"}
    client = site_once.client
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        if method in allowed:
            continue
        status, answer = client.call(method, filled(template))
        assert status == 405, (method, template)
        assert set(client.last_headers["Allow"].split(", ")) == allowed
        if method != "HEAD":
            assert code_of(answer) == "METHOD_NOT_ALLOWED"
    # Nobody needs a token to ask.
    assert client.call("OPTIONS", filled(template), token="")[0] == 200
    assert set(client.last_headers["Allow"].split(", ")) == allowed


@pytest.fixture(scope="module")
def site_once(mosquitto, tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"), mosquitto)
    yield made
    made.close()


def test_every_401_says_how_to_log_in(site):
    for path, token, refused in (
        ("/auth/me", "", False), ("/auth/me", "a.b.c", True), ("/users", "gk_no", False),
    ):  # fmt: skip
        assert site.client.call("GET", path, token=token)[0] == 401
        challenge = site.client.last_headers["Www-Authenticate"]
        assert challenge.startswith('Bearer realm="godkaiser"')
        assert ('error="invalid_token"' in challenge) == refused
    wrong = {"username": "admin", "password": "wrong"}
    assert site.client.call("POST", "/auth/login", wrong)[0] == 401
    assert "Www-Authenticate" in site.client.last_headers
