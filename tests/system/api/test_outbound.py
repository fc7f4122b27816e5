"""What the gateway sends elsewhere: within a deadline, one receiver beside the other, and not inside.

The kind: a receiver that is slow, or not the one that it seems to be, reaches beyond its own delivery.
"""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser import paths
from godkaiser.actors.registry.messages import SaveRule
from godkaiser.actors.services import notification_channels as notifications
from godkaiser.actors.services import outbound
from godkaiser.actors.services.outbound import Deadline, NotAcceptedError, Outbound
from godkaiser.actors.services.recipient import Notify, UndeliverableError, shown_target
from godkaiser.config.settings import NotifyConfig
from godkaiser.domain.addresses import Destinations, inside, unmapped
from godkaiser.domain.email_addresses import is_email_address
from godkaiser.domain.entities import Issuer
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.domain.rules.schema import NotificationAction
from godkaiser.errors.base import ValidationFailed
from godkaiser.mqtt.broker_address import BrokerAddress
from tests.system.site import PASSWORD
from tests.waiting import eventually

OPEN = Outbound(Destinations(["127.0.0.0/8"]))
WITHIN_S = 1.0


class Drip:
    """Answers with a byte now and then, for ever; `first` comes at once."""

    def __init__(self, first=b"", every_s=0.1):
        self.first, self.every_s = first, every_s
        self.taken = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while not self._stopping.is_set():
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            thread = threading.Thread(target=self._drip, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _drip(self, link):
        with link:
            try:
                link.sendall(self.first)
                while not self._stopping.wait(self.every_s):
                    link.sendall(b"1")
            except OSError:
                return

    def close(self):
        self._stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def drip():
    made = []

    def make(**how):
        made.append(Drip(**how))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1."])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_delivery_has_one_deadline_for_all_of_it(drip, first, scheme):
    """Each byte comes in time, the whole never does: in the head, in the line before, in TLS."""
    slow = drip(first=first)
    began = time.monotonic()
    with pytest.raises(OSError, match=r"."):
        OPEN.post(f"{scheme}://127.0.0.1:{slow.port}/", b"{}", {}, within_s=WITHIN_S)
    assert time.monotonic() - began < 5 * WITHIN_S


def test_the_body_of_an_answer_is_not_waited_for(drip):
    slow = drip(first=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    OPEN.post(f"http://127.0.0.1:{slow.port}/", b"{}", {}, within_s=30.0)


@pytest.mark.parametrize("code", [199, 302, 410, 500])
def test_only_2xx_is_a_delivery_and_a_redirect_is_not_followed(drip, code):
    answers = drip(first=f"HTTP/1.1 {code} No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".encode())
    if code == 199:
        with pytest.raises(OSError, match=r"."):
            OPEN.post(f"http://127.0.0.1:{answers.port}/", b"{}", {}, within_s=WITHIN_S)
        return
    with pytest.raises(NotAcceptedError) as refused:
        OPEN.post(f"http://127.0.0.1:{answers.port}/", b"{}", {}, within_s=5.0)
    assert refused.value.code == code
    assert answers.taken == 1


def test_a_mail_server_that_drips_is_cut_off(drip, monkeypatch):
    monkeypatch.setattr(notifications, "DELIVERY_S", WITHIN_S)
    slow = drip(first=b"220")
    config = NotifyConfig(smtp_host="127.0.0.1", smtp_port=slow.port)
    message = Notify(
        at=0.0, channel="email", target="a@site.example", subject="s", text="t", source="rule:1"
    )
    began = time.monotonic()
    with pytest.raises(OSError, match="longer than 1 s"):
        notifications._send_email(config, message)
    assert time.monotonic() - began < 5 * WITHIN_S


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch):
    hang = threading.Event()

    def silent(*_args, **_named):
        hang.wait(30)
        raise socket.gaierror(-2, "never")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    try:
        with pytest.raises(TimeoutError):
            OPEN.post("http://receiver.example/", b"{}", {}, within_s=0.3)
    finally:
        hang.set()


# ---- where it may go


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://a.localhost/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/meta-data", "http://10.1.2.3/",
        "http://192.168.1.1/", "http://172.16.0.1/", "http://[fe80::1]/", "http://[fd00::1]/",
        "http://0.0.0.0/", "http://100.64.0.1/", "http://224.0.0.1/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
        "http://[::ffff:7f00:1]/", "http://[::ffff:a9fe:a9fe]/", "http://[::]/", "http://0/",
    ],
)  # fmt: skip
def test_nothing_leads_inside_that_is_not_declared(url):
    with pytest.raises(OSError, match="allow"):
        Outbound(Destinations()).post(url, b"{}", {}, within_s=5.0)


