"""SIGHUP: what has changed in the files is taken while the gateway runs, and nothing is ever killed by it.

The kind: a signal or a closed terminal that ends the gateway without switching anything off; a change that
is half taken, or not taken without a word.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading

import msgspec
import pytest

from godkaiser import paths
from godkaiser.config.settings import BrokerAccountsConfig, MqttConfig, SafetyConfig
from godkaiser.domain.declared import NOTHING
from godkaiser.domain.entities import Issuer
from godkaiser.errors.process import ReloadRefused
from godkaiser.simulator.fleet import Fleet
from tests.provision.servers import free_port
from tests.system.operation.test_estop import STOP, Listener
from tests.system.process import GatewayProcess
from tests.system.site import Client
from tests.waiting import eventually

DEVICE = '[devices.ESP_A00001]\nname = "Tank"\nzone = "north"\n'
PUMP = '[[devices.ESP_A00001.actuators]]\ngpio = 25\ntype = "pump"\nmax_runtime_s = 60\n'
RULE = """\
[[rules]]
name = "Vent"
[[rules.conditions]]
type = "device_state"
esp_id = "ESP_A00001"
state = "offline"
[[rules.actions]]
type = "actuator"
esp_id = "ESP_A00001"
gpio = 25
command = "OFF"
"""


@pytest.fixture
def running(tmp_path, own_mosquitto):
    """A gateway in a process of its own, with folders for declarations beside its configuration."""
    process = GatewayProcess(tmp_path, own_mosquitto.port)
    for name in ("devices.d", "rules.d"):
        (tmp_path / name).mkdir()
    process.start()
    process.log_in()
    yield process
    process.kill()


def hang_up(process):
    os.kill(process._process.pid, signal.SIGHUP)


def entries(process):
    return [e for e in process.client.get("/audit/log")["data"] if e["what"] == "reload"]


def reload(process):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", "reload", "--config", str(process.config)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_declarations_are_taken_and_told(running, tmp_path):
    (tmp_path / "devices.d" / "a.toml").write_text(DEVICE + PUMP)
    (tmp_path / "rules.d" / "a.toml").write_text(RULE)
    hang_up(running)
    (entry,) = eventually(lambda: entries(running))
    assert (entry["who"], entry["result"]) == ("system:SIGHUP", "ok")
    for word in ("ESP_A00001", "ESP_A00001/25", "Vent"):
        assert word in entry["details"]
    device = running.client.get("/esp/devices/ESP_A00001")
    assert (device["name"], device["zone_id"], device["status"]) == ("Tank", "north", "approved")
    (rule,) = running.client.get("/logic/rules")["data"]
    assert rule["name"] == "Vent"

    (tmp_path / "devices.d" / "a.toml").write_text(DEVICE.replace("Tank", "Well") + PUMP)
    (tmp_path / "rules.d" / "a.toml").unlink()
    done = reload(running)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {
        "taken: device ESP_A00001 changed", f"taken: rule {rule['id']} Vent switched off",
    }  # fmt: skip
    assert running.client.get("/esp/devices/ESP_A00001")["name"] == "Well"
    assert running.client.get("/logic/rules")["data"][0]["enabled"] is False
    # What is declared stays so when the registrar comes back from a crash.
    running.client.post("/system/actors/crash", {"path": registrar(running)}, 202)

    def renamed():
        status, answer = running.client.call("PATCH", "/esp/devices/ESP_A00001", {"name": "x"})
        return (status, answer["error"]["code"]) == (409, "DECLARED_IN_FILE")

    eventually(renamed)
    again = reload(running)
    assert (again.returncode, again.stdout) == (0, "nothing has changed\n")
    told = running.client.post("/system/reload", {}, 200)
    assert told == {"taken": [], "needs_restart": [], "warnings": []}


def registrar(process):
    tree = process.client.get("/system/tree")["data"]
    return next(a["path"] for a in tree if a["path"].endswith("/registrar"))


def test_a_broken_file_changes_nothing_and_is_told_with_its_line(running, tmp_path):
    (tmp_path / "rules.d" / "good.toml").write_text(RULE)
    bad = tmp_path / "devices.d" / "bad.toml"
    bad.write_text(DEVICE.replace("zone", "zon"))
    hang_up(running)
    (entry,) = eventually(lambda: entries(running))
    assert entry["result"] == "refused"
    assert f"{bad}:3" in entry["details"]
    assert f"{bad}:3" in running.log.read_text()
    done = reload(running)
    assert done.returncode == 78
    assert f"{bad}:3" in done.stderr
    assert running.client.get("/logic/rules")["data"] == []
    assert running.client.get("/esp/devices")["data"] == []
    # A contradiction with what was set by REST is a mistake, too, and rolled back as a whole.
    bad.write_text(DEVICE + PUMP + '[[interlocks]]\nkind = "only_with"\nactuator = "ESP_A00001/25"\n'
                   'other = "ESP_A00001/99"\n')  # fmt: skip
    assert reload(running).returncode == 78
    assert running.client.get("/esp/devices")["data"] == []


def test_what_is_doubtful_and_what_needs_a_restart_is_told(running, tmp_path):
    (tmp_path / "rules.d" / "a.toml").write_text(RULE)
    done = reload(running)
    assert "no actuator is configured on GPIO 25" in done.stderr
    assert done.stdout.splitlines()[0].startswith("taken: rule ")
    assert "doubtful_declaration" in running.log.read_text()
    (tmp_path / "devices.d" / "a.toml").write_text(
        DEVICE + '[[devices.ESP_A00001.sensors]]\ngpio = 34\ntype = "stop_button"\ninterval_s = 1\n'
        '[[stop_inputs]]\ninput = "ESP_A00001/34"\npressed_below = 1000.0\n'
    )
    assert "needs a restart: [[stop_inputs]] of devices.d" in reload(running).stdout


def test_the_log_level_is_taken_and_what_needs_a_restart_is_told(running):
    text = running.config.read_text()
    running.config.write_text(text + '[log]\nlevel = "debug"\n[retention]\naudit_days = 9\n')
    done = reload(running)
    assert done.stdout.splitlines() == [
        "taken: [log] level",
        "needs a restart: [retention] audit_days",
    ]
    running.client.post("/system/actors/restart", {"path": registrar(running)}, 202)
    eventually(lambda: "[debug" in running.log.read_text())
    # It is still told, until the restart.
    assert reload(running).stdout == "needs a restart: [retention] audit_days\n"


@pytest.fixture
def files(tmp_path):
    for name in ("password", "token"):
        (tmp_path / name).write_text("the first one\n")
    return tmp_path


def test_passwords_and_tokens_are_read_again(files, make_site_with, own_mosquitto):
    site = make_site_with(
        own_mosquitto,
        mqtt=MqttConfig(port=own_mosquitto.port, username="g", password_file=str(files / "password")),
    )  # fmt: skip
    gateway = site.gateway
    gateway._reloader._read_again = lambda: (gateway.config, NOTHING)
    eventually(lambda: site.client.get("/health")["broker"]["connected"])
    assert gateway.reload(Issuer("user", "x")).taken == ()
    sessions = []
    gateway.system.on_publication(
        lambda _path, key, value: sessions.append(value) if key == "session" else None
    )
    (files / "password").write_text("the second one\n")
    assert gateway.reload(Issuer("user", "x")).taken == ("account and certificates for the broker",)
    eventually(lambda: sessions)
    eventually(lambda: site.client.get("/health")["broker"]["connected"])
    (files / "password").write_bytes(b"\0\0")
    with pytest.raises(ReloadRefused, match="password"):
        gateway.reload(Issuer("user", "x"))


def test_an_account_that_is_kept_until_a_restart_is_not_told_as_taken(
    files, make_site_with, own_mosquitto
):
    """It stood in both lists."""
    account = MqttConfig(
        port=own_mosquitto.port, username="g", password_file=str(files / "password")
    )
    site = make_site_with(
        own_mosquitto,
        mqtt=account,
        broker_accounts=BrokerAccountsConfig(folder=str(files / "accounts")),
    )
    gateway = site.gateway
    wanted = msgspec.structs.replace(
        gateway.config, mqtt=msgspec.structs.replace(account, username="another")
    )
    gateway._reloader._read_again = lambda: (wanted, NOTHING)
    for _ in range(2):
        answer = gateway.reload(Issuer("user", "x"))
        assert answer.taken == ()
        assert answer.needs_restart == ("the gateway's own account with the broker",)
    assert gateway._reloader.address.username == "g"


@pytest.mark.parametrize("while_it_runs", [False, True])
def test_a_declared_zone_reaches_the_device(running, tmp_path, own_mosquitto, while_it_runs):
    """A zone without an author was never told to it."""
    fleet = Fleet(own_mosquitto.host, own_mosquitto.port, 1, interval_s=1.0)
    try:
        if while_it_runs:
            fleet.start()
            eventually(lambda: running.client.get("/esp/devices")["data"])
        else:
            running.stop()
        (tmp_path / "devices.d" / "a.toml").write_text(DEVICE)
        if while_it_runs:
            assert reload(running).returncode == 0
        else:
            running.start()
            running.log_in()
            fleet.start()
        firmware = fleet.device("ESP_A00001").firmware
        eventually(lambda: firmware.memory.zone_id == "north")
    finally:
        fleet.stop()


def test_an_emergency_token_is_on_the_wire_from_the_reload_on(files, site):
    gateway = site.gateway
    wanted = msgspec.structs.replace(
        gateway.config, safety=SafetyConfig(broadcast_token_file=str(files / "token"))
    )
    gateway._reloader._read_again = lambda: (wanted, NOTHING)
    taken = gateway.reload(Issuer("user", "x")).taken
    assert taken == ("[safety] broadcast_token_file", "emergency tokens")
    # A safety actor that starts anew goes by it, too.
    site.client.post("/system/actors/crash", {"path": paths.SAFETY}, 202)
    eventually(lambda: gateway.system.info(paths.SAFETY).restarts == 1)
    listener = Listener(site.broker.port)
    try:
        site.client.post("/actuators/emergency_stop", {}, 200)
        stops = eventually(lambda: [p for t, p in listener.heard if t == STOP])
        assert json.loads(stops[0])["auth_token"] == "the first one"
    finally:
        listener.close()


# ---- a closed terminal


ON_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from godkaiser.cli.main import main
main()
"""


