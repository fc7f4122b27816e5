"""Rules in a real gateway: sequences that outlive it, notifications that arrive, answers to 'why'."""

from __future__ import annotations

import http.server
import json
import threading

import paho.mqtt.client as mqtt
import pytest
from aiosmtpd.controller import Controller

from tests.provision.servers import free_port
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import (
    DEVICE,
    FAN,
    HOT,
    PUMP,
    SITE,
    clear,
    order,
    settle,
)
from tests.waiting import eventually

FILE_RULE = f"""\
[[rules]]
name = "From a file"
[[rules.conditions]]
type = "sensor"
esp_id = "{DEVICE}"
gpio = 4
sensor_type = "ds18b20"
operator = ">"
value = 90
[[rules.actions]]
type = "actuator"
esp_id = "{DEVICE}"
gpio = {FAN}
command = "ON"
"""


@pytest.fixture
def make(tmp_path, own_mosquitto):
    """A gateway with a declared site, and its device, settled."""
    made = []

    def make(more="", rules=""):
        (tmp_path / "devices.d").mkdir()
        (tmp_path / "devices.d" / "site.toml").write_text(SITE)
        if rules:
            (tmp_path / "rules.d").mkdir()
            (tmp_path / "rules.d" / "site.toml").write_text(rules)
        gateway = GatewayProcess(tmp_path, own_mosquitto.port, more=more).start()
        made.append(gateway.stop)
        gateway.log_in()
        device = DeviceOnTheWire(own_mosquitto.port, DEVICE, (FAN, PUMP))
        made.append(device.close)
        settle(gateway, device)
        return gateway, device

    yield make
    for end in reversed(made):
        end()


def turn(gpio, command="ON"):
    return {"type": "actuator", "esp_id": DEVICE, "gpio": gpio, "command": command}


def sequence(*steps, **fields):
    return {"type": "sequence", "steps": list(steps), **fields}


def rule(*actions, **fields):
    body = {"name": "r", "conditions": [HOT], "actions": list(actions), "cooldown_seconds": 3600}
    return {**body, **fields}


def heat(device, degrees=40):
    device.measure(4, "ds18b20", degrees * 16)


def commands(device):
    """As the device heard them: `ON 25`."""
    return [
        f"{body['command']} {tail.split('/')[1]}"
        for tail, body in device.heard
        if tail.startswith("actuator/") and tail.endswith("command")
    ]


def state_of(gateway, rule_id):
    return gateway.client.get(f"/logic/rules/{rule_id}")["state"]


WATERING = sequence(
    turn(FAN),
    {"type": "wait_until", "timeout_seconds": 60,
     "condition": {**HOT, "value": 50}},
    turn(PUMP),
    turn(PUMP, "OFF"),
    turn(FAN, "OFF"),
)  # fmt: skip


def wait_at_step(gateway, rule_id, step):
    eventually(lambda: state_of(gateway, rule_id)["sequence"] == f"step {step} of actions[0]")


def test_a_sequence_goes_on_where_it_stood_whatever_dies(make):
    gateway, device = make()
    rule_id = gateway.client.post("/logic/rules", rule(WATERING), 201)["id"]
    heat(device)
    wait_at_step(gateway, rule_id, 1)
    # What is remembered is on disk shortly after it is known.
    eventually(lambda: gateway.client.get(f"/logic/rules/{rule_id}/history")["data"])
    gateway.kill()
    gateway.start()
    gateway.log_in()
    settle(gateway, device)
    wait_at_step(gateway, rule_id, 1)
    heat(device, 60)
    eventually(lambda: state_of(gateway, rule_id)["last_result"] == "sequence done")
    assert commands(device) == ["ON 25", "ON 26", "OFF 26", "OFF 25"]
    assert state_of(gateway, rule_id)["fired_count"] == 1


