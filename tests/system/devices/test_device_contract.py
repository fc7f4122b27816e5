"""Beyond the core of the contract, over a real broker: zones, system commands, removal, offline rules."""

from __future__ import annotations

from paho.mqtt import publish

from tests.waiting import eventually

BENCH, OTHER = "ESP_A00001", "ESP_A00002"
FAN, PUMP = 25, 26


def device(site, device_id=BENCH):
    return site.client.get(f"/esp/devices/{device_id}")


def placed(site):
    return eventually(lambda: (d := device(site))["placement_sync"] == "in_sync" and d)


def test_a_zone_and_its_subzones_reach_the_device_and_are_confirmed(site):
    status, _ = site.client.call(
        "PUT", f"/esp/devices/{BENCH}/zone", {"zone_id": "north", "zone_name": "North wing"}
    )
    assert status == 202
    memory = site.firmware(BENCH).memory
    eventually(lambda: memory.zone_id == "north" and placed(site))
    assert memory.zone_name == "North wing"
    body = {"name": "Bench A", "gpios": [FAN]}
    assert site.client.call("PUT", f"/esp/devices/{BENCH}/subzones/bench_a", body)[0] == 202
    eventually(lambda: "bench_a" in memory.subzones and placed(site))
    safe = {"enable": True, "reason": "maintenance"}
    path = f"/esp/devices/{BENCH}/subzones/bench_a"
    assert site.client.call("POST", f"{path}/safe-mode", safe)[0] == 202
    assert site.client.call("POST", f"{path[:-1]}b/safe-mode", safe)[0] == 404
    assert site.client.call("DELETE", path)[0] == 202
    eventually(lambda: "bench_a" not in memory.subzones and placed(site))
    assert site.client.call("DELETE", f"/esp/devices/{BENCH}/zone")[0] == 202
    eventually(lambda: memory.zone_id == "" and placed(site))
    zones = {
        z["zone_id"]: [d["device_id"] for d in z["devices"]]
        for z in site.client.get("/zones")["data"]
    }
    assert zones == {"": [BENCH], "greenhouse": [OTHER]}


def test_wrong_subzones_are_refused_with_the_reason(site):
    path = f"/esp/devices/{BENCH}/subzones"
    for name, body, says in (
        ("a-b", {"gpios": [FAN]}, "letters, digits"),
        ("a", {"gpios": [6]}, "GPIO 6"),
        ("a", {"gpios": []}, "length"),
        ("a", {"gpios": [99]}, "39"),
    ):
        status, answer = site.client.call("PUT", f"{path}/{name}", body)
        assert status == 400 and says in answer["error"]["message"], answer
    site.client.call("DELETE", f"/esp/devices/{BENCH}/zone")
    status, answer = site.client.call("PUT", f"{path}/a", {"gpios": [FAN]})
    assert status == 400 and "in no zone" in answer["error"]["message"]


def test_moving_a_device_out_of_a_stopped_zone_frees_nothing(site):
    site.client.post("/actuators/emergency_stop", {"zone_id": "greenhouse"}, 200)
    site.client.call("PUT", f"/esp/devices/{BENCH}/zone", {"zone_id": "south"})
    stops = eventually(
        lambda: (
            (found := site.client.get("/safety/status")["stops"])[-1]["scope"] != "zone greenhouse"
            and found
        )
    )
    assert [s["scope"] for s in stops] == ["zone greenhouse", f"device {BENCH}"]
    assert "moved out of zone greenhouse" in stops[1]["reason"]
    status, answer = site.client.call(
        "POST", f"/actuators/{BENCH}/{FAN}/command", {"command": "ON"}
    )
    assert (status, answer["error"]["code"]) == (409, "EMERGENCY_STOP_ACTIVE")


def test_system_commands_are_answered(site):
    path = f"/esp/devices/{BENCH}/commands"
    answer = site.client.post(f"{path}?wait=5", {"command": "status"}, 202)
    assert answer["state"] == "succeeded" and answer["answer"]["esp_id"] == BENCH
    bad = site.client.post(
        f"{path}?wait=5", {"command": "set_log_level", "parameters": {"level": "DEBUG"}}, 202
    )
    assert bad["state"] == "succeeded"
    found = site.client.get(f"{path}/{answer['correlation_id']}")
    assert found["what"] == "status" and found["issuer"] == "user:admin"
    assert site.client.get(path)["count"] == 2
    status, refused = site.client.call("POST", path, {"command": "factory_reset"})
    assert (status, refused["error"]["code"]) == (400, "NOT_CONFIRMED")
    assert site.client.call("GET", f"{path}/nothing")[0] == 404


def test_a_measurement_on_demand_and_a_onewire_scan(site):
    answer = site.client.post(f"/sensors/{BENCH}/0/measure?wait=5", {}, 202)
    assert answer["state"] == "succeeded", answer
    failed = site.client.post(f"/sensors/{BENCH}/36/measure?wait=5", {}, 202)
    assert failed["state"] in {"failed", "timed_out", "open"}
    scan = site.client.post(f"/esp/devices/{BENCH}/onewire/scan?wait=5", {"pin": 4}, 202)
    assert scan["what"] == "onewire/scan" and scan["state"] in {"succeeded", "failed"}


