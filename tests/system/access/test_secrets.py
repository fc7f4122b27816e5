"""Nothing secret is in a log, an error, a metric, the audit trail or anything else that is shown."""

from __future__ import annotations

import json
import sqlite3
from http.client import HTTPException

import pytest

from tests.provision.servers import free_port
from tests.system.process import GatewayProcess
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

SHOWN = (
    "/health", "/metrics", "/audit/log?limit=1000", "/audit/statistics", "/system/tree", "/system/events?limit=1000",
    "/system/dead-letters?limit=1000", "/system/storage", "/system/live", "/system/jobs", "/users", "/auth/keys",
    "/auth/signing-keys", "/auth/me", "/webhooks", "/system/broker-accounts", "/esp/devices", "/openapi.json",
)  # fmt: skip


@pytest.fixture
def gateway(tmp_path, own_mosquitto, postgres_url):
    """In a process of its own, logging all that it can; PostgreSQL takes any password."""
    (tmp_path / "mqtt.password").write_text("broker-pass-d1f0\n")
    url = postgres_url.replace("test@", "test:database-pass-7c1b@").replace(
        "postgresql://127", "postgresql://test:database-pass-7c1b@127"
    )
    assert "database-pass-7c1b" in url
    made = GatewayProcess(tmp_path, own_mosquitto.port, url)
    text = made.config.read_text().replace(
        "[mqtt]\n",
        f'[mqtt]\nusername = "godkaiser"\npassword_file = "{tmp_path / "mqtt.password"}"\n',
    )
    made.config.write_text(
        f'{text}\n[broker_accounts]\nfolder = "{tmp_path / "mosquitto"}"\n[log]\nlevel = "debug"\n'
        '[outbound]\nallow = ["127.0.0.1"]\n'
    )
    made.start()
    yield made
    made.stop()


def crashed_and_back(client, paths):
    try:
        tree = {actor["path"]: actor for actor in client.get("/system/tree")["data"]}
    except (OSError, HTTPException):
        client.close()
        return False
    return all(
        path in tree and tree[path]["restarts"] and tree[path]["state"] == "running"
        for path in paths
    )


def test_nothing_secret_is_shown_anywhere(gateway, tmp_path):
    gateway.log_in()
    client = gateway.client
    port = free_port()
    # A secret each that must not turn up, and each way to make the gateway speak of it.
    secrets = {
        "password": PASSWORD, "mqtt": "broker-pass-d1f0", "database": "database-pass-7c1b",
        "wrong password": "wrong-pass-33aa", "new password": "other-pass-9e9e",
        "access token": client.token.split(".")[2],
    }  # fmt: skip
    signing = (tmp_path / "var" / "jwt.key").read_text().strip()
    client.post("/auth/signing-keys/rotate", {}, 200)
    rotated = (tmp_path / "var" / "jwt.key").read_text().split()[0]
    assert signing != rotated
    key = client.post("/auth/keys", {"name": "k", "role": "viewer"}, 201)
    again = client.post(f"/auth/keys/{key['id']}/rotate", {}, 201)
    hook = client.post(
        "/webhooks",
        {"name": "h", "url": f"http://127.0.0.1:{port}/url-secret-5a5a?token=url-secret-5a5a"},
        201,
    )
    client.post("/esp/register", {"device_id": "ESP_A00001"}, 201)
    account = client.post("/esp/devices/ESP_A00001/broker-account", {}, 201)
    client.post("/users", {"username": "ann", "password": "other-pass-9e9e", "role": "viewer"}, 201)
    refresh = client.post("/auth/login", {"username": "ann", "password": "other-pass-9e9e"}, 200)
    secrets |= {
        "signing key": signing, "new signing key": rotated, "API key": key["secret"],
        "new API key": again["secret"], "webhook": hook["secret"], "broker account": account["password"],
        "refresh token": refresh["refresh_token"].split(".")[2],
    }  # fmt: skip
    other = Client(gateway.port)
    told = [
        other.call("POST", "/auth/login", {"username": "admin", "password": "wrong-pass-33aa"}),
        other.call("POST", "/auth/login", {"username": "admin", "password": ["wrong-pass-33aa"]}),
        other.call("POST", "/auth/login", raw=b'{"password": "wrong-pass-33aa"'),
        other.call("GET", "/auth/me", token=client.token + "x"),
        other.call("GET", "/auth/me", token=key["secret"] + "x"),
        other.call("POST", "/auth/refresh", {"refresh_token": refresh["refresh_token"] + "x"}),
        client.call("POST", "/users", {"username": "ann", "password": "other-pass-9e9e", "role": "viewer"}),
        client.call("PATCH", "/users/ann", {"password": "wrong-pass-33aa", "role": "king"}),
        client.call("POST", "/webhooks", {"name": "h", "url": "x", "secret": hook["secret"]}),
    ]  # fmt: skip
    assert all(status >= 400 for status, _ in told)
    other.close()
    # What fails within is told with more than what is refused.
    paths = (
        "/services/webhook_keeper",
        f"/services/webhooks/{hook['id']}",
        "/services/broker_accounts",
        "/control/link/broker",
        "/services/api",
    )
    for path in paths:
        client.call("POST", "/system/actors/crash", {"path": path})
    # The API is one of them: until it is back, a request may be cut off.
    eventually(lambda: crashed_and_back(client, paths))
    eventually(lambda: client.get("/webhooks")["count"] == 1)
    client.post(f"/webhooks/{hook['id']}/test", {}, 202)
    eventually(lambda: client.get("/webhooks")["data"][0]["delivery"]["last_error"])
    shown = {path: str(client.call("GET", path)) for path in SHOWN}
    shown |= {f"refusal {n}": json.dumps(answer) for n, (_, answer) in enumerate(told)}
    gateway.stop()
    shown["log"] = gateway.log.read_text()
    assert "listens on" in shown["log"] and "/api" in shown["log"]
    found = [
        (name, where)
        for name, secret in secrets.items()
        for where, text in shown.items()
        if secret in text
    ]
    assert not found
    # The URL of a webhook is its administrator's to see; nobody else's.
    assert [w for w, text in shown.items() if "url-secret-5a5a" in text] == ["/webhooks"]


def test_passwords_and_keys_are_kept_as_hashes_only(site):
    client = site.client
    key = client.post("/auth/keys", {"name": "k", "role": "viewer"}, 201)
    login = client.post("/auth/login", {"username": "admin", "password": PASSWORD}, 200)
    site.stop_gateway()
    with sqlite3.connect(site.config.data_dir / "godkaiser.db") as database:
        dump = "\n".join(database.iterdump())
    site.start_gateway()
    assert "admin" in dump
    for secret in (PASSWORD, key["secret"], login["access_token"], login["refresh_token"]):
        assert secret not in dump
