"""The age of a command counts from its acceptance: what lay in a stalled or slow gateway is not given late.

The kind: a command whose client has given up, and which moves an actuator afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.http.stalls import GRACE_S, STALL_S, StallWatch
from tests.system.process import GatewayProcess
from tests.waiting import eventually

BENCH, FAN = "ESP_A00001", 25


def request(token, body, path=f"/actuators/{BENCH}/{FAN}/command"):
    content = json.dumps(body).encode()
    head = (
        f"POST /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


def answer_on(link):
    data = b""
    while part := link.recv(65536):
        data += part
    head, _, content = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)


def code_of(answer):
    return answer[1].get("error", {}).get("code")


@pytest.fixture
def gateway(tmp_path, own_mosquitto):
    made = GatewayProcess(tmp_path, own_mosquitto.port).start()
    made.log_in()
    yield made
    made.stop()


def test_what_is_read_after_a_stall_energises_nothing(gateway):
    """There is no such device: what is let through the door is told that."""
    links = []
    with contextlib.ExitStack() as stack:

        def send(body, path=f"/actuators/{BENCH}/{FAN}/command"):
            link = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
            stack.enter_context(link)
            link.sendall(request(gateway.client.token, body, path))
            links.append(link)

        os.kill(gateway._process.pid, signal.SIGSTOP)
        try:
            for path in (
                "/actuators/resume",
                "/actuators/clear_emergency",
                "/actuators/emergency_stop",
            ):
                send({}, path)
            for body in (
                {"command": "ON"}, {"command": "on", "max_age_s": 60}, {"command": "TOGGLE"},
                {"command": "PWM", "value": 0.5}, {"command": "OFF"},
            ):  # fmt: skip
                send(body)
            time.sleep(STALL_S + 0.5)
        finally:
            os.kill(gateway._process.pid, signal.SIGCONT)
        answers = [answer_on(link) for link in links]
    others, answers = answers[:3], answers[3:]
    assert [code_of(a) for a in others] == ["GATEWAY_STALLED", "GATEWAY_STALLED", None]
    assert others[2][0] == 200, "a stop is never too late"
    assert [code_of(a) for a in answers[:4]] == ["GATEWAY_STALLED"] * 4
    assert answers[0][0] == 503
    assert code_of(answers[4]) == "ESP_NOT_FOUND", "OFF is never too late"

    def goes_on():
        path = f"/actuators/{BENCH}/{FAN}/command"
        return code_of(gateway.client.call("POST", path, {"command": "ON"})) == "ESP_NOT_FOUND"

    assert code_of(gateway.client.call("GET", "/auth/me")) is None

    eventually(goes_on, 10.0)


def test_the_age_begins_with_the_first_byte(site):
    text = request(site.client.token, {"command": "ON", "max_age_s": 0.5, "duration": 5})
    with socket.create_connection(("127.0.0.1", site.gateway.http_port), timeout=20) as link:
        link.sendall(text[:-4])
        time.sleep(1.0)
        link.sendall(text[-4:])
        status, answer = answer_on(link)
    assert (status, answer["error"]["code"]) == (503, "COMMAND_TOO_OLD")
    assert site.actuator(BENCH, FAN)["desired_value"] == 0.0
    path = f"/actuators/{BENCH}/{FAN}/command?wait=5"
    body = {"command": "ON", "max_age_s": 5, "duration": 5}
    assert site.client.post(path, body, 202)["outcome"]["state"] == "confirmed"
    for wrong in (0, -1, 1e9, "soon"):
        assert site.client.call("POST", path, {"command": "ON", "max_age_s": wrong})[0] == 400


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=20), st.floats(0.0, 5.0))
def test_a_request_lay_in_a_stall_just_when_one_ended_after_it_or_shortly_before(gaps, later_s):
    watch = StallWatch()
    now = watch._came_round_at
    ends = [float("-inf")]
    accepted = []
    for gap in gaps:
        now += gap
        if gap > STALL_S:
            ends.append(now)
        watch.come_round(now)
        accepted.append(now)
    for at in accepted:
        wanted = at < max(ends) + GRACE_S or later_s > STALL_S
        assert watch.lay_in_a_stall(at, now + later_s) == wanted
