"""Finds actuators that report that they are on although OFF was sent repeatedly.

Used by the safety actor only. Times are monotonic seconds.
"""

from __future__ import annotations

import structlog

from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.safety.actuator_state import ActuatorState, defies_off

STAYS_ON_S = 25.0
"""OFF is repeated after 2, 6, 14 and 30 s; an actuator that is still on at the last of these is alarmed."""
NAMED_IN_ALARM = 20

log = structlog.get_logger("godkaiser.safety")


class StaysOn:
    """`alarm` names them; whoever shows it sets `changed` to False."""

    def __init__(self) -> None:
        self.alarm = ""
        self.changed = False
        self._since: dict[ActuatorKey, float] = {}
        self._told: set[ActuatorKey] = set()

    def note(self, key: ActuatorKey, state: ActuatorState, now: float) -> None:
        """Check the state of an actuator after a step."""
        if not defies_off(state):
            self.forget(key)
            return
        if key not in self._told and now - self._since.setdefault(key, now) >= STAYS_ON_S:
            self._told.add(key)
            log.critical(
                "stays_on",
                actuator=str(key),
                reason="it reports on although OFF was sent repeatedly",
            )
            self._name()

    def forget(self, key: ActuatorKey) -> None:
        self._since.pop(key, None)
        if key in self._told:
            self._told.remove(key)
            log.info("stays_on_no_more", actuator=str(key))
            self._name()

    def _name(self) -> None:
        self.changed = True
        named = sorted(str(key) for key in self._told)
        more = len(named) - NAMED_IN_ALARM
        self.alarm = (
            f"on although OFF was sent: {', '.join(named[:NAMED_IN_ALARM])}"
            f"{f' and {more} more' if more > 0 else ''}: look at the machines themselves"
            if named
            else ""
        )
