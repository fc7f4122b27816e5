"""`godkaiser estop` on a bad day: the stop is on the broker, whatever else is wrong.

The kind: something that has nothing to do with the stop (a mistake in another section, a key that this
user may not read, a gateway that hangs, a user without a name) comes before it and ends the command.
"""

from __future__ import annotations

import grp
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from typer.testing import CliRunner

from godkaiser.cli.main import app
from godkaiser.config.settings import STOP_ACCOUNT
from tests.provision.servers import free_port
from tests.waiting import eventually

STOP = "kaiser/broadcast/emergency"
NOBODY, STOPPERS = 42_424, 42_425
"""A user and a group that no file of this machine names."""
PASSWORD, STOP_PASSWORD = "the gateway's own password", "who may only stop"


class Listener:
    def __init__(self, port: int, *credentials: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        if credentials:
            self._client.username_pw_set(*credentials)
        self._client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload))
        self._client.on_subscribe = lambda *_details: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("kaiser/#", 1)
        self._client.loop_start()
        assert ready.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen():
    listeners: list[Listener] = []

    def open_listener(*arguments) -> Listener:
        listeners.append(Listener(*arguments))
        return listeners[-1]

    yield open_listener
    for listener in listeners:
        listener.close()


def reasons(listener: Listener) -> list[str]:
    eventually(lambda: listener.heard)
    assert {topic for topic, _ in listener.heard} == {STOP}
    return [json.loads(payload)["reason"] for _, payload in listener.heard]


def silent_gateway() -> str:
    return f"127.0.0.1:{free_port()}"


# ---- whatever of [mqtt] can be read


