"""The waiting events of one client, and when they may be sent; pure, the time is passed in."""

from __future__ import annotations

from godkaiser.live.events import NumberedEvent

MESSAGES_A_SECOND = 10
MOST_KEPT = 2000
MOST_VALUES = 10_000
BATCH = 500


class Outbox:
    """Sends at most `MESSAGES_A_SECOND` messages, each with all waiting events (up to `BATCH`).

    Of each topic only the newest value waits; all other events wait in order.
    """

    def __init__(self) -> None:
        self._kept: list[NumberedEvent] = []
        self._values: dict[str, NumberedEvent] = {}
        self._not_before = 0.0
        self.coalesced = 0

    def offer(self, numbered: NumberedEvent) -> bool:
        """Add an event; False if the client is too far behind and would miss events."""
        if not numbered.is_value:
            self._kept.append(numbered)
            return len(self._kept) <= MOST_KEPT
        topic = numbered.event.topic
        # Move it to the end: a topic that changes all the time must not delay the others.
        self.coalesced += self._values.pop(topic, None) is not None
        self._values[topic] = numbered
        if len(self._values) > MOST_VALUES:
            del self._values[next(iter(self._values))]
            self.coalesced += 1
        return True

    def __len__(self) -> int:
        return len(self._kept) + len(self._values)

    def due_at(self, now: float) -> float:
        """When the next message may be sent."""
        # A clock that jumped back must not block it.
        return min(max(now, self._not_before), now + 1.0 / MESSAGES_A_SECOND)

    def take(self, now: float) -> tuple[list[NumberedEvent], int]:
        """The next message: events in order, and how many values were coalesced before it."""
        kept, self._kept = self._kept[:BATCH], self._kept[BATCH:]
        values = list(self._values.values())[: BATCH - len(kept)]
        for numbered in values:
            del self._values[numbered.event.topic]
        coalesced, self.coalesced = self.coalesced, 0
        self._not_before = now + 1.0 / MESSAGES_A_SECOND
        return sorted((*kept, *values), key=lambda numbered: numbered.number), coalesced
