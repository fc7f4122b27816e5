"""Who may do what: every endpoint for every role, users, keys, and tokens that end."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest

from godkaiser.config.settings import Config, GatewayConfig, HttpConfig, MqttConfig
from godkaiser.domain.signing_keys import believed
from godkaiser.errors.access import SigningKeyGiven
from godkaiser.errors.process import StartupFailed
from godkaiser.gateway import Gateway
from godkaiser.http.access.permissions import Role
from godkaiser.http.endpoints import ENDPOINTS
from godkaiser.storage.files.signing_key_file import open_signing_keys
from tests.system.site import PASSWORD
from tests.waiting import eventually

OTHER = "another good password"


@pytest.fixture
def people(site, log_in):
    """A client for each role, logged in."""
    found = {}
    for role in Role:
        name = f"the-{role.word}"
        site.client.post("/users", {"username": name, "password": PASSWORD, "role": role.word}, 201)
        found[role] = log_in(name)
    return found


def code_of(answer):
    return (answer or {}).get("error", {}).get("code") if isinstance(answer, dict) else None


def filled(path):
    for name, value in {
        "{device_id}": "ESP_NOBODY", "{esp_id}": "ESP_NOBODY", "{gpio}": "39", "{rule_id}": "99",
        "{sensor_type}": "ph", "{username}": "nobody", "{key_id}": "999", "{job}": "nothing",
    }.items():  # fmt: skip
        path = path.replace(name, value)
    while "{" in path:
        path = f"{path[: path.index('{')]}nothing{path[path.index('}') + 1 :]}"
    return path


def test_every_endpoint_for_every_role(site, people, log_in):
    """What is not allowed is refused; what is allowed fails, if it does, for another reason."""
    key = {
        role: site.client.post("/auth/keys", {"name": role.word, "role": role.word}, 201)["secret"]
        for role in Role
    }
    wrong = []
    anonymous = log_in()
    for endpoint in ENDPOINTS:
        method, path, needed = endpoint.method, endpoint.path, endpoint.role
        if path.startswith(("/auth/logout", "/auth/setup", "/auth/login", "/auth/refresh")):
            continue
        url = filled(path)
        # A body that is no object: what is allowed does nothing.
        status, answer = anonymous.call(method, url, raw=b"[]")
        if (code_of(answer) == "NOT_AUTHENTICATED") != (needed is not None):
            wrong.append((method, path, "anonymous", status, answer))
        for role, client in people.items():
            status, answer = client.call(method, url, raw=b"[]")
            refused = code_of(answer) == "PERMISSION_DENIED"
            if refused != (needed is not None and role < needed) or status in {401, 500}:
                wrong.append((method, path, role, status, answer))
            status, answer = anonymous.call(
                method, url, raw=b"[]", headers={"X-API-Key": key[role]}
            )
            refused = code_of(answer) == "PERMISSION_DENIED"
            expected = needed is not None and (role < needed or endpoint.for_people)
            if refused != expected or status in {401, 500}:
                wrong.append((method, path, f"key of {role}", status, answer))
    assert not wrong


def test_a_person_is_made_changed_and_gone_and_every_step_is_in_the_audit_trail(site, log_in):
    body = {"username": "grower", "password": PASSWORD, "role": "operator"}
    made = site.client.post("/users", body, 201)
    assert (made["role"], made["disabled"]) == ("operator", False)
    status, answer = site.client.call("POST", "/users", body)
    assert (status, code_of(answer)) == (409, "USER_EXISTS")
    status, answer = site.client.call(
        "POST", "/users", {**body, "username": "x", "password": "short"}
    )
    assert (status, code_of(answer)) == (400, "WEAK_PASSWORD")
    grower = log_in("grower")
    assert grower.get("/auth/me")["role"] == "operator"
    changed = site.client.call("PATCH", "/users/grower", {"role": "viewer"})
    assert changed[1]["role"] == "viewer"
    # Tokens of the former rights are void at once, and cannot be refreshed.
    assert grower.call("GET", "/auth/me")[0] == 401
    assert grower.call("POST", "/auth/refresh", {"refresh_token": grower.refresh})[0] == 401
    grower = log_in("grower")
    assert grower.get("/auth/me")["role"] == "viewer"
    assert site.client.call("PATCH", "/users/grower", {"disabled": True})[0] == 200
    assert grower.call("GET", "/auth/me")[0] == 401
    login = {"username": "grower", "password": PASSWORD}
    assert grower.call("POST", "/auth/login", login)[0] == 401
    assert site.client.call("DELETE", "/users/grower")[0] == 204
    assert site.client.call("DELETE", "/users/grower")[0] == 404
    assert site.client.call("PATCH", "/users/grower", {"disabled": False})[0] == 404

    def audited():
        told = {row["what"] for row in site.client.get("/audit/log?limit=200")["data"]}
        return {"user grower created", "user grower changed", "user grower deleted"} <= told

    eventually(audited)


def test_the_last_administrator_stays(site):
    for method, change in (
        ("DELETE", None),
        ("PATCH", {"role": "viewer"}),
        ("PATCH", {"disabled": True}),
    ):
        status, answer = site.client.call(method, "/users/admin", change)
        assert (status, code_of(answer)) == (409, "LAST_ADMINISTRATOR")
        site.client.token = site.client.post(
            "/auth/login", {"username": "admin", "password": PASSWORD}, 200
        )["access_token"]
    site.client.post("/users", {"username": "second", "password": PASSWORD, "role": "admin"}, 201)
    assert site.client.call("DELETE", "/users/admin")[0] == 204


def test_ones_own_password_ends_the_other_logins(site, people, log_in):
    here, elsewhere = people[Role.VIEWER], log_in("the-viewer")
    wrong = {"old_password": "wrong password", "new_password": OTHER}
    assert here.call("POST", "/auth/password", wrong)[0] == 401
    answer = here.post("/auth/password", {"old_password": PASSWORD, "new_password": OTHER}, 200)
    assert elsewhere.call("GET", "/auth/me")[0] == 401
    here.token = answer["access_token"]
    assert here.get("/auth/me")["username"] == "the-viewer"
    log_in("the-viewer", OTHER)


# ---- keys


def with_key(client, secret, path="/sensors", method="GET", body=None):
    return client.call(method, path, body, headers={"X-API-Key": secret}, token="")


def test_a_key_does_what_its_scope_says_until_it_ends(site, log_in):
    body = {"name": "dashboard", "role": "viewer", "areas": ["sensors", "health"]}
    made = site.client.post("/auth/keys", body, 201)
    anonymous = log_in()
    assert with_key(anonymous, made["secret"])[0] == 200
    # The same in the header of a token, and on the live socket's way in.
    assert anonymous.call("GET", "/sensors", token=made["secret"])[0] == 200
    status, answer = with_key(anonymous, made["secret"], "/actuators")
    assert (status, code_of(answer)) == (403, "OUT_OF_AREA")
    (listed,) = site.client.get("/auth/keys")["data"]
    assert "secret" not in listed
    assert "digest" not in listed
    assert listed["last_used_at"] is not None
    for wrong in ("gk_forged", "forged", made["secret"] + "x"):
        assert with_key(anonymous, wrong)[0] == 401
    rotated = site.client.post(f"/auth/keys/{made['id']}/rotate", {"overlap_seconds": 2}, 201)
    assert with_key(anonymous, made["secret"])[0] == 200
    assert with_key(anonymous, rotated["secret"])[0] == 200
    eventually(lambda: with_key(anonymous, made["secret"])[0] == 401)
    assert site.client.call("POST", f"/auth/keys/{made['id']}/rotate", {})[0] == 404
    assert site.client.call("DELETE", f"/auth/keys/{rotated['id']}")[0] == 204
    assert with_key(anonymous, rotated["secret"])[0] == 401


def test_keys_and_void_tokens_outlive_a_restart(site, log_in):
    key = site.client.post("/auth/keys", {"name": "k", "role": "operator"}, 201)
    site.client.post("/users", {"username": "gone", "password": PASSWORD, "role": "admin"}, 201)
    gone = log_in("gone")
    assert site.client.call("PATCH", "/users/gone", {"role": "viewer"})[0] == 200
    site.stop_gateway()
    site.start_gateway()
    anonymous = log_in()
    assert with_key(anonymous, key["secret"])[0] == 200
    assert anonymous.call("GET", "/users", token=gone.token)[0] == 401


def test_what_a_key_needs_is_told(site):
    for body, word in (
        ({"name": "k", "role": "viewer", "areas": ["kitchen"]}, "kitchen"),
        ({"name": "k", "role": "king"}, "role"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "k", "role": "viewer", "expires_in_days": 0}, "expires_in_days"),
    ):
        status, answer = site.client.call("POST", "/auth/keys", body)
        assert status == 400, answer
        assert word in json.dumps(answer)


# ---- tokens that nobody gave


def test_tokens_that_nobody_gave_are_refused(site):
    good = site.client.token
    head, claims, signature = good.split(".")
    payload = jwt.decode(good, options={"verify_signature": False})
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    forged = [
        f"{none}.{claims}.", f"{none}.{claims}.{signature}", f"{head}.{claims}.", f"{head}.{claims}",
        jwt.encode({**payload, "role": "admin"}, "x" * 40, algorithm="HS256"),
        jwt.encode(payload, "x" * 64, algorithm="HS512"), "a.b.c", "..", "é", "gk_", "\t",
    ]  # fmt: skip
    secret = site.gateway.desk.signing_keys[0].secret
    forged += [
        jwt.encode({**payload, "exp": int(time.time()) - 1}, secret, algorithm="HS256"),
        jwt.encode({**payload, "aud": "another"}, secret, algorithm="HS256"),
        jwt.encode({**payload, "type": "refresh"}, secret, algorithm="HS256"),
        jwt.encode({**payload, "role": "king"}, secret, algorithm="HS256"),
        jwt.encode({k: v for k, v in payload.items() if k != "exp"}, secret, algorithm="HS256"),
        jwt.encode({**payload, "exp": "soon"}, secret, algorithm="HS256"),
        jwt.encode({**payload, "iat": "today"}, secret, algorithm="HS256"),
    ]
    for token in forged:
        status, answer = site.client.call(
            "GET", "/auth/me", token="", headers={"Authorization": f"Bearer {token}".encode()}
        )
        assert status == 401, (token, answer)
    assert site.client.get("/auth/me")["username"] == "admin"


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def test_a_rotated_signing_key_signs_what_is_new_and_believes_what_was(site, log_in):
    client = site.client
    old = client.token
    refresh = client.call("POST", "/auth/login", {"username": "admin", "password": PASSWORD})[1]
    before = client.get("/auth/signing-keys")["data"]
    assert before == [{"kid": kid_of(old), "signs": True, "good_until": None}]
    after = client.post("/auth/signing-keys/rotate", {}, 200)["data"]
    assert [key["signs"] for key in after] == [True, False]
    assert after[1]["good_until"] == pytest.approx(time.time() + 7 * 86400, abs=60)
    assert client.call("GET", "/auth/me")[0] == 200, "a token of the key before"
    fresh = client.call("POST", "/auth/refresh", {"refresh_token": refresh["refresh_token"]})[1]
    assert kid_of(fresh["access_token"]) == after[0]["kid"] != kid_of(old)
    text = json.dumps(after)
    assert all(key.secret not in text for key in site.gateway.desk.signing_keys)
    # The same over a restart; then the old key got out, and nothing of it is good any more.
    site.stop_gateway()
    site.start_gateway()
    client = site.client
    assert client.call("GET", "/auth/me", token=old)[0] == 200
    last = client.post("/auth/signing-keys/rotate", {"overlap_seconds": 0}, 200)["data"]
    assert [key["signs"] for key in last] == [True]
    for token in (old, fresh["access_token"], client.token):
        status, answer = client.call("GET", "/auth/me", token=token)
        assert (status, code_of(answer)) == (401, "INVALID_TOKEN")
        assert "signing key" in answer["error"]["message"]
    forged = jwt.encode(
        jwt.decode(old, options={"verify_signature": False}),
        "x" * 40,
        headers={"kid": last[0]["kid"]},
    )
    assert client.call("GET", "/auth/me", token=forged)[0] == 401
    again = log_in("admin")

    def told():
        return [entry["what"] for entry in again.get("/audit/log")["data"]]

    eventually(lambda: told().count("signing key rotated") == 2)


def test_a_signing_key_that_is_given_is_not_rotated_here(tmp_path, own_mosquitto):
    config = Config(
        gateway=GatewayConfig(data_dir=str(tmp_path / "var")),
        http=HttpConfig(listen="127.0.0.1:0"),
        mqtt=MqttConfig(host=own_mosquitto.host, port=own_mosquitto.port),
        jwt_secret="a" * 40,
        jwt_secret_previous="b" * 40,
    )
    gateway = Gateway(config)
    gateway.start()
    try:
        before = gateway.desk.signing_keys
        assert [key.secret for key in believed(before, 0.0)] == ["a" * 40, "b" * 40]
        with pytest.raises(SigningKeyGiven):
            gateway.desk.rotate_signing_key(60.0)
        assert gateway.desk.signing_keys == before
        assert not (tmp_path / "var" / "jwt.key").exists()
    finally:
        assert gateway.stop()


def test_a_key_file_that_cannot_be_read_keeps_the_gateway_from_starting(tmp_path):
    for content, told in (("", "holds no key"), (f"{'k' * 48} soon\n", "line 1 holds no time")):
        (tmp_path / "jwt.key").write_text(content)
        with pytest.raises(StartupFailed, match=told):
            open_signing_keys("", "", tmp_path / "jwt.key")


# ---- how often, and from where


def test_who_asks_too_often_waits_and_a_stop_never_does(make_site):
    site = make_site(devices=1, requests_per_s=5)
    answers = [site.client.call("GET", "/auth/me") for _ in range(40)]
    refused = [answer for status, answer in answers if status == 429]
    assert 20 <= len(refused) <= 32
    assert {code_of(answer) for answer in refused} == {"RATE_LIMITED"}
    assert int(site.client.last_headers["Retry-After"]) >= 1
    for _ in range(20):
        assert site.client.call("POST", "/actuators/emergency_stop", {})[0] == 200
        assert site.client.call("GET", "/health")[0] == 200
    # Another one has a bucket of his own.
    key = site.gateway.tokens.keys.make("k", Role.VIEWER, (), "test", time.time(), time.time() + 60)
    assert site.client.call("GET", "/auth/me", token=key[1])[0] == 200
    eventually(lambda: site.client.call("GET", "/auth/me")[0] == 200)


def test_an_address_is_believed_from_the_trusted_proxy_alone(make_site):
    site = make_site(devices=1, trusted_proxy="127.0.0.1")
    wrong = {"username": "nobody", "password": "wrong password"}

    def sources():
        rows = site.client.get("/audit/log?limit=50")["data"]
        return {
            row["source"] for row in rows if row["what"] == "login" and row["result"] == "refused"
        }

    site.client.call("POST", "/auth/login", wrong, headers={"X-Forwarded-For": "203.0.113.7"})
    eventually(lambda: sources() == {"203.0.113.7"})


def test_an_address_that_anybody_sends_is_not_believed(site):
    wrong = {"username": "nobody", "password": "wrong password"}
    site.client.call("POST", "/auth/login", wrong, headers={"X-Forwarded-For": "203.0.113.7"})

    def sources():
        rows = site.client.get("/audit/log?limit=50")["data"]
        return {
            row["source"] for row in rows if row["what"] == "login" and row["result"] == "refused"
        }

    eventually(lambda: sources() == {"127.0.0.1"})
