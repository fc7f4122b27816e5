"""Mock ESPs over the whole path: REST, actor, real broker, device actor, database."""

from __future__ import annotations

import pytest

from godkaiser import paths
from godkaiser.actors.devices.mock_keeper import ORPHANS_JOB
from godkaiser.actors.services.timekeeper import Tick
from tests.waiting import eventually

TANK = "MOCK_TANK01"
BODY = {
    "mock_id": TANK,
    "sensors": [{"gpio": 34, "sensor_type": "ph", "interval_s": 1, "value": 6.2},
                {"gpio": 4, "sensor_type": "ds18b20", "address": "28FF641E8D3C0C79", "interval_s": 1}],
    "actuators": [{"gpio": 25, "actuator_type": "pump"}],
}  # fmt: skip


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def tank(site):
    """A mock that is online and configured."""
    site.client.post("/debug/mock-esp", BODY, 201)
    site.wait_in_sync()
    eventually(lambda: device(site)["online"])
    return TANK


def device(site):
    return site.client.get(f"/esp/devices/{TANK}")


def newest(site, gpio):
    rows = site.client.get(f"/sensors/data?esp_id={TANK}&gpio={gpio}&limit=1")["data"]
    return rows[0] if rows else {"value": None, "timestamp": 0}


def test_a_mock_measures_what_it_is_told_and_does_what_it_is_commanded(site, tank):
    eventually(lambda: newest(site, 34)["value"] == pytest.approx(6.2, abs=0.02))
    shown = site.client.post(f"/debug/mock-esp/{tank}/sensors/34", {"value": 7.5}, 200)
    assert shown["values"] == [{"gpio": 34, "sensor_type": "ph", "value": 7.5}]
    eventually(lambda: newest(site, 34)["value"] == pytest.approx(7.5, abs=0.02))
    status, answer = site.client.call(
        "POST", f"/actuators/{tank}/25/command?wait=5", {"command": "ON", "duration": 30}
    )
    assert (status, answer["outcome"]["state"]) == (202, "confirmed")
    eventually(
        lambda: site.client.get(f"/debug/mock-esp/{tank}")["device"]["levels"] == {"25": 1.0}
    )


def test_a_read_that_fails_on_purpose_ends_the_readings_of_that_sensor_alone(site, tank):
    eventually(lambda: newest(site, 34)["timestamp"])
    site.client.post(f"/debug/mock-esp/{tank}/sensors/34", {"value": None}, 200)
    # A reading that was under way may still come: then the other sensor goes on alone.
    before = newest(site, 4)["timestamp"]
    eventually(lambda: newest(site, 4)["timestamp"] > before + 1)
    last = newest(site, 34)["timestamp"]
    before = newest(site, 4)["timestamp"]
    eventually(lambda: newest(site, 4)["timestamp"] > before + 1)
    assert newest(site, 34)["timestamp"] == last


def test_a_mock_that_is_taken_offline_is_offline_and_comes_back(site, tank):
    site.client.post(f"/debug/mock-esp/{tank}/faults", {"offline": True}, 200)
    eventually(lambda: not device(site)["online"])
    status, answer = site.client.call("POST", f"/actuators/{tank}/25/command", {"command": "ON"})
    assert (status, answer["error"]["code"]) == (409, "DEVICE_OFFLINE")
    site.client.post(f"/debug/mock-esp/{tank}/faults", {}, 200)
    eventually(lambda: device(site)["online"])


def test_a_brown_out_is_a_reboot_that_the_gateway_notices(site, tank):
    site.client.post(f"/debug/mock-esp/{tank}/faults", {"brown_out": 1.0}, 200)

    def rebooted():
        # Each command that arrives costs it its power.
        site.client.call("POST", f"/actuators/{tank}/25/command", {"command": "OFF"})
        return site.client.get(f"/debug/mock-esp/{tank}")["device"]["boots"] >= 2

    eventually(rebooted)
    site.client.post(f"/debug/mock-esp/{tank}/faults", {}, 200)
    site.wait_in_sync()
    assert eventually(lambda: device(site)["online"])


def test_a_mock_is_there_again_after_a_restart_of_the_gateway(site, tank):
    site.client.post(f"/debug/mock-esp/{tank}/sensors/34", {"value": 5.0}, 200)
    site.stop_gateway()
    site.start_gateway()
    eventually(lambda: newest(site, 34)["value"] == pytest.approx(5.0, abs=0.02))
    (mock,) = site.client.get("/debug/mock-esp")["data"]
    assert mock["mock_id"] == tank and mock["created_by"] == "user:admin"


