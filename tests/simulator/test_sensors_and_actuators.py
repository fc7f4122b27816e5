"""Sections 8, 9 and 10 of the contract: readings, commands, status, response, alert."""

from __future__ import annotations

import json

import pytest

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware.actuators import commanded_level
from godkaiser.simulator.firmware.memory import Actuator
from tests.simulator.bench import AIR, DS18B20, OWN, PH, PUMP, ROM, START, Bench, tails

# ---- 8.1

DATA = {
    "esp_id": str, "seq": int, "zone_id": str, "subzone_id": str, "gpio": int, "sensor_type": str,
    "raw": int, "value": float, "unit": str, "quality": str, "ts": int, "time_valid": bool,
    "raw_mode": bool,
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "more"),
    [(PH, {}), (DS18B20, {"onewire_address": str}), (AIR, {"i2c_address": int})],
    ids=["analog", "onewire", "i2c"],
)
def test_8_1_a_reading_has_the_fields_of_the_table_and_no_others(entry, more):
    bench = Bench().registered(sensors=[entry])
    bench.wait(31.0)
    body = bench.last(Tail.SENSOR_DATA)
    assert {name: type(value) for name, value in body.items()} == DATA | more
    assert body["gpio"] == entry["gpio"]


def test_8_1_a_chip_is_read_once_for_all_its_entries_and_says_one_message_for_each_value():
    both = [AIR, {**AIR, "sensor_type": "sht31_humidity"}]
    bench = Bench().registered(sensors=both)
    said = [b["sensor_type"] for b in bench.bodies(Tail.SENSOR_DATA, bench.wait(30.0))]
    assert said == ["sht31_temp", "sht31_humidity"]


@pytest.mark.parametrize(
    ("configured", "published"),
    [
        ("temperature_ds18b20", ["ds18b20"]), ("sht31", ["sht31_temp", "sht31_humidity"]),
        ("humidity_sht31", ["sht31_temp", "sht31_humidity"]),
        ("pressure_bmp280", ["bmp280_pressure", "bmp280_temp"]),
        ("bme280", ["bme280_pressure", "bme280_temp", "bme280_humidity"]),
        ("pH_Sensor", ["ph"]), ("ec_sensor", ["ec"]), ("soil_moisture", ["moisture"]),
        ("MHZ19_CO2", ["mhz19_co2"]),
    ],
)  # fmt: skip
def test_9_1_types_are_published_under_the_names_of_the_table(configured, published):
    entry = {**PH, "sensor_type": configured, "onewire_address": ROM}
    bench = Bench().registered(sensors=[entry])
    said = [b["sensor_type"] for b in bench.bodies(Tail.SENSOR_DATA, bench.wait(30.0))]
    assert said == published


@pytest.mark.parametrize(
    ("kind", "raw", "value", "unit", "quality"),
    [
        ("ds18b20", 376, 23.5, "°C", "good"), ("ds18b20", 2100, 131.25, "°C", "suspect"),
        ("sht31_temp", 26214, 25.0, "°C", "good"), ("ph", 2150, 2150.0, "raw", "good"),
        ("ph", 49, 49.0, "raw", "suspect"), ("ph", 4046, 4046.0, "raw", "suspect"),
    ],
)  # fmt: skip
def test_8_1_the_preview_and_the_quality_are_the_devices_own(kind, raw, value, unit, quality):
    entry = {"ds18b20": DS18B20, "sht31_temp": AIR, "ph": PH}[kind]
    bench = Bench().registered(sensors=[entry])
    bench.raw[kind] = raw
    bench.wait(30.0)
    said = next(b for b in bench.bodies(Tail.SENSOR_DATA) if b["sensor_type"] == kind)
    assert (said["raw"], said["unit"], said["quality"]) == (raw, unit, quality)
    assert abs(said["value"] - value) < 0.01


