"""The views of the stops that the safety actor publishes, and how often.

Used by the safety actor only. When many devices confirm a stop within a moment, the view is not
made for each confirmation.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from godkaiser.actors.message import Message
from godkaiser.actors.safety.emergency_stops import EmergencyStops
from godkaiser.actors.storage.journal import RecordSafety
from godkaiser.domain.safety.stop_state import SafetyState, StopState
from godkaiser.supervision import ActorContext, Handle

SHOWN_AT_ONCE = 64
"""With more devices under a stop than this, the view is published from time to time instead of at
each change.
"""


class ShowStops(Message, frozen=True, kw_only=True):
    """To /control/safety/guard, by itself: the view of the stops has changed a moment ago."""


class SafetyDisplay:
    def __init__(
        self,
        context: ActorContext,
        stops: EmergencyStops,
        journal: Handle,
        on_new_outline: Callable[[], None],
    ) -> None:
        """`on_new_outline` is called when a stop has begun, is over or got further, or an alarm changed."""
        self._context = context
        self._stops = stops
        self._journal = journal
        self._on_new_outline = on_new_outline
        self._shown: object = None
        self._is_planned = False

    def show_changes(self) -> None:
        if _outline(self._stops.state) != self._shown or self._stops.size <= SHOWN_AT_ONCE:
            self.show()
        elif not self._is_planned:
            self._is_planned = True
            delay_s = 0.05 + self._stops.size / 5000
            self._context.schedule(delay_s, ShowStops(), key="show")

    def show_planned(self) -> None:
        self._is_planned = False
        self.show()

    def show(self) -> None:
        self._stops.changed = False
        view = self._stops.view()
        alarm_changed = view.alarm != getattr(self._context.recall("view"), "alarm", "")
        self._context.publish("view", view)
        active = (r.scope for r in self._stops.state.records if r.state is StopState.ACTIVE)
        self._context.publish("stopped", frozenset(active))
        if _outline(self._stops.state) != self._shown or alarm_changed:
            self._shown = _outline(self._stops.state)
            self._on_new_outline()
            body = msgspec.json.encode(view).decode()
            self._journal.tell(RecordSafety(body=body, at=self._context.now()))


def _outline(state: SafetyState) -> object:
    """The part of the state whose changes are events for an operator: the stops and their states."""
    return state.held, tuple((r.scope, r.state, r.last_stop) for r in state.records)
