"""The log of a gateway's life: what an operator looks for is in it, and nothing normal looks like trouble."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from godkaiser.simulator.fleet import Fleet
from tests.system.process import GatewayProcess
from tests.waiting import eventually

JSON = '[log]\nformat = "json"\n'


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_life_is_told_line_by_line(tmp_path, own_mosquitto):
    process = GatewayProcess(tmp_path, own_mosquitto.port, more=JSON).start()
    fleet = Fleet(own_mosquitto.host, own_mosquitto.port, 1, interval_s=1.0)
    try:
        process.log_in()
        fleet.start()
        eventually(lambda: process.client.get("/esp/devices")["data"])
        process.client.post("/esp/devices/ESP_A00001/approve", {}, 200)
        tree = process.client.get("/system/tree")["data"]
        path = next(a["path"] for a in tree if a["path"].endswith("/ESP_A00001"))
        process.client.post("/system/actors/restart", {"path": path}, 202)
        own_mosquitto.kill()
        eventually(lambda: "refused" in process.client.get("/health")["broker"]["error"])
        own_mosquitto.start()
        eventually(lambda: process.client.get("/health")["broker"]["connected"], 40)
        status, _ = process.client.call(
            "POST",
            "/actuators/emergency_stop",
            {"reason": "water"},
            headers={"X-Request-ID": "r-77"},
        )
        assert status == 200
        eventually(
            lambda: process.client.call("POST", "/actuators/clear_emergency", {})[0] == 200, 20.0
        )
        eventually(lambda: process.client.get("/safety/status")["state"] == "normal", 30.0)
        process.client.post("/actuators/resume", {}, 200)
        assert process.stop() == 0
    finally:
        process.kill()
        fleet.stop()
    lines = lines_of(process.log.read_text())
    found = {line["event"]: line for line in lines}
    assert found["listening"]["url"].endswith(str(process.port))
    assert found["started"]["kaiser_id"] == "god"
    assert (found["new_device"]["device"], found["device_decided"]["approval"]) == (
        "ESP_A00001", "approved",
    )  # fmt: skip
    assert (found["emergency_stop"]["reason"], found["emergency_stop"]["by"]) == (
        "water",
        "user:admin",
    )
    assert found["emergency_stop"]["correlation_id"] == "r-77"
    for event in ("stop_cleared", "rules_held_until_resume", "rules_resumed"):
        assert event in found
    assert found["stopping"]["reason"] == "SIGTERM"
    assert found["stopped"]["in_order"] is True
    away = [x for x in lines if x["event"] in {"connection_lost", "broker_away"}]
    assert any("refused" in x["reason"] for x in away), away
    # A broker that is away and a stop are trouble. All else was wanted.
    loud = [x for x in lines if x["level"] not in {"info", "debug"} and x not in away]
    assert [x["event"] for x in loud] == ["emergency_stop"]


def test_what_the_broker_refuses_is_told_once_and_not_at_each_attempt(tmp_path, mosquitto_factory):
    broker = mosquitto_factory(accounts=("allow_anonymous false",))
    path = tmp_path / "godkaiser.toml"
    path.write_text(f'{JSON}[http]\nlisten = "127.0.0.1:0"\n[mqtt]\nport = {broker.port}\n')
    with (tmp_path / "log").open("w") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "godkaiser", "run", "--config", str(path)], stderr=log
        )
    try:
        found = eventually(
            lambda: [x for x in (tmp_path / "log").read_text().splitlines() if "broker_away" in x]
        )
        # Long enough for a second attempt.
        gateway.wait(3)
    except subprocess.TimeoutExpired:
        found = [x for x in lines_of((tmp_path / "log").read_text()) if x["event"] == "broker_away"]
    finally:
        gateway.terminate()
        gateway.wait(40)
    (line,) = found
    assert "not authori" in line["reason"].lower()


@pytest.mark.parametrize(
    "broken", ["[mqtt]\nport = 0\n", '[http]\nlisten = "127.0.0.1:{}"\n', "[http]\nno TOML\n",
               '[gateway]\ndata_dir = "/nowhere/at/all"\n']
)  # fmt: skip
def test_a_start_that_fails_is_json_too(tmp_path, broken):
    """Also what is told before the log is set up."""
    path = tmp_path / "godkaiser.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path.write_text(JSON + broken.replace("{}", str(taken.getsockname()[1])))
        done = subprocess.run(
            [sys.executable, "-m", "godkaiser", "run", "--config", str(path)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode in {75, 78}
    assert done.stdout == ""
    assert lines_of(done.stderr)[-1]["level"] == "critical"