@pytest.mark.parametrize(
    ("mode", "read"),
    [
        ("continuous", True),
        ("on_demand", False),
        ("paused", False),
        ("scheduled", False),
        ("?", True),
    ],
)
def test_8_1_only_continuous_sensors_are_driven_by_the_timer(mode, read):
    bench = Bench().registered(sensors=[{**PH, "operating_mode": mode}])
    assert bool(bench.bodies(Tail.SENSOR_DATA, bench.wait(31.0))) is read


@pytest.mark.parametrize(("asked", "kept"), [(0, 1), (1, 1), (30, 30), (300, 300), (900, 300)])
def test_8_1_the_interval_is_clamped(asked, kept):
    bench = Bench().registered(sensors=[{**PH, "measurement_interval_seconds": asked}])
    assert next(iter(bench.device.memory.sensors.values())).interval_s == kept


def test_8_1_a_failed_read_is_an_error_event_and_no_data_and_ten_failures_slow_it_down():
    bench = Bench().registered(sensors=[{**DS18B20, "measurement_interval_seconds": 1}])
    bench.answers_heartbeats = True
    bench.wait(60.0)
    bench.said.clear()
    bench.raw["ds18b20"] = -2032
    bench.wait(30.0)
    assert bench.bodies(Tail.SENSOR_DATA) == []
    assert bench.last(Tail.ERROR)["error_code"] == 1060
    assert len(bench.bodies(Tail.ERROR)) == 1  # one a slot a minute
    bench.raw["ds18b20"] = 376
    assert bench.bodies(Tail.SENSOR_DATA, bench.wait(200.0)) == []
    assert bench.bodies(Tail.SENSOR_DATA, bench.wait(100.0))


def test_8_1_an_adc2_pin_delivers_zeros():
    bench = Bench().registered(sensors=[{**PH, "gpio": 26}])
    bench.wait(31.0)
    assert (bench.last(Tail.SENSOR_DATA)["raw"], bench.last(Tail.SENSOR_DATA)["quality"]) == (
        0, "suspect",
    )  # fmt: skip


def test_9_4_only_ten_sensors_are_loaded_after_a_reboot():
    bench = Bench().registered(sensors=[{**AIR, "gpio": g} for g in range(12)])
    assert len(bench.device.memory.sensors) == 12
    bench.device.restart(bench.now)
    assert len(bench.device.memory.sensors) == 10


# ---- 8.2, 8.3


def test_8_3_a_measurement_on_demand_is_answered_with_the_fields_of_the_table():
    bench = Bench().registered(sensors=[{**PH, "operating_mode": "on_demand"}])
    said = bench.send("sensor/34/command", command="measure", request_id="req_1",
                      correlation_id="c", intent_id="i")  # fmt: skip
    assert tails(said) == [
        Tail.INTENT_OUTCOME, Tail.SENSOR_DATA, Tail.SENSOR_RESPONSE, Tail.INTENT_OUTCOME,
    ]  # fmt: skip
    response = bench.last(Tail.SENSOR_RESPONSE)
    del response["ts"], response["seq"]
    assert response == {
        "request_id": "req_1", "gpio": 34, "command": "measure", "success": True,
        "measurement_ok": True, "publish_ok": True, "timeout": False, "reason_code": "NONE",
        "quality": "good", "sensor_type": "ph", "raw": 2150, "intent_id": "i",
        "correlation_id": "c", "ttl_ms": 0,
    }  # fmt: skip
    assert bench.outcomes() == [("accepted", "COMMAND_ACCEPTED"), ("applied", "NONE")]


def test_8_2_without_a_request_id_there_is_no_response():
    bench = Bench().registered(sensors=[PH])
    assert Tail.SENSOR_RESPONSE not in tails(bench.send("sensor/34/command", command="measure"))


