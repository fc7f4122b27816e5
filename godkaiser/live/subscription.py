"""The events that a client wants; pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from godkaiser.live.events import TYPES, Event

MOST_FILTERS = 20
MOST_NAMES = 500

Names = Annotated[frozenset[str], msgspec.Meta(max_length=MOST_NAMES)]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event must match each given part; an event without the field does not match.

    `topicPattern` is an MQTT topic filter: `+` is one level, `#` at the end the rest.
    """

    types: Names | None = None
    esp_ids: Names | None = None
    sensor_types: Names | None = None
    topic_pattern: Pattern | None = msgspec.field(default=None, name="topicPattern")

    def lets_through(self, event: Event) -> bool:
        return (
            (self.types is None or event.type in self.types)
            and (self.esp_ids is None or event.esp_id in self.esp_ids)
            and (self.sensor_types is None or event.sensor_type in self.sensor_types)
            and (self.topic_pattern is None or fits(self.topic_pattern, event.topic))
        )


Filters = Annotated[tuple[Filter, ...], msgspec.Meta(min_length=1, max_length=MOST_FILTERS)]


class Subscription(msgspec.Struct, frozen=True):
    """The events that pass at least one of the filters."""

    filters: tuple[Filter, ...] = (Filter(),)

    def wants(self, event: Event) -> bool:
        return any(one.lets_through(event) for one in self.filters)

    def within(self, types: frozenset[str]) -> Subscription:
        """The subscription restricted to these types."""
        kept = tuple(
            msgspec.structs.replace(one, types=types if one.types is None else one.types & types)
            for one in self.filters
        )
        return Subscription(kept)

    @property
    def devices(self) -> frozenset[str] | None:
        """The devices to which it is restricted; None if it is not restricted to devices."""
        if any(one.esp_ids is None for one in self.filters):
            return None
        return frozenset().union(*(one.esp_ids or () for one in self.filters))


def problem_of(subscription: Subscription) -> str:
    """The mistake in the subscription, for its author; "" if there is none."""
    for number, one in enumerate(subscription.filters):
        unknown = sorted((one.types or frozenset()) - frozenset(TYPES))
        if unknown:
            return f"filters[{number}].types: '{unknown[0][:40]}' is not one of {', '.join(TYPES)}"
        pattern = one.topic_pattern
        if pattern is not None:
            levels = pattern.split("/")
            if "#" in levels[:-1] or any(len(x) > 1 and ("#" in x or "+" in x) for x in levels):
                return f"filters[{number}].topicPattern: + must be a whole level, # the last level"
    return ""


def fits(pattern: str, topic: str) -> bool:
    """By the rules of MQTT 3.1.1, 4.7."""
    levels, wanted = topic.split("/"), pattern.split("/")
    for place, want in enumerate(wanted):
        if want == "#":
            return True
        if place >= len(levels) or want not in {"+", levels[place]}:
            return False
    return len(levels) == len(wanted)
