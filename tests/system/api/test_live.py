"""The live socket of a real gateway, heard by real WebSocket clients."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from godkaiser.http.endpoints import EVENTS
from godkaiser.live.events import TYPES
from tests.waiting import eventually

BENCH_1, BENCH_2, FAN = "ESP_A00001", "ESP_A00002", 25


@pytest.fixture
def attend(site):
    """Opens clients of the live socket, and closes them."""
    with contextlib.ExitStack() as stack:

        def attend(wish=None, *, token=None, header=True, path="/ws"):
            headers = {"Authorization": f"Bearer {token or site.client.token}"} if header else None
            socket_ = stack.enter_context(
                connect(
                    f"ws://127.0.0.1:{site.gateway.live_port}{path}",
                    additional_headers=headers, open_timeout=10, close_timeout=1, compression=None,
                )
            )  # fmt: skip
            if wish is not None:
                say(socket_, wish)
            return socket_

        yield attend


def say(socket_, wish):
    """The answer, and the events that came before it."""
    socket_.send(json.dumps(wish))
    early = []
    while True:
        found = json.loads(socket_.recv(timeout=20))
        if found["type"] != "events":
            return found, early
        early += found["events"]


def hear(socket_, wanted, timeout_s=15.0):
    """All events up to the first one that is wanted."""
    heard = []
    deadline = time.monotonic() + timeout_s
    while True:
        found = json.loads(socket_.recv(timeout=max(0.01, deadline - time.monotonic())))
        for event in found.get("events", ()):
            heard.append(event)
            if wanted(event):
                return heard


def command(site, device_id, verb):
    body = {"esp_id": device_id, "gpio": FAN, "command": verb}
    return site.client.post("/actuators/command?wait=5", body, 202)


def test_readings_and_switches_arrive_as_they_happen(site, attend):
    socket_ = attend({"filter": {"esp_ids": [BENCH_1]}})
    heard = hear(socket_, lambda e: e["type"] == "reading")
    reading = heard[-1]
    assert reading["esp_id"] == BENCH_1
    assert reading["topic"].startswith(f"sensor/{BENCH_1}/")
    assert reading["data"]["quality"] == "good"
    command(site, BENCH_1, "ON")
    heard = hear(socket_, lambda e: e["type"] == "actuator" and e["data"]["reported_value"] == 1.0)
    assert heard[-1]["data"]["owner"] == "user:admin"
    assert {e["esp_id"] for e in heard} == {BENCH_1}


def test_a_filter_may_be_changed_and_a_wrong_one_changes_nothing(site, attend):
    socket_ = attend({"filter": {"types": ["safety"]}})
    answer, early = say(socket_, {"filter": {"types": ["weather"]}})
    assert answer["type"] == "error"
    assert "weather" in answer["message"]
    assert early == []
    for wrong in ({"filters": []}, {"colour": "red"}):
        assert say(socket_, wrong)[0]["type"] == "error"
    wish = {
        "filters": [
            {"types": ["safety"]},
            {"sensor_types": ["sht31_humidity"], "esp_ids": [BENCH_2]},
        ]
    }
    assert say(socket_, wish)[0]["type"] == "subscribed"
    heard = hear(socket_, lambda e: e["type"] == "reading")
    assert heard[-1]["topic"].endswith("/sht31_humidity")
    site.client.post("/actuators/emergency_stop", {"reason": "drill"}, 200)
    heard = hear(socket_, lambda e: e["type"] == "safety")
    assert heard[-1]["data"]["state"] == "active"
    assert heard[-1]["data"]["stops"][0]["reason"] == "drill"


def test_who_comes_back_hears_what_was_missed_also_over_a_crash_of_the_server(site, attend):
    first = attend({"filter": {"types": ["actuator", "system"]}})
    command(site, BENCH_1, "ON")
    heard = hear(first, lambda e: e["type"] == "actuator" and e["data"]["reported_value"] == 1.0)
    last = heard[-1]["id"]
    first.close()
    command(site, BENCH_1, "OFF")
    site.gateway.system.crash("/services/live")
    eventually(lambda: site.client.get("/system/live")["live"]["waiting"] == 0)

    def back():
        with contextlib.suppress(OSError, InvalidStatus, ConnectionClosed):
            return attend({"filter": {"types": ["actuator", "system"]}})

    eventually(back)
    again = attend()
    answer, early = say(again, {"filter": {"types": ["actuator", "system"]}, "resume": last})
    assert answer["missed"] == ""
    heard = early + hear(
        again, lambda e: e["type"] == "system" and e["data"]["step"] == "restarted"
    )
    assert heard[-1]["data"]["path"] == "/services/live"
    off = [e for e in heard if e["type"] == "actuator" and e["data"]["reported_value"] == 0.0]
    assert off
    assert [e["id"] for e in heard] == sorted({e["id"] for e in heard}, key=_number)


def _number(event_id):
    return int(event_id.rpartition("-")[2])


def test_an_id_of_another_life_is_told(site, attend):
    answer, _ = say(attend(), {"resume": "1-5", "filter": {"types": ["safety"]}})
    assert "was restarted" in answer["missed"]
    with_values, early = say(attend(), {"snapshot": True, "filter": {"types": ["reading"]}})
    assert with_values["missed"] == ""
    assert early or with_values["newest"]


def test_only_who_is_known_may_listen(site, attend):
    for token in ("forged", site.client.token[:-2] + "xx"):
        with pytest.raises(InvalidStatus) as refused:
            attend(token=token)
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        attend(path="/other")
    assert refused.value.response.status_code == 404
    silent = attend(header=False)
    silent.send(json.dumps({"token": "forged"}))
    with pytest.raises(ConnectionClosed) as closed:
        silent.recv(timeout=20)
    assert closed.value.rcvd.code == 4401
    known = attend(header=False)
    known.send(json.dumps({"token": site.client.token}))
    assert say(known, {"filter": {"types": ["safety"]}})[0]["type"] == "subscribed"


def test_a_revoked_token_ends_the_connection(site, attend, monkeypatch):
    monkeypatch.setattr("godkaiser.live.server.CHECK_S", 0.2)
    answer = site.client.post(
        "/auth/login", {"username": "admin", "password": "correct horse battery"}, 200
    )
    socket_ = attend({"filter": {"types": ["rule"]}}, token=answer["access_token"])
    status, _ = site.client.call("POST", "/auth/logout", {}, token=answer["access_token"])
    assert status in {200, 204}
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket_.recv(timeout=20)
    assert closed.value.rcvd.code == 4403


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xfe\xff\xff",
        b"\xff" * 64,
        b"\x82\x80\x00\x00\x00\x00",
        b"\x81\x85abcd\x01\x02\x03\x04\x05",
    ],
)
def test_garbage_ends_its_own_connection_only(site, attend, data):
    other = attend({"filter": {"types": ["reading"]}})
    hostile = attend()
    hostile.socket.sendall(data)
    hear(other, lambda e: e["type"] == "reading")
    assert "/services/live" not in {
        e["path"] for e in site.client.get("/system/events")["data"] if e["step"] == "crashed"
    }


def test_a_client_that_does_not_read_holds_nobody_up(site, attend):
    deaf = socket.create_connection(("127.0.0.1", site.gateway.live_port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(
        (
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {site.client.token}\r\n\r\n"
        ).encode()
    )
    assert b" 101 " in deaf.recv(4096)
    wish = b'{"snapshot":true}'
    mask = b"\0\0\0\0"
    deaf.sendall(struct.pack("!BB", 0x81, 0x80 | len(wish)) + mask + wish)
    listening = attend({"filter": {"types": ["reading"]}})
    for _ in range(5):
        hear(listening, lambda e: e["type"] == "reading")
    assert eventually(lambda: site.client.get("/system/live")["live"]["clients"] == 2)
    deaf.close()
    eventually(lambda: site.client.get("/system/live")["live"]["clients"] == 1)


def test_too_many_words_are_cut_short(site, attend):
    socket_ = attend()
    with pytest.raises(ConnectionClosed) as closed:
        for _ in range(50):
            socket_.send('{"filter": {"types": ["safety"]}}')
            socket_.recv(timeout=20)
    assert closed.value.rcvd.code == 4429


# ---- what a key that is confined to an area may hear: the kind is a second way in with its own, weaker check


@pytest.mark.parametrize(
    ("areas", "heard"),
    [
        (["sensors"], {"reading"}),
        (["actuators"], {"actuator"}),
        (["esp", "safety"], {"device", "safety"}),
        ([], set(TYPES)),
    ],
)
def test_a_key_hears_and_reads_only_its_area(site, attend, areas, heard):
    body = {"name": "panel", "role": "viewer", "areas": areas}
    key = site.client.post("/auth/keys", body, 201)["secret"]
    # There is something of each type to come back for.
    command(site, BENCH_1, "ON")
    site.client.post("/actuators/emergency_stop", {"esp_id": BENCH_2}, 200)
    full = attend()
    answer, _ = say(full, {"resume": f"{site.gateway.live.memory.newest_id.partition('-')[0]}-0"})
    assert answer["missed"] == ""
    confined = attend(token=key)
    start = answer["newest"].partition("-")[0]
    answer, early = say(confined, {"resume": f"{start}-0", "snapshot": True})
    assert answer["type"] == "subscribed"
    sent = {"reading": "reading", "actuator": "actuator", "device": "device", "safety": "safety"}
    wanted = heard & set(sent)
    told = {e["type"] for e in early}
    deadline = time.monotonic() + 15
    while not wanted <= told:
        assert time.monotonic() < deadline, told
        told |= {e["type"] for e in json.loads(confined.recv(timeout=15)).get("events", ())}
    assert told <= heard
    for kind in TYPES:
        answer, _ = say(confined, {"filter": {"types": [kind]}})
        assert (answer["type"] == "subscribed") == (kind in heard), (kind, answer)
        time.sleep(0.21)  # five wishes a second


def test_a_key_of_an_area_without_events_is_refused_at_the_door(site, attend):
    body = {"name": "nosy", "role": "viewer", "areas": ["zones"]}
    key = site.client.post("/auth/keys", body, 201)["secret"]
    with pytest.raises(InvalidStatus) as refused:
        attend(token=key)
    assert refused.value.response.status_code == 403
    silent = attend(header=False)
    silent.send(json.dumps({"token": key}))
    with pytest.raises(ConnectionClosed) as closed:
        silent.recv(timeout=20)
    assert closed.value.rcvd.code == 4401


def test_who_guesses_keys_at_the_live_socket_waits_as_on_every_way_in(site, attend):
    statuses = []
    for n in range(25):
        with pytest.raises(InvalidStatus) as refused:
            attend(token=f"gk_guess{n}")
        statuses.append(refused.value.response.status_code)
    assert statuses[:20] == [401] * 20
    assert statuses[-1] == 429
    attend()


def test_every_type_of_event_has_an_endpoint_that_says_who_may_read_it():
    assert set(EVENTS) == set(TYPES)
    assert all(endpoint.method == "GET" and endpoint.role for endpoint in EVENTS.values())
