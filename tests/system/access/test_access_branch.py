"""Who may come in is written by actors, and read without them.

The kind: a writer that crashes, hangs or is down between two restarts. Nobody who is logged in may notice it, least
of all who gives a stop; who logs in meanwhile is refused, and nothing of that happens later.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from godkaiser import paths
from godkaiser.actors.access import messages
from godkaiser.actors.access.accounts import AccountsActor
from godkaiser.actors.access.signing_keys import SigningKeysActor
from godkaiser.domain.access import Account, Login
from godkaiser.http.access.signed_tokens import verified
from godkaiser.storage.repositories import accounts
from godkaiser.supervision import RestartChild
from tests.provision.servers import PostgreSQL
from tests.system.access.test_authentication import add_key, add_user, locked
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

STOP = "/actuators/emergency_stop"
OLGA = {"username": "olga", "password": PASSWORD}


def stored(site):
    """As a gateway would find it that starts now."""
    found = accounts.load(site.gateway.database)
    site.gateway.database.close_thread()
    return found


def family_of(site, answer):
    keys, audience = site.gateway.desk.signing_keys, site.config.gateway.kaiser_id
    now = site.gateway.system.runtime.now()
    return verified(answer["access_token"], keys, audience, "access", now)["family"]


def logins_of_olga(access):
    return {login.family for login in access.logins.values() if login.username == "olga"}


def state_of(site, path=paths.ACCOUNTS):
    return site.gateway.system.info(path).state


def start_again(site, child="accounts"):
    """Without the pause that a supervisor makes after crashes."""
    supervisor = site.gateway.system.handle(paths.ACCESS)
    supervisor.ask(RestartChild(child), timeout_s=10.0)
    eventually(lambda: state_of(site, f"{paths.ACCESS}/{child}") == "running")


class Fault(Exception):
    """Of the test."""


def before_the_commit(monkeypatch):
    def fail(*_):
        raise Fault

    monkeypatch.setattr(accounts, "set_version", fail)


def _fault_after(monkeypatch, method):
    work = getattr(AccountsActor, method)

    def fail(self, message):
        work(self, message)
        raise Fault

    monkeypatch.setattr(AccountsActor, method, fail)


def after_the_commit(monkeypatch):
    _fault_after(monkeypatch, "_changed")


def before_the_answer(monkeypatch):
    _fault_after(monkeypatch, "_requested")


POINTS = (before_the_commit, after_the_commit, before_the_answer)


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_loses_nothing_that_was_answered(make_site, point, monkeypatch):
    site = make_site()
    add_user(site, "olga")
    key = add_key(site.client)
    olga = site.client.post("/auth/login", OLGA, 200)
    other = site.client.post("/auth/login", OLGA, 200)
    before = stored(site)
    calls = {
        "login": ("/auth/login", OLGA),
        "user": ("/users", {"username": "new", "password": PASSWORD, "role": "viewer"}),
        "key": ("/auth/keys", {"name": "second", "role": "viewer"}),
        "refresh": ("/auth/refresh", {"refresh_token": olga["refresh_token"]}),
    }
    for path, body in calls.values():
        with monkeypatch.context() as faults:
            point(faults)
            status, answer = site.client.call("POST", path, body)
        # It is not told as done, nor as refused.
        assert (status, answer["error"]["code"]) == (503, "OUTCOME_UNKNOWN"), answer
        assert site.client.call("POST", STOP, {}, token=key)[0] == 200
        assert site.client.call("POST", STOP, {})[0] == 200
        start_again(site)
    happened = point is not before_the_commit
    found = site.gateway.desk.access
    assert found.users == stored(site).users
    assert found.logins.keys() == stored(site).logins.keys() >= before.logins.keys()
    assert before.keys.items() <= found.keys.items()
    assert ("new" in found.users) == happened
    # What was answered is as good as before: two logins, and the refresh token whose answer was lost.
    for login in (olga, other):
        assert site.client.call("GET", "/auth/me", token=login["access_token"])[0] == 200
    again = site.client.post("/auth/refresh", {"refresh_token": olga["refresh_token"]}, 200)
    assert site.client.call("GET", "/auth/me", token=again["access_token"])[0] == 200
    site.stop_gateway()
    site.start_gateway()
    assert site.client.call("GET", "/auth/me", token=other["access_token"])[0] == 200


def test_an_actor_that_is_killed_twenty_times_loses_no_log_in_and_makes_none_up(make_site):
    site = make_site()
    add_user(site, "olga")
    enough = threading.Event()
    given, strange = [], []

    def log_in_again_and_again():
        client = Client(site.gateway.http_port)
        while not enough.is_set():
            status, answer = client.call("POST", "/auth/login", OLGA)
            if status == 200:
                given.append(answer)
                if client.call("GET", "/auth/me", token=answer["access_token"])[0] != 200:
                    strange.append("a login that was answered is not known")
            elif (status, answer["error"]["code"]) not in {
                (503, "OVERLOADED"), (503, "SERVICE_UNAVAILABLE"),
            }:  # fmt: skip
                strange.append(answer)
        client.close()

    with ThreadPoolExecutor(4) as people:
        people_ = [people.submit(log_in_again_and_again) for _ in range(4)]
        for _ in range(20):
            known = len(given)
            eventually(lambda known=known: len(given) > known)
            number = site.gateway.system.info(paths.ACCOUNTS).incarnation
            site.gateway.system.crash(paths.ACCOUNTS)
            assert site.client.call("POST", STOP, {})[0] == 200
            eventually(
                lambda number=number: (
                    site.gateway.system.info(paths.ACCOUNTS).incarnation > number
                    or state_of(site) == "down"
                )
            )
            start_again(site)
        enough.set()
        for person in people_:
            person.result(30)
    assert not strange, strange[:3]
    families = {family_of(site, answer) for answer in given}
    assert len(families) == len(given) > 20
    assert logins_of_olga(stored(site)) == logins_of_olga(site.gateway.desk.access) == families


def refused_while_stops_are_given(site, key):
    """Somebody logs in while the database hangs; his refusal, and that stops did not wait for it."""
    answers = []

    def log_in():
        client = Client(site.gateway.http_port)
        status, answer = client.call("POST", "/auth/login", OLGA)
        answers.append((status, answer, client.last_headers))
        client.close()

    person = threading.Thread(target=log_in)
    person.start()
    handled = site.gateway.system.info(paths.ACCOUNTS)
    eventually(lambda: site.gateway.system.info(paths.ACCOUNTS).busy_s > 0.0 or answers)
    waits = not answers
    for token in (key, site.client.token):
        assert site.client.call("POST", STOP, {"reason": "fire"}, token=token)[0] == 200
    if waits and handled.state == "running":
        assert not answers, "the stops waited for what the log-in waits for"
    person.join(30)
    ((status, answer, headers),) = answers
    assert status == 503, answer
    assert answer["error"]["code"] in {"DATABASE_UNAVAILABLE", "OVERLOADED", "SERVICE_UNAVAILABLE"}
    assert int(headers["Retry-After"]) >= 1


def assert_nothing_happened_later(site, before):
    def logs_in():
        status, answer = site.client.call("POST", "/auth/login", OLGA)
        return answer if status == 200 else None

    answer = eventually(logs_in, 60.0)
    # The actor had it in its mailbox before this one, or not at all.
    assert logins_of_olga(stored(site)) == before | {family_of(site, answer)}


def test_while_another_program_holds_the_database_stops_go_on_and_log_ins_are_refused(make_site):
    site = make_site()
    add_user(site, "olga")
    key = add_key(site.client)
    before = logins_of_olga(stored(site))
    with locked(site):
        refused_while_stops_are_given(site, key)
    assert_nothing_happened_later(site, before)


def test_while_the_database_stands_still_stops_go_on_and_log_ins_are_refused(make_site, postgres):
    """`postgres` is asked for only to skip where there is none."""
    cluster = PostgreSQL()
    cluster.start()
    site = make_site(database_url=cluster.create_database())
    try:
        add_user(site, "olga")
        key = add_key(site.client)
        before = logins_of_olga(stored(site))
        cluster.freeze()
        try:
            refused_while_stops_are_given(site, key)
            # Now the writer is down as well, and cannot start.
            site.gateway.system.crash(paths.ACCOUNTS)
            eventually(lambda: state_of(site) == "waiting", 60.0)
            for token in (key, site.client.token):
                assert site.client.call("POST", STOP, {}, token=token)[0] == 200
            assert site.client.call("GET", "/users")[0] == 200
            status, answer = site.client.call("POST", "/auth/login", OLGA)
            assert status == 503, answer
            assert int(site.client.last_headers["Retry-After"]) >= 1
            assert paths.ACCOUNTS in str(site.client.get("/health"))
        finally:
            cluster.thaw()
        assert_nothing_happened_later(site, before)
    finally:
        site.close()
        cluster.stop()


def test_a_command_with_a_key_does_not_wait_for_the_database(site):
    path = "/actuators/ESP_A00001/25/command?wait=5"
    order = {"command": "ON", "duration": 20}
    with locked(site):
        status, first = site.client.call("POST", path, order, headers={"Idempotency-Key": "a"})
        assert status == 202, first
        again = site.client.call("POST", path, order, headers={"Idempotency-Key": "a"})
    assert again == (202, first)


def test_a_signing_key_that_was_written_signs_whatever_crashes(make_site, monkeypatch):
    site = make_site()
    old = site.client.token
    with monkeypatch.context() as faults:
        work = SigningKeysActor._rotate

        def fail(self, overlap_s):
            work(self, overlap_s)
            raise Fault

        faults.setattr(SigningKeysActor, "_rotate", fail)
        status, answer = site.client.call("POST", "/auth/signing-keys/rotate", {})
        assert (status, answer["error"]["code"]) == (503, "OUTCOME_UNKNOWN")
    start_again(site, "signing_keys")
    shown = site.client.get("/auth/signing-keys")["data"]
    assert [key["signs"] for key in shown] == [True, False]
    fresh = site.client.post("/auth/login", {"username": "admin", "password": PASSWORD}, 200)
    for token in (old, fresh["access_token"]):
        assert site.client.call("GET", "/auth/me", token=token)[0] == 200


def test_what_waits_in_the_mailbox_of_the_accounts_shows_no_secret():
    account = Account("olga", "$2b$hash", "viewer", disabled=False)
    login = Login("family", "olga", "jti", 0.0)
    for message in (
        messages.AddFirstUser(account=account, login=login),
        messages.AddUser(account=account),
        messages.BeginLogin(account=account, login=login),
        messages.ChangeUser(username="olga", password_hash="$2b$hash", login=login),
        messages.RenewLogin(used_jti="used", fresh=login),
    ):
        assert "hash" not in repr(message) and "'jti'" not in repr(message), message
