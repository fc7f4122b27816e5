"""The session of the page: a cookie that no script reads, believed from our own page only; and the stop token."""

from __future__ import annotations

import http.cookies

import jwt
import pytest

from godkaiser.http.access.permissions import Role
from godkaiser.http.endpoints import ENDPOINTS
from tests.system.site import PASSWORD, Client

STOP = "/actuators/emergency_stop"
SESSION, RENEWAL = "/auth/session", "/auth/session/renewal"


class Browser(Client):
    """Sends its cookies and where its page comes from, as browsers do."""

    def __init__(self, port, **headers):
        super().__init__(port)
        self.headers = {"Origin": f"http://127.0.0.1:{port}", **headers}
        self.cookie = ""

    def ask(self, method, path, body=None, **headers):
        sent = {**self.headers, **({"Cookie": self.cookie} if self.cookie else {}), **headers}
        found = self.call(method, path, body, headers=sent)
        if "Set-Cookie" in self.last_headers:
            self.set_cookie = self.last_headers["Set-Cookie"]
            self.cookie = self.set_cookie.partition(";")[0]
        return found

    def log_in(self, name="admin", password=PASSWORD):
        status, answer = self.ask("POST", SESSION, {"username": name, "password": password})
        assert status == 200, answer
        self.token = answer["access_token"]
        return answer


@pytest.fixture
def quiet_site(make_site):
    """Without devices: these tests are about people."""
    return make_site()


@pytest.fixture
def open_browser(quiet_site):
    opened = []

    def open_browser(**headers):
        browser = Browser(quiet_site.gateway.http_port, **headers)
        opened.append(browser)
        return browser

    yield open_browser
    for browser in opened:
        browser.close()


def test_the_refresh_token_is_in_a_cookie_that_no_script_and_no_other_path_sees(open_browser):
    browser = open_browser()
    answer = browser.log_in()
    assert set(answer) == {"access_token", "expires_in", "username", "role", "stop_token"}
    (cookie,) = http.cookies.SimpleCookie(browser.set_cookie).values()
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/api/v1/auth/session"
    assert cookie["secure"] == ""
    assert jwt.decode(cookie.value, options={"verify_signature": False})["type"] == "refresh"
    assert cookie.value not in str(answer)
    assert browser.get("/auth/me")["username"] == "admin"


def test_over_https_the_cookie_never_leaves_it(quiet_site, open_browser):
    host = f"127.0.0.1:{quiet_site.gateway.http_port}"
    browser = open_browser(Origin=f"https://{host}")
    browser.log_in()
    assert "; Secure" in browser.set_cookie


def test_a_reload_of_the_page_goes_on_with_the_login(open_browser):
    browser = open_browser()
    first = browser.log_in()
    status, answer = browser.ask("POST", RENEWAL)
    assert status == 200
    assert answer["access_token"] != first["access_token"]
    assert browser.ask("POST", RENEWAL)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
    ],
)
def test_a_page_of_somebody_else_can_do_nothing_with_the_cookie(open_browser, headers):
    browser = open_browser()
    browser.log_in()
    for method, path, body in (
        ("POST", SESSION, {"username": "admin", "password": PASSWORD}),
        ("POST", RENEWAL, None),
        ("DELETE", SESSION, None),
    ):
        status, answer = browser.ask(method, path, body, **headers)
        assert (status, answer["error"]["code"]) == (403, "CROSS_SITE_REQUEST")
    assert browser.ask("POST", RENEWAL)[0] == 200


def test_the_cookie_opens_nothing_else(open_browser):
    browser = open_browser()
    browser.log_in()
    browser.token = ""
    assert browser.ask("GET", "/auth/me")[0] == 401
    assert browser.ask("POST", STOP, {})[0] == 401


def test_log_out_ends_the_login_in_all_its_forms(open_browser):
    browser = open_browser()
    answer = browser.log_in()
    old = browser.cookie
    assert browser.ask("DELETE", SESSION)[0] == 200
    assert '=""; expires=' in browser.set_cookie
    assert browser.ask("GET", "/auth/me")[0] == 401
    browser.cookie = old
    assert browser.ask("POST", RENEWAL)[0] == 401
    assert browser.call("GET", STOP, token=answer["stop_token"])[0] == 401
    # A page that opens asks; nobody being logged in is no error.
    browser.cookie = ""
    assert browser.ask("POST", RENEWAL) == (200, None)
    assert browser.ask("DELETE", SESSION)[0] == 200


