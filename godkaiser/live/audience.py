"""An index of all clients' subscriptions, so that an event is matched against few of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from godkaiser.live.events import Event
from godkaiser.live.subscription import Subscription

Client = TypeVar("Client")


class Audience(Generic[Client]):
    def __init__(self) -> None:
        self._members: dict[Subscription, set[Client]] = {}
        self._of_device: dict[str, set[Subscription]] = {}
        self._broad: set[Subscription] = set()

    def add(self, subscription: Subscription, client: Client) -> None:
        members = self._members.setdefault(subscription, set())
        if not members:
            for place in self._places(subscription):
                place.add(subscription)
        members.add(client)

    def remove(self, subscription: Subscription, client: Client) -> None:
        members = self._members.get(subscription, set())
        members.discard(client)
        if not members and self._members.pop(subscription, None) is not None:
            for place in self._places(subscription):
                place.discard(subscription)
            for device in subscription.devices or ():
                if not self._of_device[device]:
                    del self._of_device[device]

    def may_want(self, device: str) -> bool:
        """Whether any client may want events of this device; a quick check."""
        return bool(self._broad) or device in self._of_device

    def of(self, event: Event) -> Iterator[Client]:
        for subscription in (*self._broad, *self._of_device.get(event.esp_id or "", ())):
            if subscription.wants(event):
                yield from self._members[subscription]

    def _places(self, subscription: Subscription) -> list[set[Subscription]]:
        devices = subscription.devices
        if devices is None:
            return [self._broad]
        return [self._of_device.setdefault(device, set()) for device in devices]