def test_what_is_declared_may_be_reached_and_nothing_beside_it(drip):
    answers = drip(first=b"HTTP/1.1 204 No\r\n\r\n")
    port = answers.port
    for declared in ("127.0.0.0/8", "127.0.0.1", "::ffff:127.0.0.1", "localhost"):
        host = "localhost" if declared == "localhost" else "127.0.0.1"
        Outbound(Destinations([declared])).post(f"http://{host}:{port}/", b"{}", {})
    reached = answers.taken
    for declared, host in (("localhost", "127.0.0.1"), ("127.0.0.2", "127.0.0.1")):
        with pytest.raises(OSError, match="allow"):
            Outbound(Destinations([declared])).post(f"http://{host}:{port}/", b"{}", {})
    assert answers.taken == reached


def test_a_name_that_changes_its_mind_leads_to_the_address_that_was_checked(drip, monkeypatch):
    """DNS rebinding: outside when it is checked, inside when it is connected to."""
    inner = drip(first=b"HTTP/1.1 204 No\r\n\r\n")
    asked = []
    look_up = socket.getaddrinfo

    def rebinding(host, port, *args, **named):
        if host != "evil.example":
            return look_up(host, port, *args, **named)
        asked.append(host)
        address = "127.0.0.1" if len(asked) > 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    connected = []

    def connect(address, timeout):
        connected.append(address[0])
        raise ConnectionRefusedError("a test")

    monkeypatch.setattr(outbound.socket, "create_connection", connect)
    monkeypatch.setattr(
        "godkaiser.domain.addresses.inside", lambda a: "" if a == "192.0.2.1" else "x"
    )
    with pytest.raises(OSError, match="a test"):
        Outbound(Destinations()).post(f"http://evil.example:{inner.port}/", b"{}", {})
    assert connected == ["192.0.2.1"] and len(asked) == 1
    with pytest.raises(OSError, match="allow"):
        Outbound(Destinations()).post(f"http://evil.example:{inner.port}/", b"{}", {})
    assert inner.taken == 0


@given(st.ip_addresses())
def test_an_address_is_inside_or_public_however_it_is_written(address):
    text = str(address)
    assert inside(text) or address.is_global
    if address.version == 4:
        assert inside(f"::ffff:{text}") == inside(text)
        assert unmapped(f"::ffff:{text}") == text


def test_a_webhook_to_the_inside_is_refused_when_it_is_saved(make_site):
    site = make_site(allow=())
    for url in (
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://169.254.169.254/",
        "http://[::1]/",
    ):
        status, answer = site.client.call("POST", "/webhooks", {"name": "x", "url": url})
        assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR")
        assert "[outbound] allow" in answer["error"]["message"]
    made = site.client.post("/webhooks", {"name": "x", "url": "http://192.0.2.77/hook"}, 400)
    assert "reserved" in str(made) or "private" in str(made)
    with pytest.raises(ValidationFailed):
        Outbound(Destinations()).check("http://10.0.0.1/")