@pytest.mark.parametrize(
    ("gpio", "raw", "reason", "outcome"),
    [(33, 1, "SENSOR_NOT_FOUND", "failed"), (34, None, "MEASUREMENT_FAILED", "failed")],
)
def test_8_3_a_measurement_that_fails_says_why(gpio, raw, reason, outcome):
    bench = Bench().registered(sensors=[PH])
    bench.raw["ph"] = raw
    bench.send(f"sensor/{gpio}/command", command="measure", request_id="r")
    assert bench.last(Tail.SENSOR_RESPONSE)["reason_code"] == reason
    assert bench.outcomes()[-1] == (outcome, reason)


def test_8_2_a_stalled_device_queues_twenty_and_answers_late_ones_with_a_timeout():
    bench = Bench().registered(sensors=[PH])
    bench.device.stall(bench.now + 3.0)
    for n in range(21):
        bench.send("sensor/34/command", command="measure", request_id=f"r{n}", timeout_ms=1000)
    assert bench.outcomes()[-1] == ("rejected", "QUEUE_FULL")
    bench.wait(20.0)
    assert {b["reason_code"] for b in bench.bodies(Tail.SENSOR_RESPONSE)} == {"MEASURE_TIMEOUT"}
    assert ("expired", "MEASURE_TIMEOUT") in bench.outcomes()


def test_8_2_an_unknown_command_is_rejected():
    bench = Bench().registered(sensors=[PH])
    bench.send("sensor/34/command", command="MEASURE", request_id="r")
    assert bench.outcomes() == [("rejected", "UNKNOWN_COMMAND")]


# ---- 10.1

SEMANTICS = [
    *((kind, verb, 0.0, before, after)
      for kind in ("pump", "relay", "pwm", "valve")
      for verb, before, after in (("ON", 0.0, 1.0), ("OFF", 1.0, 0.0), ("ON", 1.0, 1.0),
                                  ("TOGGLE", 0.0, 1.0), ("TOGGLE", 1.0, 0.0))),
    ("pump", "PWM", 0.5, 0.0, 1.0), ("relay", "PWM", 0.49, 1.0, 0.0),
    ("pump", "PWM", 1.01, 0.0, None), ("relay", "PWM", -0.1, 0.0, None),
    ("pwm", "PWM", 0.35, 0.0, 0.35), ("pwm", "PWM", 7.0, 0.0, 1.0), ("pwm", "PWM", -1.0, 1.0, 0.0),
    ("valve", "PWM", 0.66, 0.0, 1.0), ("valve", "PWM", 0.33, 0.0, 0.5),
    ("valve", "PWM", 0.32, 1.0, 0.0), ("pump", "STOP", 0.0, 1.0, None),
    ("pwm", "DIM", 0.5, 0.0, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "verb", "value", "before", "after"), SEMANTICS)
def test_10_1_the_execution_table(kind, verb, value, before, after):
    assert commanded_level(Actuator(25, kind, level=before), verb, value) == after


TEXTS = [
    (b'{"command":"ON","value":1.0}', ("ON", 1.0, 0)),
    (b'{"command": "on", "value": "0.5", "duration": "7"}', ("on", 0.5, 7)),
    (b'{"command" :"ON"}', ("UNKNOWN", 0.0, 0)),
    (b'{"nested":{"command":"OFF"},"command":"ON"}', ("OFF", 0.0, 0)),
    (b'{"command":"ON","value":null,"duration":null}', ("ON", 0.0, 0)),
    (b'{"command":null}', ("null", 0.0, 0)),
    (b'no json, but "command":"ON" is in it', ("ON", 0.0, 0)),
    (b"", ("UNKNOWN", 0.0, 0)),
]


@pytest.mark.parametrize(("text", "read"), TEXTS)
def test_10_1_commands_are_searched_for_not_parsed(text, read):
    bench = Bench().registered(actuators=[PUMP])
    bench.send("actuator/25/command", text)
    response = bench.last(Tail.ACTUATOR_RESPONSE)
    assert (response["command"], response["value"], response["duration"]) == read