def test_a_mock_whose_actor_crashes_comes_back_as_it_was(site, tank):
    site.client.post(f"/debug/mock-esp/{tank}/sensors/34", {"value": 8.0}, 200)
    site.client.post("/system/actors/crash", {"path": paths.mock(tank)}, 202)
    eventually(lambda: site.gateway.system.info(paths.mock(tank)).restarts == 1)
    eventually(lambda: newest(site, 34)["value"] == pytest.approx(8.0, abs=0.02))
    site.wait_in_sync()


def test_a_deleted_mock_is_gone_and_its_device_is_told_of_as_an_orphan(site, tank):
    assert site.client.call("DELETE", f"/debug/mock-esp/{tank}")[0] == 204
    eventually(lambda: not device(site)["online"])
    assert site.client.call("GET", f"/debug/mock-esp/{tank}")[0] == 404
    for member in site.gateway.system.groups.members(ORPHANS_JOB):
        member.tell(Tick(job=ORPHANS_JOB, at=0.0))
    eventually(lambda: site.client.get("/debug/mock-esp")["orphans"] == [tank])
    trail = eventually(
        lambda: [e for e in site.client.get("/audit/log")["data"] if "deleted mocks" in e["what"]]
    )
    assert trail[0]["details"] == tank
    # It may come again under its name, and is no orphan then.
    site.client.post("/debug/mock-esp", {"mock_id": tank}, 201)
    eventually(lambda: device(site)["online"])


def test_without_approval_a_mock_waits_like_any_device(site):
    site.client.post("/debug/mock-esp", {"mock_id": TANK, "approve": False}, 201)
    found = eventually(lambda: site.client.get("/esp/devices")["data"])
    assert (found[0]["device_id"], found[0]["status"]) == (TANK, "pending_approval")


WRONG = [
    ({"mock_id": "MOCK_a"}, 400, "INVALID_MOCK_ID"),
    ({"mock_id": "ESP_4F3A9C"}, 400, "INVALID_MOCK_ID"),
    ({}, 400, "VALIDATION_ERROR"),
    ({"mock_id": "MOCK_B", "faults": {"drop": 2}}, 400, "VALIDATION_ERROR"),
    ({"mock_id": "MOCK_B", "faults": {"explode": True}}, 400, "VALIDATION_ERROR"),
    ({"mock_id": "MOCK_B", "sensors": [{"gpio": 77, "sensor_type": "ph"}]}, 400, "INVALID_GPIO"),
    (
        {"mock_id": "MOCK_B", "actuators": [{"gpio": 34, "actuator_type": "pump"}]},
        400,
        "INVALID_GPIO",
    ),
]


def test_what_makes_no_sense_is_refused_and_leaves_nothing_behind(site):
    for body, status, code in WRONG:
        answer = site.client.call("POST", "/debug/mock-esp", body)
        assert (answer[0], answer[1]["error"]["code"]) == (status, code), answer
    assert site.client.get("/debug/mock-esp")["count"] == 0
    devices = site.client.get("/esp/devices?limit=100")["data"]
    assert not [
        d for d in devices if d["device_id"].startswith("MOCK") and d["approval"] == "approved"
    ]
    site.client.post("/debug/mock-esp", {"mock_id": TANK}, 201)
    for method, path, body, status, code in (
        ("POST", "", {"mock_id": TANK}, 409, "DUPLICATE_MOCK"),
        ("DELETE", "/MOCK_NONE", {}, 404, "MOCK_NOT_FOUND"),
        ("POST", "/MOCK_NONE/faults", {}, 404, "MOCK_NOT_FOUND"),
        ("POST", "/MOCK_NONE/sensors/4", {"value": 1, "sensor_type": "ph"}, 404, "MOCK_NOT_FOUND"),
        ("POST", f"/{TANK}/sensors/4", {"value": 1}, 400, "VALIDATION_ERROR"),
        ("POST", f"/{TANK}/sensors/4", {"sensor_type": "ph"}, 400, "VALIDATION_ERROR"),
        ("POST", f"/{TANK}/sensors/99", {"value": 1}, 400, "INVALID_GPIO"),
        ("POST", f"/{TANK}/faults", {"delay_s": 1e9}, 400, "VALIDATION_ERROR"),
    ):
        answer = site.client.call(method, f"/debug/mock-esp{path}", body)
        assert (answer[0], answer[1]["error"]["code"]) == (status, code), (path, body, answer)
