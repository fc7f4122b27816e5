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
from godkaiser.errors.services import LiveIsOff, TooManyWebhooks, UnknownWebhook
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import ADMIN, Done, Endpoint, Example, Page
from godkaiser.http.exchange import RequestBody, ask, issuer_of, read_body, reply
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import sorted_by
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


class FilterAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """As it was given: a part that was not given is left out, and fits everything."""

    types: list[str] | msgspec.UnsetType = msgspec.UNSET
    esp_ids: list[str] | msgspec.UnsetType = msgspec.UNSET
    sensor_types: list[str] | msgspec.UnsetType = msgspec.UNSET
    topic_pattern: str | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="topicPattern"
    )


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and how its deliveries go."""

    id: int
    name: str
    url: str
    filters: list[FilterAnswer]
    enabled: bool
    made_by: str
    made_at: float
    delivery: WebhookView


class NewWebhookAnswer(WebhookAnswer, frozen=True, kw_only=True):
    """`secret` is in this answer and nowhere else."""

    secret: str


_WEBHOOK = "/webhooks/{webhook_id}"
ENDPOINTS = (
    Endpoint(
        "GET", "/webhooks", "webhooks", ADMIN, "List the webhooks with how their deliveries go.",
        Page[WebhookAnswer], details="See [live.md](live.md#webhooks).", query=sorted_by("id", "name"),
    ),
    Endpoint(
        "POST", "/webhooks", "webhooks", ADMIN, "Create a webhook.", NewWebhookAnswer, 201,
        details="The `secret` is shown once.", body=WebhookBody, refuses=(LiveIsOff, TooManyWebhooks),
        tagged=True, for_people=True,
        examples=(
            Example({
                "name": "alarm panel", "url": "https://panel.example/hook",
                "filters": [{"types": ["safety", "device"]}],
            }),
        ),
    ),
    Endpoint(
        "GET", _WEBHOOK, "webhook", ADMIN, "Show one webhook.", WebhookAnswer, refuses=(UnknownWebhook,), tagged=True,
    ),
    Endpoint(
        "PATCH", _WEBHOOK, "webhook", ADMIN, "Change a webhook; what is not given stays.", WebhookAnswer,
        details="One that was suspended begins again.", body=WebhookChange,
        refuses=(UnknownWebhook, LiveIsOff), edits=True, tagged=True, for_people=True,
        examples=(Example({"enabled": False}, {"webhook_id": "1"}),),
    ),
    Endpoint(
        "DELETE", _WEBHOOK, "webhook", ADMIN, "Delete a webhook.", status=204, refuses=(UnknownWebhook,),
        edits=True, for_people=True,
    ),
    Endpoint(
        "POST", f"{_WEBHOOK}/test", "test", ADMIN, "Deliver an event that tells nothing.", Done, 202,
        refuses=(UnknownWebhook,), for_people=True,
    ),
)  # fmt: skip
ALL_BUT_READINGS = (Filter(types=frozenset({"actuator", "device", "rule", "safety", "system"})),)


class WebhookResources:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._system = services.system

    def on_get_webhooks(self, req: falcon.Request, resp: falcon.Response) -> None:
        found = [WebhookAnswer(**self._shown(record)) for record in self._known().values()]
        reply_page(req, resp, found, identity=("id",))

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
        reply(resp, NewWebhookAnswer(**self._shown(record), secret=record.secret), 201)

    def on_get_webhook(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        record = self._record(webhook_id)
        resp.etag = digest_of(record)
        reply(resp, WebhookAnswer(**self._shown(record)))

    def on_patch_webhook(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """One that was suspended begins again with it."""
        body = read_body(req, WebhookChange)
        record = self._record(webhook_id)
        record = self._save(
            SaveWebhook(
                issuer=issuer_of(req), webhook_id=record.webhook_id, name=body.name, url=body.url,
                secret=body.secret, enabled=body.enabled,
                filters=None if body.filters is None else _checked(body.filters), seen=seen_by(req),
            )
        )  # fmt: skip
        resp.etag = digest_of(record)
        reply(resp, WebhookAnswer(**self._shown(record)))

    def on_delete_webhook(
        self, req: falcon.Request, resp: falcon.Response, webhook_id: str
    ) -> None:
        record = self._record(webhook_id)
        message = DeleteWebhook(
            webhook_id=record.webhook_id, issuer=issuer_of(req), seen=seen_by(req)
        )
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
        reply(resp, Done(), 202)

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
            "filters": msgspec.json.decode(record.filters, type=list[FilterAnswer]), "enabled": record.enabled,
            "made_by": record.made_by, "made_at": record.made_at,
            "delivery": view,
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