def test_10_1_on_with_a_duration_ends_by_itself_and_any_command_cancels_that():
    bench = Bench().registered(actuators=[PUMP])
    bench.command(25, "ON", duration=10, issued_by="user:4")
    bench.wait(9.0)
    assert bench.device.levels() == {25: 1.0}
    said = bench.wait(1.5)
    assert bench.device.levels() == {25: 0.0}
    assert bench.bodies(Tail.ACTUATOR_STATUS, said)[0]["command_source"] == (
        "firmware:auto_duration"
    )
    assert Tail.ACTUATOR_RESPONSE not in tails(said)
    bench.command(25, "ON", duration=10)
    bench.command(25, "PWM", value=1.0, duration=5)
    bench.wait(20.0)
    assert bench.device.levels() == {25: 1.0}


def test_10_1_a_pump_refuses_the_61st_start_within_an_hour():
    bench = Bench().registered(actuators=[PUMP])
    for _ in range(60):
        bench.command(25, "ON")
        bench.command(25, "OFF")
    bench.command(25, "ON")
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is False
    bench.now += 3600.0
    bench.command(25, "ON")
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is True


def test_10_1_a_pump_that_ran_its_maximum_in_parts_cools_down_for_30_s():
    bench = Bench().registered(actuators=[{**PUMP, "max_runtime_ms": 20_000}])
    for _ in range(2):
        bench.command(25, "ON")
        bench.wait(11.0)
        bench.command(25, "OFF")
    bench.command(25, "ON")
    assert "Cool-down" in bench.last(Tail.ACTUATOR_RESPONSE)["message"]
    bench.wait(30.0)
    bench.command(25, "ON")
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is True


# ---- 10.2


def test_10_2_a_command_is_accepted_executed_told_and_applied_in_this_order():
    bench = Bench().registered(actuators=[PUMP])
    said = bench.command(25, "ON")
    assert tails(said) == [
        Tail.INTENT_OUTCOME, Tail.ACTUATOR_STATUS, Tail.ACTUATOR_RESPONSE, Tail.INTENT_OUTCOME,
    ]  # fmt: skip
    assert bench.outcomes() == [("accepted", "COMMAND_ACCEPTED"), ("applied", "NONE")]


def test_10_2_a_rejected_command_is_answered_even_before_registration():
    bench = Bench()
    bench.connect()
    bench.said.clear()
    assert tails(bench.command(25, "ON")) == [Tail.ACTUATOR_RESPONSE]
    response = bench.last(Tail.ACTUATOR_RESPONSE)
    assert response["message"] == ("Rejected before execution (reason_code=REGISTRATION_PENDING)")


def test_10_2_no_actuator_on_the_pin_is_a_failed_response_and_error_1052():
    bench = Bench().registered(actuators=[PUMP])
    bench.wait(61.0)
    bench.command(26, "ON")
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is False
    assert bench.last(Tail.ERROR)["error_code"] == 1052
    assert bench.outcomes()[-1] == ("failed", "EXECUTE_FAIL")


def test_10_2_a_command_that_waited_longer_than_its_lifetime_expires():
    bench = Bench().registered(actuators=[PUMP])
    bench.device.stall(bench.now + 2.0)
    bench.command(25, "ON", ttl_ms=1000)
    bench.wait(3.0)
    assert bench.outcomes()[-1] == ("expired", "TTL_EXPIRED")
    assert bench.device.levels() == {25: 0.0}


def test_10_2_a_full_queue_yields_no_response_only_an_outcome():
    bench = Bench().registered(actuators=[PUMP])
    bench.device.stall(bench.now + 2.0)
    for _ in range(20):
        bench.command(25, "TOGGLE")
    said = bench.command(25, "ON")
    assert tails(said) == [Tail.INTENT_OUTCOME]
    assert bench.outcomes()[-1] == ("rejected", "QUEUE_FULL")


# ---- 10.3 to 10.5