def test_a_wrong_password_counts_as_on_the_other_way_in(open_browser):
    browser = open_browser()
    body = {"username": "admin", "password": "wrong"}
    statuses = [browser.ask("POST", SESSION, body)[0] for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert browser.ask("POST", "/auth/login", {"username": "admin", "password": PASSWORD})[0] == 429


# ---- the stop token


def test_a_stop_token_stops_and_reads_what_became_of_it_and_opens_nothing_else(
    quiet_site, open_browser
):
    token = open_browser().log_in()["stop_token"]
    client = quiet_site.client
    for endpoint in ENDPOINTS:
        if endpoint.role is None or endpoint.path == STOP:
            continue
        path = endpoint.path.replace("{gpio}", "5").replace("{", "").replace("}", "")
        assert client.call(endpoint.method, path, {}, token=token)[0] == 401, endpoint.key
    status, answer = client.call("POST", STOP, {"reason": "page"}, token=token)
    assert (status, answer["state"]) == (200, "active")
    status, answer = client.call("GET", STOP, token=token)
    assert (status, answer["stops"][0]["by"]) == (200, "user:admin")


def test_it_outlives_the_access_token_and_ends_with_the_user(quiet_site, open_browser, monkeypatch):
    quiet_site.client.post(
        "/users", {"username": "olga", "password": PASSWORD, "role": "operator"}, 201
    )
    answer = open_browser().log_in("olga")
    now = quiet_site.gateway.system.runtime.now()
    monkeypatch.setattr(
        "godkaiser.http.access.signed_tokens.boot_time", lambda: 10_000_000.0 + 24 * 3600.0
    )
    gate = quiet_site.gateway.tokens
    monkeypatch.setattr("godkaiser.http.access.signed_tokens.boot_id", lambda: "another boot")
    with pytest.raises(Exception, match="expired"):
        gate.identify(answer["access_token"], now + 3600)
    assert gate.identify_stop(answer["stop_token"], now + 3600).role is Role.OPERATOR
    monkeypatch.undo()
    status, _ = quiet_site.client.call("PATCH", "/users/olga", {"disabled": True})
    assert status == 200
    assert quiet_site.client.call("POST", STOP, {}, token=answer["stop_token"])[0] == 401


def test_a_viewer_gets_none(quiet_site, open_browser):
    quiet_site.client.post(
        "/users", {"username": "vera", "password": PASSWORD, "role": "viewer"}, 201
    )
    assert open_browser().log_in("vera")["stop_token"] is None


def test_the_sandboxed_frame_may_ask_for_the_stop_and_for_nothing_else(open_browser):
    browser = open_browser()
    token = browser.log_in()["stop_token"]
    browser.token = ""
    asked = {"Access-Control-Request-Method": "POST", "Origin": "null"}
    assert browser.ask("OPTIONS", STOP, **asked)[0] == 200
    assert browser.last_headers["Access-Control-Allow-Origin"] == "null"
    assert "authorization" in browser.last_headers["Access-Control-Allow-Headers"]
    browser.ask("GET", STOP, Origin="null", Authorization=f"Bearer {token}")
    assert browser.last_headers["Access-Control-Allow-Origin"] == "null"
    for path, origin in ((STOP, "http://evil.example"), ("/auth/me", "null"), (SESSION, "null")):
        browser.ask("OPTIONS", path, Origin=origin)
        assert "Access-Control-Allow-Origin" not in browser.last_headers


# ---- before the log-in


def test_the_version_tells_what_the_page_needs_before_anybody_is_logged_in(
    quiet_site, open_browser
):
    browser = open_browser()
    status, answer = browser.ask("GET", "/version")
    assert status == 200
    assert answer["setup"] == "closed"
    assert answer["version"] == browser.get("/health")["version"]
    assert len(answer["page"]) == 16
