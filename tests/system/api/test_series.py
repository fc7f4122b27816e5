"""One sensor's readings over REST: newest, a time of it in each resolution, a year as a stream."""

from __future__ import annotations

import csv
import http.client
import json
import time

import psutil
import pytest

from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.storage.series import rollups, series
from godkaiser.storage.series.readings import ReadingWriter
from tests.system.site import Site
from tests.waiting import eventually

DEVICE = "ESP_C00001"
KEY = SensorKey(DEVICE, 4, "ds18b20", "28FF641E8D3C0C79")
URL = f"/sensors/{DEVICE}/4/ds18b20"
NOON = 1_767_096_000.0


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, tmp_path, own_mosquitto):
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Site(tmp_path, own_mosquitto, database_url=url)
    yield made
    made.close()


def store(site, readings):
    ReadingWriter(site.gateway.database).write(readings)
    assert rollups.roll_all(site.gateway.database, time.time(), 1000)
    site.gateway.database.close_thread()


def reading(n, *, at=None, key=KEY, quality=Quality.GOOD):
    at = NOON + n * 10 if at is None else at
    return Reading(key, at, at + 1, n * 2.0, float(n), "°C", quality, content_key=n)


def test_newest_range_statistics_and_pages(site):
    store(site, [reading(n, quality=Quality.BAD if n % 6 == 0 else Quality.GOOD)
                 for n in range(720)])  # fmt: skip
    client = site.client
    latest = client.get(f"{URL}/latest")
    assert (latest["timestamp"], latest["raw"], latest["unit"]) == (NOON + 7190, 1438.0, "°C")
    time_of_it = f"start={NOON}&end={NOON + 7200}"
    raw = client.get(f"{URL}/readings?{time_of_it}")
    assert (raw["resolution"], raw["count"], raw["next"]) == ("raw", 720, None)
    assert raw["data"][1] == {"timestamp": NOON + 10, "value": 1.0, "quality": "good"}
    minutes = client.get(f"{URL}/readings?{time_of_it}&resolution=1m")
    assert minutes["count"] == 120
    assert minutes["data"][1] == {
        "timestamp": NOON + 60, "count": 6, "min": 6.0, "max": 11.0, "mean": 8.5, "last": 11.0,
        "by_quality": {"bad": 1, "good": 5},
    }  # fmt: skip
    hours = client.get(f"{URL}/readings?start={NOON - 86400 * 300}&end={NOON + 7200}")
    assert (hours["resolution"], [p["count"] for p in hours["data"]]) == ("1h", [360, 360])
    whole = client.get(f"{URL}/statistics?start={NOON + 61}&end={NOON + 3601}&resolution=1m")
    assert (whole["start"], whole["end"], whole["count"]) == (NOON + 60, NOON + 3660, 360)
    assert (whole["min"], whole["max"], whole["mean"], whole["last"]) == (6.0, 365.0, 185.5, 365.0)
    for resolution in ("raw", "1m"):
        seen, start = [], NOON
        while start is not None:
            page = client.get(
                f"{URL}/readings?start={start}&end={NOON + 7200}&resolution={resolution}&limit=50"
            )
            assert page["count"] <= 50
            seen += [point["timestamp"] for point in page["data"]]
            start = page["next"]
        step = 10 if resolution == "raw" else 60
        assert seen == [NOON + n for n in range(0, 7200, step)]


def test_minutes_are_made_by_themselves(site):
    ReadingWriter(site.gateway.database).write([reading(n) for n in range(12)])
    site.gateway.database.close_thread()
    url = f"{URL}/readings?start={NOON}&end={NOON + 3600}&resolution=1m"
    found = eventually(lambda: site.client.get(url)["data"], 25.0)
    assert [point["count"] for point in found] == [6, 6]
    view = eventually(lambda: (v := site.client.get("/system/storage")["rollups"])["spans"] and v)
    assert (view["waiting"], view["last_error"]) == (0, "")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("readings?resolution=2m", 400, "resolution '2m'"),
        ("readings?start=5&end=4", 400, "swap"),
        ("readings?limit=10001", 400, "limit"),
        ("export?format=xml", 400, "csv or ndjson"),
        ("latest?address=zz", 400, "address 'zz'"),
        ("latest?address=0x44", 404, "no sensor"),
    ],
)
def test_what_is_wrong_is_told(site, query, status, word):
    store(site, [reading(1)])
    found, answer = site.client.call("GET", f"{URL}/{query}")
    assert (found, word in answer["error"]["message"]) == (status, True), answer


