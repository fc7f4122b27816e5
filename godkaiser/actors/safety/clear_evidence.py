"""Evidence from devices about their stops and clears, and whether it confirms the newest clear.

Used by the safety actor only. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from godkaiser.domain.safety.actuator_state import ActuatorState
from godkaiser.domain.safety.stop_confirmation import answer_confirms_clear, reports_confirm_clear

TELL_AGAIN_S = 5.0
"""Minimum time between two clears to a device whose clear was accepted unconfirmed."""


class ClearEvidence:
    def __init__(self) -> None:
        self._shown_at: dict[str, float] = {}
        self._cleared_at: dict[str, float] = {}
        self._cleared_before_stop: dict[str, float] = {}
        self._owed: dict[str, float] = {}

    def stop_given(self, device_id: str) -> None:
        """A new stop: later answers to an earlier clear do not confirm the end of this stop."""
        self._owed.pop(device_id, None)
        if device_id in self._cleared_at:
            self._cleared_before_stop[device_id] = self._cleared_at[device_id]

    def stop_shown(self, device_id: str, at: float) -> None:
        """A message received at `at` shows that the device knows of a stop."""
        self._shown_at[device_id] = at

    def note_cleared(self, devices: Iterable[str], now: float) -> None:
        self._cleared_at.update(dict.fromkeys(devices, now))

    def cleared_at(self, device_id: str) -> float | None:
        """When we last cleared a stop of this device, or when it last confirmed a clear."""
        return self._cleared_at.get(device_id)

    def answer_confirms(self, device_id: str, *, stop_at: float, heard_at: float) -> bool:
        """Whether the device's answer to a clear answers the clear of the stop of `stop_at`."""
        return answer_confirms_clear(
            stop_at=stop_at,
            shown_at=self._shown_at.get(device_id),
            cleared_before=self._cleared_before_stop.get(device_id),
            heard_at=heard_at,
        )

    def reports_confirm(
        self, device_id: str, states: Sequence[ActuatorState], *, stop_at: float, told_at: float
    ) -> bool:
        """Whether the reports of its actuators show that it was cleared after `told_at`."""
        shown_at = self._shown_at.get(device_id)
        return reports_confirm_clear(states, stop_at=stop_at, shown_at=shown_at, told_at=told_at)

    # ---- clears that an operator has accepted without the device's confirmation

    def owe(self, devices: Iterable[str]) -> None:
        """These devices count as cleared but may still be stopped: each is sent the clear when it
        is online.
        """
        self._owed.update(dict.fromkeys(devices, float("-inf")))

    def owes(self, device_id: str) -> bool:
        return device_id in self._owed

    def is_to_be_told(self, device_id: str, now: float) -> bool:
        """Whether to send it the clear now; if so, the minimum time starts again."""
        if now - self._owed.get(device_id, now) < TELL_AGAIN_S:
            return False
        self._owed[device_id] = now
        return True

    def settle(self, device_id: str) -> None:
        """The device has shown that no stop holds it."""
        self._owed.pop(device_id, None)

    def forget(self, device_id: str) -> None:
        for known in (self._shown_at, self._cleared_at, self._cleared_before_stop, self._owed):
            known.pop(device_id, None)
