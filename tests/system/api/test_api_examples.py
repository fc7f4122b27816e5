"""The examples of the API's documentation, each run against a real gateway, in an order in which each can be done."""

from __future__ import annotations

from urllib.parse import quote

from godkaiser import paths
from godkaiser.http.endpoints import BY_KEY, ENDPOINTS
from godkaiser.supervision import Reason
from tests.system.site import PASSWORD
from tests.waiting import eventually

TANK = "MOCK_TANK01"
_SERIES = "/sensors/{esp_id}/{gpio}/{sensor_type}"
STORY = (
    ("POST", "/auth/setup"), ("POST", "/users"), ("POST", "/auth/login"), ("POST", "/auth/refresh"),
    ("PATCH", "/users/{username}"), ("POST", "/auth/keys"), ("POST", "/auth/keys/{key_id}/rotate"),
    ("POST", "/esp/register"), ("POST", "/esp/devices/{device_id}/approve"),
    ("PATCH", "/esp/devices/{device_id}"), ("POST", "/sensors/{esp_id}/{gpio}"),
    ("POST", "/actuators/{esp_id}/{gpio}"), ("POST", "/sensors/data"), ("POST", "/sensors/data/batch"),
    ("POST", "/debug/mock-esp"), ("POST", "/debug/mock-esp/{mock_id}/sensors/{gpio}"),
    ("POST", "/debug/mock-esp/{mock_id}/faults"), ("PUT", "/esp/devices/{device_id}/zone"),
    ("PUT", "/esp/devices/{device_id}/subzones/{subzone_id}"), ("POST", "/esp/devices/{device_id}/commands"),
    ("POST", "/esp/devices/{device_id}/onewire/scan"), ("POST", f"{_SERIES}/calibration"),
    ("POST", f"{_SERIES}/calibration/{{session_id}}/points"),
    ("POST", f"{_SERIES}/calibration/{{session_id}}/apply"), ("POST", f"{_SERIES}/recalculation"),
    ("POST", "/actuators/command"), ("POST", "/actuators/{esp_id}/{gpio}/command"),
    ("POST", "/actuators/{esp_id}/{gpio}/hold"), ("PUT", "/safety/interlocks"),
    ("POST", "/logic/rules/test"), ("POST", "/logic/rules"), ("PUT", "/logic/rules/{rule_id}"),
    ("POST", "/webhooks"), ("PATCH", "/webhooks/{webhook_id}"), ("POST", "/system/jobs/{job}/run"),
    ("POST", "/actuators/emergency_stop"), ("POST", "/actuators/clear_emergency"),
    ("POST", "/actuators/resume"), ("POST", "/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode"),
    ("POST", "/system/actors/restart"), ("POST", "/system/actors/crash"),
    ("POST", "/esp/devices/{device_id}/reject"), ("POST", "/auth/password"),
    ("POST", "/auth/signing-keys/rotate"),
)  # fmt: skip

LAST = (
    ("DELETE", f"{_SERIES}/recalculation"), ("POST", "/sensors/{esp_id}/{gpio}/measure"),
    ("POST", f"{_SERIES}/calibration/undo"), ("DELETE", f"{_SERIES}/calibration/{{session_id}}"),
    ("POST", "/system/dead-letters/{letter_id}/resend"),
    ("POST", "/webhooks/{webhook_id}/test"), ("DELETE", "/webhooks/{webhook_id}"),
    ("DELETE", "/actuators/{esp_id}/{gpio}/hold"), ("DELETE", "/logic/rules/{rule_id}"),
    ("DELETE", "/esp/devices/{device_id}/subzones/{subzone_id}"),
    ("DELETE", "/esp/devices/{device_id}/zone"), ("DELETE", "/actuators/{esp_id}/{gpio}"),
    ("DELETE", _SERIES), ("DELETE", "/debug/mock-esp/{mock_id}"), ("DELETE", "/esp/devices/{device_id}"),
    ("DELETE", "/users/{username}"), ("DELETE", "/auth/keys/{key_id}"), ("POST", "/auth/logout"),
)  # fmt: skip
"""What has no body and changes something, so that each can be done after the one before."""

# What an example cannot do by itself: these are refused for what is so, and for nothing else.
REFUSED = {
    "/auth/setup": "SETUP_CLOSED",
    "/auth/refresh": "INVALID_TOKEN",
    "/auth/password": "INVALID_CREDENTIALS",
    "/actuators/clear_emergency": "CLEAR_LOCKED_OUT",
    "/actuators/resume": "INVALID_TRANSITION",
}


def test_there_is_one_for_each_body():
    for endpoint in ENDPOINTS:
        assert bool(endpoint.examples) == (endpoint.body is not None), endpoint.key
    told = [one.key for one in ENDPOINTS if one.examples and ELSEWHERE.get(one.key) != OF_THE_PAGE]
    assert sorted(STORY) == sorted(told)


OF_THE_PAGE = "tests/system/access/test_page_session.py"
"""With its cookie and from its origin only."""
ELSEWHERE = {
    ("POST", "/auth/session"): OF_THE_PAGE,
    ("POST", "/auth/session/renewal"): OF_THE_PAGE,
    ("DELETE", "/auth/session"): OF_THE_PAGE,
    ("POST", "/auth/setup"): "tests/system/access/test_first_setup.py",
    ("POST", "/system/reload"): "tests/system/operation/test_reload.py",
    ("GET", "/system/broker-accounts"): "tests/system/devices/test_broker_accounts.py",
    (
        "POST",
        "/esp/devices/{device_id}/broker-account",
    ): "tests/system/devices/test_broker_accounts.py",
    (
        "DELETE",
        "/esp/devices/{device_id}/broker-account",
    ): "tests/system/devices/test_broker_accounts.py",
}
"""They need a gateway of another kind; a client of those tests looks at their answers, too."""


