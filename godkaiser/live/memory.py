"""The recent events, for clients that resume; pure."""

from __future__ import annotations

from collections import deque

import msgspec

from godkaiser.live.events import Event, NumberedEvent
from godkaiser.live.subscription import Subscription

MOST_EVENTS = 10_000
MOST_TOPICS = 100_000


class Resumed(msgspec.Struct, frozen=True):
    """`problem` says why the missed events are not complete; then there are no events."""

    events: tuple[NumberedEvent, ...]
    problem: str = ""


class Memory:
    """The newest value of each topic, and the newest of all other events.

    `epoch` distinguishes the ids of different processes.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = 0
        self._kept: deque[NumberedEvent] = deque(maxlen=MOST_EVENTS)
        self._values: dict[str, NumberedEvent] = {}
        self._forgotten = 0

    @property
    def newest_id(self) -> str:
        return f"{self._epoch}-{self._number}"

    def add(self, event: Event) -> NumberedEvent:
        self._number += 1
        head = {"id": self.newest_id, "type": event.type, "topic": event.topic}
        about = {"at": event.at, "esp_id": event.esp_id, "data": event.data}
        text = msgspec.json.encode({**head, **about})
        numbered = NumberedEvent(number=self._number, event=event, text=text)
        if numbered.is_value:
            self._values.pop(event.topic, None)
            self._values[event.topic] = numbered
            if len(self._values) > MOST_TOPICS:
                del self._values[next(iter(self._values))]
        else:
            if len(self._kept) == MOST_EVENTS:
                self._forgotten = self._kept[0].number
            self._kept.append(numbered)
        return numbered

    def since(self, event_id: str, subscription: Subscription) -> Resumed:
        """The events that a client missed after this one: every event, and the newest value of each
        topic.
        """
        epoch, _, digits = event_id.rpartition("-")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > len(str(2**63)):
            return Resumed((), f"'{event_id[:40]}' is not the id of an event")
        number = int(digits)
        if epoch != self._epoch or number > self._number:
            return Resumed((), "the gateway was restarted after that event")
        if number < self._forgotten:
            return Resumed((), f"more than {MOST_EVENTS} events have passed since that one")
        missed = (
            numbered
            for numbered in (*self._kept, *self._values.values())
            if numbered.number > number and subscription.wants(numbered.event)
        )
        return Resumed(tuple(sorted(missed, key=lambda numbered: numbered.number)))

    def values(self, subscription: Subscription) -> tuple[NumberedEvent, ...]:
        """The newest value of each topic, for a snapshot."""
        return tuple(e for e in self._values.values() if subscription.wants(e.event))