def test_of_several_sensors_on_a_pin_one_must_be_chosen(site):
    other = SensorKey(DEVICE, 4, "ds18b20", "28FF000000000001")
    store(site, [reading(1), reading(2, key=other)])
    status, answer = site.client.call("GET", f"{URL}/latest")
    assert status == 400
    assert "28FF000000000001, 28FF641E8D3C0C79" in answer["error"]["message"]
    assert site.client.get(f"{URL}/latest?address=28FF000000000001")["value"] == 2.0


def stream(site, query):
    connection = http.client.HTTPConnection("127.0.0.1", site.gateway.http_port, timeout=60)
    connection.request(
        "GET", f"/api/v1{URL}/export?{query}",
        headers={"Authorization": f"Bearer {site.client.token}"},
    )  # fmt: skip
    return connection, connection.getresponse()


def test_an_export_holds_every_reading_in_order(site, monkeypatch):
    monkeypatch.setattr(series, "PAGE", 70)
    store(site, [reading(n, at=NOON + n // 3) for n in range(1000)])
    period = f"start={NOON}&end={NOON + 1000}"
    connection, answer = stream(site, period)
    rows = list(csv.DictReader(answer.read().decode().splitlines()))
    connection.close()
    assert sorted(float(row["value"]) for row in rows) == list(range(1000))
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    connection, answer = stream(site, f"{period}&format=ndjson&resolution=1m")
    assert answer.getheader("Content-Disposition").endswith('.ndjson"')
    lines = [json.loads(line) for line in answer.read().splitlines()]
    connection.close()
    assert sum(line["count"] for line in lines) == 1000


def test_two_years_are_streamed_in_bounded_memory_and_a_third_export_is_told_to_wait(site):
    database = site.gateway.database
    store(site, [reading(0)])
    count = 1_200_000
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        if database.is_sqlite
        else "WITH n(i) AS (SELECT generate_series(1, ?)) "
    )
    with database.transaction():
        database.execute(
            f"{numbers} INSERT INTO sensor_data SELECT 1, CAST(? AS BIGINT) + CAST(i AS BIGINT) * 30000, i, 0,"
            " i * 0.1, i * 0.1, '°C', 'good' FROM n"
            if not database.is_sqlite
            else "INSERT INTO sensor_data "
            f"{numbers} SELECT 1, ? + CAST(i AS BIGINT) * 30000, i, 0, i * 0.1, i * 0.1, '°C', 'good' FROM n",
            (count, int(NOON * 1000)),
        )
    database.close_thread()
    period = f"start={NOON}&end={NOON + 37_000_000}"
    process = psutil.Process()
    before = most = process.memory_info().rss
    size = lines = 0
    first, answer = stream(site, period)
    second, unread = stream(site, period)
    status, refused = site.client.call("GET", f"{URL}/export?{period}")
    assert (status, refused["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    unread.close()
    second.close()
    while chunk := answer.read(1 << 20):
        size += len(chunk)
        lines += chunk.count(b"\n")
        most = max(most, process.memory_info().rss)
    first.close()
    assert lines == count + 2
    assert size > 30_000_000
    assert most - before < size - 5_000_000, (
        f"{(most - before) / 1e6:.0f} MB for {size / 1e6:.0f} MB"
    )
    eventually(lambda: site.client.call("GET", f"{URL}/latest")[0] == 200)
    # Both have given back their place, also the one that was not read to its end.
    for _ in range(2):
        third, answer = stream(site, f"start={NOON}&end={NOON + 100}")
        assert answer.status == 200
        answer.read()
        third.close()
