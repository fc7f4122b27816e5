"""Hostile clients at the socket: none holds up a stop, none takes a place for long, none gets anything through."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from godkaiser.http import channels
from godkaiser.http.server import THREADS
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25
MANY = 20
"""So many of it fit into no window."""
BUNDLE = "/api/v1/docs/swagger-ui-bundle.js"


@contextmanager
def raw(site, count=1):
    """Plain connections to the API."""
    links = [
        socket.create_connection(("127.0.0.1", site.gateway.http_port), timeout=20)
        for _ in range(count)
    ]
    try:
        yield links[0] if count == 1 else links
    finally:
        for link in links:
            link.close()


def exchange(site, data):
    """Status, headers and body of the first answer to these bytes."""
    with raw(site) as link:
        link.sendall(data)
        answer = http.client.HTTPResponse(link)
        try:
            answer.begin()
            return answer.status, answer.headers, answer.read()
        finally:
            answer.close()


def get(path, *headers):
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def is_closed(link):
    try:
        return link.recv(65536) == b""
    except ConnectionError:
        return True
    except (TimeoutError, BlockingIOError):
        return False


def name_of(link):
    """Its port: the address of the other end, as the gateway sees it."""
    return link.getsockname()[1]


def peers(port):
    """The ports of those with whom the server on `port` has a connection (proc(5), net/tcp)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.split(":")[1], 16) == port and state == "01":
            found.add(int(remote.split(":")[1], 16))
    return found


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(channels, "REQUEST_S", 1.0)
    monkeypatch.setattr(channels, "TAKE_S", 2.0)


def test_a_stop_is_answered_while_slow_readers_hold_every_thread(site, monkeypatch):
    """Each asks for more than its window takes, and reads nothing: what does not fit waits in a thread."""
    # Nothing but threads of its own lets the stop through.
    monkeypatch.setattr(channels, "TAKE_S", 3600.0)
    with raw(site, 2 * THREADS) as links:
        for link in links:
            link.sendall(get(BUNDLE) * MANY)
        other = Client(site.gateway.http_port)
        other._connection.timeout = 0.5
        with pytest.raises(TimeoutError):
            for _ in range(100):
                # Until all threads are held, some are answered.
                other.call("GET", "/health")
        site.client.post("/actuators/emergency_stop", {"reason": "held"}, 200)
        other.close()
        # Nor are they held for ever.
        monkeypatch.setattr(channels, "TAKE_S", 1.0)
        late = Client(site.gateway.http_port)
        assert late.call("GET", "/health")[0] == 200
        late.close()
        # What is on its way to them still arrives; the gateway has hung up.
        eventually(lambda: not peers(site.gateway.http_port) & {name_of(link) for link in links})
    assert site.client.get("/safety/status")["state"] == "active"


def test_requests_that_never_end_lose_their_connection(site, small_limits):
    body = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with raw(site, 3) as (head, tail, drip):
        head.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        tail.sendall(body)
        for link in (head, tail):
            link.settimeout(20)
            eventually(lambda link=link: is_closed(link), 20.0)
        drip.settimeout(0.05)
        drip.sendall(b"GET /")

        def dripped_to_its_end():
            # A byte now and then keeps nothing alive.
            try:
                drip.sendall(b"a")
            except ConnectionError:
                return True
            return is_closed(drip)

        eventually(dripped_to_its_end, 20.0)
    assert site.client.get("/health")["status"] == "healthy"


def test_the_last_free_place_goes_to_who_comes(site, monkeypatch):
    monkeypatch.setattr(channels, "CONNECTIONS", 20)
    with raw(site, 60) as links:
        fresh = Client(site.gateway.http_port)
        assert fresh.call("GET", "/health")[0] == 200
        fresh.close()
        gone = []
        for link in links:
            link.setblocking(False)
            gone.append(is_closed(link))
        assert sum(gone) >= 40
        # The oldest went first.
        assert gone == sorted(gone, reverse=True)


ENVELOPES = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded: c\r\nTransfer-Encoding: odd\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
    (b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 40_000 + b"\r\n\r\n", 431),
]  # fmt: skip


def test_what_is_no_http_is_told_so_in_the_one_envelope(site):
    for data, status in ENVELOPES:
        got, headers, body = exchange(site, data)
        answer = json.loads(body)
        assert (got, answer["status"], answer["success"]) == (status, status, False), data[:60]
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert answer["error"]["request_id"] and answer["error"]["message"] == answer["detail"]
        assert answer["type"].startswith("urn:godkaiser:error:")
        assert "folded" not in body.decode() and "aaaa" not in body.decode()


