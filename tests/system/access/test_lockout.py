"""Passwords and tokens tried out: who does it waits, the rest of the world does not notice."""

from __future__ import annotations

import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.errors.base import TooManyRequests
from godkaiser.http.access.lockout import REMEMBERED, Lockout
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

ADMIN = {"username": "admin", "password": PASSWORD}
ATTACKER, OPERATOR = {"X-Forwarded-For": "203.0.113.66"}, {"X-Forwarded-For": "192.0.2.7"}


def waits(lockout, person, address, now):
    try:
        lockout.check(person, address, now)
    except TooManyRequests as blocked:
        return blocked.details["retry_after_s"]
    return 0


def test_each_wait_is_twice_the_one_before_up_to_the_longest():
    lockout, now, found = Lockout(free=3, longest_s=60.0), 1000.0, []
    for _ in range(12):
        found.append(waits(lockout, "ann", "a", now))
        now += found[-1]
        lockout.failed("ann", "a", now)
    assert found == [0, 0, 0, 2, 3, 5, 9, 17, 33, 61, 61, 61]


def test_who_is_elsewhere_or_another_does_not_wait_for_it():
    lockout = Lockout()
    for _ in range(10):
        lockout.failed("ann", "bad", 0.0)
    assert waits(lockout, "ann", "bad", 0.0) > 0
    assert waits(lockout, "ann", "good", 0.0) == 0
    assert waits(lockout, "bob", "bad", 0.0) == 0
    # Who goes on from there with other names is an address that tries out.
    for n in range(20):
        lockout.failed(f"name{n}", "bad", 0.0)
    assert waits(lockout, "bob", "bad", 0.0) > 0
    assert waits(lockout, "", "bad", 0.0) > 0
    # From ever other addresses: the person waits as well, and never for long.
    for n in range(1000):
        lockout.failed("ann", f"bot{n}", 0.0)
    assert 0 < waits(lockout, "ann", "good", 0.0) <= 31


def test_success_forgives_the_person_and_not_the_address():
    lockout = Lockout()
    for _ in range(30):
        lockout.failed("ann", "a", 0.0)
    lockout.succeeded("ann", "a")
    assert waits(lockout, "", "a", 0.0) > 0
    assert waits(Lockout(), "", "a", 0.0) == 0
    assert waits(lockout, "", "a", 1e6) == 0, "failures are forgotten after a while"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.floats(-1e6, 1e6)), max_size=60
    )
)
def test_no_clock_makes_anybody_wait_longer_than_the_longest(attempts):
    lockout = Lockout(free=1, longest_s=10.0)
    for person, address, at in attempts:
        lockout.failed(person, address, at)
        assert waits(lockout, person, address, at) <= 41
        assert waits(lockout, person, address, at - 1e5) <= 41


def test_what_is_remembered_is_bounded():
    lockout = Lockout()
    for n in range(REMEMBERED):
        lockout.failed(f"p{n}", f"a{n}", 0.0)
    assert len(lockout._failures) == REMEMBERED


def test_ten_thousand_wrong_log_ins_keep_nobody_out(make_site):
    site = make_site(devices=1, trusted_proxy="127.0.0.1")
    site.client.post("/users", {"username": "olga", "password": PASSWORD, "role": "operator"}, 201)
    client = Client(site.gateway.http_port)
    statuses = {401: 0, 429: 0}
    for n in range(10_000):
        body = {"username": "admin" if n % 2 else f"user{n}", "password": f"guess{n}"}
        status, answer = client.call("POST", "/auth/login", body, headers=ATTACKER)
        statuses[status] += 1
        assert answer["success"] is False
    assert statuses[401] < 60, statuses
    assert "Retry-After" in client.last_headers
    # The right password from there is not even looked at, and from elsewhere it is good at once.
    assert client.call("POST", "/auth/login", ADMIN, headers=ATTACKER)[0] == 429
    assert client.call("POST", "/auth/login", ADMIN, headers=OPERATOR)[0] == 200
    # Who is logged in already works on from the same address.
    token = client.call("POST", "/auth/login", {**ADMIN, "username": "olga"}, headers=OPERATOR)[1]
    stop = client.call(
        "POST", "/actuators/emergency_stop", {}, headers=ATTACKER, token=token["access_token"]
    )
    assert stop[0] == 200
    refused = [
        e for e in site.client.get("/audit/log?limit=1000")["data"] if e["result"] == "refused"
    ]
    assert len(refused) == statuses[401]
    assert all(e["source"] == "203.0.113.66" and e["what"] == "login" for e in refused)
    assert "address 203.0.113.66 waits" in refused[0]["details"]
    assert "guess" not in json.dumps(refused)
    metrics = site.client.call("GET", "/metrics")[1]
    assert f'godkaiser_login_attempts_total{{result="failed"}} {statuses[401]}.0' in metrics
    assert f'godkaiser_login_attempts_total{{result="blocked"}} {statuses[429] + 1}.0' in metrics
    client.close()


def test_who_sends_forged_tokens_is_blocked_and_good_ones_of_the_address_stay_good(make_site):
    site = make_site(devices=1, trusted_proxy="127.0.0.1")
    good = site.client.token
    kid = jwt.get_unverified_header(good)["kid"]
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode({**claims, "role": "admin"}, "x" * 40, headers={"kid": kid})
    call = site.client.call
    found = [
        call("GET", "/auth/me", headers=ATTACKER, token=token)[0]
        for token in (forged, "gk_" + "x" * 40) * 15
    ]
    assert found[:20] == [401] * 20
    assert set(found[20:]) == {429}
    assert (
        call("POST", "/auth/refresh", {"refresh_token": forged}, headers=ATTACKER, token="")[0]
        == 429
    )
    assert call("POST", "/auth/login", ADMIN, headers=ATTACKER, token="")[0] == 429
    assert call("GET", "/auth/me", headers=ATTACKER)[0] == 200
    # A token that has ended is nobody's fault.
    old = jwt.encode(
        {**claims, "exp": int(time.time()) - 5}, site.gateway.desk.signing_keys[0].secret
    )
    for _ in range(40):
        assert call("GET", "/auth/me", headers=OPERATOR, token=old)[0] == 401

    def told():
        return [e for e in site.client.get("/audit/log")["data"] if e["what"] == "forged token"]

    assert eventually(told)[0]["source"] == "203.0.113.66"


def test_many_log_ins_at_once_leave_the_machine_to_the_rest(make_site):
    site = make_site(devices=1)
    tokens = site.gateway.tokens
    held = [tokens._hashing.acquire(timeout=1) for _ in range(2)]
    try:
        user = {"username": "olga", "password": ADMIN["password"], "role": "viewer"}
        for path, body in (("/auth/login", ADMIN), ("/users", user)):
            status, answer = site.client.call("POST", path, body)
            assert status == 503 and "once" in answer["error"]["message"], path
    finally:
        for _ in held:
            tokens._hashing.release()
    assert site.client.call("POST", "/auth/login", ADMIN)[0] == 200


@pytest.mark.parametrize(("attempts", "longest"), [(1, 1), (7, 100)])
def test_the_settings_hold(make_site_with, own_mosquitto, attempts, longest):
    site = make_site_with(own_mosquitto, login_attempts=attempts, login_lockout_s=longest)
    wrong = {"username": "admin", "password": "wrong"}
    found = [site.client.call("POST", "/auth/login", wrong)[0] for _ in range(attempts + 1)]
    assert found == [401] * attempts + [429]
    assert int(site.client.last_headers["Retry-After"]) <= longest + 1