def test_what_is_reached_while_the_gateway_is_dead_ends_what_its_rule_had_on(make):
    # home-assistant/core#43803, with kill -9: the heater stays on for ever.
    gateway, device = make()
    gateway.client.post("/logic/rules", rule({**turn(FAN), "release": True}), 201)
    heat(device)
    eventually(lambda: commands(device) == ["ON 25"])
    gateway.kill()
    gateway.start()
    gateway.log_in()
    settle(gateway, device)
    heat(device, 20)
    eventually(lambda: commands(device)[-1] == "OFF 25")
    assert commands(device) == ["ON 25", "OFF 25"]


def test_a_sequence_that_somebody_breaks_switches_off_and_says_why(make):
    gateway, device = make()
    rule_id = gateway.client.post("/logic/rules", rule(WATERING), 201)["id"]
    heat(device)
    wait_at_step(gateway, rule_id, 1)
    assert order(gateway, FAN, "OFF")[0] == 202
    result = eventually(
        lambda: (found := state_of(gateway, rule_id)["last_result"]) != "fired" and found
    )
    assert result == f"sequence aborted: {DEVICE}/{FAN} is no longer on"
    heat(device, 60)
    path = f"/logic/rules/{rule_id}/history"
    eventually(lambda: "aborted" in gateway.client.get(path)["data"][0]["remark"])
    assert "ON 26" not in commands(device)


@pytest.mark.parametrize("how", ["changed", "deleted", "switched off"])
def test_a_rule_that_goes_takes_its_sequence_along(make, how):
    gateway, device = make()
    body = rule(WATERING)
    rule_id = gateway.client.post("/logic/rules", body, 201)["id"]
    heat(device)
    wait_at_step(gateway, rule_id, 1)
    path = f"/logic/rules/{rule_id}"
    if how == "deleted":
        assert gateway.client.call("DELETE", path)[0] == 204
    else:
        change = {"enabled": False} if how == "switched off" else {"actions": [turn(PUMP, "OFF")]}
        assert gateway.client.call("PUT", path, {**body, **change})[0] == 200
    eventually(lambda: "OFF 25" in commands(device))
    assert commands(device)[:2] == ["ON 25", "OFF 25"]


def test_a_stop_eats_no_rule(make):
    """What a stop refuses has not fired: afterwards its dose, its hour and its cooldown are all there."""
    gateway, device = make()
    dose = {**turn(PUMP), "duration": 2}
    rule_id = gateway.client.post("/logic/rules", rule(dose, max_per_hour=1), 201)["id"]
    gateway.client.post("/actuators/emergency_stop", {"reason": "trial"}, 200)
    heat(device)
    refused = eventually(lambda: state_of(gateway, rule_id)["refused"])
    assert "emergency stop" in refused
    state = state_of(gateway, rule_id)
    assert (state["fired_count"], state["last_fired"]) == (0, None)
    clear(gateway)
    eventually(lambda: state_of(gateway, rule_id)["fired_count"] == 1, 60.0)
    eventually(lambda: f"ON {PUMP}" in commands(device))
    assert state_of(gateway, rule_id)["refused"] == ""


# ---- notifications


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers 500 to the first request."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.send_response(500 if len(self.server.bodies) == 1 else 204)
        self.end_headers()

    def log_message(self, *_args):
        """Quiet."""


@pytest.fixture
def hook():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.bodies = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Letters:
    def __init__(self):
        self.received = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - the library's name
        self.received.append(envelope)
        return "250 OK"


@pytest.fixture
def post_office():
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=free_port())
    controller.start()
    letters.port = controller.port
    yield letters
    controller.stop()


@pytest.fixture
def listener(own_mosquitto):
    heard, ready = [], threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_args: client.subscribe("godkaiser/notify/#", 1)
    client.on_subscribe = lambda *_args: ready.set()
    client.on_message = lambda _c, _d, message: heard.append((message.topic, message.payload))
    client.connect("127.0.0.1", own_mosquitto.port)
    client.loop_start()
    assert ready.wait(10)
    yield heard
    client.disconnect()
    client.loop_stop()


