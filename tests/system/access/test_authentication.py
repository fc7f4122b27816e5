"""Access is checked in memory, and what ends it ends it for good.

The kind: an answer to 'may this request?' that waits for something, or that is older than a change which
was told as done. Tried: a database that is locked or gone, a log-in under way, a restart, a wrong clock,
names of two kinds that look the same.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager

import jwt
import pytest

from godkaiser.domain import access as rules
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.http.access import signed_tokens, tokens
from godkaiser.storage.repositories import accounts
from godkaiser.supervision import ThreadedRuntime
from tests.provision.servers import PostgreSQL
from tests.system.site import PASSWORD
from tests.waiting import eventually

OTHER = "another good password"
STOP = "/actuators/emergency_stop"


def add_user(site, name, role="operator"):
    site.client.post("/users", {"username": name, "password": PASSWORD, "role": role}, 201)


def add_key(client, name="bot", role="operator", **more):
    return client.post("/auth/keys", {"name": name, "role": role, **more}, 201)["secret"]


@contextmanager
def locked(site):
    """By another program, as a tool that looks at the database does it."""
    path = site.gateway.database.url.removeprefix("sqlite:///")
    tool = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    tool.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        tool.execute("ROLLBACK")
        tool.close()


def test_a_stop_waits_for_no_database_that_is_locked(site, log_in):
    """Neither the first use of a key, which is written down, nor a token looks into it."""
    key = add_key(site.client)
    client = log_in()
    with locked(site):
        for token in (key, site.client.token):
            began = time.monotonic()
            status, answer = client.call("POST", STOP, {"reason": "fire"}, token=token)
            assert status == 200, answer
            assert time.monotonic() - began < 3.0, "it waited for the database"
            began = time.monotonic()
            command = {"command": "OFF"}
            status, answer = client.call(
                "POST", "/actuators/ESP_A00001/25/command", command, token=token
            )
            assert status == 202, answer
            assert time.monotonic() - began < 3.0, "it waited for the database"
        assert site.client.get("/auth/keys")["data"][0]["last_used_at"] is not None
        began = time.monotonic()
        assert site.client.get("/users")["count"] == 1
        assert site.client.call("GET", "/auth/me")[0] == 200
        assert time.monotonic() - began < 3.0

    def noted():
        rows = site.gateway.database.fetch("SELECT last_used_at FROM api_keys")
        return rows[0][0] is not None

    eventually(noted)


def test_a_stop_needs_no_database_that_is_gone(make_site, postgres):
    """`postgres` is asked for only to skip where there is none."""
    cluster = PostgreSQL()
    cluster.start()
    site = make_site(database_url=cluster.create_database())
    key = add_key(site.client)
    cluster.stop()
    try:
        for token in (key, site.client.token):
            status, answer = site.client.call("POST", STOP, {}, token=token)
            assert status == 200, answer
        # What would have to be remembered is refused, and nothing of it has happened.
        status, answer = site.client.call("POST", "/auth/logout", {})
        assert (status, answer["error"]["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert site.client.call("GET", "/auth/me")[0] == 200
    finally:
        cluster.start()
        site.close()
        cluster.stop()


def test_a_log_in_under_way_does_not_survive_a_change_of_password(site, log_in, monkeypatch):
    add_user(site, "olga")
    looking, go_on = threading.Event(), threading.Event()
    matches = tokens.password_matches

    def slow(password, password_hash):
        found = matches(password, password_hash)
        looking.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(tokens, "password_matches", slow)
    answers = []
    client = log_in()
    login = {"username": "olga", "password": PASSWORD}
    thread = threading.Thread(
        target=lambda: answers.append(client.call("POST", "/auth/login", login))
    )
    thread.start()
    assert looking.wait(20)
    assert site.client.call("PATCH", "/users/olga", {"password": OTHER})[0] == 200
    go_on.set()
    thread.join(20)
    status, answer = answers[0]
    assert (status, answer["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    monkeypatch.undo()
    assert log_in("olga", OTHER).get("/auth/me")["username"] == "olga"


@pytest.mark.parametrize("change", ["deleted", "disabled", "password", "role"])
def test_what_ended_stays_ended_after_a_restart(site, log_in, change):
    add_user(site, "second", "admin")
    gone = log_in("second")
    if change == "deleted":
        assert site.client.call("DELETE", "/users/second")[0] == 204
    else:
        value = {"disabled": True, "password": OTHER, "role": "viewer"}[change]
        assert site.client.call("PATCH", "/users/second", {change: value})[0] == 200
    for _ in range(2):
        assert site.client.call("GET", "/users", token=gone.token)[0] == 401
        refreshed = site.client.call("POST", "/auth/refresh", {"refresh_token": gone.refresh})
        assert refreshed[0] == 401
        if change == "deleted":
            # Another person of that name is another person.
            add_user(site, "second", "admin")
            assert site.client.call("GET", "/users", token=gone.token)[0] == 401
            assert site.client.call("DELETE", "/users/second")[0] == 204
        site.stop_gateway()
        site.start_gateway()


def test_log_out_ends_every_token_of_that_login_and_no_other(site, log_in):
    add_user(site, "olga")
    here, elsewhere = log_in("olga"), log_in("olga")
    first = here.token
    fresh = here.post("/auth/refresh", {"refresh_token": here.refresh}, 200)
    assert here.call("GET", "/auth/me", token=first)[0] == 200
    here.token = fresh["access_token"]
    here.post("/auth/logout", {}, 200)
    for _ in range(2):
        for token in (first, fresh["access_token"]):
            assert site.client.call("GET", "/auth/me", token=token)[0] == 401
        assert site.client.call("GET", "/auth/me", token=elsewhere.token)[0] == 200
        site.stop_gateway()
        site.start_gateway()


@pytest.mark.parametrize("grace_s", [rules.GRACE_S, 0.0])
def test_a_stolen_refresh_token_ends_the_access_tokens_of_its_login(
    site, log_in, monkeypatch, grace_s
):
    """One that was used and is not the last one before the newest, or after its grace."""
    monkeypatch.setattr(rules, "GRACE_S", grace_s)
    add_user(site, "olga")
    thief = log_in("olga")
    fresh = thief.post("/auth/refresh", {"refresh_token": thief.refresh}, 200)
    if grace_s:
        fresh = thief.post("/auth/refresh", {"refresh_token": fresh["refresh_token"]}, 200)
    assert thief.call("POST", "/auth/refresh", {"refresh_token": thief.refresh})[0] == 401
    for token in (thief.token, fresh["access_token"]):
        assert thief.call("GET", "/auth/me", token=token)[0] == 401


def test_two_tabs_that_refresh_at_once_stay_logged_in(site, log_in):
    add_user(site, "olga")
    first, second = log_in("olga"), log_in()
    both = [
        tab.post("/auth/refresh", {"refresh_token": first.refresh}, 200) for tab in (first, second)
    ]
    for answer in both:
        assert site.client.call("GET", "/auth/me", token=answer["access_token"])[0] == 200
    # The same refresh token, so each of them is as good as the other.
    jtis = {
        jwt.decode(answer["refresh_token"], options={"verify_signature": False})["jti"]
        for answer in both
    }
    assert len(jtis) == 1
    assert (
        first.call("POST", "/auth/refresh", {"refresh_token": both[1]["refresh_token"]})[0] == 200
    )
    assert (
        second.call("POST", "/auth/refresh", {"refresh_token": both[0]["refresh_token"]})[0] == 200
    )


def test_nothing_happens_after_a_refusal(site, log_in):
    """Of the last administrator: 409, and the tokens are as good as before."""
    for method, change in (
        ("PATCH", {"disabled": True}), ("PATCH", {"role": "viewer"}), ("DELETE", None),
        ("PATCH", {"password": "short"}),
    ):  # fmt: skip
        status, _ = site.client.call(method, "/users/admin", change)
        assert status in {400, 409}
        assert site.client.call("GET", "/auth/me")[0] == 200, (method, change)


def test_a_key_and_a_user_of_the_same_name_are_two(site, log_in):
    """In the audit trail, and with their idempotency keys."""
    add_user(site, "key.bot")
    add_user(site, "bot")
    callers = {
        "key:bot": add_key(site.client),
        "user:key.bot": log_in("key.bot").token,
        "user:bot": log_in("bot").token,
    }
    client = log_in()
    for number, token in enumerate(callers.values()):
        body = {"command": "ON", "duration": 10 + number}
        headers = {"Idempotency-Key": "the-same"}
        path = "/actuators/ESP_A00001/25/command"
        status, answer = client.call("POST", path, body, headers=headers, token=token)
        assert status != 422, answer
    rows = site.gateway.database.fetch

    def issuers():
        return {issuer for (issuer,) in rows("SELECT issuer FROM command_history")}

    eventually(lambda: issuers() == set(callers))


@pytest.fixture
def clock(monkeypatch):
    """A wall clock that the test sets; the monotonic one goes on."""
    made = {"offset_s": 0.0}
    begin = ThreadedRuntime.__init__

    def with_clock(self, *args, **named):
        begin(self, *args, **named)
        self.now = lambda: time.time() + made["offset_s"]

    monkeypatch.setattr(ThreadedRuntime, "__init__", with_clock)
    return made


MONTH_S = 30 * 86400.0


@pytest.mark.parametrize("wrong_s", [MONTH_S, -MONTH_S, -50 * 365 * 86400.0])
def test_a_wrong_clock_locks_nobody_out_and_keeps_nothing_valid(make_site, clock, wrong_s):
    clock["offset_s"] = wrong_s
    site = make_site()
    call = site.client.call
    # A password changed while it is wrong, then NTP sets it.
    site.client.post("/users", {"username": "olga", "password": OTHER, "role": "admin"}, 201)
    assert call("PATCH", "/users/olga", {"password": PASSWORD})[0] == 200
    login = {"username": "olga", "password": PASSWORD}
    early = site.client.post("/auth/login", login, 200)
    clock["offset_s"] = 0.0
    assert call("GET", "/auth/me", token=early["access_token"])[0] == 200
    fresh = site.client.post("/auth/refresh", {"refresh_token": early["refresh_token"]}, 200)
    assert call("GET", "/auth/me", token=fresh["access_token"])[0] == 200
    late = site.client.post("/auth/login", login, 200)
    assert call("GET", "/auth/me", token=late["access_token"])[0] == 200
    assert call("PATCH", "/users/olga", {"password": OTHER}, token=late["access_token"])[0] == 200
    for answer in (early, fresh, late):
        assert call("GET", "/auth/me", token=answer["access_token"])[0] == 401
    assert call("POST", "/auth/login", {**login, "password": OTHER})[0] == 200


def test_a_token_ages_by_the_clock_that_nobody_sets(make_site, clock, monkeypatch):
    site = make_site()
    call, token = site.client.call, site.client.token
    clock["offset_s"] = MONTH_S
    assert call("GET", "/auth/me")[0] == 200, "the clock jumped, the token is as young as before"
    # Its quarter of an hour has passed, and the clock was set back meanwhile.
    clock["offset_s"] = -MONTH_S
    up = signed_tokens.boot_time
    monkeypatch.setattr(signed_tokens, "boot_time", lambda: up() + tokens.ACCESS_S)
    assert call("GET", "/auth/me")[0] == 401
    monkeypatch.undo()
    clock["offset_s"] = 0.0
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = site.gateway.desk.signing_keys[0].secret
    # After another boot of the machine there is the wall clock alone.
    elsewhere = {**claims, "boot": "another", "up": 1e9}
    assert call("GET", "/auth/me", token=jwt.encode(elsewhere, secret))[0] == 200
    old = {**elsewhere, "exp": int(time.time()) - 5}
    assert call("GET", "/auth/me", token=jwt.encode(old, secret))[0] == 401
    for up_ in ("soon", None, float(claims["up"]) + 1e6):
        forged = jwt.encode({**claims, "up": up_}, secret)
        assert call("GET", "/auth/me", token=forged)[0] == 401


def test_a_lock_out_lasts_as_long_whatever_the_clock_does(make_site, clock):
    site = make_site(login_attempts=1, login_lockout_s=300)
    wrong = {"username": "admin", "password": "wrong password"}
    for _ in range(9):
        site.gateway._lockout.failed(
            "user admin", "127.0.0.1", site.gateway.system.runtime.monotonic()
        )
    for offset_s in (0.0, MONTH_S, -MONTH_S):
        clock["offset_s"] = offset_s
        assert site.client.call("POST", "/auth/login", wrong)[0] == 429
        assert 100 < int(site.client.last_headers["Retry-After"]) <= 301


def test_what_is_answered_as_failed_has_not_happened(site, log_in, monkeypatch):
    """Each of them is several changes, and one transaction: the last of which fails here."""
    add_user(site, "olga")
    olga = log_in("olga")

    def fail(*_):
        raise DatabaseUnavailable(reason="a test")

    monkeypatch.setattr(accounts, "set_version", fail)
    change = {"old_password": PASSWORD, "new_password": OTHER}
    calls = [
        ("POST", "/auth/password", change), ("POST", "/auth/logout", {}),
        ("POST", "/auth/refresh", {"refresh_token": olga.refresh}),
    ]  # fmt: skip
    for method, path, body in calls:
        status, answer = olga.call(method, path, body)
        assert (status, answer["error"]["code"]) == (503, "DATABASE_UNAVAILABLE"), path
    before = site.client.get("/auth/keys")
    assert site.client.call("POST", "/auth/keys", {"name": "k", "role": "viewer"})[0] == 503
    monkeypatch.undo()
    assert olga.call("GET", "/auth/me")[0] == 200
    assert olga.call("POST", "/auth/refresh", {"refresh_token": olga.refresh})[0] == 200
    assert site.client.get("/auth/keys") == before
    for _ in range(2):
        log_in("olga", PASSWORD)
        site.stop_gateway()
        site.start_gateway()


def test_a_first_administrator_that_could_not_be_made_can_be_made_again(site, monkeypatch):
    tokens_ = site.gateway.tokens
    with site.gateway.database.transaction():
        site.gateway.database.execute("DELETE FROM users", ())
        site.gateway.database.execute("UPDATE access_version SET version = version + 1", ())
    eventually(lambda: not tokens_.has_users())
    save = accounts.save_login

    def fail(*_):
        raise DatabaseUnavailable(reason="a test")

    monkeypatch.setattr(accounts, "save_login", fail)
    person = {"username": "first", "password": PASSWORD}
    assert site.client.call("POST", "/auth/setup", person, token="")[0] == 503
    monkeypatch.setattr(accounts, "save_login", save)
    assert not tokens_.has_users()
    answer = site.client.post("/auth/setup", person, 201)
    assert site.client.call("GET", "/users", token=answer["access_token"])[0] == 200