def test_of_the_addresses_of_a_name_only_those_outside_are_connected_to(monkeypatch):
    """One name with a public address and one inside, in either family and order."""
    for addresses in (("192.88.99.1", "::1"), ("::1", "192.88.99.1"), ("10.0.0.1", "2606:4700::1")):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80)) for a in addresses]
        connected = []

        def connect(address, timeout, connected=connected):
            connected.append(address[0])
            raise ConnectionRefusedError("a test")

        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, found=found, **_n: found)
        monkeypatch.setattr(outbound.socket, "create_connection", connect)
        with pytest.raises(OSError, match=r"."):
            Outbound(Destinations()).post("http://both.example/", b"{}", {})
        assert [a for a in connected if inside(a)] == []
        assert len(connected) == sum(not inside(a) for a in addresses)


# ---- one receiver beside the other


def test_a_slow_receiver_delays_no_other_and_a_bad_address_is_set_aside(make_site, drip):
    site = make_site()
    slow = drip(first=b"HTTP/1.1 ")
    quick = drip(first=b"HTTP/1.1 204 No\r\n\r\n")

    def tell(channel, target):
        site.gateway.system.handle(paths.NOTIFIER).tell(
            Notify(at=0.0, channel=channel, target=target, subject="s", text="t", source="rule:1")
        )

    began = time.monotonic()
    for n in range(5):
        tell("webhook", f"http://127.0.0.1:{slow.port}/secret-{n}")
    # As it may stand in a rule that was saved before addresses were checked.
    for _ in range(10):
        tell("email", "a@[b.c")
    tell("webhook", f"http://127.0.0.1:{quick.port}/hook")
    eventually(lambda: quick.taken == 1, 4.0)
    assert time.monotonic() - began < 4.0, "it waited for the slow ones"

    def set_aside():
        found = site.client.get("/system/dead-letters?limit=100")["data"]
        return [x for x in found if x["detail"] == "this is not an e-mail address"]

    eventually(lambda: len(set_aside()) == 10)
    view = site.gateway.system.published_value(paths.NOTIFIER, "view")
    assert view.given_up == 10
    crashed = {
        e["path"] for e in site.client.get("/system/events")["data"] if e["step"] == "crashed"
    }
    assert not [path for path in crashed if "notifier" in path or "recipient" in path]
    tree = str(site.client.get("/system/tree"))
    assert "secret-" not in tree


def test_a_topic_that_the_broker_refuses_is_no_delivery(mosquitto_factory, tmp_path):
    """The kind: a publication that the broker's rights forbid, which MQTT 3.1.1 acknowledges all the same."""
    (tmp_path / "acl").write_text("topic readwrite godkaiser/notify/open\n")
    broker = mosquitto_factory(accounts=(f"acl_file {tmp_path / 'acl'}", "allow_anonymous true"))
    address = BrokerAddress(host="127.0.0.1", port=broker.port)
    outside = Outbound(Destinations())
    deliver = notifications.channels(NotifyConfig(), lambda: address, "god", outside)["mqtt"]

    def told(target):
        return Notify(at=0.0, channel="mqtt", target=target, subject="s", text="t", source="rule:1")

    deliver(told("open"))
    with pytest.raises(OSError, match="the broker refuses: Not authorized"):
        deliver(told("closed"))
    broker.stop()
    with pytest.raises(OSError, match="refused"):
        deliver(told("open"))


def test_an_address_that_is_none_is_undeliverable():
    config = NotifyConfig(smtp_host="127.0.0.1", smtp_port=1)
    for target in (
        "a@[b.c",
        "a b@site.example",
        "a@site.example\r\nBcc: x@y.z",
        "@",
        "ä@site.example",
    ):
        message = Notify(
            at=0.0, channel="email", target=target, subject="s", text="t", source="rule:1"
        )
        with pytest.raises(UndeliverableError):
            notifications._send_email(config, message)


@pytest.mark.parametrize("good", ["a@b.example", "a.b+c@site.example", "x@xn--bcher-kva.example"])
def test_good_addresses_are_taken(good):
    assert is_email_address(good)


@given(st.text(max_size=60))
def test_whatever_the_check_takes_the_library_can_send(text):
    for target in (text, f"{text}@site.example", f"a@{text}.example"):
        if is_email_address(target):
            message = notifications.EmailMessage()
            message["To"] = target
            assert bytes(message)