def test_a_rule_tells_a_webhook_a_topic_and_a_person(make, hook, post_office, listener):
    gateway, device = make(
        '[outbound]\nallow = ["127.0.0.1"]\n'
        f'[notify]\nsmtp_host = "127.0.0.1"\nsmtp_port = {post_office.port}\n'
        'smtp_starttls = false\nsmtp_from = "gateway@site.example"\n'
    )

    def tell(channel, target):
        return {"type": "notification", "channel": channel, "target": target,
                "message": "{rule}: {why}"}  # fmt: skip

    told = rule(
        tell("webhook", f"http://127.0.0.1:{hook.server_port}/alarm?key=secret"),
        tell("mqtt", "heat"),
        tell("email", "grower@site.example"),
        name="Too hot",
    )
    rule_id = gateway.client.post("/logic/rules", told, 201)["id"]
    heat(device)
    expected = f"Too hot: ds18b20 of {DEVICE}/4: 40 > 30"
    topic, payload = eventually(lambda: listener and listener[0])
    assert (topic, json.loads(payload)["text"]) == ("godkaiser/notify/heat", expected)
    letter = eventually(lambda: post_office.received and post_office.received[0])
    assert letter.rcpt_tos == ["grower@site.example"]
    assert expected in letter.content.decode()
    # The hook was broken at first, and is told again.
    eventually(lambda: len(hook.bodies) == 2)
    assert hook.bodies[0] == hook.bodies[1]
    assert hook.bodies[1]["source"] == f"rule:{rule_id}"
    assert "key=secret" not in gateway.log.read_text()
    assert len(post_office.received) == 1


# ---- versions, files, why, and what would have been


def test_versions_say_who_wrote_what_also_of_a_deleted_rule(make):
    gateway, _device = make()
    made = gateway.client.post("/logic/rules", rule(turn(FAN)), 201)
    path = f"/logic/rules/{made['id']}"
    assert gateway.client.call("PUT", path, rule(turn(FAN), name="better"))[0] == 200
    assert gateway.client.call("DELETE", path)[0] == 204
    versions = gateway.client.get(f"{path}/versions")["data"]
    assert {v["version"]: v["definition"]["name"] for v in versions} == {1: "r", 2: "better"}
    assert {v["saved_by"] for v in versions} == {"user:admin"}
    # Its number is not given to another.
    assert gateway.client.post("/logic/rules", rule(turn(FAN)), 201)["id"] > made["id"]
    assert gateway.client.call("GET", "/logic/rules/999/versions")[0] == 404


def test_of_two_who_change_a_rule_the_second_has_to_look_again(make):
    gateway, _device = make()
    client = gateway.client
    made = client.post("/logic/rules", rule(turn(FAN)), 201)
    path = f"/logic/rules/{made['id']}"
    client.get(path)
    seen = client.last_headers["Etag"]

    def put(tag, name):
        return client.call("PUT", path, rule(turn(FAN), name=name), headers={"If-Match": tag})

    assert put(seen, "mine")[0] == 200
    assert client.last_headers["Etag"] != seen
    status, answer = put(seen, "yours")
    assert (status, answer["error"]["code"]) == (412, "CHANGED_MEANWHILE")
    assert client.get(path)["name"] == "mine"
    assert put(client.last_headers["Etag"], "yours")[0] == 200
    assert put("*", "whatever it is")[0] == 200
    assert put('W/"x"', "weak")[0] == 412


