"""The commands at the gateway box, against a gateway that runs."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from godkaiser.cli.gateway_link import Link, settings_of
from godkaiser.cli.main import app
from godkaiser.http.access import signed_tokens
from tests.provision.servers import free_port
from tests.system.process import GatewayProcess
from tests.waiting import eventually

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
    assert unknown.exit_code == 77 and "/nobody/here" in unknown.output
    assert at("dead-letters").exit_code == 0
    gone = at("dead-letters", "--resend", "999999")
    assert gone.exit_code == 77 and "999999" in gone.output


def test_estop_stops_and_is_latched(site, at):
    done = at("estop", "--reason", "a hand in the pump")
    assert done.exit_code == 0, done.output
    assert "the gateway says: active" in done.output
    (stop,) = site.client.get("/safety/status")["stops"]
    assert stop["reason"] == "a hand in the pump"
    eventually(lambda: all(a.stopped for a in site.firmware(BENCH).memory.actuators.values()))


def test_a_new_kaiser_id_is_not_taken_before_a_restart(site, at, tmp_path):
    """The kind: the files are newer than the running gateway, and the answer blames the token."""
    path = tmp_path / "edited.toml"
    path.write_text(
        f'[gateway]\nkaiser_id = "north"\ndata_dir = "{site.config.data_dir}"\n'
        f'[http]\nlisten = "127.0.0.1:{site.gateway.http_port}"\n'
    )
    for command in (["reload"], ["status"], ["devices", "--json"]):
        done = CliRunner().invoke(app, [*command, "--config", str(path)])
        assert done.exit_code == 77, done.output
        assert "runs as 'god'" in done.output and "says 'north'" in done.output
        assert "kaiser_id needs a restart" in done.output


def test_a_user_is_judged_before_the_password_is_asked_for(site, at):
    """From a pipe the password is its first line; nothing of Python's own is shown."""
    for name, role, says in (("a b", "viewer", "letters, digits"), ("..", "viewer", "a letter or a digit"),
                             ("anna", "boss", "viewer, operator, admin"), ("admin", "admin", "already")):  # fmt: skip
        done = at("users", "--add", name, "--role", role, input="")
        assert (done.exit_code, says in done.output) == (2, True), done.output
    assert at("users", "--password", "nobody", input="").exit_code == 77
    command = [sys.executable, "-m", "godkaiser", "users", "--add", "anna", "--role", "operator",
               "--data", site.config.gateway.data_dir,
               "--http", f"127.0.0.1:{site.gateway.http_port}"]  # fmt: skip
    empty = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert (empty.returncode, "no password" in empty.stderr) == (2, True)
    done = subprocess.run(
        command, input="a good long passphrase\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    body = {"username": "anna", "password": "a good long passphrase"}
    site.client.post("/auth/login", body, 200)


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
    assert "--config" not in lost.output, "one of the two was given"
    with contextlib.chdir(tmp_path):
        lost = CliRunner().invoke(app, ["tree"])
    assert lost.exit_code == 69 and "Use --config or --data of the gateway" in lost.output
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
    assert stopped.exit_code == 69 and "connection refused" in stopped.stderr


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
    assert refused.exit_code == 77
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
    assert at("users", "--delete", "admin").exit_code == 77


# ---- what an operator decides


def test_a_stop_is_cleared_and_rules_resumed(site, at):
    assert at("status").exit_code == 0
    site.client.post("/actuators/emergency_stop", {"reason": "water"}, 200)
    assert at("status").exit_code == 3
    eventually(lambda: at("clear", "--reason", "mended").exit_code == 0)
    eventually(lambda: site.client.get("/safety/status")["state"] == "normal")
    # The stop is over, and rules still wait for a person.
    waiting = at("status")
    assert (waiting.exit_code, "until resume" in waiting.output) == (3, True)
    done = at("resume", "--json")
    assert (done.exit_code, json.loads(done.output)["automation_held"]) == (0, [])
    assert at("status").exit_code == 0
    assert at("clear").exit_code == 77


def test_a_stop_of_one_zone_or_device_is_told_apart(site, at):
    site.client.post("/actuators/emergency_stop", {"esp_id": BENCH}, 200)
    assert "no" in at("clear", "--device", "ESP_A00002").output.lower()
    eventually(lambda: at("clear", "--device", BENCH).exit_code == 0)
    eventually(lambda: site.client.get("/safety/status")["state"] == "normal")


def test_a_new_device_is_let_in_or_kept_out_and_configured(site, at):
    for device in ("ESP_B00001", "ESP_B00002"):
        site.client.post("/esp/register", {"device_id": device}, 201)
    assert "approved" in at("approve", "ESP_B00001").output
    assert at("approve", "ESP_B00001").exit_code == 77
    assert "rejected" in at("reject", "ESP_B00002", "--reason", "not ours").output
    assert (
        at("configure", "device", "ESP_B00001", "--name", "Well", "--zone", "north").exit_code == 0
    )
    device = site.client.get("/esp/devices/ESP_B00001")
    assert (device["name"], device["zone_id"]) == ("Well", "north")
    assert at("configure", "device", "ESP_B00001", "--zone", "").exit_code == 0
    assert site.client.get("/esp/devices/ESP_B00001")["zone_id"] == ""
    done = at("configure", "sensor", "ESP_B00001/34", "moisture", "--interval", "60")
    assert done.exit_code == 0, done.output
    assert at("configure", "actuator", "ESP_B00001/99", "pump").exit_code == 77
    assert at("configure", "actuator", "ESP_B00001", "pump").exit_code == 2


def test_what_is_not_given_of_an_actuator_stays_as_it_is(site, at):
    body = {"actuator_type": "pump", "name": "Pump", "max_switches_per_hour": 7, "min_off_s": 5.0}
    site.client.post(f"/actuators/{BENCH}/14", body, 201)
    eventually(lambda: site.client.call("GET", f"/actuators/{BENCH}/14")[0] == 200)
    done = at("configure", "actuator", f"{BENCH}/14", "pump", "--max-runtime", "60")
    assert done.exit_code == 0, done.output

    def changed():
        found = site.client.get(f"/actuators/{BENCH}/14")
        return found if found["max_runtime_s"] == 60 else None

    found = eventually(changed)
    assert (found["name"], found["max_switches_per_hour"], found["min_off_s"]) == ("Pump", 7, 5.0)


def test_a_role_is_changed(site, at):
    at("users", "--add", "grower", input="a good password\na good password\n")
    assert at("users", "--change", "grower").exit_code == 2
    assert at("users", "--change", "grower", "--role", "operator").exit_code == 0
    found = json.loads(at("users", "--json").output)["data"]
    assert {u["username"]: u["role"] for u in found}["grower"] == "operator"


def test_a_suspended_rule_is_not_well(site, at, monkeypatch):
    rules = {"data": [{"id": 7, "name": "Vent", "state": {"suspended": "60 firings an hour"}}]}
    original = Link.get
    monkeypatch.setattr(
        Link, "get", lambda link, path: rules if "rules" in path else original(link, path)
    )
    done = at("status")
    assert (done.exit_code, "60 firings" in done.output) == (4, True)
    assert json.loads(at("status", "--json").output)["suspended_rules"][0]["id"] == 7


class Followed:
    """`godkaiser logs --follow` in a process of its own; its lines as JSON."""

    def __init__(self, data, port, *options):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "godkaiser", "logs", "--follow", "--json", "--limit", "0",
             "--data", str(data), "--http", f"127.0.0.1:{port}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __enter__(self):
        # Entries of the audit trail, which have no topic, come between.
        return (line for line in map(json.loads, self._process.stdout) if "topic" in line)

    def __exit__(self, *_exc_info):
        self._process.kill()
        self._process.communicate()


def test_the_log_goes_on_with_what_happens(site):
    options = (site.config.gateway.data_dir, site.gateway.http_port, "--type", "reading")
    with Followed(*options) as lines:
        found = next(lines)
        assert (found["type"], found["topic"][:14]) == ("reading", "sensor/ESP_A00")


def test_the_log_is_filtered_and_floods_nobody(site):
    """Readings come by the second: without being asked for, they would bury all else."""
    follow = (site.config.gateway.data_dir, site.gateway.http_port)
    with Followed(*follow) as all_lines, Followed(*follow, "--device", BENCH) as lines:
        eventually(lambda: site.client.get("/system/live")["live"]["clients"] == 2)
        for gpio, device in ((25, "ESP_A00002"), (25, BENCH)):
            body = {"esp_id": device, "gpio": gpio, "command": "ON", "duration": 30}
            site.client.post("/actuators/command?wait=5", body, 202)
        assert next(lines)["topic"] == f"actuator/{BENCH}/25"
        assert next(all_lines)["topic"] == "actuator/ESP_A00002/25"


def test_the_log_tells_a_person_who_did_what_from_where_and_why(site):
    """The kind: what changes a view is told, and what a person did to cause it is not; a view is told as Python
    writes it.
    """
    command = [sys.executable, "-m", "godkaiser", "logs", "--follow", "--limit", "0",
               "--data", site.config.gateway.data_dir,
               "--http", f"127.0.0.1:{site.gateway.http_port}"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        eventually(lambda: site.client.get("/system/live")["live"]["clients"] == 1)
        user = {"username": "anna", "password": "a good long passphrase", "role": "viewer"}
        site.client.post("/users", user, 201)
        status, _ = site.client.call("PATCH", f"/esp/devices/{BENCH}", {"name": "Tank"})
        assert status == 200
        site.client.post("/actuators/emergency_stop", {"reason": "a hand in the pump"}, 200)

        def told(*words):
            return any(all(word in line for word in words) for line in list(lines))

        eventually(lambda: told("user:admin", "user anna created", "from 127.0.0.1"))
        eventually(lambda: told("user:admin", BENCH, "from 127.0.0.1"))
        eventually(lambda: told("user:admin", "a hand in the pump", "from 127.0.0.1"))
        eventually(lambda: told("safety: active", "by user:admin: a hand in the pump"))
        eventually(lambda: told(f"actuator/{BENCH}/25", "reported off"))
        assert not told("{'"), lines
        assert not told("…"), lines
    finally:
        process.kill()
        reader.join()
        process.communicate()


def test_the_log_goes_on_after_the_end_of_its_token(site, monkeypatch):
    """It is of a minute; the server ends a connection whose token has ended."""
    monkeypatch.setattr(signed_tokens, "LOCAL_S", 1)
    link = Link(
        settings_of(None, Path(site.config.gateway.data_dir), f"127.0.0.1:{site.gateway.http_port}")
    )
    made = []
    monkeypatch.setattr(link, "_token", lambda original=link._token: made.append(1) or original())
    notes = []
    events = link.live({"types": ["reading"]}, notes.append)
    numbers = [int(next(events)["id"].rpartition("-")[2])]
    while len(made) < 5:
        numbers.append(int(next(events)["id"].rpartition("-")[2]))
    numbers.append(int(next(events)["id"].rpartition("-")[2]))
    assert numbers == sorted(set(numbers))
    assert notes == []


def test_the_log_goes_on_after_a_restart_of_the_gateway(tmp_path, own_mosquitto):
    process = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        with Followed(tmp_path / "var", process.port, "--config", str(process.config)) as lines:
            process.log_in()
            eventually(lambda: process.client.get("/system/live")["live"]["clients"])
            process.kill()
            process.start()
            process.log_in()
            eventually(lambda: process.client.get("/system/live")["live"]["clients"])
            process.client.post("/actuators/emergency_stop", {}, 200)
            assert any(line["topic"] == "safety" for line in lines)
    finally:
        process.kill()
