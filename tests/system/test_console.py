"""The commands at the gateway box, against a gateway that runs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from godkaiser.cli import app
from tests.provision.servers import free_port
from tests.system.site import eventually

BENCH = "ESP_A00001"


@pytest.fixture
def at(site):
    """Runs a command beside the gateway of `site`."""

    def run(*arguments, http=f"127.0.0.1:{site.gateway.http_port}"):
        options = ["--data", site.config.gateway.data_dir, "--http", http]
        if arguments[0] == "estop":
            options += ["--mqtt", f"{site.broker.host}:{site.broker.port}"]
        return CliRunner().invoke(app, [*arguments, *options])

    return run


def test_tree_restart_and_dead_letters(site, at):
    shown = at("tree")
    assert shown.exit_code == 0
    assert BENCH in shown.output and "guard" in shown.output and "0 running" not in shown.output
    assert at("restart", f"/devices/{BENCH}").exit_code == 0
    eventually(lambda: site.gateway.system.info(f"/devices/{BENCH}").restarts == 1)
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
    assert stopped.exit_code == 69 and "connection refused" in stopped.output
