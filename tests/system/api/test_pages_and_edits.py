"""Lists a page at a time, and two who edit one thing."""

from __future__ import annotations

import json

import falcon
import falcon.testing
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser import paths
from godkaiser.actors.registry.messages import (
    DeleteRule,
    RemoveActuator,
    RemoveDevice,
    RemoveSensor,
)
from godkaiser.actors.services.webhook_keeper import DeleteWebhook, SaveWebhook
from godkaiser.domain.entities import ActuatorKey, Issuer, SensorKey
from godkaiser.errors.base import ChangedMeanwhile, ValidationFailed
from godkaiser.http.endpoint import Endpoint
from godkaiser.http.paging import encode_cursor, reply_page
from godkaiser.http.queries import sorted_by
from tests.system.site import Client
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25


class Row(msgspec.Struct):
    id: int
    name: str | None


LIST = Endpoint("GET", "/zones", "rows", None, "List the rows.", query=sorted_by("id", "name"))


def page(rows, query):
    """The answer to a query, by the function that all lists use."""
    req = falcon.testing.create_req(query_string=query)
    req.context["endpoint"] = LIST
    resp = falcon.Response()
    reply_page(req, resp, [Row(**row) for row in rows], identity=("id",))
    return json.loads(resp.data)


ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 50), "name": st.none() | st.sampled_from(["a", "b", "ä", ""])}
    ),
    unique_by=lambda row: row["id"],
)


@settings(max_examples=150)
@given(rows=ROWS, gone=st.sets(st.integers(0, 50)), fresh=ROWS, limit=st.integers(1, 7),
       sort=st.sampled_from(["", "id", "-id", "name", "-name"]))  # fmt: skip
def test_what_stays_is_seen_once_and_in_order_whatever_else_comes_and_goes(
    rows, gone, fresh, limit, sort
):
    query = f"limit={limit}" + (f"&sort={sort}" if sort else "")
    first = page(rows, query)
    seen, cursor = list(first["data"]), first["next"]
    known = {row["id"] for row in rows}
    later = [row for row in rows if row["id"] not in gone]
    later += [row for row in fresh if row["id"] not in known]
    while cursor is not None:
        answer = page(later, f"{query}&cursor={cursor}")
        assert answer["count"] == len(answer["data"]) <= limit
        seen += answer["data"]
        cursor = answer["next"]
    ids = [row["id"] for row in seen]
    assert len(ids) == len(set(ids))
    assert {row["id"] for row in rows if row["id"] not in gone} <= set(ids)
    name = sort.removeprefix("-") or "id"
    keys = [
        (row[name] is not None, row[name] or ("" if name == "name" else 0), row["id"])
        for row in seen
    ]
    assert keys == sorted(keys, reverse=sort.startswith("-"))


@pytest.mark.parametrize("cursor", [
    "x", "=", "%00", "e30", encode_cursor([1, 2, 3]), encode_cursor(["a", "b"]), encode_cursor({"a": 1}),
    encode_cursor([[1], 2]), "é", "a" * 5000,
])  # fmt: skip
def test_a_cursor_that_is_none_is_refused(cursor):
    rows = [{"id": n, "name": f"n{n}"} for n in range(5)]
    for sort in ("", "&sort=name", "&sort=-id"):
        try:
            page(rows, f"limit=2{sort}&cursor={cursor}")
        except ValidationFailed as error:
            assert "cursor" in error.message
        else:
            assert sort == "&sort=name" and cursor == encode_cursor(["a", "b"])


