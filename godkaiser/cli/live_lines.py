"""Prints events as readable lines on a terminal, for the demo and for `godkaiser run`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.safety.messages import ActuatorView, SafetyView
from godkaiser.actors.storage.messages import RecorderView
from godkaiser.domain.entities import Reading
from godkaiser.supervision import ActorSystem, LifeEvent, LifeStep

SUMMARY_EVERY = 5
LOUD_STEPS = frozenset(
    {LifeStep.CRASHED, LifeStep.RESTARTED, LifeStep.GAVE_UP, LifeStep.STUCK, LifeStep.STALLED}
)


class LiveLines:
    """Compares the published values with the previous ones, and prints the differences."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._levels: dict[str, float | None] = {}
        self._online: dict[str, bool] = {}
        self._safety = ""
        self._rounds = 0
        self._events: list[LifeEvent] = []
        system.events.subscribe(self._note)

    def _note(self, event: LifeEvent) -> None:
        if event.step in LOUD_STEPS:
            self._events.append(event)

    def lines(self) -> Iterator[str]:
        """The lines since the last call; call it about once a second."""
        stamp = time.strftime("%H:%M:%S")
        events, self._events = self._events, []
        for event in events:
            yield f"{stamp}  actor     {event.path} {event.step.value} {event.detail}".rstrip()
        yield from (f"{stamp}  {line}" for line in self._changes())
        if self._rounds % SUMMARY_EVERY == 0:
            yield f"{stamp}  {self._summary()}"
        self._rounds += 1

    def _changes(self) -> Iterator[str]:
        safety = self._system.published_value(paths.SAFETY, "view")
        if isinstance(safety, SafetyView) and safety.state != self._safety:
            if self._safety or safety.state != "normal":
                held = "  (rules are held until resume)" if safety.automation_held else ""
                yield f"safety    {safety.state.upper()}{held}"
            self._safety = safety.state
        for path in self._system.children(paths.DEVICES):
            view = self._system.published_value(path, "view")
            if isinstance(view, DeviceView):
                name = view.record.device_id
                if self._online.get(name, False) != view.online:
                    yield f"device    {name} {'online' if view.online else 'OFFLINE'}"
                self._online[name] = view.online
        for path in self._system.children(paths.ACTUATORS):
            view = self._system.published_value(path, "view")
            if isinstance(view, ActuatorView):
                before = self._levels.get(path, 0.0)
                if view.reported_value is not None and view.reported_value != before:
                    yield self._switch(view)
                if view.reported_value is not None:
                    self._levels[path] = view.reported_value

    def _switch(self, view: ActuatorView) -> str:
        level = view.reported_value or 0.0
        state = "off" if level == 0 else ("ON" if level > 0.99 else f"{level:.0%}")  # noqa: PLR2004
        config = view.config
        return f"actuator  {config.esp_id}/{config.gpio} {config.name}: {state}  ({view.owner})"

    def _summary(self) -> str:
        recorder = self._system.published_value(paths.RECORDER, "view")
        stored = recorder.stored if isinstance(recorder, RecorderView) else 0
        online = sum(self._online.values())
        values = "  ".join(self._latest())
        return f"readings  {stored} stored, {online}/{len(self._online)} devices online  {values}"

    def _latest(self) -> Iterator[str]:
        shown = 3
        for path in self._system.children(paths.DEVICES)[:shown]:
            for value in self._system.published(path).values():
                if isinstance(value, Reading) and value.key.sensor_type == "sht31_temp":
                    yield f"{value.key.esp_id} {value.value:.1f} {value.unit}"