def test_an_error_is_a_problem_of_rfc_9457_too(site):
    status, answer = site.client.call("GET", "/esp/devices/ESP_FFFFFF")
    assert {k: answer[k] for k in ("type", "title", "status", "detail", "instance")} == {
        "type": "urn:godkaiser:error:esp-not-found",
        "title": "Esp not found",
        "status": status,
        "detail": answer["error"]["message"],
        "instance": "/api/v1/esp/devices/ESP_FFFFFF",
    }
    assert site.client.last_headers["Content-Type"] == "application/json"
    site.client._connection.request(
        "GET", "/api/v1/nothing", headers={"Accept": "application/problem+json"}
    )
    answer = site.client._connection.getresponse()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.read())["status"] == 404


def test_a_header_cannot_put_another_into_the_answer(site):
    for value in (
        "x\r\nSet-Cookie: a=b",
        "x\nSet-Cookie: a=b",
        "x\tSet-Cookie",
        "é" * 10,
        "a" * 65,
    ):
        status, headers, _ = exchange(site, get("/api/v1/health", f"X-Request-ID: {value}"))
        assert "Set-Cookie" not in headers
        # A bare line feed is no HTTP; an id that is none is replaced.
        assert status == 400 or re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", headers["X-Request-ID"])
    for path in ("/api/v1/x%0d%0aSet-Cookie:%20a=b", "/api/v1/esp/devices/%0d%0aSet-Cookie:a=b"):
        _, headers, _ = exchange(site, get(path))
        assert "Set-Cookie" not in headers


PATHS = [
    "/api/v1/docs/../../../etc/passwd", "/api/v1/docs/..%2f..%2fetc%2fpasswd", "/api/v1/docs/%2e%2e/%2e%2e/x",
    "/api/v1/docs/swagger-ui.css/../../../jwt.key", "/api/v1/docs/....//jwt.key", "//api/v1/users",
    "/api/v1//users", "/api/v1/./users", "/api/v1/health/../users", "/API/V1/users", "/api/v1/users%00",
    "/api/v1/users;a=b", "/api/v1/users%2f", "/api/v1/%75sers", "http://evil.example/api/v1/users",
    "/api/v1/docs/jwt.key", "/api/v1/docs/%00", "/api/v1/docs/" + "a" * 5000, "*", "/api/v1/docs/\\..\\x",
]  # fmt: skip


def test_no_spelling_of_a_path_leads_past_the_guard(site):
    for path in PATHS:
        status, _, body = exchange(site, get(path))
        assert status in {400, 401, 404, 405}, path
        assert json.loads(body)["success"] is False
        assert (
            b"root:" not in body and site.gateway.desk.signing_keys[0].secret.encode() not in body
        )


SQL = ["'; DROP TABLE devices; --", '" OR "1"="1', "1 OR 1=1", "x' UNION SELECT password_hash FROM users --",
       "%' OR '%'='", "\\'; SELECT pg_sleep(5); --", "?", ":name", "%s", "{0}"]  # fmt: skip


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_sql_in_every_string_is_only_a_string(engine, make_site, request):
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else ""
    site = make_site(devices=1, database_url=url)
    call = site.client.call
    for text in SQL:
        word = quote(text, safe="")
        answers = [
            call("GET", f"/esp/devices?status={word}"),
            call("GET", f"/esp/devices/{word}"),
            call("GET", f"/sensors/data?esp_id={word}&sensor_type={word}"),
            call("GET", f"/sensors/data?start={word}"),
            call("GET", f"/sensors?esp_id={word}"),
            call("GET", f"/sensors/{BENCH}/0/{word}/readings"),
            call("GET", f"/logic/rules/{word}/versions"),
            call("GET", f"/logic/explain?actuator={word}"),
            call("GET", f"/audit/log?start={word}"),
            call("DELETE", f"/users/{word}"),
            call("DELETE", f"/auth/keys/{word}"),
            call("POST", "/auth/login", {"username": text, "password": text}, token=""),
            call("POST", "/auth/login", {"username": "admin", "password": text}, token=""),
            call("PATCH", f"/esp/devices/{BENCH}", {"name": text}),
            call("POST", "/esp/register", {"device_id": text}),
            call("POST", "/actuators/emergency_stop?dry_run=1", {"reason": text}),
            call("POST", "/auth/refresh", {"refresh_token": text}, token=""),
            call("GET", "/auth/me", token=f"gk_{text}"),
        ]
        assert all(status < 500 for status, _ in answers), (text, answers)
        assert answers[13][0] == 200
        # What a device shows may be a moment behind what is saved.
        eventually(lambda text=text: site.client.get(f"/esp/devices/{BENCH}")["name"] == text)
        assert site.client.get("/sensors/data?esp_id=" + word)["count"] == 0
    assert site.client.get("/users")["count"] == 1
    assert site.client.get("/esp/devices")["count"] == 1


