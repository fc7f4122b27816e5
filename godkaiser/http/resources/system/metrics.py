"""/metrics for Prometheus: every queue, drop, retry, restart and breaker, from what is published."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import falcon
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.rules.messages import RuleView
from godkaiser.actors.safety.messages import ActuatorView, SafetyView
from godkaiser.actors.services.notifier import NotifierView
from godkaiser.actors.services.webhook import WebhookView
from godkaiser.actors.storage.messages import RecorderView
from godkaiser.domain.records.latency import Latencies, cumulative, merged
from godkaiser.http.endpoint import VIEWER, Endpoint
from godkaiser.http.resources.system.storage import spool_view
from godkaiser.http.services import Services
from godkaiser.supervision import ActorInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FLEETS = (paths.DEVICES, paths.RULES, paths.ACTUATORS, paths.MOCKS, paths.WEBHOOKS)
"""Whose children are one group: a label for each device would have no bound."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RequestTimes:
    """How long requests take, by route; the routes are a table, so they are bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "godkaiser_http_request_seconds",
            "Requests by route, from their head to the end of the responder",
            ("method", "route", "status"),
            registry=registry,
            buckets=BUCKETS,
        )
        # Looking a child up by its labels costs more than counting in it.
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context["began"] = time.perf_counter()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        began = req.context.get("began")
        if began is not None:
            method = req.method if req.method in METHODS else "other"
            key = (method, req.uri_template or "none", resp.status_code // 100)
            child = self._children.get(key)
            if child is None:
                child = self._seconds.labels(key[0], key[1], f"{key[2]}xx")
                self._children[key] = child
            child.observe(time.perf_counter() - began)


class GatewayCollector:
    """Reads what the actors have published at the moment of the scrape; asks nobody."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield from self._actors()
        yield from self._letters()
        yield from self._storage()
        yield from self._site()
        yield from self._told()
        attempts = _counter("login_attempts", "Wrong passwords and forged tokens", "result")
        for result, number in self._services.lockout.counts.items():
            attempts.add_metric([result], number)
        yield attempts

    def _actors(self) -> Iterator[Metric]:
        groups: dict[str, list[ActorInfo]] = defaultdict(list)
        for actor in self._services.system.tree():
            groups[_group(actor.path)].append(actor)
        depth = _gauge("mailbox_depth", "Messages that wait", "group")
        high = _gauge("mailbox_high_water", "Most that ever waited in one mailbox", "group")
        oldest = _gauge("mailbox_oldest_seconds", "Age of the oldest message that waits", "group")
        count = _gauge("actors", "Actors by state", "group", "state")
        refused = _counter("mailbox_refused", "Messages that found a full mailbox", "group")
        handled = _counter("messages_handled", "Messages handled", "group")
        restarts = _counter("actor_restarts", "Restarts by a supervisor", "group")
        for name, actors in groups.items():
            depth.add_metric([name], sum(a.mailbox_depth for a in actors))
            high.add_metric([name], max(a.mailbox_high_water for a in actors))
            oldest.add_metric([name], max(a.oldest_age_s for a in actors))
            refused.add_metric([name], sum(a.mailbox_refused for a in actors))
            handled.add_metric([name], sum(a.handled for a in actors))
            restarts.add_metric([name], sum(a.restarts for a in actors))
            states: dict[str, int] = defaultdict(int)
            for actor in actors:
                states[actor.state] += 1
            for state, number in states.items():
                count.add_metric([name, state], number)
        yield from (depth, high, oldest, count, refused, handled, restarts)

    def _letters(self) -> Iterator[Metric]:
        letters = _counter("dead_letters", "Messages that nobody handled, by reason", "reason")
        for reason, number in self._services.system.dead_letters.counts().items():
            letters.add_metric([reason], number)
        rejected = _counter("rejected", "Messages refused for their content, by mistake", "kind")
        for kind, number in self._services.system.dead_letters.kinds().items():
            rejected.add_metric([kind], number)
        routed = _counter("routed", "MQTT messages by kind of topic", "topic")
        counts = self._services.system.published_value(paths.ROUTER, "counts") or {}
        for topic, number in counts.items():
            routed.add_metric([str(topic)], number)
        yield from (letters, rejected, routed)

    def _storage(self) -> Iterator[Metric]:
        found = self._services.system.published_value(paths.RECORDER, "view")
        recorder = found if isinstance(found, RecorderView) else RecorderView()
        spool = spool_view(self._services)
        yield _value(_counter("readings_stored", "Readings committed"), recorder.stored)
        yield _value(_counter("readings_spooled", "Readings put into the spool"), recorder.spooled)
        yield _value(_counter("readings_duplicate", "Readings known already"), recorder.duplicates)
        yield _value(_counter("commits", "Groups committed"), recorder.batches)
        yield _value(_gauge("readings_waiting", "Readings before their commit"), recorder.waiting)
        yield _value(
            _gauge("commit_seconds", "The newest commit"), recorder.last_commit_ms / 1000.0
        )
        yield _histogram(
            "reading_stored_seconds", "From arrival to commit, of the oldest of each group",
            recorder.stored_after,
        )  # fmt: skip
        failing = bool(recorder.last_error)
        yield _value(_gauge("database_failing", "1 while the database takes nothing"), failing)
        yield _value(_gauge("spool_bytes", "Bytes in the spool"), spool.bytes)
        yield _value(_gauge("spool_percent", "How full the spool is"), spool.percent)
        waiting = _gauge("spool_records", "Records in the spool", "kind")
        waiting.add_metric(["readings"], spool.readings)
        waiting.add_metric(["journal"], spool.journal)
        yield waiting
        yield _value(_counter("spool_replayed", "Records put back in place"), spool.replayed)
        yield _value(_counter("spool_dropped", "Readings dropped from a full spool"), spool.dropped)
        breaker = self._services.database.breaker
        is_open = breaker is not None and breaker.view().state != "closed"
        yield _value(_gauge("breaker_open", "1 while the breaker of the database is open"), is_open)

    def _site(self) -> Iterator[Metric]:
        system, clock = self._services.system, self._services.clock
        link = system.published_value(paths.BROKER, "view")
        connected = isinstance(link, LinkView) and link.connected
        yield _value(_gauge("broker_connected", "1 while the broker is there"), connected)
        devices = _gauge("devices", "Devices by presence", "state")
        online = [v.online for v in self._views(paths.DEVICES) if isinstance(v, DeviceView)]
        devices.add_metric(["online"], sum(online))
        devices.add_metric(["offline"], len(online) - sum(online))
        yield devices
        on = [v for v in self._views(paths.ACTUATORS) if isinstance(v, ActuatorView)]
        yield _value(
            _gauge("actuators_on", "Actuators that their devices report on"),
            sum(bool(view.reported_value) for view in on),
        )
        yield _value(
            _gauge("commands_pending", "Commands that wait for their device"),
            sum(bool(view.pending_correlation_id) for view in on),
        )
        judged = system.published_value(paths.SAFETY, "judged_after")
        yield _histogram(
            "verdict_seconds", "From a command's request to the verdict on it",
            judged if isinstance(judged, Latencies) else Latencies(),
        )  # fmt: skip
        yield _histogram(
            "command_answer_seconds", "From a command on the wire to its device's answer",
            merged(view.answered_after for view in on),
        )  # fmt: skip
        rules = [v for v in self._views(paths.RULES) if isinstance(v, RuleView)]
        yield _value(_gauge("rules", "Rules"), len(rules))
        yield _value(_gauge("rules_suspended", "Suspended"), sum(bool(v.suspended) for v in rules))
        yield _value(_counter("rules_fired", "Firings"), sum(v.fired_count for v in rules))
        safety = system.published_value(paths.SAFETY, "view")
        stopped = not isinstance(safety, SafetyView) or safety.state != "normal"
        stops = safety.stops if isinstance(safety, SafetyView) else ()
        yield _value(_gauge("stopped", "1 while any stop is not cleared"), stopped)
        yield _value(
            _gauge("stop_unconfirmed", "Devices that have not confirmed a stop"),
            sum(len(stop.unconfirmed) for stop in stops),
        )
        up = clock() - self._services.started_at
        yield _value(_gauge("uptime_seconds", "Since the start"), up)

    def _told(self) -> Iterator[Metric]:
        found = self._services.system.published_value(paths.NOTIFIER, "view")
        notifier = found if isinstance(found, NotifierView) else NotifierView()
        told = _counter("notifications", "Notifications by outcome", "outcome")
        told.add_metric(["delivered"], notifier.delivered)
        told.add_metric(["retried"], notifier.retried)
        told.add_metric(["given_up"], notifier.given_up)
        yield told
        hooks = [v for v in self._views(paths.WEBHOOKS) if isinstance(v, WebhookView)]
        yield _value(_counter("webhook_delivered", "Events"), sum(v.delivered for v in hooks))
        yield _value(_counter("webhook_dropped", "Events"), sum(v.dropped for v in hooks))
        yield _value(_gauge("webhook_waiting", "Events"), sum(v.waiting for v in hooks))
        states = _gauge("webhooks", "Webhooks by state", "state")
        for state in ("idle", "sending", "failing", "suspended"):
            states.add_metric([state], sum(v.state == state for v in hooks))
        yield states
        live = self._services.live()
        if isinstance(live, dict):
            yield _value(_gauge("live_clients", "Clients of the live socket"), live["clients"])
            yield _value(_gauge("live_waiting", "Events that wait"), live["waiting"])
            yield _value(_counter("live_told", "Events told"), live["told"])
            yield _value(
                _counter("live_dropped", "Events that too many waited for"), live["dropped"]
            )

    def _views(self, path: str) -> Iterator[Any]:
        system = self._services.system
        return (system.published_value(child, "view") for child in system.children(path))


ENDPOINTS = (
    Endpoint(
        "GET", "/metrics", "metrics", VIEWER, "Show the metrics for Prometheus, as text.",
        details="Queues, drops, restarts, storage, breaker, devices, stops, requests by route.",
        media=("text/plain",),
    ),
)  # fmt: skip


class MetricsResource:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def on_get_metrics(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE
        resp.data = generate_latest(self._registry)


def _group(path: str) -> str:
    parent = path.rpartition("/")[0]
    return parent if parent in FLEETS else path


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"godkaiser_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"godkaiser_{name}", text, labels=labels)


def _histogram(name: str, text: str, latencies: Latencies) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"godkaiser_{name}", text)
    family.add_metric([], buckets=cumulative(latencies), sum_value=latencies.sum_s)
    return family


def _value(family: Any, value: float) -> Any:
    family.add_metric([], float(value))
    return family
