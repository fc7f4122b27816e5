"""Every call that changes something leaves one entry in the audit trail, refused or not.

The entry is made here, for all endpoints alike; a resource may put it into
better words (`note_audit`). What actors do in consequence has entries of theirs, with the same correlation id.
"""

from __future__ import annotations

from http import HTTPStatus

import falcon

from godkaiser import paths
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.errors.base import GatewayError, TooManyRequests
from godkaiser.http.access.identity import Identity
from godkaiser.http.access.permissions import API
from godkaiser.http.endpoints import BY_KEY
from godkaiser.http.exchange import AuditNote, address_of, is_dry_run, request_id_of
from godkaiser.http.services import Services
from godkaiser.storage.audit.trail import AuditEntry

LONGEST = 300


class AuditMiddleware:
    """Only calls of somebody known are entered, and log-ins: others change nothing, and could fill it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        endpoint = BY_KEY.get((req.method, (req.uri_template or "").removeprefix(API)))
        if endpoint is None or not endpoint.is_audited:
            return
        identity, note = req.context.get("identity"), req.context.get("audit")
        error = req.context.get("error")
        if isinstance(error, TooManyRequests) or not (identity or note) or _changed_nothing(resp):
            return
        if req_succeeded and is_dry_run(req):
            return
        self._services.system.handle(paths.JOURNAL).tell(
            RecordAudit(entry=self._entry(req, resp, identity, note, error))
        )

    def _entry(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        identity: Identity | None,
        note: AuditNote | None,
        error: GatewayError | None,
    ) -> AuditEntry:
        who = identity.principal if identity is not None else ""
        what, details, correlation_id = f"{req.method} {req.path.removeprefix(API)}", "", ""
        if note is not None:
            what, details, correlation_id = note.what, note.details, note.correlation_id
            who = note.who or who
        if error is not None:
            details = "; ".join(filter(None, (error.code, details)))
        if correlation_id:
            details = "; ".join(filter(None, (details, f"request {request_id_of(req)}")))
        return AuditEntry(
            at=self._services.clock(),
            who=who,
            what=_printable(what),
            source=address_of(req),
            result=_result(resp),
            correlation_id=correlation_id or request_id_of(req),
            details=_printable(details),
        )


def _changed_nothing(resp: falcon.Response) -> bool:
    """It was answered as the first time."""
    return resp.get_header("Idempotency-Replayed") is not None


def _result(resp: falcon.Response) -> str:
    if resp.status_code < HTTPStatus.BAD_REQUEST:
        return "ok"
    return "refused" if resp.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"


def _printable(text: str) -> str:
    """A path holds what the client likes: lone surrogates and control characters as escapes."""
    kept = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:LONGEST])
    return kept.encode("utf-8", "backslashreplace").decode()
