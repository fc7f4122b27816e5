"""The progress of stops and clears for each device, and the alarm for silent devices.

Used by the safety actor only. Times are monotonic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec
import structlog

from godkaiser.actors.safety.plant import Plant
from godkaiser.domain.safety.stop_confirmation import Confirmation, confirmation_of
from godkaiser.domain.safety.stop_state import Scope

UNCONFIRMED_ALARM_S = 30.0
NAMED_IN_ALARM = 5

log = structlog.get_logger("godkaiser.safety")


class Told(msgspec.Struct):
    """A device that was sent a stop: since when, and how often. `heard`: it has shown that it
    received the stop.
    """

    at: float
    attempts: int = 1
    heard: bool = False


class StopProgress:
    """Devices in `waiting` must still confirm a stop, those in `confirmed` have done so (told at,
    confirmed at). `clearing`, by scope, must still confirm a clear: when each device was sent the
    clear, None before. `clear_confirmed` has confirmed it.
    """

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.waiting: dict[str, Told] = {}
        self.confirmed: dict[str, tuple[float, float]] = {}
        self.clearing: dict[Scope, dict[str, float | None]] = {}
        self.clear_confirmed: dict[Scope, dict[str, float]] = {}

    @property
    def is_open(self) -> bool:
        """Whether any confirmation is missing."""
        return bool(self.waiting or self.clearing)

    def confirmation(self, device_id: str, told: Told) -> Confirmation:
        presence = self.plant.device(device_id)
        return confirmation_of(
            self.plant.of_device(device_id),
            heard=told.heard,
            approved=presence is not None and presence.approved,
            online=presence is not None and presence.online,
            attempts=told.attempts,
        )


class SilenceAlarm:
    """`text` names the devices that have not confirmed for too long; `on_change` is called at each
    change.
    """

    def __init__(self, progress: StopProgress, on_change: Callable[[], None]) -> None:
        self._progress = progress
        self._on_change = on_change
        self.text = ""

    def next_in_s(self, now: float) -> float:
        """Seconds until the alarm for a silent device is due; infinity: no device is awaited."""
        waiting = self._progress.waiting.values()
        left = (told.at + UNCONFIRMED_ALARM_S - now for told in waiting)
        return min((seconds for seconds in left if seconds > 0.0), default=math.inf)

    def end_if_confirmed(self) -> None:
        if not self._progress.is_open:
            self.text = ""

    def raise_or_end(self, now: float, last_stop: Mapping[Scope, float]) -> None:
        """`last_stop`: the start of waiting for devices that were not sent the clear yet."""
        since = {
            **{device_id: told.at for device_id, told in self._progress.waiting.items()},
            **{
                device_id: at if at is not None else last_stop.get(scope, now)
                for scope, devices in self._progress.clearing.items()
                for device_id, at in devices.items()
            },
        }
        overdue = sorted(d for d, at in since.items() if now - at >= UNCONFIRMED_ALARM_S)
        before, self.text = self.text, ""
        if overdue:
            named = ", ".join(self._named(device_id) for device_id in overdue[:NAMED_IN_ALARM])
            more = len(overdue) - NAMED_IN_ALARM
            self.text = (
                f"not confirmed for more than {UNCONFIRMED_ALARM_S:g} s by {named}"
                f"{f' and {more} more' if more > 0 else ''}: look at the machines themselves"
            )
        if self.text != before:
            self._on_change()
            if overdue:
                log.critical("not_confirmed", devices=overdue)

    def _named(self, device_id: str) -> str:
        """The name of a device, with the pins that report on."""
        told = self._progress.waiting.get(device_id)
        if told is None:
            return device_id
        found = self._progress.confirmation(device_id, told)
        on = [str(state.config.gpio) for state in found.open if state.reported]
        return f"{device_id} (GPIO {', '.join(on)} is on)" if on else device_id
