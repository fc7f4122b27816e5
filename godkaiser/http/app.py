"""The Falcon application: routes, and what every request goes through."""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from typing import Any

import falcon
import structlog
from prometheus_client import CollectorRegistry

from godkaiser.errors.access import (
    DebugIsOff,
    ForgedToken,
    InvalidApiKey,
    NotAuthenticated,
    UnknownSecret,
)
from godkaiser.errors.base import (
    GatewayError,
    InternalError,
    NotFound,
    TooManyRequests,
    ValidationFailed,
)
from godkaiser.errors.requests import GatewayStalled, MethodNotAllowed
from godkaiser.http.access.api_keys import PREFIX
from godkaiser.http.access.gate import check
from godkaiser.http.access.permissions import (
    API,
    FOR_DEBUGGING,
    NEVER_LATE,
    PERMISSIONS,
    allowed_methods,
)
from godkaiser.http.audit_trail import AuditMiddleware
from godkaiser.http.channels import SECURITY_HEADERS
from godkaiser.http.compression import CompressionMiddleware
from godkaiser.http.exchange import address_of, reply_error, request_id_of
from godkaiser.http.json_guard import has_invisible
from godkaiser.http.metrics import GatewayCollector, MetricsResource, RequestTimes
from godkaiser.http.openapi import OpenApiResources
from godkaiser.http.queries import check_query
from godkaiser.http.resources.actuators import ActuatorResources, SafetyResources
from godkaiser.http.resources.auth import AuthResources
from godkaiser.http.resources.batch import BatchResource
from godkaiser.http.resources.broker_accounts import BrokerAccountResources
from godkaiser.http.resources.calibration import CalibrationResources
from godkaiser.http.resources.device_requests import DeviceRequestResources
from godkaiser.http.resources.devices import DeviceResources, SensorResources
from godkaiser.http.resources.jobs import JobResources
from godkaiser.http.resources.mocks import MockResources
from godkaiser.http.resources.placement import PlacementResources
from godkaiser.http.resources.rule_trials import RuleTrialResources
from godkaiser.http.resources.rules import RuleResources
from godkaiser.http.resources.series import SeriesResources
from godkaiser.http.resources.storage import StorageResources
from godkaiser.http.resources.system import HealthResource, SystemResources
from godkaiser.http.resources.users import KeyResources, SigningKeyResources, UserResources
from godkaiser.http.resources.webhooks import WebhookResources
from godkaiser.http.services import Services
from godkaiser.http.stalls import STALL_S, lay_in_a_stall

