"""/audit: who did what."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser.http.endpoint import ADMIN, Endpoint, Page
from godkaiser.http.exchange import query_float, query_int, reply
from godkaiser.http.paging import cursor_of, encode_cursor
from godkaiser.http.queries import END, START, page, text
from godkaiser.http.services import Services
from godkaiser.storage.audit import trail as audit

ENDPOINTS = (
    Endpoint(
        "GET", "/audit/log", "audit", ADMIN, "List the audit trail, newest first.", Page[audit.AuditEntry],
        details="`correlation_id` is of a command its own, else the `X-Request-ID`.",
        query=(
            START, END, text("who", "Only of this person or program, as it is shown."),
            text("result", "Only ok, refused or failed."), text("source", "Only from this address."),
            text("what", "Only what holds this text."),
            text("correlation_id", "Only of this request or command."),
            *page(),
        ),
    ),
    Endpoint(
        "GET", "/audit/statistics", "statistics", ADMIN, "Count the entries of the audit trail by result, who and what.",
        audit.AuditStatistics, query=(START, END),
    ),
)  # fmt: skip


class AuditResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_audit(self, req: falcon.Request, resp: falcon.Response) -> None:
        limit = query_int(req, "limit", 100, 1, 1000) or 100
        start, end = query_float(req, "start"), query_float(req, "end")
        query = audit.AuditQuery(
            start=start,
            end=end,
            limit=limit + 1,
            who=req.get_param("who"),
            result=req.get_param("result"),
            source=req.get_param("source"),
            what=req.get_param("what"),
            correlation_id=req.get_param("correlation_id"),
            behind=cursor_of(req, Annotated[int, msgspec.Meta(ge=0, lt=2**53)]),
        )
        found = audit.numbered(self._services.database, query)
        following = encode_cursor(found[limit - 1][0]) if len(found) > limit else None
        entries = [entry for _, entry in found[:limit]]
        reply(resp, Page(data=entries, count=len(entries), next=following))

    def on_get_statistics(self, req: falcon.Request, resp: falcon.Response) -> None:
        start, end = query_float(req, "start"), query_float(req, "end")
        reply(resp, audit.statistics(self._services.database, start, end))
