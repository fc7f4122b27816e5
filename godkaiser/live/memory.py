"""What was told lately, for clients that come back: pure."""

from __future__ import annotations

from collections import deque

import msgspec

from godkaiser.live.happenings import Event, Happening
from godkaiser.live.subscription import Subscription

MOST_EVENTS = 10_000
MOST_TOPICS = 100_000


class Resumed(msgspec.Struct, frozen=True):
    """`problem` says why not everything can be told again; then there are no events."""

    events: tuple[Event, ...]
    problem: str = ""


class Memory:
    """The newest value of each topic, and the newest of all other events.

    `epoch` tells the ids of one process from those of another.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._values: dict[str, Event] = {}
        self._forgotten = 0

    @property
    def newest_id(self) -> str:
        return f"{self._epoch}-{self._number}"

    def add(self, happening: Happening) -> Event:
        self._number += 1
        head = {"id": self.newest_id, "type": happening.type, "topic": happening.topic}
        about = {"at": happening.at, "esp_id": happening.esp_id, "data": happening.data}
        text = msgspec.json.encode({**head, **about})
        event = Event(number=self._number, happening=happening, text=text)
        if event.is_value:
            self._values.pop(happening.topic, None)
            self._values[happening.topic] = event
            if len(self._values) > MOST_TOPICS:
                del self._values[next(iter(self._values))]
        else:
            if len(self._kept) == MOST_EVENTS:
                self._forgotten = self._kept[0].number
            self._kept.append(event)
        return event

    def since(self, event_id: str, subscription: Subscription) -> Resumed:
        """What a client has missed after this event: every event, and the newest value of each topic."""
        epoch, _, digits = event_id.rpartition("-")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > len(str(2**63)):
            return Resumed((), f"'{event_id[:40]}' is not the id of an event")
        number = int(digits)
        if epoch != self._epoch or number > self._number:
            return Resumed((), "the gateway has been started again since that event")
        if number < self._forgotten:
            return Resumed((), f"more than {MOST_EVENTS} events have come since that one")
        missed = (
            event
            for event in (*self._kept, *self._values.values())
            if event.number > number and subscription.wants(event.happening)
        )
        return Resumed(tuple(sorted(missed, key=lambda event: event.number)))

    def values(self, subscription: Subscription) -> tuple[Event, ...]:
        """The newest of each topic, as a client that has just come wants them."""
        return tuple(e for e in self._values.values() if subscription.wants(e.happening))