def test_a_rule_with_a_bad_address_is_refused_when_it_is_saved(make_site):
    site = make_site(devices=1)
    actions = [{"type": "notification", "channel": "email", "target": "a@[b.c"}] * 10
    body = {"name": "n", "conditions": [], "actions": actions}
    status, answer = site.client.call("POST", "/logic/rules", body)
    assert status == 400
    assert "e-mail" in str(answer)


def test_the_path_of_a_url_is_in_no_error():
    target = "https://hooks.example/services/T0/secret?key=secret#secret"
    assert shown_target("webhook", target) == "https://hooks.example"
    assert "secret" not in repr(
        Notify(at=0, channel="webhook", target=target, subject="s", text="t", source="rule:1")
    )


def test_a_deadline_has_passed_once():
    with pytest.raises(TimeoutError):
        Deadline(-1.0).left_s()


# ---- what a URL hides


HIDING = "https://hooks.example/services/T0/very-secret?key=very-secret"


def test_the_path_of_a_webhook_in_a_rule_is_for_administrators(make_site):
    """Below that it is hidden, wherever rules are shown, and an edit that carries the mark changes nothing in it."""
    site = make_site()
    call = site.client.call

    def notify(target, channel="webhook"):
        return {"type": "notification", "channel": channel, "target": target}

    steps = {"type": "sequence", "steps": [notify(f"{HIDING}&2"), {"type": "delay", "seconds": 1}]}
    sensor = {"type": "sensor", "esp_id": "ESP_A00001", "gpio": 4, "sensor_type": "ds18b20",
              "operator": ">", "value": 30}  # fmt: skip
    actions = [notify(HIDING), notify("https://open.example"), notify("heat", "mqtt"), steps]
    rule = {"name": "n", "conditions": [sensor], "actions": actions, "enabled": False}
    made = site.client.post("/logic/rules", rule, 201)
    assert made["actions"][0]["target"] == HIDING, "an administrator sees it"
    path = f"/logic/rules/{made['id']}"
    site.client.post("/users", {"username": "olga", "password": PASSWORD, "role": "operator"}, 201)
    olga = site.client.post("/auth/login", {"username": "olga", "password": PASSWORD}, 200)
    token = olga["access_token"]
    for shown in ("/logic/rules", path, f"{path}/versions", f"{path}/history"):
        status, answer = call("GET", shown, token=token)
        assert status == 200 and "secret" not in str(answer), shown
    status, seen = call("GET", path, token=token)
    assert [a.get("target") for a in seen["actions"][1:3]] == ["https://open.example", "heat"]
    assert seen["actions"][0]["target"].startswith("https://hooks.example/hidden-")
    tag = site.client.last_headers["Etag"]
    body = {k: v for k, v in seen.items() if k not in {"id", "state"}}
    status, saved = call("PUT", path, {**body, "name": "m"}, token=token, headers={"If-Match": tag})
    assert status == 200, saved
    assert "secret" not in str(saved)
    fresh = site.client.get(path)
    assert (fresh["name"], fresh["actions"]) == ("m", made["actions"])
    # A mark is worth something in its own rule alone, and as it is.
    mark = seen["actions"][0]["target"]
    for method, where, target in (
        ("POST", "/logic/rules", mark), ("PUT", path, mark[:-1] + "x"), ("PUT", path, f"{mark}/more"),
        ("PUT", path, mark.replace("hooks.example", "evil.example")),
    ):  # fmt: skip
        changed = {**body, "name": "o", "actions": [notify(target)]}
        status, answer = call(method, where, changed, token=token)
        assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR"), target
    assert site.client.get(path)["actions"] == made["actions"]


def test_no_url_is_in_a_dead_letter():
    action = NotificationAction(channel="webhook", target=HIDING)
    definition = RuleDefinition(name="n", conditions=(), actions=(action,))
    message = SaveRule(definition=definition, issuer=Issuer("user", "admin"))
    assert "secret" not in repr(message)
    assert "hooks.example" in repr(message)
