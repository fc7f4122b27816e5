"""Ways in that public reports tell of, tried here.

The kinds: a live connection outlives what let it in (home-assistant/core 56760, artifact-keeper 1821), a header
that the client has sent counts as the proxy's (home-assistant/core 14345), a token in a URL gets in and into
the log (duplicati 5550), of a name that stands twice the last one wins (home-assistant/core 1714), a refusal
that has changed half (ethanresnick/json-api 121), a broker that is only at one of the addresses of its name
(zwave-js-ui 3614).
"""

from __future__ import annotations

import json
import socket

import pytest
from websockets.exceptions import ConnectionClosed

from godkaiser.config.settings import MqttConfig
from tests.system.api.test_live import BENCH_1, FAN, say
from tests.system.api.test_live import attend as attend  # noqa: PLC0414
from tests.system.site import PASSWORD
from tests.waiting import eventually

OTHER = "another good password"


def log_in(site, password=PASSWORD):
    login = {"username": "olga", "password": password}
    return site.client.post("/auth/login", login, 200)["access_token"]


@pytest.mark.parametrize(
    "change", [{"password": OTHER}, {"role": "viewer"}, {"disabled": True}, None]
)
def test_a_person_who_was_changed_or_deleted_hears_no_more(site, attend, monkeypatch, change):
    monkeypatch.setattr("godkaiser.live.server.CHECK_S", 0.2)
    site.client.post("/users", {"username": "olga", "password": PASSWORD, "role": "admin"}, 201)
    listening = attend({"filter": {"types": ["rule"]}}, token=log_in(site))
    if change is None:
        assert site.client.call("DELETE", "/users/olga")[0] == 204
    else:
        assert site.client.call("PATCH", "/users/olga", change)[0] == 200
    assert end_of(listening) == 4403


def test_ones_own_new_password_ends_what_listens_elsewhere(site, attend, monkeypatch):
    monkeypatch.setattr("godkaiser.live.server.CHECK_S", 0.2)
    site.client.post("/users", {"username": "olga", "password": PASSWORD, "role": "viewer"}, 201)
    elsewhere = attend({"filter": {"types": ["rule"]}}, token=log_in(site))
    change = {"old_password": PASSWORD, "new_password": OTHER}
    assert site.client.call("POST", "/auth/password", change, token=log_in(site))[0] == 200
    assert end_of(elsewhere) == 4403


@pytest.mark.parametrize("change", ["deleted", "rotated"])
def test_a_key_that_has_ended_hears_no_more(site, attend, monkeypatch, change):
    monkeypatch.setattr("godkaiser.live.server.CHECK_S", 0.2)
    key = {"name": "dashboard", "role": "viewer", "areas": ["logic"]}
    made = site.client.post("/auth/keys", key, 201)
    listening = attend({"filter": {"types": ["rule"]}}, token=made["secret"])
    path = f"/auth/keys/{made['id']}"
    if change == "deleted":
        assert site.client.call("DELETE", path)[0] == 204
    else:
        site.client.post(f"{path}/rotate", {"overlap_seconds": 0}, 201)
    assert end_of(listening) == 4403


def end_of(listening):
    """The code with which it is closed."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            listening.recv(timeout=20)
    return closed.value.rcvd.code


def test_a_token_in_a_url_lets_nobody_in_and_is_written_nowhere(site, attend, caplog):
    caplog.set_level("DEBUG")
    token = site.client.token
    client = attend(path=f"/ws?token={token}", header=False)
    assert end_of(client) == 4401
    for method, path in (("GET", "/users"), ("POST", "/nothing/here")):
        status, _ = site.client.call(method, f"{path}?access_token={token}", {}, token="x")
        assert status in {401, 404}
    assert site.client.call("POST", f"/rules-of?token={token}", {})[0] == 404
    assert token not in caplog.text
    assert token not in json.dumps(site.client.get("/audit/log"))


def test_of_several_forwarded_headers_only_the_last_hop_is_the_proxys(make_site):
    site = make_site(devices=1, trusted_proxy="127.0.0.1")
    body = json.dumps({"username": "nobody", "password": "wrong password"}).encode()
    head = (
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 198.51.100.9\r\nX_Forwarded_For: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.gateway.http_port), 20) as client:
        client.sendall(head.encode() + body)
        assert b" 401 " in client.makefile("rb").readline()

    def sources():
        rows = site.client.get("/audit/log?limit=50")["data"]
        return {r["source"] for r in rows if r["what"] == "login" and r["result"] == "refused"}

    assert eventually(sources) == {"198.51.100.9"}


def test_a_name_that_stands_twice_is_refused_by_rest_and_on_the_live_socket(site, attend):
    twice = f'{{"esp_id":"{BENCH_1}","gpio":{FAN},"command":"OFF","command":"ON"}}'
    status, answer = site.client.call("POST", "/actuators/command", raw=twice.encode())
    assert (status, "'command' twice" in answer["error"]["message"]) == (400, True)
    client = attend({"filter": {"types": ["safety"]}})
    client.send('{"filter": {"types": ["safety"]}, "filter": {"types": ["reading"]}}')
    answer = json.loads(client.recv(timeout=20))
    assert (answer["type"], "'filter' twice" in answer["message"]) == ("error", True)
    # The connection goes on.
    assert say(client, {"filter": {"types": ["rule"]}})[0]["type"] == "subscribed"


def test_what_is_refused_in_part_has_not_happened_in_part(site):
    before = site.client.get(f"/esp/devices/{BENCH_1}")
    for change in ({"name": "new", "board": "nonsense"}, {"name": "new", "nothing": 1}):
        assert site.client.call("PATCH", f"/esp/devices/{BENCH_1}", change)[0] == 400
    # A rule uses what is on it.
    assert site.client.call("DELETE", f"/esp/devices/{BENCH_1}")[0] == 409
    after = site.client.get(f"/esp/devices/{BENCH_1}")
    assert (after["name"], after["board"]) == (before["name"], before["board"])
    assert site.client.get(f"/actuators/{BENCH_1}/{FAN}")["gpio"] == FAN


def test_a_broker_at_one_of_the_addresses_of_its_name_is_found(
    make_site_with, own_mosquitto, monkeypatch
):
    """It listens on 127.0.0.1 alone; its name is ::1 first."""
    asked = []
    look_up = socket.getaddrinfo

    def both(host, port, *args, **options):
        if host != "broker.example":
            return look_up(host, port, *args, **options)
        asked.append(host)
        kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
        return [
            (socket.AF_INET6, kind, protocol, "", ("::1", port, 0, 0)),
            (socket.AF_INET, kind, protocol, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    mqtt = MqttConfig(host="broker.example", port=own_mosquitto.port)
    site = make_site_with(own_mosquitto, mqtt=mqtt)
    eventually(lambda: site.client.get("/health")["broker"]["connected"])
    assert asked
