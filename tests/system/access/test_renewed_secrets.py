"""What lets the gateway into the broker is replaced while it runs: certificates by a tool that writes two files
one after the other, a password by one that tells nobody.

The kind: credentials are read once, or read at a moment when the files do not fit together, and the link never
comes back by itself (eclipse-mosquitto/mosquitto 1877, PostgREST/postgrest 1285).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from godkaiser.paths import BROKER
from tests.mqtt.test_tls import Authority
from tests.provision.install import find
from tests.system.process import GatewayProcess
from tests.waiting import eventually


@pytest.fixture
def start(tmp_path):
    started = []

    def start(broker, more):
        process = GatewayProcess(tmp_path, broker.port, more=more)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()


def link(process):
    _, body = process.client.call("GET", "/health")
    assert process._process.poll() is None
    return body["broker"]


@pytest.mark.parametrize("lacking", ["another key", "no key", "half a certificate"])
def test_a_certificate_that_is_half_renewed_is_waited_for(
    tmp_path, mosquitto_factory, start, lacking
):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("broker")
    broker = mosquitto_factory(
        accounts=(
            "allow_anonymous true", f"cafile {authority.file}", f"certfile {certificate}",
            f"keyfile {key}", "require_certificate true",
        )
    )  # fmt: skip
    own = [Path(file) for file in authority.issue("gateway")]
    process = start(
        broker,
        f'tls = true\nca_cert = "{authority.file}"\nclient_cert = "{own[0]}"\nclient_key = "{own[1]}"\n',
    )
    eventually(lambda: link(process)["connected"])
    new = [Path(file) for file in authority.issue("renewed")]
    if lacking == "another key":
        shutil.copy(new[0], own[0])
    elif lacking == "no key":
        own[1].unlink()
    else:
        own[0].write_bytes(new[0].read_bytes()[:300])
    broker.restart()
    eventually(lambda: "cannot be used" in (link(process)["error"] or ""))
    told = set()
    # It is tried again and again ("next attempt in ..."), and nothing crashes.
    eventually(lambda: told.add(link(process)["error"]) or len(told) > 3, 60)
    process.log_in()
    tree = process.client.get("/system/tree")["data"]
    (actor,) = [actor for actor in tree if actor["path"] == BROKER]
    assert (actor["state"], actor["restarts"]) == ("running", 0)
    for source, target in zip(new, own, strict=True):
        shutil.copy(source, target)
    eventually(lambda: link(process)["connected"], 60)


def test_a_password_that_was_changed_is_read_again(tmp_path, mosquitto_factory, start):
    passwords, own = tmp_path / "passwords", tmp_path / "own"

    def change(password):
        passwords.touch()
        subprocess.run(
            [find("mosquitto_passwd"), "-b", str(passwords), "gateway", password],
            check=True, capture_output=True,
        )  # fmt: skip
        passwords.chmod(0o644)

    change("the first one")
    own.write_text("the first one\n")
    broker = mosquitto_factory(accounts=("allow_anonymous false", f"password_file {passwords}"))
    process = start(broker, f'username = "gateway"\npassword_file = "{own}"\n')
    eventually(lambda: link(process)["connected"])
    change("the second one")
    broker.restart()
    eventually(lambda: "ot authori" in (link(process)["error"] or ""))
    own.write_text("the second one\n")
    eventually(lambda: link(process)["connected"], 60)
