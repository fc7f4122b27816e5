"""Every call that changes something leaves one entry: who, from where, what, result, correlation id.

The kind: a way to change something that leaves no trace, or one whose trace does not say enough to find it.
The table of permissions is walked, so an endpoint that is added tomorrow is looked at, too.
"""

from __future__ import annotations

import pytest

from godkaiser.http.endpoints import ENDPOINTS
from godkaiser.storage.audit.chain import examine
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25
CHANGING = [
    endpoint.key for endpoint in ENDPOINTS if endpoint.is_audited and endpoint.role is not None
]


def filled(path):
    for name, value in {
        "{device_id}": "ESP_NOBODY", "{esp_id}": "ESP_NOBODY", "{gpio}": "39", "{rule_id}": "99",
        "{sensor_type}": "ph", "{username}": "nobody", "{key_id}": "999", "{job}": "nothing",
    }.items():  # fmt: skip
        path = path.replace(name, value)
    while "{" in path:
        path = f"{path[: path.index('{')]}nothing{path[path.index('}') + 1 :]}"
    return path


def entries(site, **filters):
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return site.client.get(f"/audit/log?limit=1000&{query}")["data"]


def call(site, request_id, method, path, body=None, **more):
    headers = {"X-Request-ID": request_id, **more.pop("headers", {})}
    return site.client.call(method, path, body, headers=headers, **more)


def test_every_endpoint_that_changes_something_leaves_one_entry(site):
    """Here each is refused; what succeeds is below."""
    site.client.post("/users", {"username": "vera", "password": PASSWORD, "role": "viewer"}, 201)
    vera = site.client.post("/auth/login", {"username": "vera", "password": PASSWORD}, 200)
    wanted = {}
    for number, (method, path) in enumerate(CHANGING):
        if path == "/auth/logout":
            continue
        status, answer = call(
            site, f"t-{number}", method, filled(path), token=vera["access_token"], raw=b"[]"
        )
        assert status >= 400, (method, path, answer)
        wanted[f"t-{number}"] = (f"{method} {filled(path)}", answer["error"]["code"])

    def found():
        return {
            e["correlation_id"]: e for e in entries(site, who="user:vera", result="refused")
        }.keys() >= wanted.keys()

    eventually(found)
    told = entries(site, who="user:vera", result="refused")
    assert len(told) == len(wanted), "one each"
    for entry in told:
        what, code = wanted[entry["correlation_id"]]
        assert entry["what"] == what
        assert entry["details"].startswith(code)
        assert entry["source"] == "127.0.0.1"
        assert entry["result"] == "refused"
    assert examine(site.gateway.database).problem == ""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "what"),
    [
        ("POST", f"/esp/devices/{BENCH}/commands", {"command": "status"}, 202, f"status {BENCH}"),
        ("POST", f"/esp/devices/{BENCH}/commands",
         {"command": "factory_reset", "confirm": BENCH}, 202, f"factory_reset {BENCH}"),
        ("POST", f"/esp/devices/{BENCH}/onewire/scan", {}, 202, f"onewire/scan {BENCH}"),
        ("POST", f"/sensors/{BENCH}/4/measure", {}, 202, f"measure {BENCH}"),
        ("POST", f"/actuators/{BENCH}/{FAN}/command", {"command": "PWM", "value": 0.5}, 202,
         f"command PWM {BENCH}:{FAN}"),
        ("POST", "/system/actors/crash", {"path": "/services/rollups"}, 202, "POST /system/actors/crash"),
        ("POST", "/system/actors/restart", {"path": "/services/rollups"}, 202, "POST /system/actors/restart"),
        ("POST", "/actuators/emergency_stop", {"reason": "x"}, 200, "POST /actuators/emergency_stop"),
        ("PATCH", "/users/admin", {"disabled": True}, 409, "PATCH /users/admin"),
        ("PUT", "/safety/interlocks", {"interlocks": []}, 200, "PUT /safety/interlocks"),
        ("POST", f"/actuators/{BENCH}/{FAN}/hold", {}, 200, f"POST /actuators/{BENCH}/{FAN}/hold"),
    ],
)  # fmt: skip
def test_a_call_leaves_an_entry_that_each_of_its_parts_finds(
    site, method, path, body, status, what
):
    found, answer = call(site, "this-one", method, path, body)
    assert found == status, answer
    # A command's own id leads from here into the history of commands, and to the device.
    wanted_id = (answer or {}).get("correlation_id", "this-one")
    result = "ok" if status < 400 else "refused"
    eventually(lambda: [e for e in entries(site, correlation_id=wanted_id) if e["what"] == what])
    (entry,) = [e for e in entries(site, correlation_id=wanted_id) if e["what"] == what]
    assert (entry["who"], entry["source"], entry["result"]) == ("user:admin", "127.0.0.1", result)
    if wanted_id != "this-one":
        assert "request this-one" in entry["details"]
    quoted = what.replace(" ", "%20").replace("/", "%2F")
    for filters in (
        {"who": "user:admin", "what": quoted}, {"source": "127.0.0.1", "what": quoted},
        {"result": result, "what": quoted},
    ):  # fmt: skip
        assert entry in entries(site, **filters)
    for name in ("who", "source", "result", "what", "correlation_id"):
        assert entries(site, **{name: "%25"}) == []


