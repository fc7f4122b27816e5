"""What is for debugging is off in production, and what outlives an API key is not for API keys.

The kind: a way to stay, or to break something, that a stolen key opens.
"""

from __future__ import annotations

import pytest

from godkaiser.http.endpoints import BY_KEY
from tests.system.access.test_access import code_of, filled

STAYS = [
    ("POST", "/users"), ("PATCH", "/users/{username}"), ("POST", "/auth/keys"),
    ("POST", "/auth/keys/{key_id}/rotate"), ("POST", "/auth/signing-keys/rotate"),
    ("POST", "/webhooks"), ("PATCH", "/webhooks/{webhook_id}"), ("DELETE", "/webhooks/{webhook_id}"),
    ("POST", "/webhooks/{webhook_id}/test"), ("POST", "/esp/devices/{device_id}/broker-account"),
    ("DELETE", "/esp/devices/{device_id}/broker-account"), ("POST", "/system/actors/crash"),
    ("POST", "/system/actors/restart"), ("POST", "/debug/mock-esp"), ("DELETE", "/debug/mock-esp/{mock_id}"),
]  # fmt: skip


@pytest.mark.parametrize("debug", [False, True])
def test_an_api_key_of_an_administrator_leaves_nothing_behind(make_site, debug):
    site = make_site(debug=debug)
    key = site.client.post("/auth/keys", {"name": "k", "role": "admin"}, 201)["secret"]
    for method, path in STAYS:
        status, answer = site.client.call(method, filled(path), {}, token=key)
        assert (status, code_of(answer)) == (403, "PERMISSION_DENIED"), (method, path)
        assert "API key" in answer["error"]["message"]
    # What it is for goes on.
    assert site.client.call("GET", "/webhooks", token=key)[0] == 200
    assert site.client.call("POST", "/actuators/emergency_stop", {}, token=key)[0] == 200


def test_debugging_is_off_unless_it_is_configured(make_site):
    site = make_site(debug=False)
    debugging = {key for key, endpoint in BY_KEY.items() if endpoint.for_debugging}
    assert {("POST", "/system/actors/crash"), ("GET", "/debug/mock-esp")} <= debugging
    for method, path in debugging:
        status, answer = site.client.call(
            method, filled(path), raw=b'{"path":"/control/link/broker"}'
        )
        assert (status, code_of(answer)) == (403, "DEBUG_OFF"), (method, path)
        assert "[debug]" in answer["error"]["message"]
    assert ("POST", "/system/actors/restart") in BY_KEY
    restarted = site.client.call("POST", "/system/actors/restart", {"path": "/services/rollups"})
    assert restarted[0] == 202
    crashed = [e for e in site.client.get("/system/events")["data"] if e["step"] == "crashed"]
    assert crashed == []
