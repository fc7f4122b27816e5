"""Records that are in force but not on disk yet: they are written as soon as possible.

Used by the safety actor only. A stop from the broadcast topic is acknowledged to the broker when the
latch has it.
"""

from __future__ import annotations

from godkaiser.actors.message import Message
from godkaiser.actors.safety.emergency_stops import EmergencyStops
from godkaiser.actors.safety.manual_holds import ManualHolds
from godkaiser.mqtt.ports import AckPort
from godkaiser.supervision import ActorContext, Backoff
from godkaiser.supervision.strategy import backoff_delay

WRITE_AGAIN = Backoff(base_s=0.5, factor=2.0, max_s=10.0, jitter=0.1)


class WriteAgain(Message, frozen=True, kw_only=True):
    """To /control/safety/guard, by itself: what could not be written is written as soon as it can be."""


class SafetyDisk:
    def __init__(
        self, context: ActorContext, stops: EmergencyStops, holds: ManualHolds, acks: AckPort
    ) -> None:
        self._context = context
        self._stops = stops
        self._holds = holds
        self._acks = acks
        self._unacknowledged: list[tuple[int, int]] = []
        self._is_planned = False
        self._attempts = 0

    def acknowledge_when_latched(self, token: tuple[int, int]) -> None:
        """`token` of a message from the broker; `settle` acknowledges it."""
        self._unacknowledged.append(token)

    def write_again(self) -> None:
        self._is_planned = False
        self._stops.write_again()
        self._holds.write_again()
        self.settle()

    def settle(self) -> None:
        """After something was to be written: acknowledge what is latched, plan what is not written."""
        latched = self._stops.is_recorded
        if latched and self._unacknowledged:
            self._acks.acknowledge(self._unacknowledged)
            self._unacknowledged = []
        if latched and self._holds.is_recorded:
            self._attempts = 0
        elif not self._is_planned:
            self._is_planned = True
            self._attempts += 1
            delay_s = backoff_delay(WRITE_AGAIN, self._attempts + 1, self._context.random())
            self._context.schedule(delay_s, WriteAgain(), key="write")
