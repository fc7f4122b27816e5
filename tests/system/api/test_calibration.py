"""A sensor is calibrated, its past read again, and all of it undone, over the real API."""

from __future__ import annotations

import pytest

from tests.waiting import eventually

BENCH = "ESP_A00001"
PROBE = f"/sensors/{BENCH}/34/ph"
FINAL = {"esp_id": BENCH, "gpio": 34, "sensor_type": "ph", "value": 6.5}


@pytest.fixture
def probe(site):
    site.client.post(f"/sensors/{BENCH}/34", {"sensor_type": "ph", "interval_s": 1}, 201)
    for n in range(30):
        body = {"esp_id": BENCH, "gpio": 34, "sensor_type": "ph", "raw": 1500 + n}
        site.client.post("/sensors/data", body, 201)
    return site


def rows(site):
    return site.client.get(f"/sensors/data?esp_id={BENCH}&sensor_type=ph&limit=1000")["data"]


def refused(site, method, path, body=None):
    status, answer = site.client.call(method, path, body)
    return status, answer["error"]["code"]


def calibrated(site, *points, **final):
    number = site.client.post(f"{PROBE}/calibration", {"method": "ph"}, 201)["session_id"]
    for raw, reference in points:
        body = {"raw": raw, "reference": reference, "temperature_c": 25}
        site.client.post(f"{PROBE}/calibration/{number}/points", body, 201)
    return number, site.client.post(f"{PROBE}/calibration/{number}/apply", final, 200)


def finished(site):
    return eventually(
        lambda: (r := site.client.get(f"{PROBE}/recalculation"))["state"] != "running" and r
    )


def test_a_calibration_from_its_points_to_its_undoing(probe):
    site = probe
    shown = site.client.get(f"{PROBE}/calibration")
    assert [m["method"] for m in shown["methods"]] == ["ph"] and shown["calibration"] is None
    number = site.client.post(f"{PROBE}/calibration", {"method": "ph"}, 201)["session_id"]
    path = f"{PROBE}/calibration/{number}"
    assert refused(site, "POST", f"{PROBE}/calibration", {"method": "ph"})[0] == 409
    assert refused(site, "POST", f"{path}/apply", {}) == (400, "IMPLAUSIBLE_CALIBRATION")
    site.client.post(f"{path}/points", {"raw": 1000, "reference": 9.5}, 201)
    # Without a raw value, the newest of the sensor; a final value has none.
    body = {"esp_id": BENCH, "gpio": 34, "sensor_type": "ph", "raw": 1777}
    site.client.post("/sensors/data", body, 201)
    newest = site.client.post(f"{path}/points", {"reference": 7.0}, 201)["points"][-1]["raw"]
    assert newest == 1777
    site.client.post("/sensors/data", FINAL, 201)
    assert refused(site, "POST", f"{path}/points", {"reference": 7.0}) == (409, "NO_FRESH_READING")
    site.client.call("DELETE", path)
    number, applied = calibrated(site, (1000, 10.0), (2000, 4.0), valid_days=30)
    slope = applied["calibration"]["slope"]
    assert slope == pytest.approx(-6.0 / (1000 / 4095 * 3.3))
    assert [r[0] for r in applied["readings"]] == [10.0, 4.0]
    assert [r[2] for r in applied["readings"]] == pytest.approx([10.0, 4.0])
    body = {"esp_id": BENCH, "gpio": 34, "sensor_type": "ph", "raw": 2000}
    stored = site.client.post("/sensors/data", body, 201)
    assert stored["value"] == pytest.approx(4.0) and stored["quality"] == "good"
    shown = site.client.get(f"{PROBE}/calibration")
    assert [s["state"] for s in shown["data"]] == ["applied", "aborted"]
    assert shown["calibration"]["calibrated_by"] == "user:admin"
    # Configured again, the sensor keeps its calibration.
    site.client.post(f"/sensors/{BENCH}/34", {"sensor_type": "ph", "interval_s": 5}, 201)
    assert site.client.get(f"{PROBE}/calibration")["calibration"]["slope"] == slope
    site.client.post(f"{PROBE}/calibration/undo", {}, 200)
    assert site.client.get(f"{PROBE}/calibration")["calibration"] is None
    assert refused(site, "POST", f"{PROBE}/calibration/undo", {})[0] == 409
    wanted = {f"calibrated {BENCH}/34 ph", f"undid calibration {number} of {BENCH}/34 ph"}
    eventually(
        lambda: wanted <= {e["what"] for e in site.client.get("/audit/log?limit=50")["data"]}
    )