def through(client, path):
    """All rows of a list, page by page."""
    found, answer = [], client.get(path)
    while True:
        found += answer["data"]
        if answer["next"] is None:
            return found
        answer = client.get(f"{path}&cursor={answer['next']}")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_every_list_page_by_page_is_the_list(engine, make_site, request):
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else ""
    site = make_site(devices=3, database_url=url)
    # They would command, and the lists grow meanwhile.
    site.disable_rules()
    client = site.client
    moment = 1_790_000_000
    batch = [
        {"esp_id": f"ESP_A0000{device}", "gpio": 0, "sensor_type": kind, "address": "0x44",
         "value": 20.0 + n, "timestamp": moment + n // 2}
        for device in (1, 2) for kind in ("sht31_temp", "sht31_humidity") for n in range(8)
    ]  # fmt: skip
    answer = client.post("/sensors/data/batch", {"readings": batch}, 200)
    assert answer["refused"] == []
    for n in range(7):
        client.call("POST", "/actuators/command", {"esp_id": BENCH, "gpio": FAN, "command": "OFF"})
        client.post(
            "/users", {"username": f"u{n}", "password": "good password", "role": "viewer"}, 201
        )
    eventually(lambda: client.get("/sensors/data?limit=1000")["count"] == len(batch))
    eventually(lambda: client.get("/actuators/commands")["count"] == 7)
    eventually(lambda: client.get("/audit/log?who=user:admin&limit=1000")["count"] >= 7)
    for path, limit in (
        ("/esp/devices", 2), ("/sensors", 2), ("/actuators", 2), ("/logic/rules", 3), ("/users", 3),
        ("/actuators/commands", 3), ("/sensors/data", 5),
    ):  # fmt: skip
        whole = client.get(path)
        assert whole["next"] is None and whole["count"] > limit
        paged = through(client, f"{path}?limit={limit}")
        key = str
        assert sorted(map(key, paged)) == sorted(map(key, whole["data"])), path
    # Many readings of one moment, over the border between two pages.
    times = [row["timestamp"] for row in through(client, "/sensors/data?limit=3")]
    assert times == sorted(times, reverse=True) and len(times) == len(batch)
    trail = through(client, "/audit/log?limit=4&who=user:admin&result=ok")
    assert {entry["who"] for entry in trail} == {"user:admin"}
    assert [e["what"] for e in trail] == [
        e["what"] for e in client.get("/audit/log?limit=1000&who=user:admin&result=ok")["data"]
    ]
    names = [row["username"] for row in through(client, "/users?limit=2&sort=-username")]
    assert names == sorted(names, reverse=True) and len(names) == 8
    assert client.get("/esp/devices?online=true")["count"] == 0
    assert client.get("/esp/devices?zone_id=nowhere")["count"] == 0
    assert {s["sensor_type"] for s in client.get("/sensors?sensor_type=sht31_temp")["data"]} == {
        "sht31_temp"
    }
    assert client.get("/actuators/commands?state=nothing")["count"] == 0
    for path in ("/esp/devices?sort=secret", "/users?limit=0", "/esp/devices?cursor=x", "/sensors/data?cursor=x",
                 "/audit/log?cursor=e30", "/actuators/commands?cursor=WzEsIiUwMCJd", "/users?limit=9&cursor=%00",
                 "/sensors?esp_id=%00", "/audit/log?who=%1b%5b2J", "/esp/devices?online=perhaps"):  # fmt: skip
        status, answer = client.call("GET", path)
        assert status == 400 and answer["error"]["code"] == "VALIDATION_ERROR", (path, answer)
    assert client.call("GET", "/esp/devices/%00")[0] == 404


DELETABLE = {("DELETE", "/users/ann")}


def test_of_two_who_edit_the_second_looks_again(make_site):
    site = make_site(devices=1)
    client, other = site.client, Client(site.gateway.http_port)
    other.token = client.token
    sensor = client.get(f"/sensors?esp_id={BENCH}")["data"][0]
    where = f"/sensors/{BENCH}/{sensor['gpio']}"
    kind = {k: sensor[k] for k in ("sensor_type", "address")}
    client.post("/users", {"username": "ann", "password": "good password", "role": "viewer"}, 201)
    never = {"kind": "never_with", "actuator": {"esp_id": BENCH, "gpio": FAN}}
    gpios = [row["gpio"] for row in client.get("/actuators")["data"] if row["gpio"] != FAN]
    edits = [
        (f"/esp/devices/{BENCH}", "PATCH", f"/esp/devices/{BENCH}", {"name": "one"}, {"name": "two"}),
        (f"{where}/{sensor['sensor_type']}", "POST", where, {**kind, "name": "one"}, {**kind, "name": "two"}),
        (f"/actuators/{BENCH}/{FAN}", "POST", f"/actuators/{BENCH}/{FAN}",
         {"actuator_type": "relay", "name": "one"}, {"actuator_type": "relay", "name": "two"}),
        ("/users/ann", "PATCH", "/users/ann", {"role": "operator"}, {"role": "admin"}),
        ("/safety/interlocks", "PUT", "/safety/interlocks",
         {"interlocks": [{**never, "other": {"esp_id": BENCH, "gpio": gpios[0]}}]},
         {"interlocks": []}),
    ]  # fmt: skip
    for read, method, path, first, second in edits:
        client.get(read)
        tag = client.last_headers["Etag"]
        assert "no-transform" in client.last_headers["Cache-Control"]
        assert client.call(method, path, first, headers={"If-Match": tag})[0] in {200, 201}
        fresh = client.last_headers["Etag"]
        assert fresh != tag
        status, answer = other.call(method, path, second, headers={"If-Match": tag})
        assert (status, answer["error"]["code"]) == (412, "CHANGED_MEANWHILE"), path
        # What an actor shows may be a moment behind what is saved.
        eventually(
            lambda read=read, fresh=fresh: client.get(read) and client.last_headers["Etag"] == fresh
        )
        assert other.call(method, path, second, headers={"If-Match": fresh})[0] in {200, 201}
        assert other.call(method, path, first, headers={"If-Match": "*"})[0] in {200, 201}
        client.get(read)
        fresh = client.last_headers["Etag"]
        for wrong, refused in (
            ('"a", "b"', (412, "CHANGED_MEANWHILE")), ('""', (412, "CHANGED_MEANWHILE")),
            ('"a,b", W/"x"', (412, "CHANGED_MEANWHILE")),
            (f"W/{fresh}", (412, "WEAK_ETAG")), ('W/"x", W/"y"', (412, "WEAK_ETAG")),
            ("", (400, "VALIDATION_ERROR")), ("x", (400, "VALIDATION_ERROR")),
            (fresh.strip('"'), (400, "VALIDATION_ERROR")), (f"{fresh} {fresh}", (400, "VALIDATION_ERROR")),
            (f"{fresh},", (400, "VALIDATION_ERROR")),
        ):  # fmt: skip
            for verb in {method, "DELETE"} if ("DELETE", read) in DELETABLE else {method}:
                body = second if verb == method else None
                status, answer = other.call(verb, path, body, headers={"If-Match": wrong})
                assert (status, answer["error"]["code"]) == refused, (verb, path, wrong)
        # One of several is enough, and a weak one beside it does no harm.
        several = f'"a", W/"x" ,{fresh}'
        assert other.call(method, path, first, headers={"If-Match": several})[0] in {200, 201}
    # Who has read nothing makes nothing: neither "this one" nor "whatever there is" is there.
    for tag in ('"x"', "*", '""'):
        status, answer = client.call(
            "POST", f"/sensors/{BENCH}/34", {"sensor_type": "ph"}, headers={"If-Match": tag}
        )
        assert (status, answer["error"]["code"]) == (412, "CHANGED_MEANWHILE")
    assert client.call("GET", f"/sensors/{BENCH}/34/ph")[0] == 404
    assert client.call("GET", f"/actuators/{BENCH}/39")[0] == 404
    assert client.call("GET", "/users/nobody")[0] == 404
    other.close()


def test_a_deletion_is_of_what_was_read_as_the_writer_has_it(site):
    """The kind: If-Match compared before the one writer's turn, so that a change in between is not noticed.

    The messages are those of the API, with what a person had read before somebody else's change.
    """
    client, issuer = site.client, Issuer("user", "somebody")
    hook = {"name": "panel", "url": "https://panel.example/hook"}
    number = client.post("/webhooks", hook, 201)["id"]
    sensor = client.get(f"/sensors?esp_id={BENCH}")["data"][0]
    key = SensorKey(BENCH, sensor["gpio"], sensor["sensor_type"], sensor["address"])
    series = f"/sensors/{BENCH}/{key.gpio}/{key.sensor_type}"
    rule = client.get("/logic/rules")["data"][0]["id"]
    for read, path, message in (
        (series, paths.REGISTRAR, RemoveSensor(key=key, issuer=issuer)),
        (f"/actuators/{BENCH}/{FAN}", paths.REGISTRAR,
         RemoveActuator(key=ActuatorKey(BENCH, FAN), issuer=issuer)),
        (f"/esp/devices/{BENCH}", paths.REGISTRAR, RemoveDevice(device_id=BENCH, issuer=issuer)),
        (f"/logic/rules/{rule}", paths.REGISTRAR, DeleteRule(rule_id=rule, issuer=issuer)),
        (f"/webhooks/{number}", paths.WEBHOOK_KEEPER, DeleteWebhook(webhook_id=number, issuer=issuer)),
        (f"/webhooks/{number}", paths.WEBHOOK_KEEPER,
         SaveWebhook(webhook_id=number, name="x", issuer=issuer)),
    ):  # fmt: skip
        late = msgspec.structs.replace(message, seen="0123456789ab")
        with pytest.raises(ChangedMeanwhile):
            site.gateway.system.handle(path).ask(late, timeout_s=10)
        client.get(read)
        # By the API, too.
        verb = "PATCH" if isinstance(message, SaveWebhook) else "DELETE"
        body = {"name": "x"} if verb == "PATCH" else None
        status, answer = client.call(verb, read, body, headers={"If-Match": '"0123456789ab"'})
        assert (status, answer["error"]["code"]) == (412, "CHANGED_MEANWHILE"), read
        client.get(read)
    for read in (f"/logic/rules/{rule}", f"/webhooks/{number}"):
        client.get(read)
        tag = client.last_headers["Etag"]
        assert client.call("DELETE", read, headers={"If-Match": tag})[0] == 204
