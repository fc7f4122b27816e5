"""One person, one name, one password, however it is typed; and nobody who looks like somebody else.

The kind: two texts that a person takes for one, or one that a machine takes for two.
"""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.actors.access.messages import AddUser
from godkaiser.domain.access import Account
from godkaiser.domain.person_names import prepared_name, prepared_password, skeleton
from godkaiser.errors.access import WeakPassword
from godkaiser.errors.base import ValidationFailed
from godkaiser.http.access.tokens import hash_password
from tests.system.access.test_access import code_of
from tests.system.site import PASSWORD

MULLER, SECRET = "m\u00fcller", "pa\u00dfw\u00f6rt f\u00fcr 1"


def apart(text):
    return unicodedata.normalize("NFD", text)


def logs_in(site, name, password):
    body = {"username": name, "password": password}
    return site.client.call("POST", "/auth/login", body)[0]


def test_a_name_and_a_password_are_the_same_however_they_are_typed(make_site):
    site = make_site()
    body = {"username": apart(MULLER), "password": apart(SECRET), "role": "viewer"}
    assert site.client.post("/users", body, 201)["username"] == MULLER
    for name in (MULLER, apart(MULLER), MULLER.upper(), "\uff4d\u00fcller"):
        for password in (SECRET, apart(SECRET), SECRET.replace(" ", "\u00a0")):
            assert logs_in(site, name, password) == 200, (name, password)
    assert logs_in(site, MULLER, SECRET.upper()) == 401
    assert (
        code_of(site.client.call("POST", "/users", {**body, "username": MULLER.upper()})[1])
        == "USER_EXISTS"
    )
    assert site.client.call("GET", "/users/M%C3%9CLLER")[0] == 200
    assert site.client.call("PATCH", "/users/mu%CC%88ller", {"role": "operator"})[0] == 200
    # One name for the lock-out, too: who guesses cannot begin again with a capital.
    for n in range(6):
        name = MULLER[:n].upper() + MULLER[n:]
        assert logs_in(site, name, f"guess {n}") in {401, 429}
    assert logs_in(site, MULLER, SECRET) == 429


@pytest.mark.parametrize(
    "name", ["\u0430dmin", "adrnin", "\u0430dm\u0456n", "adm\u0131n", "\u0251dmin"]
)
def test_a_name_that_looks_like_another_is_refused(make_site, name):
    site = make_site()
    body = {"username": name, "password": PASSWORD, "role": "viewer"}
    status, answer = site.client.call("POST", "/users", body)
    assert (status, code_of(answer)) == (409, "USER_NAME_LOOKS_ALIKE"), name
    assert "admin" in answer["error"]["message"]


@pytest.mark.parametrize(
    "name",
    ["a b", "", "a/b", "a:b", "\u202eadmin", "a\u200bb", "\ufb01n", "x" * 65, "a\u0000", "\u0301",
     ".", "..", "-_-", "system", "System", "cli", "key", "local", "rule"],
)  # fmt: skip
def test_what_is_no_name_is_refused(make_site, name):
    site = make_site()
    body = {"username": name, "password": PASSWORD, "role": "viewer"}
    status, answer = site.client.call("POST", "/users", body)
    assert (status, code_of(answer)) == (400, "VALIDATION_ERROR"), name
    assert logs_in(site, name or "x", PASSWORD) in {400, 401}


def test_a_refusal_of_a_name_shows_no_pattern(make_site):
    site = make_site()
    user = {"username": "a b", "password": PASSWORD, "role": "viewer"}
    for path, body in (("/users", user), ("/auth/keys", {"name": "a/b", "role": "viewer"})):
        message = site.client.call("POST", path, body)[1]["error"]["message"]
        assert "regex" not in message and "\\" not in message
        assert "without blanks" in message or "letters, digits" in message


def test_a_password_is_changed_to_another_one_only(make_site):
    site = make_site()
    body = {"old_password": PASSWORD, "new_password": PASSWORD}
    status, answer = site.client.call("POST", "/auth/password", body)
    assert (status, code_of(answer)) == (400, "WEAK_PASSWORD")
    assert "the one that you have" in answer["error"]["message"]
    assert site.client.get("/auth/me")["username"] == "admin", "nothing has ended"


def test_a_key_is_told_that_it_is_one(make_site):
    site = make_site()
    assert site.client.get("/auth/me")["kind"] == "user"
    body = {"name": "bot", "role": "viewer", "areas": ["auth"]}
    secret = site.client.post("/auth/keys", body, 201)["secret"]
    _, me = site.client.call("GET", "/auth/me", token=secret)
    assert me == {"username": "bot", "role": "viewer", "kind": "key", "areas": ["auth"]}


@pytest.mark.parametrize(
    "sign", ["\u200b", "\ufeff", "\u2060", "\u3164", "\uffa0", "\u115f", "\u180e", "\U000e0041"]
)
def test_a_name_holds_nothing_that_nobody_sees(make_site, sign):
    """Of devices, sensors and rules alike: it is a matter of each text in a request."""
    site = make_site(devices=1)
    bodies = (
        ("PATCH", "/esp/devices/ESP_A00001", {"name": f"Tank{sign}"}),
        ("POST", "/sensors/ESP_A00001/32", {"sensor_type": f"lux{sign}"}),
        ("POST", "/actuators/ESP_A00001/32", {"actuator_type": "pump", "name": f"Pump{sign}"}),
    )
    for method, path, body in bodies:
        for raw in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
            status, answer = site.client.call(method, path, raw=raw.encode())
            assert (status, code_of(answer)) == (400, "VALIDATION_ERROR"), path
            assert f"the invisible character U+{ord(sign):04X}" in answer["error"]["message"]
    joined = {"name": "\U0001f469\u200d\U0001f33e"}
    assert site.client.call("PATCH", "/esp/devices/ESP_A00001", joined)[0] == 200
    # A stop is not refused for a word.
    answer = site.client.post("/actuators/emergency_stop", {"reason": f"leak{sign}"}, 200)
    assert answer["state"] == "active"


def test_accounts_from_before_keep_their_names_and_passwords(make_site):
    site = make_site()
    typed = apart(SECRET)
    old = Account("Otto.Old", hash_password(typed, 4), "viewer", disabled=False)
    assert site.gateway.desk.change(AddUser(account=old))
    for name in ("Otto.Old", "otto.old", "OTTO.OLD"):
        assert logs_in(site, name, typed) == 200
    body = {"username": "otto.old", "password": PASSWORD, "role": "viewer"}
    assert code_of(site.client.call("POST", "/users", body)[1]) == "USER_EXISTS"
    assert site.client.call("PATCH", "/users/otto.old", {"password": SECRET})[0] == 200
    assert logs_in(site, "Otto.Old", SECRET) == 200
    assert site.client.call("DELETE", "/users/OTTO.OLD")[0] == 204


@given(st.text(min_size=1, max_size=20))
def test_what_is_prepared_stays_as_it_is(text):
    try:
        name = prepared_name(text)
    except ValidationFailed:
        return
    assert prepared_name(name) == prepared_name(unicodedata.normalize("NFD", name)) == name
    # Some letters are others in capitals: the capitals of ß are SS.
    if name.upper().lower() == name:
        assert skeleton(name) == skeleton(prepared_name(name.upper()))


@given(st.text(min_size=1, max_size=20))
def test_a_password_that_is_taken_is_the_same_in_either_form(text):
    try:
        password = prepared_password(text)
    except WeakPassword:
        return
    assert prepared_password(unicodedata.normalize("NFD", password)) == password
