"""The commands at the gateway box, against a gateway that runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from godkaiser.cli import app
from tests.provision.servers import free_port
from tests.system.site import eventually

BENCH = "ESP_A00001"


@pytest.fixture
def at(site):
    """Runs a command beside the gateway of `site`."""

    def run(*arguments, http=f"127.0.0.1:{site.gateway.http_port}", input=None):  # noqa: A002
        options = ["--data", site.config.gateway.data_dir, "--http", http]
        if arguments[0] == "estop":
            options += ["--mqtt", f"{site.broker.host}:{site.broker.port}"]
        return CliRunner().invoke(app, [*arguments, *options], input=input)

    return run


def test_tree_restart_and_dead_letters(site, at):
    shown = at("tree")
    assert shown.exit_code == 0
    assert BENCH in shown.output and "guard" in shown.output and "0 running" not in shown.output
    assert at("restart", f"/control/devices/{BENCH}").exit_code == 0
    eventually(lambda: site.gateway.system.info(f"/control/devices/{BENCH}").restarts == 1)
    unknown = at("restart", "/nobody/here")
    assert unknown.exit_code == 69 and "/nobody/here" in unknown.output
    assert at("dead-letters").exit_code == 0
    gone = at("dead-letters", "--resend", "999999")
    assert gone.exit_code == 69 and "999999" in gone.output


def test_estop_stops_and_is_latched(site, at):
    done = at("estop", "--reason", "a hand in the pump")
    assert done.exit_code == 0, done.output
    assert "the gateway says: active" in done.output
    (stop,) = site.client.get("/safety/status")["stops"]
    assert stop["reason"] == "a hand in the pump"
    eventually(lambda: all(a.stopped for a in site.firmware(BENCH).memory.actuators.values()))


def test_estop_works_while_the_gateway_is_down(site, at):
    fan = {"esp_id": BENCH, "gpio": 25, "command": "ON"}
    answer = site.client.post("/actuators/command?wait=5", fan, 202)
    assert answer["outcome"]["state"] == "confirmed"
    done = at("estop", http=f"127.0.0.1:{free_port()}")
    assert done.exit_code == 0 and "the broker has the stop" in done.output
    eventually(lambda: site.firmware(BENCH).levels()[25] == 0.0)


def test_without_gateway_or_key_a_line_says_so(tmp_path):
    lost = CliRunner().invoke(app, ["tree", "--data", str(tmp_path)])
    assert lost.exit_code == 69 and "jwt.key" in lost.output
    (tmp_path / "jwt.key").write_text("k" * 48)
    port = free_port()
    silent = CliRunner().invoke(
        app, ["tree", "--data", str(tmp_path), "--http", f"127.0.0.1:{port}"]
    )
    assert silent.exit_code == 69 and str(port) in silent.output
    stopped = CliRunner().invoke(
        app,
        ["estop", "--data", str(tmp_path), "--http", f"127.0.0.1:{port}",
         "--mqtt", f"127.0.0.1:{free_port()}"],
    )  # fmt: skip
    assert stopped.exit_code == 69 and "Connection refused" in stopped.output


# ---- what is there, and what to do with it


def test_what_is_there_is_a_table_for_people_and_json_for_programs(site, at):
    shown = at("status")
    assert shown.exit_code == 0, shown.output
    assert "2 of 2 online" in shown.output and "safety    normal" in shown.output
    eventually(lambda: all(s["latest"] for s in site.client.get("/sensors")["data"]))
    for name, word in (("devices", BENCH), ("sensors", "sht31_temp"), ("rules", "enabled"),
                       ("users", "admin"), ("keys", "(none)"), ("logs", "login: ok")):  # fmt: skip
        table = at(name)
        assert table.exit_code == 0, table.output
        assert word in table.output
    for name in ("devices", "sensors", "rules", "users", "keys"):
        answer = json.loads(at(name, "--json").output)
        assert answer["count"] == len(answer["data"])
    assert json.loads(at("status", "--json").output)["health"]["status"] == "healthy"


def test_a_command_says_how_it_ended(site, at):
    done = at("command", f"{BENCH}/25", "on", "--duration", "30")
    assert done.exit_code == 0, done.output
    assert "ON: confirmed" in done.output
    assert site.firmware(BENCH).levels()[25] == 1.0
    assert json.loads(at("command", f"{BENCH}/25", "OFF", "--json").output)["outcome"]["state"] == (
        "confirmed"
    )
    assert at("command", "nowhere", "ON").exit_code == 2
    refused = at("command", f"{BENCH}/25", "PWM", "--value", "80")
    assert refused.exit_code == 69
    assert "for 80 % send 0.8" in refused.output


def test_keys_and_users_are_made_and_gone(site, at):
    made = at("keys", "--add", "dashboard", "--area", "sensors", "--days", "1")
    assert made.exit_code == 0, made.output
    secret = re.search(r"gk_[\w-]+", made.output).group()
    assert site.client.call("GET", "/sensors", token=secret)[0] == 200
    (key,) = json.loads(at("keys", "--json").output)["data"]
    assert "secret of key" in at("keys", "--rotate", str(key["id"])).output
    assert at("keys", "--delete", str(key["id"])).exit_code == 0
    assert site.client.call("GET", "/sensors", token=secret)[0] == 401
    added = at(
        "users", "--add", "grower", "--role", "operator", input="a good password\na good password\n"
    )
    assert added.exit_code == 0, added.output
    assert "operator" in added.output
    assert "yes" in at("users", "--disable", "grower").output
    assert "grower" not in at("users", "--delete", "grower").output
    assert at("users", "--delete", "admin").exit_code == 69


def test_the_log_goes_on_with_what_happens(site):
    ended = subprocess.Popen(
        [sys.executable, "-m", "godkaiser", "logs", "--follow", "--json",
         "--data", site.config.gateway.data_dir, "--http", f"127.0.0.1:{site.gateway.http_port}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in ended.stdout:
            found = json.loads(line)
            if found.get("type") == "reading":
                break
        assert found["topic"].startswith("sensor/ESP_A0000")
    finally:
        ended.kill()
        ended.communicate()
