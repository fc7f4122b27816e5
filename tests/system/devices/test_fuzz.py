"""Hostile messages over a real broker; `make soak` sends a hundred thousand."""

from __future__ import annotations

from tests.system.devices.hostile import Siege


def test_hostile_messages_are_counted_and_hurt_nobody(site):
    siege = Siege(site)
    for seed in range(3):
        siege.send(seed, 1000)
    rejected = siege.check()
    assert {"NOT_JSON", "NOT_OBJECT", "MALFORMED", "UNKNOWN_TOPIC", "UNREGISTERED"} <= set(rejected)
