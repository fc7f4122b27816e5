"""The live socket on the port of the API: a connection changes hands between two servers."""

from __future__ import annotations

import contextlib
import json
import socket
from http.client import HTTPException

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from godkaiser.http import channels
from tests.provision.servers import Mosquitto
from tests.system.site import Site
from tests.waiting import eventually

MANY = 300


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One gateway, its devices away, for all of them: no test here changes more than the stop."""
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    made = Site(tmp_path_factory.mktemp("site"), broker, devices=3)
    yield made
    made.close()
    broker.stop()


@pytest.fixture
def attend(site):
    """Opens clients of the live socket by the port of the API, and closes them."""
    with contextlib.ExitStack() as stack:

        def attend(wish=None, **options):
            found = stack.enter_context(
                connect(
                    f"ws://127.0.0.1:{site.gateway.http_port}/ws",
                    open_timeout=10, close_timeout=1, compression=None, **options,
                )
            )  # fmt: skip
            found.send(json.dumps({"token": site.client.token}))
            found.send(json.dumps(wish or {"filter": {"types": ["safety"]}}))
            assert json.loads(found.recv(timeout=20))["type"] == "subscribed"
            return found

        yield attend


@pytest.fixture
def plain(site):
    """Opens bare connections to the port of the API, and closes them."""
    with contextlib.ExitStack() as stack:

        def plain():
            return stack.enter_context(
                socket.create_connection(("127.0.0.1", site.gateway.http_port), 20)
            )

        yield plain


def handshake(token, path="/ws"):
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def clients_of(site):
    return site.client.get("/system/live")["live"]["clients"]


def press_stop(site, esp_id):
    site.client.post("/actuators/emergency_stop", {"esp_id": esp_id}, 200)
    return f"device {esp_id}"


def hears_stop(client, scope):
    while True:
        for event in json.loads(client.recv(timeout=20)).get("events", ()):
            stops = event["data"]["stops"] if event["type"] == "safety" else ()
            if any(stop["scope"] == scope and stop["state"] == "active" for stop in stops):
                return event


def test_a_page_hears_on_the_port_that_it_came_from(site, attend):
    client = attend()
    assert hears_stop(client, press_stop(site, "ESP_A00001"))["data"]["state"] == "active"


@pytest.mark.parametrize("size", [1, 3, 9])
def test_a_request_that_comes_in_pieces_changes_hands_too(site, plain, size):
    connection = plain()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    whole = handshake(site.client.token)
    for at in range(0, len(whole), size):
        connection.sendall(whole[at : at + size])
        if at < 20:
            # So that the first pieces are read one by one.
            site.client.get("/health")
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    eventually(lambda: clients_of(site) == 1)


@pytest.mark.parametrize("path", ["/wsx", "/w", "/ws/", "/"])
def test_what_only_begins_like_it_is_answered_by_the_api(site, plain, path):
    connection = plain()
    for piece in (b"GE", b"T ", path[:2].encode(), path[2:].encode()):
        connection.sendall(piece)
        site.client.get("/health")
    connection.sendall(b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 ")
    assert b" 101 " not in answer


def test_a_connection_that_carried_requests_before_changes_hands_too(site, plain):
    connection = plain()
    connection.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while b"safety_alarm" not in answer:
        answer += connection.recv(4096)
    connection.sendall(handshake(site.client.token))
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_who_begins_and_does_not_go_on_is_cut_off(site, plain, monkeypatch):
    monkeypatch.setattr(channels, "REQUEST_S", 0.5)
    begun = [plain() for _ in range(3)]
    for connection, piece in zip(begun, (b"GET /w", b"GET /api", b"G"), strict=True):
        connection.sendall(piece)
    assert [connection.recv(1) for connection in begun] == [b""] * 3


def test_a_wrong_token_is_refused_as_on_the_port_of_its_own(site, plain):
    connection = plain()
    connection.sendall(handshake("nonsense"))
    assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_hundreds_of_them_take_no_place_of_the_api_and_the_stop_is_answered(site, attend, plain):
    clients = [attend() for _ in range(MANY)]
    assert clients_of(site) == MANY
    deaf = plain()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(handshake(site.client.token))
    scope = press_stop(site, "ESP_A00002")
    for client in clients:
        hears_stop(client, scope)
    for client in clients:
        client.close()
    eventually(lambda: clients_of(site) <= 1)


def test_while_the_live_server_is_down_the_api_answers_and_it_comes_back(site, attend):
    attend()
    site.gateway.system.crash("/services/live")
    site.client.get("/health")

    def back():
        with contextlib.suppress(
            OSError, InvalidHandshake, InvalidStatus, ConnectionClosed, EOFError, TimeoutError
        ):
            return attend()

    assert eventually(back)


def test_a_restart_of_the_api_cuts_nobody_off(site, attend):
    client = attend()
    site.gateway.system.crash("/services/api")
    site.client.close()

    def answers():
        try:
            return press_stop(site, "ESP_A00003")
        except (OSError, HTTPException):
            site.client.close()
            return None

    assert hears_stop(client, eventually(answers))


def test_behind_a_proxy_guesses_count_against_the_client(make_site):
    site = make_site(trusted_proxy="127.0.0.1")
    place = f"ws://127.0.0.1:{site.gateway.http_port}/ws"

    def guess(address):
        headers = {"X-Forwarded-For": address, "Authorization": "Bearer gk_guess"}
        with pytest.raises(InvalidStatus) as refused:
            connect(place, additional_headers=headers, open_timeout=10)
        return refused.value.response.status_code

    assert [guess("192.0.2.7") for _ in range(25)][-1] == 429
    assert guess("192.0.2.8") == 401
