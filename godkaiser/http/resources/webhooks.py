"""/webhooks: programs elsewhere that are told of events."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.services.webhook import WebhookView
from godkaiser.actors.services.webhook_keeper import DeleteWebhook, SaveWebhook, TryWebhook
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.webhooks import WebhookRecord
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.services import LiveIsOff, UnknownWebhook
from godkaiser.http.editing import refuse_changed, seen_by
from godkaiser.http.exchange import RequestBody, ask, issuer_of, read_body, reply
from godkaiser.http.paging import reply_page
from godkaiser.http.services import Services
from godkaiser.live.subscription import Filter, Filters, Subscription, problem_of

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Signing = Annotated[str, msgspec.Meta(max_length=200)]


class WebhookBody(RequestBody, frozen=True, kw_only=True):
    """`filters` as for the live socket; none: everything but readings. Without a `secret` one is made."""

    name: Name
    url: Url
    secret: Signing | None = None
    filters: Filters | None = None
    enabled: bool = True


class WebhookChange(RequestBody, frozen=True, kw_only=True):
    name: Name | None = None
    url: Url | None = None
    secret: Signing | None = None
    filters: Filters | None = None
    enabled: bool | None = None


ALL_BUT_READINGS = (Filter(types=frozenset({"actuator", "device", "rule", "safety", "system"})),)


class WebhookResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._system = services.system

    def on_get_webhooks(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [self._shown(record) for record in self._known().values()]
        reply_page(req, resp, found, identity=("id",), sortable=("id", "name"))

    def on_post_webhooks(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The secret is in this answer and nowhere else."""
        body = read_body(req, WebhookBody)
        record: WebhookRecord = self._save(
            SaveWebhook(
                issuer=issuer_of(req), name=body.name, url=body.url, secret=body.secret,
                filters=_checked(body.filters or ALL_BUT_READINGS), enabled=body.enabled,
            )
        )  # fmt: skip
        resp.etag = digest_of(record)
        reply(resp, {**self._shown(record), "secret": record.secret}, 201)

    def on_get_webhook(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        record = self._record(webhook_id)
        resp.etag = digest_of(record)
        reply(resp, self._shown(record))

    def on_patch_webhook(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """One that was suspended begins again with it."""
        body = read_body(req, WebhookChange)
        record = self._record(webhook_id)
        refuse_changed(seen_by(req), digest_of(record), f"webhook {record.webhook_id}")
        record = self._save(
            SaveWebhook(
                issuer=issuer_of(req), webhook_id=record.webhook_id, name=body.name, url=body.url,
                secret=body.secret, enabled=body.enabled,
                filters=None if body.filters is None else _checked(body.filters),
            )
        )  # fmt: skip
        resp.etag = digest_of(record)
        reply(resp, self._shown(record))

    def on_delete_webhook(
        self, req: falcon.Request, resp: falcon.Response, webhook_id: str
    ) -> None:
        record = self._record(webhook_id)
        refuse_changed(seen_by(req), digest_of(record), f"webhook {record.webhook_id}")
        message = DeleteWebhook(webhook_id=record.webhook_id, issuer=issuer_of(req))
        ask(self._system, paths.WEBHOOK_KEEPER, message)
        resp.status = 204

    def on_post_test(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        record = self._record(webhook_id)
        event = {
            "type": "test", "topic": "test", "at": self._services.clock(),
            "data": {"webhook": record.name},
        }  # fmt: skip
        message = TryWebhook(webhook_id=record.webhook_id, event=msgspec.json.encode(event))
        ask(self._system, paths.WEBHOOK_KEEPER, message)
        reply(resp, {"success": True}, 202)

    def _save(self, message: SaveWebhook) -> WebhookRecord:
        if self._services.live() is None:
            raise LiveIsOff
        record = ask(self._system, paths.WEBHOOK_KEEPER, message)
        assert isinstance(record, WebhookRecord)
        return record

    def _known(self) -> dict[int, WebhookRecord]:
        return self._system.published_value(paths.WEBHOOK_KEEPER, "webhooks") or {}

    def _record(self, webhook_id: str) -> WebhookRecord:
        longest = 9
        known = self._known()
        if webhook_id.isascii() and webhook_id.isdecimal() and len(webhook_id) <= longest:
            record = known.get(int(webhook_id))
            if record is not None:
                return record
        raise UnknownWebhook(webhook_id=webhook_id[:40])

    def _shown(self, record: WebhookRecord) -> dict[str, Any]:
        view = self._system.published_value(paths.webhook(record.webhook_id), "view")
        if not isinstance(view, WebhookView):
            # It has just been made.
            view = WebhookView(state="idle" if record.enabled else "off")
        return {
            "id": record.webhook_id, "name": record.name, "url": record.url,
            "filters": msgspec.json.decode(record.filters), "enabled": record.enabled,
            "made_by": record.made_by, "made_at": record.made_at,
            "delivery": msgspec.to_builtins(view),
        }  # fmt: skip


def _checked(filters: Filters) -> str:
    """As it is kept. Raises ValidationFailed."""
    problem = problem_of(Subscription(filters))
    if problem:
        raise ValidationFailed(reason=f"{problem}.")
    given = [
        {
            name: part
            for name, part in msgspec.to_builtins(one, order="deterministic").items()
            if part
        }
        for one in filters
    ]
    return msgspec.json.encode(given).decode()
