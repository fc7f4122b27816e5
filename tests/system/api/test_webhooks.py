"""Webhooks: a real receiver that answers, fails, is away, redirects or is gone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser import paths
from godkaiser.actors.services import webhook as webhook_actor
from godkaiser.domain import webhooks
from godkaiser.domain.webhooks import Delivery
from godkaiser.supervision import Backoff
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25


class Receiver:
    """Answers with `status`; `got` are (headers, body) of what it has answered 2xx to."""

    def __init__(self):
        self.status, self.location = 200, ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.asked = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked += 1
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if receiver.status < 300:
                    receiver.got.append((dict(self.headers), body))

            def do_GET(self):
                raise AssertionError("nobody gets anything here")

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def events(self):
        return [event for _, body in list(self.got) for event in json.loads(body)["events"]]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(webhook_actor, "RETRY", Backoff(base_s=0.05, factor=1.5, max_s=0.2))


def hook(site, receiver, **more):
    return site.client.post("/webhooks", {"name": "panel", "url": receiver.url, **more}, 201)


def delivery(site, number):
    return site.client.get(f"/webhooks/{number}")["delivery"]


def switch(site, verb):
    answer = site.client.post(f"/actuators/{BENCH}/{FAN}/command?wait=5", {"command": verb}, 202)
    assert answer["outcome"]["state"] == "confirmed"


def test_what_happens_is_told_signed_and_in_order(site, receiver):
    made = hook(
        site,
        receiver,
        filters=[{"types": ["actuator", "safety"], "esp_ids": [BENCH]}, {"types": ["safety"]}],
    )
    assert made["secret"].startswith("whsec_")
    assert made["filters"][1] == {"types": ["safety"]}
    for verb in ("ON", "OFF"):
        switch(site, verb)
    site.client.post("/actuators/emergency_stop", {"reason": "test"}, 200)
    eventually(
        lambda: any(
            e["type"] == "safety" and e["data"]["state"] == "active" for e in receiver.events
        )
    )
    assert {e["type"] for e in receiver.events} == {"actuator", "safety"}
    assert {e["esp_id"] for e in receiver.events if e["type"] == "actuator"} == {BENCH}
    of_fan = [e["data"]["reported_value"] for e in receiver.events
              if e["type"] == "actuator" and e["data"]["gpio"] == FAN]  # fmt: skip
    assert 1.0 in of_fan and of_fan[-1] == 0.0
    ids = [e["id"] for e in receiver.events]
    assert len(ids) == len(set(ids))
    for headers, body in receiver.got:
        said = {k.lower(): v for k, v in headers.items()}
        signed = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert said["webhook-signature"] == f"v1,{expected}"
        assert abs(int(said["webhook-timestamp"]) - time.time()) < 60
    shown = site.client.get(f"/webhooks/{made['id']}")
    assert "secret" not in shown
    eventually(lambda: delivery(site, made["id"])["state"] == "idle")
    eventually(lambda: delivery(site, made["id"])["delivered"] == len(receiver.events))
    kept = b"".join(p.read_bytes() for p in site.config.data_dir.rglob("*.log*"))
    assert made["secret"].encode() not in kept


def test_what_fails_is_tried_again_with_the_same_id_and_nothing_overtakes(
    site, receiver, impatient
):
    receiver.status = 500
    made = hook(site, receiver, filters=[{"types": ["safety"]}])
    site.client.post("/actuators/emergency_stop", {"reason": "one"}, 200)
    found = eventually(lambda: (d := delivery(site, made["id"]))["attempts"] >= 3 and d)
    assert found["state"] in {"failing", "sending"} and "500" in found["last_error"]
    assert found["waiting"] >= 1
    receiver.status = 204
    eventually(lambda: delivery(site, made["id"])["state"] == "idle")
    assert receiver.events and delivery(site, made["id"])["last_error"] == ""
    # A redirect is no answer, and is not followed.
    receiver.status, receiver.location = 302, receiver.url
    before = len(receiver.events)
    site.client.post(f"/webhooks/{made['id']}/test", {}, 202)
    eventually(lambda: "302" in delivery(site, made["id"])["last_error"])
    assert len(receiver.events) == before
    receiver.status, receiver.location = 200, ""
    eventually(lambda: receiver.events[-1]["type"] == "test")
    assert receiver.events[-1]["data"] == {"webhook": "panel"}


def test_who_is_gone_is_suspended_until_changed(site, receiver, impatient):
    receiver.status = 410
    made = hook(site, receiver)
    site.client.post(f"/webhooks/{made['id']}/test", {}, 202)
    eventually(lambda: delivery(site, made["id"])["state"] == "suspended")
    what = f"webhook {made['id']} suspended"
    eventually(lambda: any(e["what"] == what for e in site.client.get("/audit/log")["data"]))
    asked = receiver.asked
    site.client.post(f"/webhooks/{made['id']}/test", {}, 202)
    eventually(lambda: delivery(site, made["id"])["dropped"] >= 2)
    assert receiver.asked == asked
    receiver.status = 200
    assert site.client.call("PATCH", f"/webhooks/{made['id']}", {})[0] == 200
    site.client.post(f"/webhooks/{made['id']}/test", {}, 202)
    eventually(lambda: receiver.events and receiver.events[-1]["type"] == "test")


def test_who_is_not_enabled_is_asked_nothing_more(site, receiver, impatient):
    receiver.status = 500
    made = hook(site, receiver, filters=[{"types": ["safety"]}])
    path = f"/webhooks/{made['id']}"
    site.client.post(f"{path}/test", {}, 202)
    eventually(lambda: delivery(site, made["id"])["attempts"] >= 2)
    assert site.client.call("PATCH", path, {"enabled": False})[0] == 200
    eventually(lambda: (d := delivery(site, made["id"]))["state"] == "off" and d["waiting"] == 0)
    asked = receiver.asked
    site.client.post(f"{path}/test", {}, 202)
    eventually(lambda: delivery(site, made["id"])["dropped"] == 2)
    actor = paths.webhook(made["id"])
    site.client.post("/system/actors/crash", {"path": actor}, 202)
    eventually(lambda: site.gateway.system.info(actor).restarts == 1)
    eventually(lambda: delivery(site, made["id"])["state"] == "off")
    receiver.status = 200
    assert site.client.call("PATCH", path, {"enabled": True})[0] == 200
    site.client.post(f"{path}/test", {}, 202)
    eventually(lambda: delivery(site, made["id"])["delivered"] == 1)
    assert receiver.asked == asked + 1 and len(receiver.events) == 1


def test_a_receiver_that_is_away_holds_nothing_up_and_hears_it_later(site, receiver, impatient):
    port = receiver._server.server_port
    receiver.close()
    made = hook(
        site, receiver, filters=[{"types": ["actuator"], "topicPattern": f"actuator/{BENCH}/{FAN}"}]
    )
    switch(site, "ON")
    switch(site, "OFF")
    eventually(lambda: delivery(site, made["id"])["state"] == "failing")
    back = Receiver()
    try:
        site.client.call("GET", "/health")
        # It comes back elsewhere, and hears what waited, too.
        status, _ = site.client.call("PATCH", f"/webhooks/{made['id']}", {"url": back.url})
        assert status == 200 and port
        eventually(lambda: any(e["data"]["reported_value"] == 1.0 for e in back.events))
    finally:
        back.close()
        receiver._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        receiver._thread = threading.Thread(target=receiver._server.serve_forever)
        receiver._thread.start()


def test_webhooks_outlive_a_restart_of_gateway_live_socket_and_themselves(site, receiver):
    made = hook(site, receiver, filters=[{"types": ["safety"]}])
    site.stop_gateway()
    site.start_gateway()
    site.client.post("/system/actors/crash", {"path": "/services/live"})
    site.client.post("/system/actors/crash", {"path": "/services/webhook_keeper"})
    site.client.post("/system/actors/crash", {"path": f"/services/webhooks/{made['id']}"})
    eventually(lambda: all(
        site.gateway.system.info(path).restarts >= 1
        for path in ("/services/live", "/services/webhook_keeper", f"/services/webhooks/{made['id']}")
    ))  # fmt: skip
    eventually(lambda: site.client.get("/webhooks")["count"] == 1)
    site.client.post("/actuators/emergency_stop", {"reason": "after"}, 200)
    eventually(
        lambda: any(
            e["type"] == "safety" and e["data"]["state"] == "active" for e in receiver.events
        )
    )
    assert site.client.get("/system/live")["live"]["clients"] == 0


def test_webhooks_that_cannot_be_meant(site, receiver):
    call = site.client.call
    good = {"name": "n", "url": receiver.url}
    for change, says in (
        ({"url": "ftp://x/"}, "http"), ({"url": "http://"}, "http"), ({"url": "http://u:p@x/"}, "password"),
        ({"url": "http://x:0/"}, "http"), ({"url": "http://x:99999/"}, "http"), ({"url": "http://x/a b"}, "http"),
        ({"url": "http://x/é"}, "http"), ({"url": ""}, "length"), ({"secret": "x"}, "whsec_"),
        ({"secret": "whsec_short"}, "base64"), ({"filters": []}, "length"), ({"filters": [{"types": ["x"]}]}, "types"),
        ({"filters": [{"topicPattern": "a/#/b"}]}, "topicPattern"), ({"filters": [{"odd": 1}]}, "odd"),
        ({"surprise": 1}, "surprise"), ({"name": ""}, "length"),
    ):  # fmt: skip
        status, answer = call("POST", "/webhooks", {**good, **change})
        assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR"), change
        assert says in answer["error"]["message"], (change, answer["error"]["message"])
    assert site.client.get("/webhooks")["count"] == 0
    for number in range(20):
        hook(site, receiver, enabled=False, filters=[{"esp_ids": [f"ESP_{number:06X}"]}])
    status, answer = call("POST", "/webhooks", good)
    assert (status, answer["error"]["code"]) == (409, "TOO_MANY_WEBHOOKS")
    assert delivery(site, 3)["state"] == "off"
    assert call("DELETE", "/webhooks/3")[0] == 204
    for path in ("3", "0", "x", "99999999999999", "%2e"):
        assert call("GET", f"/webhooks/{path}")[0] == 404
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    site.client.get("/webhooks/4")
    tag = site.client.last_headers["Etag"]
    assert call("PATCH", "/webhooks/4", {"secret": secret}, headers={"If-Match": tag})[0] == 200
    assert call("PATCH", "/webhooks/4", {"secret": secret}, headers={"If-Match": tag})[0] == 412


@given(st.lists(st.booleans(), max_size=40))
def test_of_what_waits_values_go_first_and_the_oldest(values):
    most = webhooks.MOST_WAITING
    waiting: deque[Delivery] = deque(Delivery(b"old", is_value=False) for _ in range(most - 5))
    texts = [str(n).encode() for n in range(len(values))]
    dropped = sum(
        webhooks.keep(waiting, Delivery(text, is_value))
        for text, is_value in zip(texts, values, strict=True)
    )
    assert len(waiting) == min(most, most - 5 + len(values))
    assert dropped == max(0, len(values) - 5)
    left = [one.text for one in waiting if one.text != b"old"]
    assert left == sorted(left, key=int)
    lost_alarms = (most - 5 - sum(one.text == b"old" for one in waiting)) + sum(
        not is_value and text not in left for text, is_value in zip(texts, values, strict=True)
    )
    if lost_alarms:
        assert not any(one.is_value for one in waiting) or dropped > sum(values)
