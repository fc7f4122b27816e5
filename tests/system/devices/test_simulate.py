"""`godkaiser simulate` and mocks as a fleet in the field is: over TLS, an account for each device, ids of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from godkaiser.config.settings import MqttConfig
from godkaiser.domain.entities import Approval
from godkaiser.mqtt.accounts import acl_file, hash_password, password_file
from tests.mqtt.test_tls import Authority
from tests.waiting import eventually

IDS = ("ESP_4F3A9C", "ESP_BEEF01")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def guarded(tmp_path, authority, mosquitto_factory):
    """A broker that speaks TLS only, with an account for the gateway and one for each device."""
    names = ("godkaiser", *IDS)
    (tmp_path / "passwd").write_text(
        password_file({name: hash_password(f"{name}-secret", b"s" * 12) for name in names}, "")
    )
    (tmp_path / "acl").write_text(acl_file("godkaiser", dict.fromkeys(IDS, Approval.APPROVED), ""))
    for name in ("passwd", "acl"):
        (tmp_path / name).chmod(0o600)
    certificate, key = authority.issue("broker")
    return mosquitto_factory(
        accounts=(
            "allow_anonymous false",
            f"password_file {tmp_path / 'passwd'}",
            f"acl_file {tmp_path / 'acl'}",
            f"cafile {authority.file}",
            f"certfile {certificate}",
            f"keyfile {key}",
            "use_username_as_clientid false",
        )
    )


@pytest.fixture
def site(tmp_path, guarded, authority, make_site_with):
    (tmp_path / "password").write_text("godkaiser-secret\n")
    made = make_site_with(
        guarded,
        mqtt=MqttConfig(
            port=guarded.port, username="godkaiser", password_file=str(tmp_path / "password"), tls=True,
            ca_cert=authority.file,
        ),
    )  # fmt: skip
    eventually(lambda: made.client.get("/health")["broker"]["connected"])
    return made


def simulate(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "godkaiser", "simulate", *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_devices_of_chosen_ids_with_accounts_of_their_own_talk_over_tls(
    site, guarded, authority, tmp_path
):
    accounts = tmp_path / "accounts"
    # With the byte order mark that editors of Windows put.
    accounts.write_text(
        "\ufeff# of the test\n" + "".join(f"{name}:{name}-secret\n" for name in IDS)
    )
    fleet = simulate("--broker", f"127.0.0.1:{guarded.port}", "--tls", "--ca-cert", authority.file,
                     "--accounts", str(accounts))  # fmt: skip
    try:
        eventually(
            lambda: {d["device_id"] for d in site.client.get("/esp/devices")["data"]} == {*IDS}
        )
        for name in IDS:
            site.client.post(f"/esp/devices/{name}/approve", {}, 200)
        site.client.post(f"/actuators/{IDS[0]}/25", {"actuator_type": "relay"}, 201)
        eventually(lambda: site.client.get(f"/actuators/{IDS[0]}/25")["reported_value"] is not None)
        body = {"esp_id": IDS[0], "gpio": 25, "command": "ON", "duration": 20}
        answer = site.client.post("/actuators/command?wait=5", body, 202)
        assert answer["outcome"]["state"] == "confirmed"
    finally:
        fleet.terminate()
        assert fleet.wait(20) == 0
    fleet.stdout.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--id", "nonsense"), "is not a device id"), (("--tls", "--ca-cert", "/nowhere"), "/nowhere"),
     (("--accounts", "{bad}"), ":2: write DEVICE:PASSWORD"),
     (("--username", "u", "--password-file", "{nul}"), "no text")],
)  # fmt: skip
def test_a_mistake_is_told_in_a_line(tmp_path, options, told):
    (tmp_path / "bad").write_text("ESP_4F3A9C:x\nESP_BEEF01\n")
    (tmp_path / "nul").write_bytes(b"\0" * 9)
    given = [o.format(bad=tmp_path / "bad", nul=tmp_path / "nul") for o in options]
    fleet = simulate(*given)
    output = fleet.communicate(timeout=60)[0]
    assert fleet.returncode != 0
    assert told in output
    assert "Traceback" not in output


def test_mocks_speak_tls_as_the_gateway_does(site):
    body = {"mock_id": "MOCK_TANK01", "actuators": [{"gpio": 25, "actuator_type": "pump"}]}
    site.client.post("/debug/mock-esp", body, 201)
    eventually(lambda: site.client.call("GET", "/esp/devices/MOCK_TANK01")[1].get("online"))
    site.wait_in_sync()