class Terminal:
    """A command on a terminal of its own, which can be closed."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._stop = threading.Event()
        self._reader.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            # A read that waits would hold the terminal open when it is to be closed.
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self._master, 4096)
                except OSError:
                    return

    def close(self) -> None:
        self._stop.set()
        self._reader.join(10)
        os.close(self._master)


def test_a_demo_whose_terminal_is_closed_stops_in_order(tmp_path):
    terminal = Terminal(
        "demo", "--http", f"127.0.0.1:{free_port()}", "--mqtt", f"127.0.0.1:{free_port()}",
        "--data", str(tmp_path / "var"), "--devices", "1",
    )  # fmt: skip
    try:
        eventually(lambda: b"readings" in terminal.output, 60)
        terminal.close()
        assert terminal.process.wait(60) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()


def test_a_hang_up_during_the_start_ends_nothing(tmp_path, own_mosquitto):
    """While a signal has no handler yet it would end the process (avahi/avahi 73), and to systemd that is
    a clean end: nothing would start it again.
    """
    process = GatewayProcess(tmp_path, own_mosquitto.port)
    starting = process._process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "godkaiser", "run", "--config", str(process.config)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    process.client = Client(process.port)
    modules = []
    try:
        for line in starting.stdout:
            # Before, the interpreter itself starts, and takes signals as it likes.
            if "typer" in line or modules:
                modules.append(line)
                if len(modules) % 50 == 2:
                    hang_up(process)
            if "listens on" in line:
                break
        assert starting.poll() is None, modules[-20:]
        assert len(modules) > 200
        # What was asked for meanwhile is done.
        process.log_in()
        eventually(lambda: entries(process))
        reader = threading.Thread(target=starting.stdout.read)
        reader.start()
        assert process.stop() == 0
        reader.join(20)
    finally:
        process.kill()
        starting.stdout.close()


def test_a_gateway_whose_terminal_is_closed_goes_on(tmp_path, own_mosquitto):
    process = GatewayProcess(tmp_path, own_mosquitto.port)
    terminal = Terminal("run", "--config", str(process.config))
    try:
        eventually(lambda: b"Nobody can log in yet" in terminal.output, 60)
        process._process = terminal.process
        process.client = Client(process.port)
        terminal.close()
        process.log_in()
        eventually(lambda: entries(process))
        assert process.stop() == 0
    finally:
        process.client.close()
        terminal.process.kill()
        terminal.process.wait()