log = structlog.get_logger("godkaiser.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_EXPOSED = ("ETag", "Retry-After", "X-Request-ID", "Idempotency-Replayed")
UNLIMITED = frozenset({("POST", "/actuators/emergency_stop"), ("GET", "/health")})


class RequestIdMiddleware:
    """Each request has an id: the client's, if it is one, or a new one."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = req.get_header("X-Request-ID") or ""
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        req.context["request_id"] = request_id
        structlog.contextvars.bind_contextvars(correlation_id=request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        resp.set_headers((("X-Request-ID", request_id_of(req)), *SECURITY_HEADERS))
        if resp.get_header("ETag") is not None:
            # A proxy that compresses would make it weak, and nothing could be edited behind it.
            resp.set_header("Cache-Control", "no-store, no-transform")
        # The thread goes on with somebody else's request.
        structlog.contextvars.unbind_contextvars("correlation_id")


class HeadMiddleware:
    """HEAD is GET without the body (RFC 9110, 9.3.2), at every endpoint; OPTIONS tells what else there is."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context["method"] = req.method
        if req.method == "HEAD":
            req.method = "GET"

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        asked = req.context.get("method")
        if asked == "HEAD":
            # Falcon leaves the body away, and tells its length; a stream would never be begun, nor closed.
            req.method = asked
            if resp.stream is not None:
                close = getattr(resp.stream, "close", None)
                if close is not None:
                    close()
                resp.stream = None
        elif asked == "OPTIONS" and resource is not None:
            resp.set_header("Allow", allowed_methods((req.uri_template or "").removeprefix(API)))


class FrontDoorMiddleware:
    """A browser that opens the printed address is sent to the pages of the API."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path in {"/", API} and req.method in {"GET", "HEAD"}:
            raise falcon.HTTPFound(f"{API}/docs")


class AccessMiddleware:
    """The table of permissions, applied. What is not in it is not reachable."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        template = (req.uri_template or "").removeprefix(API)
        if req.method == "OPTIONS":
            # Falcon answers. A browser asks first, without a token, what a page from elsewhere may do.
            self._limit(req, template, f"address {address_of(req)}", self._services.monotonic())
            return
        if (req.method, template) not in PERMISSIONS:
            raise _not_allowed(req, template)
        if any(has_invisible(str(value)) for value in params.values()):
            raise NotFound(path=ascii(req.path[:200])[1:-1])
        now = self._services.monotonic()
        if PERMISSIONS[req.method, template] is None:
            self._limit(req, template, f"address {address_of(req)}", now)
            check_query(req, template)
            return
        try:
            identity = self._services.gate.identify(_token_of(req))
        except GatewayError:
            # Requests without a good token share the limit of their address.
            self._limit(req, template, f"address {address_of(req)}", now)
            raise
        self._limit(req, template, identity.principal, now)
        req.context["identity"] = identity
        check(identity, req.method, template)
        if (req.method, template) in FOR_DEBUGGING and not self._services.debug:
            raise DebugIsOff
        if (req.method, template) in NEVER_LATE and lay_in_a_stall(req.env):
            raise GatewayStalled(stall_s=STALL_S)
        check_query(req, template)

    def _limit(self, req: falcon.Request, template: str, who: str, now: float) -> None:
        """Raises TooManyRequests; never for a stop, and never for who asks whether all is well."""
        if (req.method, template) not in UNLIMITED:
            self._services.rate_limit.check(who, now)


def _not_allowed(req: falcon.Request, template: str) -> MethodNotAllowed:
    method = req.context.get("method") or req.method
    return MethodNotAllowed(
        method=ascii(method[:20])[1:-1],
        path=ascii(req.path[:200])[1:-1],
        allow=allowed_methods(template),
    )


def _token_of(req: falcon.Request) -> str:
    """From `Authorization: Bearer` (an access token or an API key) or `X-API-Key`."""
    key = req.get_header("X-API-Key")
    if key:
        if not key.startswith(PREFIX):
            raise InvalidApiKey(reason=f"keys begin with {PREFIX}")
        return key.strip()
    scheme, _, token = (req.get_header("Authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated
    return token.strip()


class ReleaseConnectionMiddleware:
    """A request that used the database gives its connection back."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        # A SQLite connection stays with its thread; one of PostgreSQL belongs to the pool.
        if not self._services.database.is_sqlite:
            self._services.database.close_thread()


def _cors(origins: tuple[str, ...]) -> list[Any]:
    if not origins:
        return []
    # Without credentials: a token is sent by the page itself, never by the browser on its own.
    return [falcon.CORSMiddleware(allow_origins=origins, expose_headers=_EXPOSED)]


def create_app(services: Services) -> falcon.App[Any, Any]:
    """The application over these services."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(services))
    app: falcon.App[Any, Any] = falcon.App(
        middleware=[
            *_cors(services.cors_origins),
            HeadMiddleware(),
            RequestTimes(registry),
            CompressionMiddleware(),
            RequestIdMiddleware(),
            FrontDoorMiddleware(),
            AuditMiddleware(services),
            AccessMiddleware(services),
            ReleaseConnectionMiddleware(services),
        ]
    )
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _falcon_error)
    app.add_error_handler(GatewayError, RefusalHandler(services))
    pages = OpenApiResources(services.version)
    for path, suffix in (
        ("/openapi.json", "document"),
        ("/docs", "page"),
        ("/docs/{name}", "file"),
    ):
        app.add_route(f"{API}{path}", pages, suffix=suffix)
    _add_routes(app, services)
    app.add_route(f"{API}/metrics", MetricsResource(registry))
    return app


def _add_routes(app: falcon.App[Any, Any], services: Services) -> None:
    auth = AuthResources(services)
    users = UserResources(services)
    keys = KeyResources(services)
    signing = SigningKeyResources(services)
    webhooks = WebhookResources(services)
    devices = DeviceResources(services)
    sensors = SensorResources(services)
    actuators = ActuatorResources(services)
    safety = SafetyResources(services)
    rules = RuleResources(services)
    trials = RuleTrialResources(services)
    system = SystemResources(services)
    placement = PlacementResources(services)
    requests = DeviceRequestResources(services)
    mocks = MockResources(services)
    storage = StorageResources(services)
    series = SeriesResources(services)
    jobs = JobResources(services)
    batch = BatchResource(services)
    calibration = CalibrationResources(services)
    broker_accounts = BrokerAccountResources(services)
    app.add_route(f"{API}/health", HealthResource(services))
    for path, resource, suffix in (
        ("/auth/setup", auth, "setup"),
        ("/auth/login", auth, "login"),
        ("/auth/refresh", auth, "refresh"),
        ("/auth/logout", auth, "logout"),
        ("/auth/me", auth, "me"),
        ("/esp/devices", devices, "devices"),
        ("/esp/devices/{device_id}", devices, "device"),
        ("/esp/register", devices, "register"),
        ("/esp/devices/{device_id}/approve", devices, "approve"),
        ("/esp/devices/{device_id}/reject", devices, "reject"),
        ("/esp/devices/{device_id}/diagnostics", requests, "diagnostics"),
        ("/esp/devices/{device_id}/commands", requests, "commands"),
        ("/esp/devices/{device_id}/commands/{correlation_id}", requests, "command"),
        ("/esp/devices/{device_id}/onewire/scan", requests, "scan"),
        ("/esp/devices/{device_id}/broker-account", broker_accounts, "account"),
        ("/system/broker-accounts", broker_accounts, "accounts"),
        ("/esp/devices/{device_id}/zone", placement, "zone"),
        ("/esp/devices/{device_id}/subzones/{subzone_id}", placement, "subzone"),
        ("/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode", placement, "safe_mode"),
        ("/zones", placement, "zones"),
        ("/sensors", sensors, "sensors"),
        ("/sensors/data", sensors, "data"),
        ("/sensors/data/batch", batch, "batch"),
        ("/sensors/{esp_id}/{gpio}", sensors, "sensor"),
        ("/sensors/{esp_id}/{gpio}/measure", requests, "measure"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}", sensors, "series"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/calibration", calibration, "sessions"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/undo", calibration, "undo"),
        (
            "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}",
            calibration,
            "session",
        ),
        (
            "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/points",
            calibration,
            "points",
        ),
        (
            "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/apply",
            calibration,
            "apply",
        ),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation", calibration, "recalculation"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/latest", series, "latest"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/readings", series, "readings"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/statistics", series, "statistics"),
        ("/sensors/{esp_id}/{gpio}/{sensor_type}/export", series, "export"),
        ("/actuators", actuators, "actuators"),
        ("/actuators/command", actuators, "command"),
        ("/actuators/commands", actuators, "commands"),
        ("/actuators/emergency_stop", safety, "stop"),
        ("/actuators/clear_emergency", safety, "clear"),
        ("/actuators/resume", safety, "resume"),
        ("/actuators/{esp_id}/{gpio}", actuators, "actuator"),
        ("/actuators/{esp_id}/{gpio}/command", actuators, "order"),
        ("/actuators/{esp_id}/{gpio}/explain", actuators, "explain"),
        ("/actuators/{esp_id}/{gpio}/hold", actuators, "hold"),
        ("/safety/status", safety, "status"),
        ("/safety/interlocks", safety, "interlocks"),
        ("/logic/rules", rules, "rules"),
        ("/logic/rules/test", trials, "test"),
        ("/logic/explain", trials, "explain"),
        ("/logic/rules/{rule_id}", rules, "rule"),
        ("/logic/rules/{rule_id}/versions", rules, "versions"),
        ("/logic/rules/{rule_id}/history", rules, "history"),
        ("/audit/log", system, "audit"),
        ("/audit/statistics", jobs, "statistics"),
        ("/system/jobs", jobs, "jobs"),
        ("/system/jobs/{job}/run", jobs, "run"),
        ("/system/tree", system, "tree"),
        ("/system/events", system, "events"),
        ("/system/storage", storage, "storage"),
        ("/system/live", storage, "live"),
        ("/users", users, "users"),
        ("/users/{username}", users, "user"),
        ("/auth/password", users, "password"),
        ("/auth/keys", keys, "keys"),
        ("/auth/keys/{key_id}", keys, "key"),
        ("/auth/keys/{key_id}/rotate", keys, "rotate"),
        ("/webhooks", webhooks, "webhooks"),
        ("/webhooks/{webhook_id}", webhooks, "webhook"),
        ("/webhooks/{webhook_id}/test", webhooks, "test"),
        ("/auth/signing-keys", signing, "keys"),
        ("/auth/signing-keys/rotate", signing, "rotate"),
        ("/system/dead-letters", system, "dead_letters"),
        ("/system/dead-letters/{letter_id}/resend", system, "resend"),
        ("/system/actors/restart", system, "restart"),
        ("/system/reload", system, "reload"),
        ("/system/actors/crash", system, "crash"),
        ("/debug/mock-esp", mocks, "mocks"),
        ("/debug/mock-esp/{mock_id}", mocks, "mock"),
        ("/debug/mock-esp/{mock_id}/sensors/{gpio}", mocks, "value"),
        ("/debug/mock-esp/{mock_id}/faults", mocks, "faults"),
    ):
        app.add_route(f"{API}{path}", resource, suffix=suffix)


class RefusalHandler:
    """Answers a refusal; forged tokens count as tried out passwords do."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: GatewayError,
        params: dict[str, Any],
    ) -> None:
        if isinstance(error, ForgedToken | UnknownSecret):
            try:
                self._services.gate.blame(address_of(req))
            except TooManyRequests as blocked:
                error = blocked
        reply_error(req, resp, error)


def _falcon_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
) -> None:
    if error.status_code == HTTPStatus.NOT_FOUND:
        translated: GatewayError = NotFound(path=req.path[:200])
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        translated = _not_allowed(req, (req.uri_template or "").removeprefix(API))
    else:
        translated = ValidationFailed(reason=f"{error.title}: {error.description or ''}".strip())
    reply_error(req, resp, translated)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    request_id = request_id_of(req)
    log.error("request_failed", request_id=request_id, path=req.path, exc_info=error)
    reply_error(req, resp, InternalError(request_id=request_id))