BODIES = [
    (b'{"username": "admin", "username": "x", "password": "y"}', "application/json", 400, "twice"),
    (b'{"a": {"b": 1, "b": 2}}', "application/json", 400, "twice"),
    ('{"username": "ädmin", "password": "y"}'.encode("latin-1"), "application/json", 400, "UTF-8"),
    (b'{"username": "admin"}', "application/json; charset=iso-8859-1", 415, "application/json"),
    ('{"username": "a"}'.encode("utf-16"), "application/json", 400, ""),
    (b'\xef\xbb\xbf{"username": "a"}', "application/json", 400, ""),
    (b'{"username": "admin", "password": "a\\u001b[2J"}', "application/json", 400, "U+001B"),
    (b'{"username": "admin", "password": "a\\u202eb"}', "application/json", 400, "U+202E"),
    ('{"username": "admin", "password": "\u202eb"}'.encode(), "application/json", 400, "U+202E"),
    (b'{"username": "admin", "pass\\u0000word": "b"}', "application/json", 400, "NUL"),
    (b'{"username": "\\ud800", "password": "b"}', "application/json", 400, "lone surrogate U+D800"),
    (b'{"username": "a\\udc00b", "password": "b"}', "application/json", 400, "half of a character"),
    (b"{" * 60_000, "application/json", 400, ""),
    (b'{"a":' * 60_000, "application/json", 400, ""),
    (b'{"username": 1' + b"0" * 5000 + b"}", "application/json", 400, ""),
    (b'{"username": "admin", "password": "x"', "application/json", 400, "JSON"),
    (b"<a/>", "text/xml", 415, "text/xml"),
    (b"username=admin", "application/x-www-form-urlencoded", 415, ""),
    (b"{}", "application/json\xff", 415, ""),
]  # fmt: skip


def test_bodies_that_are_not_what_they_say(site):
    for body, kind, status, says in BODIES:
        got, answer = site.client.call(
            "POST", "/auth/login", raw=body, headers={"Content-Type": kind}, token=""
        )
        assert (got, answer["success"]) == (status, False), (body[:60], answer)
        assert says in answer["error"]["message"], body[:60]


def test_utf_8_is_utf_8_however_it_is_written(site):
    for kind in (
        "application/json; charset=UTF-8",
        'application/json;charset="utf-8"',
        "Application/JSON",
    ):
        body = {"username": "admin", "password": PASSWORD}
        assert (
            site.client.call("POST", "/auth/login", body, headers={"Content-Type": kind})[0] == 200
        )


def test_long_answers_are_compressed_for_who_can_read_that(site):
    call = site.client.call
    plain = call("GET", "/openapi.json")[1]
    assert "Content-Encoding" not in site.client.last_headers
    assert site.client.last_headers["Vary"] == "Accept-Encoding"

    def packed(path, offer="br;q=1, gzip;q=0.8"):
        site.client._connection.request("GET", f"/api/v1{path}", headers={
            "Accept-Encoding": offer, "Authorization": f"Bearer {site.client.token}"})  # fmt: skip
        answer = site.client._connection.getresponse()
        return answer.headers.get("Content-Encoding"), answer.read()

    encoding, body = packed("/openapi.json")
    assert encoding == "gzip" and json.loads(gzip.decompress(body)) == plain
    assert len(body) < 0.3 * len(json.dumps(plain))
    assert packed("/openapi.json", "gzip;q=0")[0] is None
    assert packed("/health")[0] is None, "short ones are not worth it"
    eventually(lambda: site.client.get(f"/sensors/data?esp_id={BENCH}")["count"] > 0)
    sensor = site.client.get(f"/sensors?esp_id={BENCH}")["data"][0]
    export = (
        f"/sensors/{BENCH}/{sensor['gpio']}/{sensor['sensor_type']}/export?end={time.time():.0f}"
    )
    encoding, body = packed(export)
    assert encoding == "gzip"
    assert gzip.decompress(body).decode() == call("GET", export)[1]


def test_pages_from_elsewhere_may_read_only_when_they_are_named(
    site, make_site_with, own_mosquitto, tmp_path
):
    page = "https://panel.example"
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    site.client.call("GET", "/health", headers={"Origin": page})
    assert not [name for name in site.client.last_headers if name.startswith("Access-Control")]
    assert site.client.call("OPTIONS", "/health", headers={"Origin": page})[0] == 200
    assert not [name for name in site.client.last_headers if name.startswith("Access-Control")]
    other = make_site_with(own_mosquitto, folder=other_folder, cors_origins=(page,))
    asked = {
        "Origin": page, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }  # fmt: skip
    assert other.client.call("OPTIONS", "/actuators/command", headers=asked, token="")[0] == 200
    headers = other.client.last_headers
    assert headers["Access-Control-Allow-Origin"] == page
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Access-Control-Allow-Credentials" not in headers
    other.client.call("GET", "/esp/devices", headers={"Origin": page})
    assert other.client.last_headers["Access-Control-Allow-Origin"] == page
    assert other.client.call("GET", "/esp/devices", headers={"Origin": page}, token="")[0] == 401
    for stranger in ("https://evil.example", "null", f"{page}.evil.example"):
        other.client.call("GET", "/esp/devices", headers={"Origin": stranger})
        assert "Access-Control-Allow-Origin" not in other.client.last_headers