def test_what_actors_do_in_consequence_carries_address_and_correlation_id(site):
    """Entries of the registrar and of the safety actor."""
    call(site, "stop-1", "POST", "/actuators/emergency_stop", {"esp_id": BENCH, "reason": "x"})
    call(site, "hold-1", "POST", f"/actuators/{BENCH}/{FAN}/hold", {})
    call(site, "name-1", "PATCH", f"/esp/devices/{BENCH}", {"name": "Bench one"})

    def told(request_id):
        found = entries(site, correlation_id=request_id)
        assert {e["source"] for e in found} <= {"127.0.0.1"}
        assert {e["who"] for e in found} <= {"user:admin"}
        return [e["what"] for e in found]

    for request_id in ("stop-1", "hold-1", "name-1"):
        eventually(lambda r=request_id: len(told(r)) == 2)
    assert any(what.startswith("emergency_stop") for what in told("stop-1"))


def test_what_changes_nothing_leaves_none(site):
    before = len(entries(site, who="user:admin"))
    headers = {"Idempotency-Key": "once"}
    path = f"/actuators/{BENCH}/{FAN}/command"
    for _ in range(3):
        call(site, "r", "POST", path, {"command": "OFF"}, headers=headers)
    site.client.call("POST", "/actuators/emergency_stop?dry_run=1", {})
    site.client.get("/esp/devices")
    site.client.call("POST", "/users", {}, token="")
    eventually(lambda: len(entries(site, who="user:admin")) == before + 1)
    assert entries(site, what="dry_run") == []


def test_what_a_client_puts_into_a_path_cannot_act_in_the_trail(site):
    site.client.call("POST", "/esp/devices/%E2%80%AE%1b[2J%ff/approve", {})
    site.client.call("DELETE", f"/users/{'x' * 5000}")
    site.client.call("POST", "/actuators/%C3%A9%2525/4/command", {"command": "ON"})

    def told():
        return [e["what"] for e in entries(site, result="refused")]

    eventually(lambda: len(told()) >= 1)
    assert all(what.isprintable() and len(what) <= 3000 for what in told())


def test_an_ipv4_address_is_one_also_where_the_gateway_listens_on_ipv6(make_site):
    """The kind: one client under two names, so that a lock-out, a proxy or a filter misses it."""
    site = make_site(listen="[::]:0", trusted_proxy="127.0.0.1")
    client = Client(site.gateway.http_port)
    wrong = {"username": "nobody", "password": "wrong password"}
    client.call("POST", "/auth/login", wrong)
    client.call("POST", "/auth/login", wrong, headers={"X-Forwarded-For": "203.0.113.7"})
    client.call("POST", "/auth/login", wrong, headers={"X-Forwarded-For": "::ffff:203.0.113.8"})
    client.close()

    def sources():
        return [e["source"] for e in entries(site, what="login", result="refused")]

    eventually(lambda: sources() == ["203.0.113.8", "203.0.113.7", "127.0.0.1"])
