"""Safety beyond the stop, against the real parts: explain, dry runs, holds, interlocks."""

from __future__ import annotations

from tests.waiting import eventually

BENCH = "ESP_A00001"
FAN, PUMP = 25, 26


def order(site, gpio, verb, query="?wait=5", **fields):
    return site.client.call(
        "POST", f"/actuators/{BENCH}/{gpio}/command{query}", {"command": verb, **fields}
    )


def refused_check(answer):
    return next(c for c in answer["error"]["details"]["verdict"]["checks"] if not c["passed"])


def test_explain_tells_the_verdict_and_sends_nothing(site):
    answer = site.client.get(f"/actuators/{BENCH}/{FAN}/explain")
    assert answer["verdict"]["allowed"] is True
    assert {c["name"] for c in answer["verdict"]["checks"]} >= {
        "interlocks",
        "owner",
        "emergency_stop",
    }
    answer = site.client.get(f"/actuators/{BENCH}/{FAN}/explain?command=PWM&value=80")
    assert "0.8" in answer["verdict"]["message"]
    assert site.firmware(BENCH).levels()[FAN] == 0.0
    assert site.client.get("/actuators/commands")["data"] == []
    unknown = site.client.get(f"/actuators/{BENCH}/33/explain")
    assert unknown["verdict"]["code"] == "ACTUATOR_NOT_FOUND" and unknown["actuator"] is None


def test_dry_runs_say_what_would_be_and_change_nothing(site):
    would = site.client.post("/actuators/emergency_stop?dry_run=1", {}, 200)
    assert (would["state"], would["dry_run"]) == ("active", True)
    assert would["stops"][0]["unconfirmed"] == [BENCH, "ESP_A00002"]
    assert site.client.get("/safety/status")["state"] == "normal"
    status, answer = site.client.call("POST", "/actuators/clear_emergency?dry_run=1", {})
    assert (status, answer["error"]["code"]) == (409, "NO_EMERGENCY_STOP")
    site.client.post("/actuators/emergency_stop", {}, 200)
    status, answer = site.client.call("POST", "/actuators/clear_emergency?dry_run=1", {})
    assert (status, answer["error"]["code"]) == (409, "CLEAR_LOCKED_OUT")
    would = eventually(
        lambda: (
            (got := site.client.call("POST", "/actuators/clear_emergency?dry_run=1", {}))[0] == 200
            and got[1]
        ),
        10.0,
    )
    assert would["state"] == "clearing" and would["stops"][0]["clearing"] == [BENCH, "ESP_A00002"]
    assert site.client.get("/safety/status")["state"] == "active"


def test_a_manual_hold_beats_rules_until_it_is_released(site):
    held = site.client.post(f"/actuators/{BENCH}/{FAN}/hold", {}, 200)
    assert held["held"] is True and held["by"] == "user:admin" and held["until"] is None
    shown = eventually(lambda: site.client.get(f"/actuators/{BENCH}/{FAN}")["hold"])
    assert shown == {"by": "user:admin", "until": None}
    rule = {
        "name": "wants the fan",
        "conditions": [{"type": "sensor", "esp_id": BENCH, "gpio": 0, "sensor_type": "sht31_temp",
                        "operator": ">", "value": -30}],
        "actions": [{"type": "actuator", "esp_id": BENCH, "gpio": FAN, "command": "ON"}],
        "cooldown_seconds": 0.2,
    }  # fmt: skip
    site.client.post("/logic/rules", rule, 201)
    refused = eventually(
        lambda: [
            c for c in site.client.get("/actuators/commands")["data"] if c["state"] == "refused"
        ]
    )
    assert "held by user:admin" in refused[0]["message"]
    assert site.firmware(BENCH).levels()[FAN] == 0.0
    # It outlives a crash of the safety actor.
    site.gateway.system.crash("/control/safety/guard")
    eventually(lambda: site.gateway.system.info("/control/safety/guard").restarts == 1)
    count = len(site.client.get("/actuators/commands")["data"])
    eventually(lambda: len(site.client.get("/actuators/commands")["data"]) > count)
    assert site.firmware(BENCH).levels()[FAN] == 0.0
    status, released = site.client.call("DELETE", f"/actuators/{BENCH}/{FAN}/hold")
    assert (status, released["held"]) == (200, False)
    eventually(lambda: site.actuator(BENCH, FAN)["hold"] is None)
    eventually(lambda: site.firmware(BENCH).levels()[FAN] == 1.0)


def key(gpio):
    return {"esp_id": BENCH, "gpio": gpio}


def test_interlocks_are_kept_also_by_what_goes_off(site):
    never = {"kind": "never_with", "actuator": key(FAN), "other": key(PUMP)}
    status, answer = site.client.call("PUT", "/safety/interlocks", {"interlocks": [never]})
    assert (status, answer["count"]) == (200, 1)
    eventually(lambda: site.client.get("/safety/interlocks")["count"] == 1)
    assert order(site, FAN, "ON")[1]["outcome"]["state"] == "confirmed"
    status, answer = order(site, PUMP, "ON")
    assert status == 409 and refused_check(answer)["name"] == "interlocks"
    assert order(site, FAN, "OFF")[1]["outcome"]["state"] == "confirmed"
    eventually(lambda: order(site, PUMP, "ON")[0] == 202)
    order(site, PUMP, "OFF")

    needs = {"kind": "only_with", "actuator": key(PUMP), "other": key(FAN)}
    assert site.client.call("PUT", "/safety/interlocks", {"interlocks": [needs]})[0] == 200
    eventually(lambda: site.client.get("/safety/interlocks")["data"][0]["kind"] == "only_with")
    status, answer = order(site, PUMP, "ON")
    assert status == 409 and "only together with" in refused_check(answer)["reason"]
    assert order(site, FAN, "ON")[1]["outcome"]["state"] == "confirmed"
    assert order(site, PUMP, "ON")[1]["outcome"]["state"] == "confirmed"
    order(site, FAN, "OFF")
    eventually(lambda: site.firmware(BENCH).levels()[PUMP] == 0.0)


def test_interlocks_that_make_no_sense_are_refused_as_a_whole(site):
    good = {"kind": "never_with", "actuator": key(FAN), "other": key(PUMP)}
    nothing = {"kind": "only_with", "actuator": key(FAN), "other": key(33)}
    circle = [{"kind": "only_with", "actuator": key(a), "other": key(b)}
              for a, b in ((FAN, PUMP), (PUMP, FAN))]  # fmt: skip
    for wrong, says in (
        ([good, nothing], "no actuator"),
        (circle, "cycle"),
        ([good, good], "twice"),
    ):
        status, answer = site.client.call("PUT", "/safety/interlocks", {"interlocks": wrong})
        assert (status, answer["error"]["code"]) == (400, "VALIDATION_ERROR"), answer
        assert says in answer["error"]["message"]
    assert site.client.get("/safety/interlocks")["count"] == 0