@pytest.mark.parametrize(
    "rest",
    ['[log]\nlevel = "loud"\n[http]\nlisten = 5\n[nonsense]\n', "[http\nthis is no TOML\n",
     '[database]\nurl = "mysql://x"\n', '[safety]\nbroadcast_token_file = "absent"\n', "\0\0\0",
     'keepalive_s = "often"\n', "[mqtt]\ntls = perhaps\n"],
)  # fmt: skip
def test_the_rest_of_the_file_may_be_broken(tmp_path, own_mosquitto, listen, rest):
    listener = listen(own_mosquitto.port)
    path = tmp_path / "godkaiser.toml"
    path.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {own_mosquitto.port}\n{rest}')
    arguments = ["estop", "--config", str(path), "--http", silent_gateway(), "--reason", "fire"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "the broker has the stop" in done.output
    assert "ignored" in done.output
    assert reasons(listener) == ["fire"]


def test_a_broken_environment_or_option_does_not_keep_the_stop(tmp_path, own_mosquitto, listen):
    listener = listen(own_mosquitto.port)
    done = CliRunner().invoke(
        app, ["estop", "--mqtt", f"127.0.0.1:{own_mosquitto.port}", "--http", "nowhere"],
        env={"JWT_SECRET_KEY": "short", "MQTT_BROKER_PORT": "many", "DATABASE_URL": "mysql://x"},
    )  # fmt: skip
    assert "the broker has the stop" in done.output, done.output
    assert reasons(listener)
    path = tmp_path / "godkaiser.toml"
    path.write_text(f"[mqtt]\nport = {own_mosquitto.port}\n")
    options = ["--config", str(path), "--http", silent_gateway()]
    for given in ("127.0.0.1", "not:an:address"):
        assert CliRunner().invoke(app, ["estop", "--mqtt", given, *options]).exit_code == 0
    eventually(lambda: len(listener.heard) == 3)


def test_the_stop_leaves_before_a_gateway_that_hangs_is_asked(own_mosquitto, listen):
    listener = listen(own_mosquitto.port)
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        ended = subprocess.Popen(
            [sys.executable, "-m", "godkaiser", "estop", "--json",
             "--mqtt", f"127.0.0.1:{own_mosquitto.port}",
             "--http", f"127.0.0.1:{hanging.getsockname()[1]}"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert reasons(listener)
        told = json.loads(ended.communicate(timeout=30)[0])
    assert (told["broker"], ended.returncode) == ("told", 0)


def test_what_the_devices_want_to_see_is_in_it(tmp_path, own_mosquitto, listen):
    """With a token set on the devices, a stop without it is none."""
    listener = listen(own_mosquitto.port)
    (tmp_path / "token").write_text("open sesame\n")
    path = tmp_path / "godkaiser.toml"
    path.write_text(
        f'[mqtt]\nport = {own_mosquitto.port}\n[safety]\nbroadcast_token_file = "token"\n'
    )
    CliRunner().invoke(app, ["estop", "--config", str(path), "--http", silent_gateway()])
    eventually(lambda: listener.heard)
    assert json.loads(listener.heard[0][1])["auth_token"] == "open sesame"


def test_a_reason_in_another_character_set_is_no_obstacle(own_mosquitto, listen):
    listener = listen(own_mosquitto.port)
    command = [sys.executable, "-m", "godkaiser", "estop", "--mqtt",
               f"127.0.0.1:{own_mosquitto.port}", "--http", silent_gateway(), "--reason"]  # fmt: skip
    for reason in (b"Wasser l\xe4uft", "Wasser läuft → Keller".encode(), b"\x1b[2J"):
        done = subprocess.run(
            [*map(os.fsencode, command), reason], capture_output=True, check=False, timeout=60,
            env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0",
                 "PYTHONCOERCECLOCALE": "0"},
        )  # fmt: skip
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    eventually(lambda: len(listener.heard) == 3)


# ---- the account that may stop and nothing else


@pytest.fixture
def guarded(mosquitto_factory):
    """A broker with the generated accounts; a folder that other users reach, as /etc/godkaiser."""
    folder = Path(tempfile.mkdtemp(prefix="godkaiser-estop-"))
    folder.chmod(0o755)
    port = free_port()
    (folder / "mqtt.password").write_text(f"{PASSWORD}\n")
    (folder / "estop.password").write_text(f"{STOP_PASSWORD}\n")
    (folder / "mqtt.password").chmod(0o600)
    (folder / "estop.password").chmod(0o640)
    (folder / "mosquitto").mkdir()
    (folder / "godkaiser.toml").write_text(
        f'[mqtt]\nport = {port}\nusername = "godkaiser"\npassword_file = "mqtt.password"\n'
        'stop_password_file = "estop.password"\n[broker_accounts]\nfolder = "mosquitto"\n'
    )
    done = CliRunner().invoke(app, ["mqtt", "sync", "--config", str(folder / "godkaiser.toml")])
    assert done.exit_code == 0, done.output
    files = folder / "mosquitto"
    mosquitto_factory(
        accounts=(
            f"listener {port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {files / 'passwd'}",
            f"acl_file {files / 'acl'}",
        )
    )
    yield folder, port
    shutil.rmtree(folder)


AS_MEMBER = f"""
import contextlib, encodings.idna, encodings.utf_8_sig, http.client, io, os, sys
import godkaiser.cli.main, godkaiser.domain.signing_keys, godkaiser.http.access.signed_tokens, godkaiser.storage.files.signing_key_file
with contextlib.redirect_stdout(io.StringIO()):
    godkaiser.cli.main.app(["estop", "--help"], standalone_mode=False)
os.setgroups([{STOPPERS}])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.argv[0] = "godkaiser"
godkaiser.cli.main.main()
"""


def as_member(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user without a name, in the group of those who may stop. (Python itself may be out of his
    reach on the machine of a developer, so it is loaded before.)
    """
    return subprocess.run(
        [sys.executable, "-c", AS_MEMBER, *arguments], cwd="/", capture_output=True, text=True,
        check=False, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@AS_ROOT
@pytest.mark.parametrize("readable", [True, False])
def test_a_member_of_the_group_stops_without_any_other_right(guarded, listen, readable):
    folder, port = guarded
    listener = listen(port, "godkaiser", PASSWORD)
    os.chown(folder / "estop.password", 0, STOPPERS)
    options = []
    if not readable:
        (folder / "godkaiser.toml").chmod(0o600)
        options = ["--mqtt", f"127.0.0.1:{port}"]
    with pytest.raises(KeyError):
        grp.getgrgid(NOBODY)
    done = as_member("estop", "--config", str(folder / "godkaiser.toml"), *options,
                     "--http", silent_gateway())  # fmt: skip
    assert (done.returncode, "the broker has the stop" in done.stdout) == (0, True), done.stderr
    assert "Traceback" not in done.stderr
    assert reasons(listener)
    assert json.loads(listener.heard[0][1])["issued_by"] == f"cli:uid-{NOBODY}"


def test_the_account_can_do_nothing_but_stop(guarded, listen):
    _folder, port = guarded
    listener = listen(port, "godkaiser", PASSWORD)
    codes: list[int] = []
    heard: list[str] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(STOP_ACCOUNT, STOP_PASSWORD)
    client.on_publish = lambda _c, _u, _mid, reason, _p: codes.append(reason.value)
    client.on_message = lambda _c, _u, message: heard.append(message.topic)
    client.connect("127.0.0.1", port)
    client.subscribe("#", 1)
    client.loop_start()
    for topic in ("kaiser/god/esp/ESP_A00001/actuator/25/command", "kaiser/broadcast/other",
                  "kaiser/god/server/status", "godkaiser/notify/x"):  # fmt: skip
        client.publish(topic, b"{}", 1).wait_for_publish(10)
    client.publish(STOP, b"{}", 1).wait_for_publish(10)
    eventually(lambda: len(codes) == 5)
    client.disconnect()
    client.loop_stop()
    eventually(lambda: listener.heard)
    assert [topic for topic, _ in listener.heard] == [STOP]
    assert codes[:4] == [135] * 4
    assert codes[4] != 135
    assert heard == []


def test_a_broker_that_takes_the_stop_and_drops_it_is_not_believed(guarded, tmp_path):
    """Refused by the ACL: MQTT 3.1.1 acknowledges it all the same."""
    folder, port = guarded
    path = tmp_path / "godkaiser.toml"
    path.write_text(
        f'[mqtt]\nport = {port}\nusername = "godkaiser-estop"\n'
        f'stop_password_file = "{folder / "mqtt.password"}"\n'
    )
    done = CliRunner().invoke(app, ["estop", "--config", str(path), "--http", silent_gateway()])
    assert done.exit_code == 69
    assert "the broker did not get the stop" in done.stderr
    assert "as godkaiser-estop: the broker refuses" in done.stderr
    assert done.stdout == ""


def test_each_account_that_was_tried_is_told_with_its_refusal(guarded, tmp_path):
    """The kind: only the last of several reasons is shown, and it is not the one to mend."""
    _folder, port = guarded
    path = tmp_path / "godkaiser.toml"
    (tmp_path / "wrong").write_text("mistyped\n")
    for password_file, remark in (("wrong", ""), ("absent", " (without a password): ")):
        path.write_text(
            f'[mqtt]\nport = {port}\nusername = "godkaiser"\npassword_file = "{password_file}"\n'
            'stop_password_file = "wrong"\n'
        )
        done = CliRunner().invoke(app, ["estop", "--config", str(path), "--http", silent_gateway()])
        assert done.exit_code == 69
        for account in ("as godkaiser-estop: ", f"as godkaiser{remark}", "without an account: "):
            assert account in done.stderr
        assert done.stderr.count("the broker refuses: ") == 3


def test_a_gateway_without_its_key_is_not_blamed_on_the_options(tmp_path):
    """--config was given: to give it is no advice."""
    path = tmp_path / "godkaiser.toml"
    path.write_text(f"[mqtt]\nport = {free_port()}\n")
    done = CliRunner().invoke(app, ["estop", "--config", str(path), "--http", silent_gateway()])
    assert done.exit_code == 69
    assert "no broker listens at this address" in done.stderr
    assert "jwt.key: No such file" in done.stderr
    assert "--config" not in done.stderr