def test_each_example_does_what_it_says_and_every_operation_answers_by_its_schema(make_site):
    """`Client` holds each answer against the schema; here every operation gives one that is good."""
    site = make_site(devices=0)
    client = site.client
    _tell_the_story(site)
    _do_what_was_refused(site)
    _do_the_rest(site)
    wanted = {(endpoint.key, endpoint.status) for endpoint in ENDPOINTS}
    missing = {key for key, status in wanted - client.answered} - set(ELSEWHERE)
    assert not missing


def _tell_the_story(site):
    client = site.client
    wrong: list[object] = []
    made: dict[str, str] = {}
    for method, template in STORY:
        for body, parts in BY_KEY[method, template].examples:
            path = _filled(template, {**parts, **made})
            if template == "/esp/devices/{device_id}/commands":
                # The mock has come up, and its pump's state is known.
                eventually(lambda: client.get(f"/esp/devices/{TANK}")["online"], 30.0)
                eventually(
                    lambda: client.get(f"/actuators/{TANK}/25")["reported_value"] is not None, 30.0
                )
            status, answer = client.call(method, path, body)
            if template.endswith("/calibration"):
                made["session_id"] = str(answer.get("session_id"))
            code = REFUSED.get(template)
            told = (answer or {}).get("error", {}).get("code")
            if (code or None) != told or (code is None and status >= 300):
                wrong.append((method, path, status, answer))
    assert not wrong, "\n".join(map(str, wrong))


def _do_what_was_refused(site):
    client = site.client
    body = {"esp_id": TANK, "reason": "wiped up"}
    eventually(lambda: client.call("POST", "/actuators/clear_emergency", body)[0] == 200, 20.0)
    eventually(lambda: client.call("POST", "/actuators/resume", {"esp_id": TANK})[0] == 200, 20.0)
    body = {"old_password": PASSWORD, "new_password": "eight long pears"}
    client.token = client.post("/auth/password", body, 200)["access_token"]
    body = {"username": "admin", "password": "eight long pears"}
    pair = client.post("/auth/login", body, 200)
    body = {"refresh_token": pair["refresh_token"]}
    client.token = client.post("/auth/refresh", body, 200)["access_token"]


def _do_the_rest(site):
    """What has no body: first all that is read."""
    client = site.client
    asked = client.get(f"/esp/devices/{TANK}/commands")["data"][0]
    parts = {
        "device_id": TANK, "esp_id": TANK, "gpio": "34", "sensor_type": "ph", "subzone_id": "north",
        "correlation_id": asked["correlation_id"], "rule_id": "1", "webhook_id": "1", "key_id": "1",
        "username": "anna", "mock_id": TANK, "name": "start.js", "letter_id": str(_letter(site)),
    }  # fmt: skip
    series = f"/sensors/{TANK}/34/ph"
    eventually(lambda: client.get(f"{series}/recalculation")["state"] != "running")
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET" and endpoint.key not in ELSEWHERE:
            pin = {"gpio": "25"} if endpoint.area == "actuators" else {}
            query = f"?actuator={TANK}:25" if endpoint.path == "/logic/explain" else ""
            status, answer = client.call("GET", _filled(endpoint.path, {**parts, **pin}) + query)
            assert status == 200, (endpoint.key, status, answer)
    parts["session_id"] = "2"
    for method, template in LAST:
        if template.endswith("/{session_id}"):
            # The mock measures now, and a session is begun to be aborted.
            assert client.post(f"{series}/calibration", {"method": "ph"}, 201)["session_id"] == 2
        if template == "/actuators/{esp_id}/{gpio}":
            assert client.call("PUT", "/safety/interlocks", {"interlocks": []})[0] == 200
        pin = {"gpio": "25"} if template.startswith("/actuators") else {}
        path = _filled(template, {**parts, **pin})
        if template.endswith("/recalculation"):
            _make_work(client)
            # One that is over cannot be cancelled: then another is begun.
            eventually(lambda path=path: _begin_and_cancel(client, path))
            continue
        status, answer = client.call(method, path)
        assert status == BY_KEY[method, template].status, (method, template, status, answer)


def _make_work(client):
    start = client.get(f"/sensors/{TANK}/34/ph/latest")["timestamp"] - 2000.0
    reading = {"esp_id": TANK, "gpio": 34, "sensor_type": "ph", "raw": 1800}
    readings = [{**reading, "timestamp": start + number} for number in range(1000)]
    assert client.post("/sensors/data/batch", {"readings": readings}, 200)["stored"] == 1000


def _begin_and_cancel(client, path):
    status, answer = client.call("POST", path, {"start": 1790000000})
    assert status == 202 or answer["error"]["code"] == "INVALID_TRANSITION", answer
    status, answer = client.call("DELETE", path)
    assert status == 200 or answer["error"]["code"] == "NO_RECALCULATION", answer
    return status == 200


def _letter(site):
    dead = site.gateway.system.dead_letters
    dead.add(at=1.0, path=paths.HOUSEKEEPER, reason=Reason.CRASHED, message="nonsense")
    return dead.list(1)[0].letter_id


def _filled(template, parts):
    for name, value in parts.items():
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template
