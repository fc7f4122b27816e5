"""/metrics of a real gateway, as Prometheus reads it; what alerts and dashboard name is there."""

from __future__ import annotations

import json
import re

from prometheus_client.parser import text_string_to_metric_families

from tests import ROOT
from tests.system.site import PASSWORD
from tests.waiting import eventually

CONF = ROOT / "conf"
BENCH_1, FAN = "ESP_A00001", 25


def scrape(site):
    client = site.client
    client._connection.request(
        "GET", "/api/v1/metrics", headers={"Authorization": f"Bearer {client.token}"}
    )
    response = client._connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, text
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return text, {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples, name, **labels):
    return samples[f"godkaiser_{name}", tuple(sorted(labels.items()))]


def test_it_tells_what_is(site):
    site.client.post(
        "/actuators/command?wait=5", {"esp_id": BENCH_1, "gpio": FAN, "command": "ON"}, 202
    )
    text, samples = eventually(
        lambda: (found := scrape(site)) and value(found[1], "readings_stored_total") > 0 and found
    )
    assert value(samples, "devices", state="online") == 2
    assert value(samples, "actuators_on") >= 1
    assert value(samples, "broker_connected") == 1
    assert value(samples, "stopped") == 0
    assert value(samples, "messages_handled_total", group="/control/devices") > 0
    for histogram in ("reading_stored_seconds", "verdict_seconds", "command_answer_seconds"):
        count = value(samples, f"{histogram}_count")
        assert count >= 1 and value(samples, f"{histogram}_bucket", le="+Inf") == count
        assert 0 < value(samples, f"{histogram}_sum") < 10 * count
        assert value(samples, f"{histogram}_bucket", le="10.0") >= 1
    # A device is never a label: a fleet has no bound.
    assert BENCH_1 not in text
    assert PASSWORD not in text
    assert site.client.token not in text
    site.gateway.system.crash(f"/control/devices/{BENCH_1}")
    eventually(
        lambda: value(scrape(site)[1], "actor_restarts_total", group="/control/devices") == 1
    )
    site.client.post("/actuators/emergency_stop", {}, 200)
    assert value(scrape(site)[1], "stopped") == 1
    assert (
        value(
            scrape(site)[1], "http_request_seconds_count", method="POST", status="2xx",
            route="/api/v1/actuators/emergency_stop",
        )
        == 1
    )  # fmt: skip


def test_alerts_and_dashboard_name_only_what_there_is(site):
    # A label set appears with its first event; the families are there from the start.
    text, _ = scrape(site)
    known = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    known |= {f"{name}{end}" for name in known for end in ("_count", "_bucket", "_sum")}
    dashboard = json.loads((CONF / "grafana" / "godkaiser.json").read_text(encoding="utf-8"))
    used = [panel["targets"][0]["expr"] for panel in dashboard["panels"]]
    used += re.findall(r"expr: (.*)", (CONF / "prometheus" / "alerts.yml").read_text())
    assert len(used) > 20
    named = {name for text in used for name in re.findall(r"godkaiser_\w+", text)}
    assert named <= known
