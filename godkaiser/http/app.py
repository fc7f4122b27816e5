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
from godkaiser.http.access.permissions import API
from godkaiser.http.audit_trail import AuditMiddleware
from godkaiser.http.channels import SECURITY_HEADERS, STOP_PATH
from godkaiser.http.compression import CompressionMiddleware
from godkaiser.http.dashboard import Dashboard, DashboardMiddleware
from godkaiser.http.endpoint import Endpoint
from godkaiser.http.endpoints import ALLOWED, BY_KEY, SERVED
from godkaiser.http.exchange import address_of, reply_error, request_id_of
from godkaiser.http.json_guard import has_invisible
from godkaiser.http.openapi import describe
from godkaiser.http.pages import PageResources
from godkaiser.http.queries import check_query
from godkaiser.http.resources.access.sessions import VersionResource
from godkaiser.http.resources.system.metrics import (
    GatewayCollector,
    MetricsResource,
    RequestTimes,
)
from godkaiser.http.services import Services
from godkaiser.http.stalls import STALL_S, lay_in_a_stall

log = structlog.get_logger("godkaiser.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_EXPOSED = ("ETag", "Retry-After", "X-Request-ID", "Idempotency-Replayed")


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
        resp.set_header("X-Request-ID", request_id_of(req))
        if resp.get_header("ETag") is not None and resp.get_header("Cache-Control") is None:
            # A proxy that compresses would make it weak, and nothing could be edited behind it.
            resp.set_header("Cache-Control", "no-store, no-transform")
        for name, value in SECURITY_HEADERS:
            if resp.get_header(name) is None:
                resp.set_header(name, value)
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
            resp.set_header("Allow", ALLOWED[_template_of(req)])


class FrontDoorMiddleware:
    """A browser that opens the address of the API is sent to its pages."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path == API and req.method in {"GET", "HEAD"}:
            raise falcon.HTTPFound(f"{API}/docs")


class StopFrameMiddleware:
    """The frame of the stop button is sandboxed: its origin is `null`, and it may read what became of a stop.

    The token is what lets it; the browser sends nothing on its own.
    """

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        if req.path != STOP_PATH:
            return
        resp.append_header("Vary", "Origin")
        if req.get_header("Origin") != "null":
            return
        resp.set_headers(
            {
                "Access-Control-Allow-Origin": "null",
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "authorization, content-type",
                # So that a press need not ask first.
                "Access-Control-Max-Age": "7200",
            }
        )


class AccessMiddleware:
    """Applies the record of the endpoint: rate limit, identity, role, query. What has no record is not reachable."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        now = self._services.monotonic()
        if req.method == "OPTIONS":
            # Falcon answers. A browser asks first, without a token, what a page from elsewhere may do.
            self._services.rate_limit.check(f"address {address_of(req)}", now)
            return
        endpoint = BY_KEY.get((req.method, _template_of(req)))
        if endpoint is None:
            raise _not_allowed(req)
        req.context["endpoint"] = endpoint
        if any(has_invisible(str(value)) for value in params.values()):
            raise NotFound(path=ascii(req.path[:200])[1:-1])
        if endpoint.role is None:
            self._limit(endpoint, f"address {address_of(req)}", now)
            check_query(req, endpoint.query)
            return
        try:
            gate = self._services.gate
            identify = gate.identify_stop if endpoint.takes_stop_token else gate.identify
            identity = identify(_token_of(req))
        except GatewayError:
            # Requests without a good token share the limit of their address.
            self._limit(endpoint, f"address {address_of(req)}", now)
            raise
        self._limit(endpoint, identity.principal, now)
        req.context["identity"] = identity
        check(identity, endpoint)
        if endpoint.for_debugging and not self._services.debug:
            raise DebugIsOff
        if endpoint.never_late and lay_in_a_stall(req.env):
            raise GatewayStalled(stall_s=STALL_S)
        check_query(req, endpoint.query)

    def _limit(self, endpoint: Endpoint, who: str, now: float) -> None:
        """Raises TooManyRequests."""
        if not endpoint.is_unlimited:
            self._services.rate_limit.check(who, now)


def _template_of(req: falcon.Request) -> str:
    return (req.uri_template or "").removeprefix(API)


def _not_allowed(req: falcon.Request) -> MethodNotAllowed:
    method = req.context.get("method") or req.method
    return MethodNotAllowed(
        method=ascii(method[:20])[1:-1],
        path=ascii(req.path[:200])[1:-1],
        allow=ALLOWED[_template_of(req)],
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
        # An SQLite connection stays with its thread; a PostgreSQL connection goes back to the pool.
        if not self._services.database.is_sqlite:
            self._services.database.close_thread()


def _cors(origins: tuple[str, ...]) -> list[Any]:
    if not origins:
        return []
    # Without credentials: a token is sent by the page itself, never by the browser on its own.
    return [falcon.CORSMiddleware(allow_origins=origins, expose_headers=_EXPOSED)]


def create_app(services: Services) -> falcon.App[Any, Any]:
    """The application over these services."""
    dashboard = Dashboard()
    registry = CollectorRegistry()
    registry.register(GatewayCollector(services))
    app: falcon.App[Any, Any] = falcon.App(
        middleware=[
            *_cors(services.cors_origins),
            HeadMiddleware(),
            RequestTimes(registry),
            CompressionMiddleware(),
            RequestIdMiddleware(),
            StopFrameMiddleware(),
            FrontDoorMiddleware(),
            DashboardMiddleware(dashboard),
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
    given: dict[Any, object] = {
        MetricsResource: MetricsResource(registry),
        PageResources: PageResources(describe(services.version)),
        VersionResource: VersionResource(services, dashboard.digest),
    }
    for kind, endpoints in SERVED:
        resource = given.get(kind) or kind(services)
        for path, responder in dict.fromkeys((one.path, one.responder) for one in endpoints):
            app.add_route(f"{API}{path}", resource, suffix=responder)
    return app


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
        translated = _not_allowed(req)
    else:
        translated = ValidationFailed(reason=f"{error.title}: {error.description or ''}".strip())
    reply_error(req, resp, translated)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    request_id = request_id_of(req)
    log.error("request_failed", request_id=request_id, path=req.path, exc_info=error)
    reply_error(req, resp, InternalError(request_id=request_id))