def test_what_a_device_tells_of_itself_is_shown(site):
    found = site.client.get(f"/esp/devices/{BENCH}/diagnostics")
    assert found["health"] > 0 and found["counts"]["system/heartbeat"] >= 1
    assert device(site)["health"] == found["health"]
    topic = f"kaiser/god/esp/{BENCH}/system/error"
    publish.single(
        topic,
        b'{"error_code":1060,"severity":2,"message":"DS18B20 fault"}',
        hostname=site.broker.host,
        port=site.broker.port,
    )
    error = eventually(lambda: site.client.get(f"/esp/devices/{BENCH}/diagnostics")["errors"])[0]
    assert error["code"] == 1060 and "DS18B20" in error["meaning"] and "pull-up" in error["advice"]
    publish.single(topic, b"not json", hostname=site.broker.host, port=site.broker.port)
    eventually(
        lambda: site.client.get(f"/esp/devices/{BENCH}/diagnostics")["bad_payloads"].get("NOT_JSON")
    )


def test_what_is_removed_is_forgotten_by_the_device_too(site):
    rules = site.client.get("/logic/rules")["data"]
    status, answer = site.client.call("DELETE", f"/actuators/{BENCH}/{FAN}")
    assert (status, answer["error"]["code"]) == (409, "STILL_IN_USE")
    for rule in rules:
        site.client.call("DELETE", f"/logic/rules/{rule['id']}")
    order = {"command": "ON", "duration": 30}
    site.client.post(f"/actuators/{BENCH}/{FAN}/command?wait=5", order, 202)
    status, answer = site.client.call("DELETE", f"/actuators/{BENCH}/{FAN}")
    assert (status, answer["error"]["code"]) == (409, "COMMAND_REFUSED")
    site.client.post(f"/actuators/{BENCH}/{FAN}/command?wait=5", {"command": "OFF"}, 202)
    eventually(lambda: site.client.call("DELETE", f"/actuators/{BENCH}/{FAN}")[0] == 204)
    memory = site.firmware(BENCH).memory
    eventually(lambda: FAN not in memory.actuators)
    assert site.client.call("DELETE", f"/actuators/{BENCH}/{FAN}")[0] == 404
    assert site.client.call("POST", f"/actuators/{BENCH}/{FAN}/command", order)[0] == 404
    before = len(memory.sensors)
    assert site.client.call("DELETE", f"/sensors/{BENCH}/0/sht31_temp")[0] == 204
    eventually(lambda: len(memory.sensors) == before - 1)
    assert site.client.call("DELETE", f"/sensors/{BENCH}/0/sht31_temp")[0] == 404
    # And what comes again, is there again.
    site.client.post(f"/actuators/{BENCH}/{FAN}", {"actuator_type": "relay"}, 201)
    eventually(lambda: FAN in memory.actuators)


def test_a_device_that_is_removed_is_gone_until_it_reports_again(site):
    for rule in site.client.get("/logic/rules")["data"]:
        site.client.call("DELETE", f"/logic/rules/{rule['id']}")
    assert site.client.call("DELETE", f"/esp/devices/{BENCH}")[0] == 204
    assert site.client.call("GET", f"/esp/devices/{BENCH}")[0] in {200, 404}
    eventually(
        lambda: (
            site.client.call("GET", f"/esp/devices/{BENCH}")[0] == 404
            or device(site)["status"] == "pending_approval"
        )
    )
    assert all(a["esp_id"] != BENCH for a in site.client.get("/actuators")["data"])


def test_a_rule_that_a_device_can_keep_alone_is_pushed_to_it(site):
    rule = {
        "name": "vent", "keep_offline": True,
        "conditions": [{"type": "hysteresis", "esp_id": BENCH, "gpio": 0, "sensor_type": "sht31_temp",
                        "activate_above": 60.0, "deactivate_below": 50.0}],
        "actions": [{"type": "actuator", "esp_id": BENCH, "gpio": FAN, "command": "ON"}],
    }  # fmt: skip
    made = site.client.post("/logic/rules", rule, 201)
    memory = site.firmware(BENCH).memory
    kept = eventually(lambda: memory.offline_rules)
    assert (kept[0]["actuator_gpio"], kept[0]["activate_above"]) == (FAN, 60.0)
    shown = site.client.get(f"/logic/rules/{made['id']}")["state"]["offline"]
    assert shown == {"kept_by": BENCH, "reason": ""}
    eventually(lambda: device(site)["config_sync"] == "in_sync")
    site.client.call("DELETE", f"/logic/rules/{made['id']}")
    eventually(lambda: memory.offline_rules == [])


def test_a_device_keeps_name_and_board_within_what_it_carries(site):
    path = f"/esp/devices/{BENCH}"
    assert site.client.call("PATCH", path, {"name": "By the door"})[1]["name"] == "By the door"
    status, answer = site.client.call("PATCH", path, {"board": "toaster"})
    assert status == 400 and "Known boards" in answer["error"]["message"]
