"""Readings that come by REST, many at once, and what is computed of those that come over MQTT."""

from __future__ import annotations

import json
import time

from paho.mqtt import publish

from tests.waiting import eventually

BENCH, OTHER = "ESP_A00001", "ESP_A00002"


def test_a_batch_stores_what_is_good_and_names_what_is_not(site):
    site.client.post(f"/sensors/{BENCH}/34", {"sensor_type": "co2"}, 201)
    good = [
        {"esp_id": BENCH, "gpio": 34, "sensor_type": "co2", "raw": 400 + n, "timestamp": 1.7e9 + n}
        for n in range(200)
    ]
    wrong = [
        {"esp_id": BENCH, "gpio": 34, "sensor_type": "co2", "raw": 99_999},
        {"esp_id": "ESP_ABCDEF", "gpio": 34, "sensor_type": "co2", "raw": 1},
        {"esp_id": BENCH, "gpio": 33, "sensor_type": "co2", "raw": 1},
        {"esp_id": BENCH, "gpio": 34, "sensor_type": "co2"},
    ]
    answer = site.client.post("/sensors/data/batch", {"readings": wrong + good}, 200)
    assert answer["stored"] == 200
    assert [(r["index"], r["code"]) for r in answer["refused"]] == [
        (0, "VALUE_OUT_OF_RANGE"),
        (1, "ESP_NOT_FOUND"),
        (2, "SENSOR_NOT_FOUND"),
        (3, "VALIDATION_ERROR"),
    ]
    rows = site.client.get("/sensors/data?sensor_type=co2&limit=1000")["data"]
    assert {row["raw"] for row in rows} == {400.0 + n for n in range(200)}
    assert site.client.call("POST", "/sensors/data/batch", {"readings": []})[0] == 400
    assert site.client.call("POST", "/sensors/data/batch", {"readings": good * 6})[0] == 400


def measured(site, sensor_type, raw, at):
    topic = f"kaiser/god/esp/{OTHER}/sensor/0/data"
    body = {
        "esp_id": OTHER, "gpio": 0, "sensor_type": sensor_type, "raw": raw, "raw_mode": True,
        "ts": at, "i2c_address": 0x44,
    }  # fmt: skip
    publish.single(topic, json.dumps(body), qos=1, hostname=site.broker.host, port=site.broker.port)


def test_the_deficit_of_temperature_and_humidity_is_a_series(site):
    for kind in ("sht31_temp", "sht31_humidity"):
        body = {"sensor_type": kind, "address": "0x44", "interval_s": 300}
        site.client.post(f"/sensors/{OTHER}/0", body, 201)
    status, answer = site.client.call("POST", f"/sensors/{OTHER}/0", {"sensor_type": "vpd"})
    assert status == 400 and "computed by the gateway" in answer["error"]["message"]
    at = int(time.time()) - 100
    measured(site, "sht31_temp", 26214, at)
    measured(site, "sht31_humidity", 39321, at + 1)
    path = f"/sensors/data?esp_id={OTHER}&sensor_type=vpd&start={at}&end={at + 2}"
    (row,) = eventually(lambda: site.client.get(path)["data"])
    assert abs(row["value"] - 1.267) < 0.01 and row["unit"] == "kPa"
    shown = site.client.get(f"/sensors?esp_id={OTHER}")["data"]
    assert [s["latest"]["unit"] for s in shown if s.get("computed")] == ["kPa"]


def test_after_a_restart_every_sensor_has_its_newest_reading_at_once(make_site):
    """The kind: what is known to the database is unknown to a list that is made of what was heard."""
    site = make_site(devices=1)
    site.start_fleet(interval_s=0.2)
    site.wait_in_sync()

    def newest():
        return {
            (s["gpio"], s["sensor_type"], s["address"]): s["latest"]
            for s in site.client.get("/sensors")["data"]
        }

    eventually(lambda: all(newest().values()))
    site.fleet.stop()
    site.fleet = None

    def stored(key):
        """None while the first one has been heard and is not stored yet."""
        gpio, sensor_type, address = key
        path = f"/sensors/ESP_A00001/{gpio}/{sensor_type}/latest?address={address}"
        status, body = site.client.call("GET", path)
        return body if status == 200 else None

    def is_stored(key, reading):
        found = stored(key)
        return found is not None and abs(reading["timestamp"] - found["timestamp"]) < 0.002

    eventually(lambda: all(is_stored(*pair) for pair in newest().items()))
    before = newest()
    site.stop_gateway()
    site.start_gateway()
    after = newest()
    assert set(after) >= set(before)
    for key, reading in before.items():
        gpio, sensor_type, address = key
        path = f"/sensors/ESP_A00001/{gpio}/{sensor_type}"
        assert after[key]["value"] == reading["value"] == stored(key)["value"]
        assert abs(after[key]["timestamp"] - stored(key)["timestamp"]) < 0.002
        # A computed series has no configuration of its own.
        one = None if sensor_type == "vpd" else site.client.get(f"{path}?address={address}")
        assert one is None or one["latest"] == after[key]
    in_device = site.client.get("/esp/devices/ESP_A00001")["sensors"]
    assert all(sensor["latest"] is not None for sensor in in_device)
