"""A stop on a disk that takes nothing: told as 'not latched', and latched as soon as there is room.

The kind: what the gateway says of its safety record is true of the disk, whatever was killed.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress

import pytest
from typer.testing import CliRunner

from godkaiser.cli.main import app
from tests.system.process import GatewayProcess
from tests.waiting import eventually

DISK_BYTES = 48 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """The data folder on a disk of its own, that a test can fill."""
    folder = tmp_path / "var"
    folder.mkdir()
    options = f"size={DISK_BYTES},mode=700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        check=False, capture_output=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("only root may mount the small disk of this test")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    """Also the room that is kept for the safety record."""
    for reserve in folder.glob("*.reserve"):
        reserve.unlink()
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"\0" * 4096) == 4096:
            pass
    assert os.statvfs(folder).f_bavail == 0


def test_a_stop_that_the_disk_does_not_take_is_latched_once_there_is_room(
    tmp_path, small_disk, own_mosquitto
):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        gateway.log_in()
        fill(small_disk)
        answer = gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
        assert (answer["state"], answer["latched"]) == ("active", False)
        health = eventually(
            lambda: (found := gateway.client.get("/health"))["safety_on_disk"] is False and found
        )
        assert health["status"] == "degraded"
        assert "not latched" in health["safety_alarm"]
        assert "not latched" in gateway.client.get("/safety/status")["alarm"]
        (small_disk / "filler").unlink()
        eventually(lambda: gateway.client.get("/safety/status")["latched"])
        gateway.kill()
        gateway.start()
        gateway.log_in()
        assert gateway.client.get("/safety/status")["state"] == "active"
    finally:
        gateway.kill()


def test_a_stop_finds_its_place_on_a_full_disk(tmp_path, small_disk, own_mosquitto):
    """Room for it was kept while there was some."""
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        gateway.log_in()
        with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(b"\0" * 4096) == 4096:
                pass
        answer = gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
        assert (answer["state"], answer["latched"]) == ("active", True)
        gateway.kill()
        (small_disk / "filler").unlink()
        gateway.start()
        gateway.log_in()
        assert gateway.client.get("/safety/status")["state"] == "active"
    finally:
        gateway.kill()


def test_a_stop_is_not_latched_in_a_folder_that_only_has_the_name(tmp_path, own_mosquitto):
    """As when a disk is unmounted or swapped under a gateway that runs."""
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    folder, elsewhere = tmp_path / "var", tmp_path / "elsewhere"
    try:
        gateway.log_in()
        folder.rename(elsewhere)
        answer = gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
        assert (answer["state"], answer["latched"]) == ("active", False)
        assert not folder.exists()
        folder.mkdir()
        again = gateway.client.post("/actuators/emergency_stop", {"reason": "leak"}, 200)
        assert again["latched"] is False
        assert "unmounted or swapped" in again["alarm"]
        assert list(folder.iterdir()) == []
        folder.rmdir()
        elsewhere.rename(folder)
        eventually(lambda: gateway.client.get("/safety/status")["latched"])
        gateway.kill()
        gateway.start()
        gateway.log_in()
        assert gateway.client.get("/safety/status")["state"] == "active"
    finally:
        gateway.kill()


def test_estop_at_the_box_tells_a_stop_that_is_not_on_the_disk(
    tmp_path, small_disk, own_mosquitto, monkeypatch
):
    """It is in force, and would not outlive a restart: exit code 1, as the documentation says."""
    monkeypatch.setattr("godkaiser.cli.estop.API_TIMEOUT_S", 1.0)
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    arguments = ["estop", "--config", str(gateway.config)]
    try:
        fill(small_disk)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1, done.output
        assert "the broker has the stop" in done.stdout
        assert "not on its disk yet" in done.stderr
        told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
        assert (told["gateway"], told["latched"]) == ("active", False)
        (small_disk / "filler").unlink()
        eventually(lambda: CliRunner().invoke(app, arguments).exit_code == 0)
    finally:
        gateway.kill()