STATUS = {"esp_id", "seq", "zone_id", "subzone_id", "ts", "gpio", "type", "state", "pwm",
          "runtime_ms", "emergency", "command_source"}  # fmt: skip
RESPONSE = {"esp_id", "zone_id", "seq", "ts", "gpio", "command", "value", "duration", "success",
            "message", "correlation_id", "issued_by"}  # fmt: skip
ALERT = {"esp_id", "zone_id", "seq", "ts", "gpio", "alert_type", "message"}


def test_10_3_10_4_10_5_status_response_and_alert_have_the_fields_of_their_tables():
    bench = Bench().registered(actuators=[PUMP])
    bench.command(25, "ON", issued_by="user:4")
    bench.send("actuator/emergency", command="emergency_stop")
    assert set(bench.last(Tail.ACTUATOR_STATUS)) == STATUS
    assert set(bench.last(Tail.ACTUATOR_RESPONSE)) == RESPONSE
    assert set(bench.last(Tail.ACTUATOR_ALERT)) == ALERT


def test_10_4_a_response_has_no_correlation_id_when_the_command_had_none():
    bench = Bench().registered(actuators=[PUMP])
    bench.send("actuator/25/command", command="ON")
    response = bench.last(Tail.ACTUATOR_RESPONSE)
    assert "correlation_id" not in response and response["issued_by"] == "system:unknown"


@pytest.mark.parametrize(
    ("kind", "value", "pwm"),
    [("pump", 1.0, 255), ("relay", 0.0, 0), ("pwm", 0.35, 89), ("pwm", 1.0, 255),
     ("valve", 1.0, 254), ("valve", 0.5, 127), ("valve", 0.0, 0)],
)  # fmt: skip
def test_10_3_pwm_counts_as_the_table_says(kind, value, pwm):
    bench = Bench().registered(actuators=[{**PUMP, "actuator_type": kind}])
    bench.command(25, "PWM", value=value)
    assert bench.last(Tail.ACTUATOR_STATUS)["pwm"] == pwm


def test_10_3_the_status_comes_every_30_s():
    bench = Bench().registered(actuators=[PUMP])
    assert len(bench.bodies(Tail.ACTUATOR_STATUS, bench.wait(90.0))) == 3


def test_10_6_an_actuator_that_runs_too_long_is_stopped_with_two_alerts_until_it_is_cleared():
    bench = Bench().registered(actuators=[{**PUMP, "max_runtime_ms": 10_000}])
    bench.command(25, "ON")
    bench.said.clear()
    bench.wait(11.0)
    assert [b["alert_type"] for b in bench.bodies(Tail.ACTUATOR_ALERT)] == [
        "runtime_protection", "emergency_stop",
    ]  # fmt: skip
    assert bench.last(Tail.ACTUATOR_STATUS)["emergency"] == "active"
    bench.command(25, "ON")
    assert bench.last(Tail.ACTUATOR_RESPONSE)["success"] is False
    bench.send("actuator/emergency", command="clear_emergency")
    bench.wait(3.0)
    bench.wait(30.0)
    bench.command(25, "ON")
    assert bench.device.levels() == {25: 1.0}


def test_10_1_actuators_start_in_their_default_state_after_a_reboot():
    lamp = {**PUMP, "gpio": 26, "default_state": True}
    bench = Bench().registered(sensors=[PH], actuators=[PUMP, lamp])
    bench.command(25, "ON")
    bench.device.restart(bench.now)
    assert bench.device.levels() == {25: 0.0, 26: 1.0}


def test_8_1_the_contracts_own_example_is_what_the_device_says():
    bench = Bench().registered(sensors=[DS18B20])
    bench.wait(30.0)
    published = [p for p in bench.said if p.topic == OWN + "sensor/4/data"][-1]
    body = json.loads(published.payload)
    assert body["ts"] in range(int(START), int(START) + 60)
    assert (body["raw"], body["value"], body["unit"]) == (376, 23.5, "°C")
    assert body["onewire_address"] == ROM
