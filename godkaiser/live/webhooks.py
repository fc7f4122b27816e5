"""Webhooks receive the same events as clients of the live socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from godkaiser.actors.services.webhook import Deliver
from godkaiser.domain.webhooks import Delivery
from godkaiser.live.events import NumberedEvent
from godkaiser.live.hub import LiveHub
from godkaiser.live.subscription import Filters, Subscription
from godkaiser.supervision import Handle


class WebhookListener:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def hear(self, numbered: NumberedEvent) -> None:
        self._handle.offer(Deliver(delivery=Delivery(numbered.text, numbered.is_value)))


def audience(hub: LiveHub) -> Callable[[Mapping[int, tuple[str, Handle]]], None]:
    def told(webhooks: Mapping[int, tuple[str, Handle]]) -> None:
        hub.set_standing(
            tuple(
                (Subscription(msgspec.json.decode(filters, type=Filters)), WebhookListener(handle))
                for filters, handle in webhooks.values()
            )
        )

    return told