def test_a_dry_run_shows_and_changes_nothing(probe):
    site = probe
    number = site.client.post(f"{PROBE}/calibration", {"method": "ph"}, 201)["session_id"]
    path = f"{PROBE}/calibration/{number}"
    for raw, reference in ((1000, 10.0), (2000, 4.0)):
        site.client.post(f"{path}/points", {"raw": raw, "reference": reference}, 201)
    shown = site.client.post(f"{path}/apply?dry_run=1", {}, 200)
    assert shown["dry_run"] and shown["calibration"]["slope"] < -1
    found = site.client.get(f"{PROBE}/calibration")
    assert found["calibration"] is None and found["data"][0]["state"] == "open"


def test_the_past_is_read_again_and_back(probe):
    site = probe
    site.client.post("/sensors/data", FINAL, 201)
    before = {r["timestamp"]: (r["value"], r["quality"]) for r in rows(site)}
    calibrated(site, (1000, 10.0), (2000, 4.0))
    begun = site.client.post(f"{PROBE}/recalculation", {}, 202)
    assert begun["state"] == "running" and begun["total"] >= 30
    run = finished(site)
    assert run["state"] == "done" and run["done"] == run["total"] and run["changed"] >= 30
    for row in rows(site):
        if row["timestamp"] in before and row["raw"] != 6.5:
            wanted = 10.0 - 6.0 * (row["raw"] - 1000) / 1000
            assert row["value"] == pytest.approx(wanted) and row["quality"] == "good"
    assert 6.5 in {row["value"] for row in rows(site)}
    site.client.post(f"{PROBE}/calibration/undo", {}, 200)
    site.client.post(f"{PROBE}/recalculation", {}, 202)
    assert finished(site)["state"] == "done"
    after = {r["timestamp"]: (r["value"], r["quality"]) for r in rows(site)}
    assert {at: after[at] for at in before} == before


def test_bad_input_is_refused_with_its_code(probe):
    site = probe
    for method, path, body, wanted in (
        ("POST", f"{PROBE}/calibration", {"method": "offset"}, (400, "IMPLAUSIBLE_CALIBRATION")),
        ("POST", f"{PROBE}/calibration", {}, (400, "VALIDATION_ERROR")),
        ("POST", f"{PROBE}/calibration/7/apply", {}, (404, "CALIBRATION_NOT_FOUND")),
        ("POST", f"{PROBE}/calibration/x/apply", {}, (404, "CALIBRATION_NOT_FOUND")),
        ("DELETE", f"{PROBE}/calibration/{'9' * 99}", None, (404, "CALIBRATION_NOT_FOUND")),
        ("GET", f"/sensors/{BENCH}/33/ph/calibration", None, (404, "SENSOR_NOT_FOUND")),
        ("GET", f"{PROBE}/recalculation", None, (404, "NO_RECALCULATION")),
        ("DELETE", f"{PROBE}/recalculation", None, (404, "NO_RECALCULATION")),
        ("POST", f"{PROBE}/recalculation", {"start": 9e9}, (400, "INVALID_TIME_RANGE")),
        ("POST", f"{PROBE}/calibration/7/points", {"reference": 1e300}, (400, "VALIDATION_ERROR")),
    ):
        assert refused(site, method, path, body) == wanted, (method, path)
