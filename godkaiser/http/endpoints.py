"""The one table of endpoints, collected from the resources that serve them. Read it for what there is."""

from __future__ import annotations

from typing import Any

from godkaiser.http import pages
from godkaiser.http.endpoint import Endpoint
from godkaiser.http.resources.access import auth, keys, sessions, users
from godkaiser.http.resources.actuators import actuators, commands, stops
from godkaiser.http.resources.devices import (
    broker_accounts,
    device_requests,
    devices,
    mocks,
    placement,
)
from godkaiser.http.resources.rules import rule_trials, rules
from godkaiser.http.resources.sensors import calibration, readings, sensors, series
from godkaiser.http.resources.system import (
    actors,
    audit,
    health,
    jobs,
    metrics,
    storage,
    webhooks,
)

SERVED: tuple[tuple[Any, tuple[Endpoint, ...]], ...] = (
    (health.HealthResource, health.ENDPOINTS),
    (pages.PageResources, pages.ENDPOINTS),
    (sessions.VersionResource, sessions.VERSION),
    (auth.AuthResources, auth.ENDPOINTS),
    (sessions.SessionResources, sessions.ENDPOINTS),
    (users.UserResources, users.ENDPOINTS),
    (keys.KeyResources, keys.ENDPOINTS),
    (devices.DeviceResources, devices.ENDPOINTS),
    (placement.PlacementResources, placement.ENDPOINTS),
    (device_requests.DeviceRequestResources, device_requests.ENDPOINTS),
    (broker_accounts.BrokerAccountResources, broker_accounts.ENDPOINTS),
    (sensors.SensorResources, sensors.ENDPOINTS),
    (readings.ReadingResources, readings.ENDPOINTS),
    (series.SeriesResources, series.ENDPOINTS),
    (calibration.CalibrationResources, calibration.ENDPOINTS),
    (actuators.ActuatorResources, actuators.ENDPOINTS),
    (commands.CommandResources, commands.ENDPOINTS),
    (stops.SafetyResources, stops.ENDPOINTS),
    (rules.RuleResources, rules.ENDPOINTS),
    (rule_trials.RuleTrialResources, rule_trials.ENDPOINTS),
    (audit.AuditResources, audit.ENDPOINTS),
    (jobs.JobResources, jobs.ENDPOINTS),
    (actors.ActorResources, actors.ENDPOINTS),
    (storage.StorageResources, storage.ENDPOINTS),
    (metrics.MetricsResource, metrics.ENDPOINTS),
    (webhooks.WebhookResources, webhooks.ENDPOINTS),
    (mocks.MockResources, mocks.ENDPOINTS),
)
"""Each resource with its endpoints, in the order of the documentation."""

ENDPOINTS = tuple(endpoint for _, endpoints in SERVED for endpoint in endpoints)
BY_KEY = {endpoint.key: endpoint for endpoint in ENDPOINTS}
"""By method and path."""
assert len(BY_KEY) == len(ENDPOINTS), "an endpoint is there twice"

EVENTS = {endpoint.event: endpoint for endpoint in ENDPOINTS if endpoint.event}
"""The live socket: an event of this type is for those who may use that endpoint."""


def _allowed() -> dict[str, str]:
    methods: dict[str, set[str]] = {}
    for method, path in BY_KEY:
        methods.setdefault(path, {"OPTIONS"}).update(
            {method, "HEAD"} if method == "GET" else {method}
        )
    return {path: ", ".join(sorted(found)) for path, found in methods.items()}


ALLOWED = _allowed()
"""By path: the methods that are possible there, as the header `Allow` has them."""
