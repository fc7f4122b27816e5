"""A command that is sent again with its Idempotency-Key is given once."""

from __future__ import annotations

import threading
from http.client import HTTPException

from godkaiser.actors.access.idempotency import IdempotencyActor
from godkaiser.storage.files.notes_file import NotesFile
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.process import GatewayProcess
from tests.system.safety.test_stop_survives import SITE
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25
TOGGLE = {"esp_id": BENCH, "gpio": FAN, "command": "TOGGLE"}


def toggle(client, key, body=TOGGLE, path="/actuators/command?wait=5"):
    return client.call("POST", path, body, headers={"Idempotency-Key": key})


def test_what_is_sent_again_is_answered_as_before_and_not_given(site):
    status, first = toggle(site.client, "a")
    assert (status, first["outcome"]["state"]) == (202, "confirmed")
    assert site.firmware(BENCH).levels()[FAN] == 1.0
    for _ in range(3):
        assert toggle(site.client, "a") == (202, first)
        assert site.client.last_headers["Idempotency-Replayed"] == "true"
    assert site.firmware(BENCH).levels()[FAN] == 1.0
    assert toggle(site.client, "b")[1]["outcome"]["state"] == "confirmed"
    assert site.firmware(BENCH).levels()[FAN] == 0.0


def test_another_request_needs_another_key_and_another_person_has_his_own(site):
    assert toggle(site.client, "a")[0] == 202
    status, answer = toggle(site.client, "a", {**TOGGLE, "gpio": 26})
    assert (status, answer["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    site.client.post("/users", {"username": "other", "password": PASSWORD, "role": "operator"}, 201)
    other = Client(site.gateway.http_port)
    login = other.post("/auth/login", {"username": "other", "password": PASSWORD}, 200)
    other.token = login["access_token"]
    assert toggle(other, "a", {**TOGGLE, "command": "OFF"})[0] == 202
    other.close()
    assert toggle(site.client, "")[0] in {202, 400}
    assert toggle(site.client, "x" * 256)[0] == 400


def test_a_restart_of_the_gateway_or_the_api_forgets_nothing(site):
    status, first = toggle(site.client, "a")
    assert status == 202
    site.stop_gateway()
    site.start_gateway()
    site.wait_in_sync()
    assert toggle(site.client, "a") == (202, first)
    assert toggle(site.client, "a", {**TOGGLE, "gpio": 26})[0] == 422
    site.client.call("POST", "/system/actors/crash", {"path": "/services/api"})
    site.client.close()
    eventually(lambda: site.gateway.system.info("/services/api").restarts == 1)
    assert eventually(lambda: _again(site.client)) == (202, first)


def _again(client):
    try:
        return toggle(client, "a")
    except (OSError, HTTPException):
        client.close()
        return None


def test_what_was_under_way_when_the_gateway_was_killed_is_not_given_again(tmp_path, own_mosquitto):
    (tmp_path / "devices.d").mkdir()
    (tmp_path / "devices.d" / "site.toml").write_text(SITE)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    device = DeviceOnTheWire(own_mosquitto.port, BENCH, (FAN, 26))
    try:
        gateway.log_in()
        device.beat()
        device.tell_states()
        eventually(
            lambda: all(a["state"] != "unknown" for a in gateway.client.get("/actuators")["data"])
        )
        body = {"esp_id": BENCH, "gpio": FAN, "command": "ON", "duration": 20}
        # It hears the command and does not answer.
        device._obey = lambda *_: None
        other = Client(gateway.port)
        other.token = gateway.client.token
        cut_off = []

        def send():
            try:
                toggle(other, "a", body, "/actuators/command?wait=20")
            except (OSError, HTTPException) as error:
                cut_off.append(error)

        sending = threading.Thread(target=send)
        sending.start()
        eventually(lambda: device.energised)
        gateway.kill()
        sending.join(30)
        assert cut_off
        gateway.start()
        gateway.log_in()
        status, answer = toggle(gateway.client, "a", body)
        assert (status, answer["error"]["code"]) == (409, "IDEMPOTENCY_KEY_IN_DOUBT")
        assert len(device.energised) == 1
    finally:
        device.close()
        gateway.stop()


def test_what_was_refused_is_judged_anew(site):
    wrong = {"esp_id": BENCH, "gpio": FAN, "command": "PWM", "value": 80}
    assert toggle(site.client, "a", wrong)[0] == 400
    assert toggle(site.client, "a")[0] == 202


def test_many_at_once_give_one_command(site):
    answers = []

    def send():
        client = Client(site.gateway.http_port)
        client.token = site.client.token
        answers.append(toggle(client, "once"))
        client.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = {answer["verdict"] is not None and answer["correlation_id"]
             for status, answer in answers if status == 202}  # fmt: skip
    assert len(given) == 1
    assert {status for status, _ in answers} <= {202, 409}
    assert site.firmware(BENCH).levels()[FAN] == 1.0


def test_what_cannot_be_noted_is_not_given_and_can_be_sent_again(site, monkeypatch):
    add = NotesFile.add
    faults = [RuntimeError("of the test")]

    def fail(self, note, *, flush=False):
        add(self, note, flush=flush)
        if faults:
            raise faults.pop()

    monkeypatch.setattr(NotesFile, "add", fail)
    status, answer = toggle(site.client, "a")
    assert (status, answer["error"]["code"]) == (503, "OVERLOADED"), answer
    assert int(site.client.last_headers["Retry-After"]) >= 1
    status, answer = eventually(lambda: _unless_in_use(site.client))
    assert (status, answer["outcome"]["state"]) == (202, "confirmed")
    assert site.firmware(BENCH).levels()[FAN] == 1.0, "toggled once"


def _unless_in_use(client):
    """What was told to take the note back is handled after the restart of the actor."""
    status, answer = toggle(client, "a")
    return None if status == 409 else (status, answer)


def test_how_a_command_ended_is_noted_though_the_notes_crash_on_it(site, monkeypatch):
    end = IdempotencyActor._end
    faults = [RuntimeError("of the test")]

    def fail(self, *told):
        if faults:
            raise faults.pop()
        return end(self, *told)

    monkeypatch.setattr(IdempotencyActor, "_end", fail)
    status, first = toggle(site.client, "a")
    assert (status, first["outcome"]["state"]) == (202, "confirmed")
    assert eventually(lambda: _unless_in_use(site.client)) == (202, first)
    assert site.firmware(BENCH).levels()[FAN] == 1.0