def test_rules_of_a_file_are_read_only_and_come_and_go_with_it(make):
    gateway, _device = make(rules=FILE_RULE)
    (found,) = gateway.client.get("/logic/rules")["data"]
    assert found["name"] == "From a file"
    assert found["state"]["declared_in"].endswith("rules.d/site.toml:1")
    for method, body in (("PUT", rule(turn(FAN))), ("DELETE", None)):
        status, answer = gateway.client.call(method, f"/logic/rules/{found['id']}", body)
        assert (status, answer["error"]["code"]) == (409, "DECLARED_IN_FILE")
    gateway.stop()
    (gateway.folder / "rules.d" / "site.toml").write_text(FILE_RULE.replace("90", "80"))
    gateway.start()
    gateway.log_in()
    (changed,) = gateway.client.get("/logic/rules")["data"]
    assert (changed["id"], changed["conditions"][0]["value"]) == (found["id"], 80)
    gateway.stop()
    (gateway.folder / "rules.d" / "site.toml").unlink()
    gateway.start()
    gateway.log_in()
    # Switched off, and REST's from now on.
    (left,) = gateway.client.get("/logic/rules")["data"]
    assert (left["id"], left["enabled"], left["state"]["declared_in"]) == (found["id"], False, None)
    assert gateway.client.call("DELETE", f"/logic/rules/{found['id']}")[0] == 204
    versions = gateway.client.get(f"/logic/rules/{found['id']}/versions")["data"]
    assert len(versions) == 3


def test_why_an_actuator_is_on_in_one_call(make):
    gateway, device = make()
    made = gateway.client.post("/logic/rules", rule(turn(FAN)), 201)
    heat(device)
    eventually(lambda: commands(device) == ["ON 25"])
    url = f"/logic/explain?actuator={DEVICE}:{FAN}"
    (found,) = eventually(
        lambda: (
            (data := gateway.client.get(url)["data"])
            and data[0]["state"] == "confirmed"
            and data[0]["execution"]
            and data
        )
    )
    assert (found["verb"], found["rule_id"], found["issuer"]) == (
        "ON", made["id"], f"rule:{made['id']}",
    )  # fmt: skip
    assert found["execution"]["findings"][0]["detail"] == f"ds18b20 of {DEVICE}/4: 40 > 30"
    assert all(check["passed"] for check in found["checks"])
    before = gateway.client.get(f"{url}&at={found['requested_at'] - 1}")["data"]
    assert before == []
    for bad in ("", "?actuator=x", f"?actuator={DEVICE}:99x"):
        assert gateway.client.call("GET", f"/logic/explain{bad}")[0] == 400


def test_a_trial_says_what_is_and_what_would_have_been_and_saves_nothing(make):
    gateway, device = make()
    heat(device, 20)
    heat(device, 41)
    url = f"/sensors/data?esp_id={DEVICE}&limit=5"
    eventually(lambda: len(gateway.client.get(url)["data"]) == 2)
    answer = gateway.client.post("/logic/rules/test", {"rule": rule(turn(FAN)), "hours": 1}, 200)
    assert answer["problems"] == []
    assert answer["now"]["truth"] == "true"
    assert answer["now"]["verdicts"][0]["allowed"] is True
    history = answer["history"]
    assert (history["readings"], history["fired"], history["complete"]) == (2, 1, True)
    assert history["events"][0]["commands"] == [f"ON {DEVICE}/{FAN}"]
    assert gateway.client.get("/logic/rules")["data"] == []
    assert commands(device) == []
    contrary = rule(turn(FAN), conditions=[HOT, {**HOT, "operator": "<", "value": 10}])
    answer = gateway.client.post("/logic/rules/test", {"rule": contrary}, 200)
    assert "can never be true" in answer["problems"][0]["message"]
    assert answer["now"] is None


def test_conflicts_are_told_at_save_and_fights_are_stopped(make):
    gateway, device = make()
    cold = {**HOT, "operator": ">", "value": -50}
    first = gateway.client.post("/logic/rules", rule(turn(FAN), name="on", cooldown_seconds=0), 201)
    assert first["state"]["warnings"] == []
    second = gateway.client.post(
        "/logic/rules",
        rule(turn(FAN, "OFF"), name="off", conditions=[cold], cooldown_seconds=0), 201,
    )  # fmt: skip
    assert "commands something else" in second["state"]["warnings"][0]["message"]

    def suspended():
        heat(device)
        states = [state_of(gateway, made["id"])["suspended"] for made in (first, second)]
        return next((text for text in states if text), None)

    assert "has undone" in eventually(suspended, 30.0)
